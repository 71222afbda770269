"""What can be seen of a text: characters that hide, deceive, or heap up, and how they are found and taken out.

Owns: which characters those are. Does not know: which texts there are, what is refused and what is mended.
The page's twin is ``web/src/files/paths.ts``; both are tested against ``tests/vectors/paths.json``.

Source: Unicode TR 36 and TR 39; the property Default_Ignorable_Code_Point of Unicode 16.
"""

from __future__ import annotations

import re
import unicodedata

_J = "\u200c\u200d"
"""Joiners: Persian, Indic scripts and emoji need them, between two characters that are not ASCII."""

_S = "\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Selectors: another form of the one character before them, which is not ASCII but for keys such as 1️⃣."""

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufdd0-\ufdef"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)
"""Characters that nobody sees, that reorder what stands beside them, or that are none."""

_STRAY = re.compile(
    f"(?<![^\0-\x7f{_J}])[{_J}]|[{_J}](?![^\0-\x7f{_J}{_S}])|(?<![^\0-\x7f{_J}{_S}])[{_S}](?!(?<=[0-9#*]\ufe0f)\u20e3)"
)
"""Joiners and selectors where no script has them: there they only make two texts of what looks like one."""

_TAGS = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)|[\U000e0000-\U000e007f]")
"""Letters that nobody sees and programs read; a few flags are a black one with some of them behind it."""

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that overrule the direction of a whole text. Marks of direction stay: Hebrew and Arabic need them."""

_NO_CHARACTERS = ("Cc", "Cs", "Co")
"""Categories of what is no character of a name: control characters, halves, and private use."""


def has_hidden(text: str) -> bool:
    """Whether something in a name cannot be seen, or makes what is beside it read otherwise."""
    return (
        _HIDDEN.search(text) is not None
        or _STRAY.search(text) is not None
        or any(unicodedata.category(c) in _NO_CHARACTERS for c in text)
    )


def without_hidden(text: str) -> str:
    """A name in NFC without anything that `has_hidden` finds; white space of any kind is one space."""
    shown = "".join(c for c in _HIDDEN.sub("", text) if c.isspace() or unicodedata.category(c) not in _NO_CHARACTERS)
    # Twice, since taking a character out can bring two together: spaces, or what is one in NFC.
    for _ in range(2):
        shown = unicodedata.normalize("NFC", " ".join(without_stray(shown).split()))
    return shown


def without_stray(text: str) -> str:
    """A text without joiners and selectors that stand alone: also at its end, where it was cut."""
    return _STRAY.sub("", text)


def without_deceit(text: str) -> str:
    """A text of many lines without what controls it, overrules its direction, or is there for programs only."""
    text = _TAGS.sub(lambda found: found[1] or "", _TURNING.sub("", text))
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def has_heap(text: str, marks_max: int) -> bool:
    """Whether more than so many marks stand on one character."""
    return without_heaps(text, marks_max) != text


def without_heaps(text: str, marks_max: int) -> str:
    """The text with at most so many marks in a row: NFC takes the square of a run's length."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in text:
        is_mark = unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me")
        marks = marks + 1 if is_mark else 0
        if marks <= marks_max:
            kept.append(character)
    return "".join(kept)
