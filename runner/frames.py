"""How what happens on a node travels through srun: short lines that carry the node's number and what they are.

Slurm hands on lines of up to 1,024 bytes whole; longer ones of several nodes would be mixed. So what is longer goes in
pieces. A trainer cannot write such a line by accident: its output goes through pipes of its own.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from runner.lines import MAX_LINE_BYTES

STDOUT: Final = "O"  # a line of the trainer
STDERR: Final = "E"
SAMPLE: Final = "S"  # a JSON object: what is used on the node
LOST: Final = "L"  # a number of lines that were left out
ENDED: Final = "X"  # a JSON object: how the node's trainer ended
PIECE_BYTES: Final = 960
FRAME: Final = re.compile(rb"(\d{1,6}) ([OESLXoeslx])")  # a small letter: the rest follows


class Frame(NamedTuple):
    """Something whole from one node; `kind` is one of the letters above."""

    node: int
    kind: str
    data: bytes


def encode(frame: Frame) -> bytes:
    """Return the lines, with line ends, that carry a frame. Its data has no line end."""
    data, letter = frame.data, frame.kind.encode()
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)] or [b""]
    letters = [letter.lower()] * (len(pieces) - 1) + [letter]
    return b"".join(b"%d %s%s\n" % (frame.node, *both) for both in zip(letters, pieces, strict=True))


class Assembler:
    """Puts frames together again, with bounded memory for each node and kind."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[int, str], bytearray] = {}

    def feed(self, line: bytes) -> Frame | None:
        """Return the frame that this line completes, None for a piece. Raises ValueError for any other line."""
        match = FRAME.match(line)
        if match is None:
            raise ValueError("not a frame")
        node, letter, data = int(match[1]), match[2].decode(), line[match.end() :]
        key = (node, letter.upper())
        if letter.islower():
            kept = self._pieces.setdefault(key, bytearray())
            kept += data[: MAX_LINE_BYTES - len(kept)]
            return None
        kept = self._pieces.pop(key, bytearray())
        return Frame(node, letter, bytes(kept) + data)
