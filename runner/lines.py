"""From bytes on a pipe to log lines, their levels, and metric points."""

from __future__ import annotations

import json
import math
import re
from typing import Final, NamedTuple

from runner.protocol import LEVELS, MAX_BATCH_POINTS, MAX_LINE_CHARACTERS, MAX_METRIC_KEY_CHARACTERS

MAX_LINE_BYTES: Final = 256 * 1024  # kept of one line while its end is awaited
CUT_MARK: Final = " … [line cut]"
INT64: Final = range(-(2**63), 2**63)

INFO: Final = LEVELS.index("INFO")
WARNING: Final = LEVELS.index("WARNING")
ERROR: Final = LEVELS.index("ERROR")
CRITICAL: Final = LEVELS.index("CRITICAL")
WORDS: Final = {
    **{level: index for index, level in enumerate(LEVELS)},
    "WARN": WARNING,
    "FATAL": CRITICAL,
    "I": INFO,
    "W": WARNING,
    "E": ERROR,
    "F": CRITICAL,
}

# Digits and punctuation may come first (a time, brackets), then perhaps "logger.name - ", then the word.
LEVEL_WORD: Final = re.compile(
    r"[^A-Za-z]{0,40}(?:T\d[\d:.,]*Z?[^A-Za-z]{0,20})?(?:[\w.]{1,60} - )?[\[(<]?"
    r"(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL|FATAL)(?!\w|-\w)"
)
GLOG_LETTER: Final = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d")
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


class LineSplitter:
    """Cuts one stream into lines with bounded memory. Of a progress bar's updates the last one stays."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without line ends."""
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = self._partial + whole[0]
            self._partial = b""
        self._partial += rest
        if len(self._partial) > MAX_LINE_BYTES:
            self._partial = _last_state(self._partial)[:MAX_LINE_BYTES]
        return [_last_state(line) if b"\r" in line else line for line in whole]

    def flush(self) -> list[bytes]:
        """Return what has no line end yet, as a line of its own, if there is anything."""
        rest, self._partial = self._partial, b""
        return [_last_state(rest)] if rest else []


def _last_state(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def decode_line(line: bytes) -> str:
    """Return a line as text: bytes that are no UTF-8 and NUL as escapes, cut to MAX_LINE_CHARACTERS."""
    text = line[:MAX_LINE_BYTES].decode("utf-8", "backslashreplace")
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    if len(text) > MAX_LINE_CHARACTERS:
        text = text[: MAX_LINE_CHARACTERS - len(CUT_MARK)] + CUT_MARK
    return text


def find_level(text: str, default: int) -> int:
    """Return the index into LEVELS of a leading level word, else the default of the stream."""
    if "\x1b" in text:
        text = COLOUR.sub("", text[:400])
    match = LEVEL_WORD.match(text) or GLOG_LETTER.match(text)
    return WORDS[match[1]] if match else default


class MetricLine(NamedTuple):
    """What a metric line says. `progress` is 0 to 1, None when the line has none."""

    step: int
    values: dict[str, float]
    progress: float | None


def parse_metrics(line: bytes) -> MetricLine | None:
    """Return the points of a JSON object with an int64 `step` and numbers only; None for any other line."""
    if not line.startswith(b"{") or b'"step"' not in line:
        return None
    try:
        record = json.loads(line)
        step = record.pop("step", None)
        values = {key: _read_number(value) for key, value in record.items()}
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError):
        return None
    if type(step) is not int or step not in INT64 or not all(map(_is_key, values)):
        return None
    progress = values.pop("progress", None)
    if len(values) > MAX_BATCH_POINTS or (progress is not None and math.isnan(progress)):
        return None
    return MetricLine(step, values, None if progress is None else min(max(progress, 0.0), 1.0))


def _read_number(value: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise TypeError("not a number")


def _is_key(key: str) -> bool:
    """Control characters and lone surrogates, possible in JSON, would poison every page that shows the key."""
    return 0 < len(key) <= MAX_METRIC_KEY_CHARACTERS and key.isprintable()
