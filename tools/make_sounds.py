"""Make the page's four sounds, from sine waves and nothing else: `python tools/make_sounds.py`.

They are ours, so nobody's licence comes with them. Each is a few struck notes, as on a small glass bell: a
fundamental with two quieter partials that die away faster. Mono, 16 bit, 22050 Hz: a note of at most
1.2 kHz with its third partial stays far below half of that rate.
"""

from __future__ import annotations

import math
import wave
from array import array
from pathlib import Path

SOUNDS = Path(__file__).resolve().parent.parent / "web" / "static" / "sounds"
RATE_HZ = 22050
PEAK = 0.8
"""Of full scale: the page sets the volume, this only leaves room above."""

PARTIALS = ((1.0, 1.0, 1.0), (2.0, 0.28, 1.8), (3.01, 0.1, 3.2))
"""Of each note: its frequency and its strength, relative to the fundamental, and how much faster it dies."""

C5, D5, E5, G5, A5, D6 = 523.25, 587.33, 659.26, 783.99, 880.0, 1174.66

Note = tuple[float, float, float, float]
"""When it is struck (s), its frequency (Hz), its strength (0 to 1), and when it has all but died (s)."""

RING: tuple[Note, ...] = (
    (0.0, E5, 0.8, 0.9),
    (0.22, A5, 1.0, 1.2),
    (0.66, E5, 0.5, 0.9),
    (0.88, A5, 0.6, 1.2),
)
CHIME: tuple[Note, ...] = ((0.0, D5, 0.7, 0.7), (0.11, G5, 0.8, 0.8), (0.22, D6, 1.0, 1.1))
HANGUP: tuple[Note, ...] = ((0.0, G5, 0.8, 0.4), (0.16, C5, 1.0, 0.6))
MESSAGE: tuple[Note, ...] = ((0.0, A5, 0.7, 0.2), (0.08, D6, 1.0, 0.35))


def samples(notes: tuple[Note, ...], length_s: float) -> list[float]:
    """The notes as samples from -1 to 1, `length_s` long; a loop is silent where it begins anew."""
    mix = [0.0] * round(length_s * RATE_HZ)
    for start_s, frequency_hz, strength, decay_s in notes:
        first = round(start_s * RATE_HZ)
        for index in range(min(round(decay_s * RATE_HZ), len(mix) - first)):
            mix[first + index] += strength * bell(index / RATE_HZ, frequency_hz, decay_s)
    loudest = max(abs(sample) for sample in mix)
    return [PEAK * sample / loudest for sample in mix]


def bell(at_s: float, frequency_hz: float, decay_s: float) -> float:
    """One struck note, `at_s` after the stroke: 6 ms of attack, which does not click, then it dies away."""
    attack = min(1.0, at_s / 0.006)
    release = min(1.0, (decay_s - at_s) / 0.05)
    tone = sum(
        strength
        * math.exp(-5.5 * speed * at_s / decay_s)
        * math.sin(2 * math.pi * ratio * frequency_hz * at_s)
        for ratio, strength, speed in PARTIALS
    )
    return attack * max(0.0, release) * tone


def write(name: str, notes: tuple[Note, ...], length_s: float) -> None:
    """Write the sound `name` as a WAV file."""
    words = array("h", (round(sample * 32767) for sample in samples(notes, length_s)))
    with wave.open(str(SOUNDS / f"{name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(words.tobytes())


if __name__ == "__main__":
    write("ring", RING, 3.2)
    write("chime", CHIME, 1.35)
    write("hangup", HANGUP, 0.8)
    write("message", MESSAGE, 0.45)
