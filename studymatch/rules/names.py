"""Decides which names are accepted, and when two texts that people typed count as the same.

No other module decides about names. The rules use the character classes that Unicode guarantees to be stable,
and fixed ranges, so every Python from 3.11 gives the same answer for today's characters. A character
that is newer than Python's tables counts as visible. This module is pure.
"""

from __future__ import annotations

import re
from itertools import groupby
from unicodedata import category, normalize

NAME_MAX_CHARS = 40
"""Code points of a name after `accept_name`, which is what the table `person` counts."""

RAW_MAX_CHARS = 1000
"""Longer texts are refused at once, because normalization takes more than linear time."""

MARKS_MAX = 6
"""Combining marks in a row, in any script: a Burmese syllable has up to six."""

DIACRITICS_MAX = 3
"""Diacritics of no particular script in a row. Two are common (Vietnamese has one after composition)."""

_BLANKS = "\u3164\uffa0\u2800"
"""Letters and signs that look like a space, and are treated as one."""

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U00016fe4\U0001bca0-\U0001bca3\U0001d159"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point, and three more characters without a glyph."""

_DIACRITIC = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff\U0001fc00-\U0001fffd"
)
"""The ranges of emoji, and those that Unicode reserves for more."""

_JOINING = (
    "\u0620-\u074a\u074d-\u07fa\u0840-\u085b\u0860-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u17d3\u1807"
    "\u1820-\u18aa\u1900-\u1aad\u1b00-\u1c4f\u1cd0-\u1cfa\ua800-\ua8ff\ua930-\ua9df\uaa00-\uaadf\uaae0-\uaaff"
    "\uabc0-\uabed\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff\U0001e900-\U0001e95f"
)
"""Scripts whose letters change shape next to each other: Arabic, Mongolian, Indic and related ones."""

_VIRAMA = (
    "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d3b\u0d3c\u0d4d\u0dca\u1039\u17d2\ua806\ua8c4\ua9c0"
    "\U00011046\U0001107f\U000110b9\U00011133\U000111c0\U00011235\U0001134d\U00011442\U000114c2\U000115bf"
    "\U0001163f\U000116b6"
)

_IDEOGRAPH = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"

_IN_PLACE = (
    f"(?<=[{_EMOJI}])\ufe0f?[\U0001f3fb-\U0001f3ff]?\u200d(?=[{_EMOJI}])",  # 👩‍💻, 🏳️‍🌈
    f"(?<=[{_EMOJI}])[\ufe0e\ufe0f]",  # as text, or as a picture
    "(?<=[0-9#*])\ufe0f(?=\u20e3)",  # keycaps
    "(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f",  # flags of regions
    f"(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])",
    f"(?<=[{_VIRAMA}])\u200d",  # also the last of a word: മോഹന്‍
    f"(?<=[{_IDEOGRAPH}])[\ufe00-\ufe02\U000e0100-\U000e01ef]",  # which form of a Han character: 葛󠄀
    "(?<=[\u1820-\u18aa])(?:[\u180b-\u180d\u180f]|\u180e(?=[\u1820-\u18aa]))",
)
"""Invisible characters where they change how the characters beside them are shown."""

_UNSEEN = re.compile(f"({'|'.join(_IN_PLACE)})|[{_INVISIBLE}]+")
_STRIPPED = re.compile(f"[{_INVISIBLE}]")
_DIACRITICS = re.compile(f"[{_DIACRITIC}]{{{DIACRITICS_MAX + 1},}}")


def accept_name(text: object) -> str:
    """A person's name as it is shown and stored: in NFC, on one line, without invisible characters.

    White space is folded. Bidi controls, joiners that join nothing, and marks without a base character are
    removed. The rest stays as given, and has 1 to 40 code points, at least one of them visible.

    Raises:
        ValueError: with a sentence for the person.
    """
    if not isinstance(text, str):
        raise ValueError("Please give a name as text.")
    too_long = f"Please choose a name of at most {NAME_MAX_CHARS} characters."
    if len(text) > RAW_MAX_CHARS:
        raise ValueError(too_long)
    name = _cleaned(text)
    if any(_is_refused(char) for char in name):
        raise ValueError("Please use letters, digits and signs that can be shown.")
    if not name:
        raise ValueError("Please enter a name.")
    if len(name) > NAME_MAX_CHARS:
        raise ValueError(too_long)
    if not any(_can_be_seen(char) for char in name):
        raise ValueError("Please enter a name with letters, digits or signs that can be seen.")
    if _is_piled_up(name):
        raise ValueError("Please use fewer marks on one letter.")
    return name


def alike(text: str) -> str:
    """A key that is equal for texts that people read as equal.

    Case, white space, composition, width of characters and invisible characters make no difference.
    """
    seen = _STRIPPED.sub("", _folded(text))
    return " ".join(normalize("NFKC", normalize("NFKC", seen).casefold()).split())


def _folded(text: str) -> str:
    """The text on one line, each run of white space replaced by one space."""
    return " ".join(re.sub(f"[{_BLANKS}]", " ", text).split())


def _cleaned(text: str) -> str:
    """The text without invisible characters and stray marks. A removal may expose more of them."""
    while (cleaner := _cleaned_once(text)) != text:
        text = cleaner
    return text


def _cleaned_once(text: str) -> str:
    kept: list[str] = []
    for char in _UNSEEN.sub(r"\1", normalize("NFC", _folded(text))):
        kind = category(char)
        if kind == "Cf" and not _STRIPPED.match(char):
            continue  # a format control of one script
        if kind[0] == "M" and (not kept or kept[-1] == " "):
            continue
        kept.append(char)
    return "".join(kept)


def _is_refused(char: str) -> bool:
    """Control characters, lone surrogates, private use characters, and noncharacters."""
    kind, code = category(char), ord(char)
    if kind == "Cn":
        return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF or code >= 0x40000
    return kind in ("Cc", "Cs", "Co")


def _can_be_seen(char: str) -> bool:
    """Whether the character is visible by itself. Unassigned code points count as visible only beyond the
    first plane, where Unicode adds scripts and emoji; below it adds mostly marks."""
    kind = category(char)
    return kind[0] in "LNPS" or (kind == "Cn" and ord(char) > 0xFFFF)


def _is_piled_up(name: str) -> bool:
    """Whether too many marks follow each other, or one of them is repeated more than twice."""
    if _DIACRITICS.search(name):
        return True
    marks = "".join(char if category(char)[0] == "M" else " " for char in name)
    runs = marks.split()
    return any(len(run) > MARKS_MAX for run in runs) or any(
        len(list(same)) > 2 for run in runs for _, same in groupby(run)
    )
