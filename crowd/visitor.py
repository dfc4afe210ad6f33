"""One simulated person with one browser tab, as a small state machine driven by the server's frames.

A visitor connects, presses *Find Partner*, exchanges what WebRTC needs with the partner (an offer, an answer,
two batches of candidates a side), reports that media flow, stays a while, and one of the two leaves.
Visitors also check the server: each frame that breaks the protocol is counted in the `Measures`.
Timers come from `Loop`; random choices depend on the seed and the visitor's number.
"""

from __future__ import annotations

from random import Random
from time import monotonic

from msgspec import DecodeError

from crowd.dialect import Heard, Resume
from crowd.payload import signal_payload
from crowd.plan import FIXED
from crowd.shared import CONNECTED, CONNECTING, ENDED, FROZEN, IDLE, LOST, OUTSIDE, SEARCHING, Line, Shared

OF_A_SESSION = frozenset(("signal", "connected", "skip", "end"))
"""The types of the frames that visitors send about a session."""
PAUSE_S = 0.5
"""The pause after a call before a visitor presses *Find Partner* again."""
VANISH_MAX_S = 3.0
"""A visitor who vanishes is back within this time."""
RETRY_S, RETRY_MAX_S = 0.5, 30.0
"""Backoff before reconnecting: its base, which doubles with each attempt, and its maximum."""


class Visitor:
    """Person `number` of the crowd; not connected until `arrive`."""

    def __init__(self, shared: Shared, number: int, token: str, name: str) -> None:
        plan = shared.plan
        self.chance = Random(f"{plan.seed}:{number}")
        self.id = name
        self.state = OUTSIDE
        self.session: str | None = None
        self.partner = ""
        self.subject = number % plan.subjects if plan.subjects else 0
        self.is_active = self._drawn(plan.active_share)
        self.storms = self._drawn(plan.storm_share)
        self._stalls = self._drawn(plan.stalled_share)
        self._deflates = self._drawn(plan.deflate_share)
        self._shared = shared
        self._number = number
        self._token = token
        self._connection: Line | None = None
        self._resume: Resume | None = None
        self._resumes = False
        self._seq = 0
        self._began_to_arrive: float | None = None
        self._has_arrived = False
        self._tries = 0
        self._heartbeat_s = 25.0
        self._spoke = 0.0
        self._past: set[str] = set()
        self._initiator = False
        self._leaves = False
        self._dwell_s = 0.0
        self._signals_heard = 0
        self._disturbed = False
        self._searches_since: float | None = None
        self._has_matched = False
        self._in_call = False
        self._is_overdue = False
        self._awaits_state = False  # a frame was sent that the server answers with a state

    @property
    def is_settled(self) -> bool:
        """Whether nothing is about to change for this visitor, once nobody presses any more."""
        return not self.is_active or not (self._awaits_state or self.state in (OUTSIDE, CONNECTING, ENDED))

    def _drawn(self, share: float) -> bool:
        return self.chance.random() < share

    # Coming and going

    def arrive(self, *, resume: bool = False) -> None:
        """Connect: as a new page, or with `resume` to continue where the last connection ended."""
        shared = self._shared
        self._resumes = resume and self._resume is not None and shared.dialect.resumes
        now = self._began_to_arrive = monotonic()
        if not self._resumes:
            self._seq = 0
            self._leave_session(now)
            self._searches_since = None
        self._connection = shared.connect(self, self._number, deflate=self._deflates)

    def vanish(self) -> None:
        """Drop the connection without a close frame."""
        if self._connection is not None:
            self._shared.unsteady.add(self.id)
            self._disturbed = True
            self._connection.drop()
            self._connection = None
            self.state = OUTSIDE

    def storm(self) -> None:
        """Drop the connection, and reconnect at once."""
        if self._connection is not None and self.state not in (OUTSIDE, FROZEN):
            self.vanish()
            self.arrive(resume=True)

    def depart(self) -> None:
        """Close the tab."""
        if self._connection is not None:
            self._connection.drop(1001)
            self._connection = None

    def press(self) -> None:
        """Press *Find Partner*, if idle or after a call."""
        shared = self._shared
        if self.state not in (IDLE, ENDED):
            return
        self.state = IDLE
        if self.is_active and shared.pressing and not shared.closing:
            self.state = SEARCHING
            self._searches_since = monotonic()
            self._ask(shared.dialect.search(f"subject {self.subject}" if shared.plan.subjects else None))

    # Events of the connection

    def opened(self) -> None:
        """The WebSocket has opened."""
        seq = self._seq if self._resumes else 0
        hello = self._shared.dialect.hello(self._token, self._resume if self._resumes else None, seq)
        if hello is not None:
            self._say(hello)

    def lost(self, why: str) -> None:
        """The server or the network has ended the connection."""
        self._connection = None
        if self.state == FROZEN:
            return
        self._note_lost(why)
        self._tries += 1
        delay_s = min(RETRY_MAX_S, RETRY_S * 2**self._tries) * self.chance.uniform(0.5, 1.5)
        self._shared.loop.after(delay_s, self._try_again)

    def forbidden(self, why: str) -> None:
        """The server refuses this person for good."""
        self._connection = None
        self._note_lost(why)
        self._shared.gave_up()

    def _note_lost(self, why: str) -> None:
        self._shared.measures.note("lost_connection", f"{self.id}: {why}")
        self.state = LOST
        self._disturbed = True
        self._shared.unsteady.add(self.id)

    def _try_again(self) -> None:
        if not self._shared.closing:
            self.arrive(resume=True)

    def heard(self, payload: bytes) -> None:
        """The server has sent a message."""
        now = monotonic()
        measures = self._shared.measures
        measures.frames_heard += 1
        measures.bytes_heard += len(payload)
        try:
            frame = self._shared.dialect.read(payload, self._say)
        except DecodeError as error:
            measures.note("refused", f"{self.id} cannot read {payload[:80]!r}: {error}")
            return
        if frame is None:
            return
        if frame.seq:
            self._note_number(frame.seq)
        match frame.type:
            case "signal":
                self._on_signal(frame, now)
            case "state":
                self._on_state(frame, now)
            case "welcome":
                self._on_welcome(frame, now)
            case "partner":
                self._check_session(frame)
                self._disturbed = True
            case "chat":
                self._check_session(frame)
            case "error" if not self._has_crossed(frame):
                measures.note("refused", f"{self.id} {self.state}: {frame.code}")

    def _note_number(self, seq: int) -> None:
        if seq <= self._seq:
            self._shared.measures.note("disorder", f"{self.id} got number {seq} after {self._seq}")
        self._seq = seq

    def _has_crossed(self, error: Heard) -> bool:
        """Whether `error` answers a frame that crossed the end of its session on the wire."""
        return error.code == "not_now" and self.state == ENDED and error.about in OF_A_SESSION

    def _say(self, payload: bytes) -> None:
        if self._connection is not None:
            self._spoke = monotonic()
            self._shared.measures.frames_sent += 1
            self._connection.send(payload)

    def _ask(self, payload: bytes) -> None:
        """Send a frame that the server answers with a new state."""
        self._awaits_state = True
        self._say(payload)

    # Welcome and state

    def _on_welcome(self, frame: Heard, now: float) -> None:
        if frame.user is not None:
            self.id = frame.user.id
        self._resume = frame.resume
        if self._resumes and not frame.resumed:
            self._shared.measures.note("not_resumed", f"{self.id} came back after {self.state}")
            self._leave_session(now)
        self._heartbeat_s = frame.heartbeat_ms / 1000 * self.chance.uniform(0.8, 1)
        connection = self._connection
        self._shared.loop.after(self._heartbeat_s, lambda: self._beat(connection))
        if frame.state:
            self._on_state(frame, now)

    def _beat(self, connection: Line | None) -> None:
        """Send a ping if nothing was sent for a heartbeat; stop once `connection` has been replaced."""
        if connection is not self._connection or self.state == FROZEN:
            return
        silent_s = monotonic() - self._spoke
        if silent_s >= self._heartbeat_s:
            silent_s = 0
            ping = self._shared.dialect.ping()
            if ping is not None:
                self._say(ping)
        self._shared.loop.after(self._heartbeat_s - silent_s, lambda: self._beat(connection))

    def _on_state(self, frame: Heard, now: float) -> None:
        if self._began_to_arrive is not None:
            self._note_arrival(now - self._began_to_arrive)
        before, self.state = self.state, frame.state
        self._awaits_state = False
        if frame.session != self.session and self.session is not None:
            if frame.state in (CONNECTING, CONNECTED) and before in (CONNECTING, CONNECTED):
                self._shared.measures.note("matched_twice", f"{self.id} has {self.partner}, and gets another")
            self._leave_session(now)
        is_known = frame.session is not None and frame.session == self.session
        match frame.state:
            case "idle":
                self._on_idle()
            case "searching" if self._searches_since is None:
                self._searches_since = now
            case "connecting" if not is_known:
                self._on_match(frame, now)
            case "connected" if not is_known:
                self._shared.measures.note("ghost", f"{self.id} is in a call that had no match")
            case "connected":
                self._on_call(now)
            case "ended":
                self._on_ended(frame, now)

    def _on_idle(self) -> None:
        if self._has_matched:
            self._shared.loop.after(PAUSE_S, self.press)
        else:
            self.press()

    def _note_arrival(self, took_s: float) -> None:
        """The first state on a connection: the visitor has arrived, or is back."""
        measures = self._shared.measures
        (measures.returning if self._has_arrived else measures.opening).add(took_s)
        if not self._has_arrived:
            self._has_arrived = True
            self._shared.arrived()
        self._began_to_arrive = None
        self._tries = 0

    # A session

    def _on_match(self, frame: Heard, now: float) -> None:
        measures = self._shared.measures
        if frame.session is None or frame.partner is None:
            measures.note("ghost", f"{self.id} is matched with nobody")
            return
        if self._searches_since is None:
            measures.note("ghost", f"{self.id} is matched, and does not search")
        else:
            waits = measures.next_waits if self._has_matched else measures.first_waits
            waits.add(self._searches_since, now, self.subject)
        self._has_matched = True
        self._searches_since = None
        self._disturbed = False
        self._signals_heard = 0
        self.session, self.partner, self._initiator = frame.session, frame.partner.id, frame.initiator
        wrong = self._shared.pairs.told(self.session, self.id, self.partner, self._initiator)
        if wrong is not None:
            measures.note("matched_twice", wrong)
        if self._initiator:
            plan = self._shared.plan
            self._leaves = self.chance.random() < 0.5
            mean_s = plan.dwell_s
            self._dwell_s = (
                mean_s if plan.dwell == FIXED else self.chance.expovariate(1 / mean_s) if mean_s else 0
            )
            self._signal(1)
            self._signal(2)

    def _signal(self, number: int) -> None:
        """Send one of the three signals of this side."""
        assert self.session is not None
        data = signal_payload(number, self.id, self.partner, leaves=self._leaves, dwell_s=self._dwell_s)
        self._say(self._shared.dialect.signal(self.session, data))

    def _on_signal(self, frame: Heard, now: float) -> None:
        data = frame.data
        if data is None or not self._check_session(frame):
            return
        self._shared.measures.relayed(data.t, now)
        if data.by != self.partner or data.to != self.id:
            self._shared.measures.note("ghost", f"{self.id} got a signal by {data.by} for {data.to}")
            return
        if data.n != self._signals_heard + 1:
            self._shared.measures.note(
                "disorder", f"{self.id} got signal {data.n} after {self._signals_heard}"
            )
        self._signals_heard = data.n
        match data.n:
            case 1 if not self._initiator:
                self._leaves, self._dwell_s = not data.leaver, data.dwell_s
                self._signal(1)
                self._signal(2)
            case 2:
                self._signal(3)
            case 3:
                assert self.session is not None
                self._say(self._shared.dialect.connected(self.session))

    def _check_session(self, frame: Heard) -> bool:
        """Whether a frame is about the current session; if not, count a violation."""
        if frame.session == self.session:
            return True
        kind = "stale" if frame.session in self._past else "ghost"
        self._shared.measures.note(kind, f"{self.id} {self.state}: {frame.type} of session {frame.session}")
        return False

    def _on_call(self, now: float) -> None:
        if not self._in_call:
            self._in_call = True
            if self._initiator:
                self._shared.measures.begun.append(now)
            if self._stalls and self._connection is not None:
                self.state = FROZEN
                self._shared.unsteady.add(self.id)
                self._connection.freeze()
            elif self._leaves:
                self._leave_after(self._dwell_s)
        elif self._is_overdue:
            self._leave_after(PAUSE_S)

    def _leave_after(self, delay_s: float) -> None:
        session = self.session
        self._is_overdue = False
        self._shared.loop.after(delay_s, lambda: self._leave(session))

    def _leave(self, session: str | None) -> None:
        """End the call: skip, stop, or vanish."""
        shared, plan = self._shared, self._shared.plan
        if session is None or self.session != session or shared.closing:
            return
        if self.state != CONNECTED:
            self._is_overdue = True
        elif self._drawn(plan.vanish_share):
            returns = self._drawn(plan.return_share)
            self.vanish()
            self._is_overdue = True
            shared.loop.after(self.chance.uniform(0, VANISH_MAX_S), lambda: self.arrive(resume=returns))
        elif self._drawn(plan.skip_share):
            self._ask(shared.dialect.skip(session))
        else:
            self._ask(shared.dialect.end(session))

    def _on_ended(self, frame: Heard, now: float) -> None:
        """A session ended. (The state frame still names it.)"""
        if self.session is not None:
            is_planned = self._in_call and frame.cause not in ("connect_failed", "connect_timeout")
            if not (is_planned or self._disturbed):
                self._shared.measures.failed_with.append((self.id, self.partner))
            self._leave_session(now)
        if frame.search_again_ms is not None:
            self._searches_since = now + frame.search_again_ms / 1000
        else:
            self._shared.loop.after(PAUSE_S, self.press)

    def _leave_session(self, now: float) -> None:
        if self.session is not None:
            if self._in_call and self._initiator:
                self._shared.measures.ended.append(now)
            self._past.add(self.session)
            self.session = None
            self.partner = ""
            self._in_call = False
