"""Checks the log lines and metric points that runners send, as columns or as objects.

Whole columns are checked at once, as this is done for every line and point: the types that occur in a column, its
least and its greatest value.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from runner.protocol import (
    LEVELS,
    MAX_BATCH_LINES,
    MAX_BATCH_POINTS,
    MAX_LINE_CHARACTERS,
    MAX_METRIC_KEY_CHARACTERS,
    STREAMS,
)
from runs.node.payloads import INT64_LIMIT, MAX_TIME_MS, refuse, whole
from runs.telemetry.log_chunks import Lines
from trainhub.errors import TooLarge

MAX_SEQUENCE = 2**53  # exact in every JSON reader
LINE_COLUMNS = ("time", "level", "stream", "text")
POINT_COLUMNS = ("step", "time", "value")
_SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def read_sequence(body: dict[str, Any]) -> int:
    """Return the batch's number, from 1. Raises: InvalidInput."""
    return whole(body, "sequence", low=1, high=MAX_SEQUENCE)


def read_lines(body: dict[str, Any]) -> Lines:
    """Check the lines of a LogBatch. Raises: InvalidInput, TooLarge."""
    lines = body.get("lines")
    columns: Sequence[Sequence[Any]]
    if isinstance(lines, list) and set(map(type, lines)) == {list}:
        columns = _columns_of_rows(lines)
    elif isinstance(lines, list):
        columns = _columns_of("lines", lines, LINE_COLUMNS, MAX_BATCH_LINES)
    else:
        columns = _checked_columns("lines", lines, LINE_COLUMNS)
        _check_size(len(columns[0]), MAX_BATCH_LINES, "lines")
    times, levels, streams, texts = columns
    _check_integers("lines", "times, in µs since 1970,", times, 0, MAX_TIME_MS * 1000)
    _check_integers("lines", "levels", levels, 0, len(LEVELS) - 1)
    _check_integers("lines", "streams", streams, 0, len(STREAMS) - 1)
    _check_texts(texts)
    return Lines(times, levels, streams, texts)


def read_metrics(body: dict[str, Any]) -> dict[str, dict[str, Sequence[Any]]]:
    """Check the points of a MetricBatch and return them as columns by key. Raises: InvalidInput, TooLarge."""
    metrics = body.get("metrics")
    by_key = _group(metrics) if isinstance(metrics, list) else metrics
    if not isinstance(by_key, dict):
        raise refuse("metrics", "Must be an object of columns or a list of points.")
    checked = {key: _read_points(key, columns) for key, columns in by_key.items()}
    _check_size(sum(len(columns["step"]) for columns in checked.values()), MAX_BATCH_POINTS, "points")
    return checked


def check_key(key: Any) -> None:
    """Raise InvalidInput for a metric name that is no text, empty, too long or not printable."""
    if not isinstance(key, str) or not 0 < len(key) <= MAX_METRIC_KEY_CHARACTERS or not key.isprintable():
        raise refuse("metrics", f"Names must have 1 to {MAX_METRIC_KEY_CHARACTERS} printable characters.")


def _read_points(key: str, columns: Any) -> dict[str, Sequence[Any]]:
    check_key(key)
    steps, times, values = _checked_columns("metrics", columns, POINT_COLUMNS, of=f"{key}: ")
    _check_integers("metrics", f"{key}: steps", steps, -INT64_LIMIT, INT64_LIMIT - 1)
    _check_integers("metrics", f"{key}: times, in ms since 1970,", times, 0, MAX_TIME_MS)
    return {"step": steps, "time": times, "value": _read_values(key, values)}


def _group(points: list[Any]) -> dict[str, dict[str, list[Any]]]:
    """Turn points as objects into columns by key, in the order the keys first occur."""
    keys, *columns = _columns_of("metrics", points, ("key", *POINT_COLUMNS), MAX_BATCH_POINTS)
    if set(map(type, keys)) - {str}:
        raise refuse("metrics", "Names must be texts.")
    grouped: dict[str, dict[str, list[Any]]] = {}
    start = 0
    rows = list(zip(*columns, strict=True))
    for key, group in itertools.groupby(keys):  # points mostly come key by key
        stop = start + sum(1 for _ in group)
        wanted = grouped.setdefault(key, {name: [] for name in POINT_COLUMNS})
        for name, column in zip(POINT_COLUMNS, zip(*rows[start:stop], strict=True), strict=True):
            wanted[name] += column
        start = stop
    return grouped


def _columns_of_rows(rows: list[list[Any]]) -> Sequence[Sequence[Any]]:
    """Turn rows [time, level, stream, text] into columns: so runners of before send, which outlive an upgrade."""
    _check_size(len(rows), MAX_BATCH_LINES, "lines")
    if set(map(len, rows)) != {len(LINE_COLUMNS)}:
        raise refuse("lines", f"Each must have {', '.join(LINE_COLUMNS)}.")
    return list(zip(*rows, strict=True))


def _columns_of(field: str, items: list[Any], names: tuple[str, ...], limit: int) -> Sequence[Sequence[Any]]:
    """Turn objects that have just these names into columns. Raises: InvalidInput, TooLarge."""
    _check_size(len(items), limit, "points" if field == "metrics" else field)
    try:
        rows = list(map(itemgetter(*names), items))
    except (TypeError, KeyError, IndexError):
        rows = []
    if len(rows) < len(items) or any(len(item) != len(names) for item in items):
        raise refuse(field, f"Each must be an object with {', '.join(names)}.")
    return list(zip(*rows, strict=True)) or [()] * len(names)


def _checked_columns(field: str, columns: Any, names: tuple[str, ...], *, of: str = "") -> Sequence[list[Any]]:
    """Return the columns with these names, lists of one length. Raises: InvalidInput."""
    if not isinstance(columns, dict) or columns.keys() != set(names):
        raise refuse(field, f"{of}Must hold the columns {', '.join(names)}.")
    found = [columns[name] for name in names]
    if set(map(type, found)) != {list} or len(set(map(len, found))) > 1:
        raise refuse(field, f"{of}The columns must be lists of one length.")
    return found


def _check_size(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise TooLarge(f"At most {limit} {what} are taken in a call.", limit=limit)


def _check_integers(field: str, what: str, column: Sequence[Any], low: int, high: int) -> None:
    if column and (set(map(type, column)) != {int} or min(column) < low or max(column) > high):
        raise refuse(field, f"{what} must be whole numbers from {low} to {high}.")


def _check_texts(texts: Sequence[Any]) -> None:
    if texts and set(map(type, texts)) != {str}:
        raise refuse("lines", "Texts must be texts.")
    if max(map(len, texts), default=0) > 2 * MAX_LINE_CHARACTERS:
        raise refuse("lines", f"A line has at most {2 * MAX_LINE_CHARACTERS} characters.")
    if "\x00" in "".join(texts):
        raise refuse("lines", "A line holds a NUL character.")


def _read_values(key: str, values: Sequence[Any]) -> Sequence[float]:
    """Return the values as numbers that float64 can hold."""
    if set(map(type, values)) <= {float, int}:
        return values
    return [_read_float(key, value) for value in values]


def _read_float(key: str, value: Any) -> float:
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, str) and value in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[value]
    raise refuse("metrics", f"{key}: values must be numbers or NaN, Infinity, -Infinity as text.")
