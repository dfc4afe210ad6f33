"""What the crowd measures: histograms, counters, and the waiting times of all searches.

Each process measures its own visitors; the conductor adds the results up. Times are `time.monotonic()`, which
all processes of one machine share; durations are seconds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, exp, log

PRECISION = 0.01
"""The relative error of a histogram: one percent."""

_LOG_STEP = log(1 + 2 * PRECISION)
_LEAST_S = 1e-6


class Histogram:
    """Durations, each to within `PRECISION` and 1 µs; count, mean and worst are exact."""

    __slots__ = ("buckets", "count", "total_s", "worst_s")

    def __init__(self, durations_s: Iterable[float] = ()) -> None:
        self.buckets: Counter[int] = Counter()
        self.count = 0
        self.total_s = 0.0
        self.worst_s = 0.0
        for duration_s in durations_s:
            self.add(duration_s)

    def add(self, duration_s: float) -> None:
        """Count one duration."""
        self.buckets[int(log(duration_s / _LEAST_S) / _LOG_STEP) if duration_s > _LEAST_S else 0] += 1
        self.count += 1
        self.total_s += duration_s
        if duration_s > self.worst_s:
            self.worst_s = duration_s

    def merge(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        self.buckets.update(other.buckets)
        self.count += other.count
        self.total_s += other.total_s
        self.worst_s = max(self.worst_s, other.worst_s)

    def quantile(self, share: float) -> float | None:
        """The quantile for `share` (0 to 1), by nearest rank; None if the histogram is empty."""
        rank = max(1, ceil(share * self.count))
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return min(self.worst_s, _LEAST_S * exp((bucket + 0.5) * _LOG_STEP))
        return None


@dataclass(slots=True)
class Waits:
    """When each wait began and ended, and for which subject."""

    began: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))
    subject: array[int] = field(default_factory=lambda: array("H"))

    def add(self, began: float, ended: float, subject: int = 0) -> None:
        """Add one finished wait."""
        self.began.append(began)
        self.ended.append(max(began, ended))
        self.subject.append(subject)

    def merge(self, other: Waits) -> None:
        """Add all waits of another."""
        self.began.extend(other.began)
        self.ended.extend(other.ended)
        self.subject.extend(other.subject)


WRONG = {
    "never_matched": "searched to the end, though somebody else did too",
    "matched_twice": "got a partner while they had one, or one who has another",
    "ghost": "a signal or a partner that does not belong",
    "stale": "a frame of a session that was over",
    "disorder": "a signal twice, lost or out of turn, or a number that does not rise",
    "lost_connection": "a connection that the server refused, closed or broke",
    "not_resumed": "came back in time, and was not recognised",
    "failed_call": "a match that did not become a call, or a call that nobody left",
    "refused": "an error frame, or one that cannot be read",
}
"""The counters of violations, which must all be zero, and what each counts."""


@dataclass(slots=True)
class Measures:
    """The measurements of one process; `examples` holds the first few of each kind of violation."""

    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    failed_with: list[tuple[str, str]] = field(default_factory=list)
    first_waits: Waits = field(default_factory=Waits)
    next_waits: Waits = field(default_factory=Waits)
    begun: array[float] = field(default_factory=lambda: array("d"))
    ended: array[float] = field(default_factory=lambda: array("d"))
    relays: dict[int, Histogram] = field(default_factory=dict)
    opening: Histogram = field(default_factory=Histogram)
    returning: Histogram = field(default_factory=Histogram)
    frames_sent: int = 0
    frames_heard: int = 0
    bytes_heard: int = 0

    def note(self, kind: str, what: str) -> None:
        """Count a violation."""
        self.wrong[kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < 5:
            examples.append(what)

    def relayed(self, sent: float, arrived: float) -> None:
        """Record that a signal passed from one visitor to another."""
        second = int(arrived)
        histogram = self.relays.get(second)
        if histogram is None:
            histogram = self.relays[second] = Histogram()
        histogram.add(arrived - sent)

    def merge(self, other: Measures) -> None:
        """Add another process's measurements."""
        self.wrong.update(other.wrong)
        for kind, examples in other.examples.items():
            self.examples[kind] = [*self.examples.get(kind, []), *examples][:5]
        self.failed_with += other.failed_with
        self.first_waits.merge(other.first_waits)
        self.next_waits.merge(other.next_waits)
        self.begun.extend(other.begun)
        self.ended.extend(other.ended)
        for second, histogram in other.relays.items():
            self.relays.setdefault(second, Histogram()).merge(histogram)
        self.opening.merge(other.opening)
        self.returning.merge(other.returning)
        self.frames_sent += other.frames_sent
        self.frames_heard += other.frames_heard
        self.bytes_heard += other.bytes_heard
