"""Terminal output as text in known styles: colours are kept, everything else that a terminal would obey is dropped.

Log lines come from programs nobody vouches for. Nothing here builds markup: `read_pieces` cuts a line into plain texts,
each with the names of the styles it was written in, and a template escapes them as any text. Only SGR sequences
(ECMA-48, 8.3.117) have a meaning; links, titles, cursor movement and all other sequences vanish, and control characters
become visible signs. The styles are a fixed set of CSS classes, as the content policy allows no style of its own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_PIECES = 100  # of one line; what comes after is one piece, so that hostile lines cost no more than others

# In order: a CSI sequence; OSC, DCS, SOS, PM and APC with their end; any other sequence or a lone ESC.
# No alternative can begin inside what another one failed to match, so that time stays linear.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)([0-9:;<=>?]*)[ -/]*([@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
_SIGNS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}  # Unicode's pictures of controls
_SIGNS |= {0x7F: 0x2421, **dict.fromkeys(range(0x80, 0xA0), 0xFFFD)}

_SWITCHES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_SWITCHES_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",), 29: ("strike",)}
# The sixteen colours as xterm draws them; others become the nearest of these.
_PALETTE = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255),
)  # fmt: skip
_MISSING = "?"  # stands for a parameter that does not come; an empty one is 0
_CUBE = (0, 95, 135, 175, 215, 255)
CLASSES = frozenset(
    [f"ansi-{name}" for name in _SWITCHES.values()] + [f"{ground}-{n}" for ground in ("fg", "bg") for n in range(16)]
)


class Piece(NamedTuple):
    """Some text of a line, not escaped, and the classes it is drawn in, separated by spaces; `is_match`: a find."""

    text: str
    classes: str = ""
    is_match: bool = False


class _Style:
    """What the SGR sequences so far ask for."""

    def __init__(self) -> None:
        self.switches: set[str] = set()
        self.colours: dict[str, int] = {}

    def _reset(self) -> None:
        self.switches.clear()
        self.colours.clear()

    @property
    def classes(self) -> str:
        """The classes, sorted; reversed colours change places."""
        colours = dict(self.colours)
        names = {f"ansi-{name}" for name in self.switches}
        if "reverse" in self.switches and colours:
            names.discard("ansi-reverse")
            colours = {{"fg": "bg", "bg": "fg"}[ground]: number for ground, number in colours.items()}
        return " ".join(sorted(names | {f"{ground}-{number}" for ground, number in colours.items()}))

    def apply(self, parameters: str) -> None:
        """Follow one SGR sequence; what is unknown in it changes nothing."""
        codes = iter(parameters.split(";"))
        for code in codes:
            main, *details = code.split(":")
            number = _number(main)
            if number in {38, 48}:
                self._set_colour("fg" if number == 38 else "bg", _details(details) if details else _following(codes))
            elif number == 4 and details:
                (self.switches.discard if details[0] == "0" else self.switches.add)("underline")
            else:
                self._switch(number)

    def _switch(self, number: int) -> None:
        if number == 0:
            self._reset()
        elif number in _SWITCHES:
            self.switches.add(_SWITCHES[number])
        elif number in _SWITCHES_OFF:
            self.switches.difference_update(_SWITCHES_OFF[number])
        elif number in {39, 49}:
            self.colours.pop("fg" if number == 39 else "bg", None)
        elif number // 10 in {3, 4, 9, 10} and number % 10 < 8:
            ground = "fg" if number // 10 in {3, 9} else "bg"
            self.colours[ground] = number % 10 + (8 if number >= 90 else 0)

    def _set_colour(self, ground: str, numbers: list[int]) -> None:
        match numbers:
            case [5, index] if 0 <= index < 256:
                self.colours[ground] = _of_256(index)
            case [2, red, green, blue] if max(red, green, blue) < 256:
                self.colours[ground] = nearest(red, green, blue)


def _number(text: str) -> int:
    """Return a parameter; nothing is 0, and what is no colour or switch at all is 999."""
    if not text:
        return 0
    return int(text) if len(text) <= 3 and text.isdigit() else 999


def _details(parts: list[str]) -> list[int]:
    """Return the numbers of `38:2::r:g:b` or `38:5:n` behind the 38; the colour space of the first is left out."""
    numbers = [_number(part) for part in parts]
    return [numbers[0], *numbers[2:5]] if numbers[0] == 2 and len(numbers) > 4 else numbers


def _following(codes: Iterator[str]) -> list[int]:
    """Return the numbers of `38;2;r;g;b` or `38;5;n` behind the 38, taken from the codes that follow."""
    kind = _number(next(codes, _MISSING))
    return [kind, *(_number(next(codes, _MISSING)) for _ in range({2: 3, 5: 1}.get(kind, 0)))]


def _of_256(index: int) -> int:
    """Return which of the sixteen colours is nearest to one of xterm's 256."""
    if index < 16:
        return index
    if index >= 232:
        return nearest(*[8 + 10 * (index - 232)] * 3)
    return nearest(*(_CUBE[(index - 16) // size % 6] for size in (36, 6, 1)))


@functools.lru_cache(maxsize=4096)
def nearest(red: int, green: int, blue: int) -> int:
    """Return which of the sixteen colours is nearest to one of 0 to 255 each."""
    wanted = (red, green, blue)
    return min(range(16), key=lambda n: sum((a - b) ** 2 for a, b in zip(_PALETTE[n], wanted, strict=True)))


def visible(text: str) -> str:
    """Return the text with a visible sign for each control character but tab and line feed."""
    return text if text.isprintable() else text.translate(_SIGNS)


def read_pieces(text: str) -> list[Piece]:
    """Return what a line shows: at most MAX_PIECES texts with their styles, none of them empty."""
    if "\x1b" not in text and "\x9b" not in text:
        return [Piece(visible(text))] if text else []
    style, classes, place = _Style(), "", 0
    pieces: list[Piece] = []
    waiting = ""  # text in the same style, cut only by sequences that mean nothing
    for found in _SEQUENCE.finditer(text):
        waiting += text[place : found.start()]
        place = found.end()
        if found[2] != "m" or found[1][:1] in {"<", "=", ">", "?"} or len(pieces) >= MAX_PIECES - 1:
            continue
        style.apply(found[1])
        if style.classes != classes:
            if waiting:
                pieces.append(Piece(visible(waiting), classes))
            waiting, classes = "", style.classes
    waiting += text[place:]
    return [*pieces, Piece(visible(waiting), classes)] if waiting else pieces


def plain_text(text: str) -> str:
    """Return the line without escape sequences."""
    return _SEQUENCE.sub("", text) if "\x1b" in text or "\x9b" in text else text


def mark_matches(pieces: list[Piece], spans: list[tuple[int, int]]) -> list[Piece]:
    """Return the pieces cut at the bounds of matches.

    Args:
        pieces: what a line shows.
        spans: begin and end of each match in the joined texts of the pieces; ascending, not overlapping.
    """
    if not spans:
        return pieces
    marked: list[Piece] = []
    waiting, start = iter([*spans, (1 << 62, 1 << 62)]), 0
    low, high = next(waiting)
    for piece in pieces:
        place, stop = start, start + len(piece.text)
        while place < stop:
            is_match = low <= place
            bound = min(stop, high if is_match else low)
            marked.append(Piece(piece.text[place - start : bound - start], piece.classes, is_match))
            place = bound
            if place >= high:
                low, high = next(waiting)
        start = stop
    return marked
