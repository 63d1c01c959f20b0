"""Cutting log lines into chunks: numbered without gaps, the short last chunk filled up where that is cheap."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runner.protocol import LEVELS, STREAMS
from runs.models import LogChunk, TelemetryCounter
from runs.telemetry.line_packing import LineColumns, pack_lines, unpack_lines
from runs.telemetry.log_tally import Tally, add_lines
from runs.telemetry.newest import lock_counter
from runs.telemetry.prepared import PreparedInsert

MAX_CHUNK_LINES = 1000
MAX_CHUNK_TEXT_BYTES = 128 * 1024  # 1,000 usual lines are one chunk; reading one takes half a millisecond
MAX_LINE_TIME_US = 253_402_300_799_999_999  # the last µs of the year 9999, the greatest that a datetime can show


_INSERT_CHUNK = PreparedInsert(LogChunk)


class Lines(NamedTuple):
    """Log lines as columns of equal length: µs since 1970 UTC, indexes into LEVELS and STREAMS, texts."""

    times: Sequence[int]
    levels: Sequence[int]
    streams: Sequence[int]
    texts: Sequence[str]


def columns_of(attempt_number: int, lines: Lines) -> LineColumns:
    """Return the lines as they are stored. Raises: ValueError when a level or stream does not exist."""
    times, levels, streams, texts = lines
    count = len(times)
    if not count:
        return LineColumns([], b"", b"", [], [])
    if not 0 <= min(levels) <= max(levels) < len(LEVELS) or not 0 <= min(streams) <= max(streams) < len(STREAMS):
        raise ValueError("a level or stream is not in the protocol")
    if min(times) < 0 or max(times) > MAX_LINE_TIME_US:
        times = [min(max(time, 0), MAX_LINE_TIME_US) for time in times]
    if not is_unicode("".join(texts)):
        texts = [text.encode(errors="replace").decode() for text in texts]
    return LineColumns(list(times), bytes(levels), bytes(streams), [attempt_number] * count, list(texts))


def is_unicode(text: str) -> bool:
    """Tell whether UTF-8 can hold the text; JSON may bring halves of surrogate pairs."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def store_lines(run_id: int, lines: LineColumns) -> None:
    """Number at least one line and store it; runs inside the caller's transaction.

    The last chunk is filled up where it takes the whole batch: packing a chunk anew for a part of a large batch
    would cost more than the few rows that it saves.
    """
    counter = lock_counter(run_id)
    sizes = _running_bytes(lines.texts)
    fits = counter.log_open_lines + len(lines) <= MAX_CHUNK_LINES
    if counter.log_open_lines and fits and counter.log_open_bytes + sizes[-1] <= MAX_CHUNK_TEXT_BYTES:
        chunk = _fill_up(counter, lines, sizes[-1])
    else:
        chunk = _add_chunks(counter, lines, sizes)
    TelemetryCounter.objects.filter(run_id=run_id).update(
        log_lines=counter.log_lines + len(lines),
        log_bytes=counter.log_bytes + sizes[-1],
        log_last_time=chunk.last_time,
        log_tally=chunk.tally,
        log_open_lines=chunk.lines,
        log_open_bytes=chunk.text_bytes,
    )


_FILLED_FIELDS = ("lines", "last_time", "earliest_time", "latest_time", "is_late", "tally", "text_bytes", "payload")


def _fill_up(counter: TelemetryCounter, added: LineColumns, text_bytes: int) -> LogChunk:
    """Add the lines to the newest chunk and return it."""
    place = counter.log_lines - counter.log_open_lines
    rows = LogChunk.objects.filter(run_id=counter.run_id, first_line=place)
    chunk = rows.only("first_time", "payload", "run_id", "first_line").get()
    _describe(
        chunk,
        unpack_lines(chunk.payload) + added,
        tally=add_lines(counter.log_tally, added),
        greatest=max(counter.log_last_time, *added.times),
        text_bytes=counter.log_open_bytes + text_bytes,
    )
    rows.update(**{name: getattr(chunk, name) for name in _FILLED_FIELDS})
    return chunk


def _add_chunks(counter: TelemetryCounter, lines: LineColumns, sizes: Sequence[int]) -> LogChunk:
    """Store the lines as new chunks and return the last of them."""
    greatest, tally = counter.log_last_time, counter.log_tally
    for start, stop in _cut(sizes):
        part = lines.part(start, stop)
        chunk = LogChunk(
            run_id=counter.run_id,
            first_line=counter.log_lines + start,
            first_time=max(greatest, part.times[0]),
        )
        tally = add_lines(tally, part)
        greatest = max(greatest, *part.times)
        _describe(chunk, part, tally=tally, greatest=greatest, text_bytes=sizes[stop] - sizes[start])
        _INSERT_CHUNK.execute(chunk)
    return chunk


def _describe(chunk: LogChunk, lines: LineColumns, *, tally: Tally, greatest: int, text_bytes: int) -> None:
    """Set all that follows from the chunk's lines; `greatest` is the running maximum of times after them."""
    chunk.lines = len(lines)
    chunk.last_time = greatest
    chunk.earliest_time = min(lines.times)
    chunk.latest_time = max(lines.times)
    chunk.is_late = chunk.earliest_time < chunk.first_time
    chunk.tally = tally
    chunk.text_bytes = text_bytes
    chunk.payload = pack_lines(lines)


def _cut(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield index ranges of lines that fill chunks, a line that is too large alone in one."""
    start, count = 0, len(sizes) - 1
    while start < count:
        by_bytes = bisect_right(sizes, sizes[start] + MAX_CHUNK_TEXT_BYTES, lo=start) - 1 - start
        stop = start + max(1, min(by_bytes, MAX_CHUNK_LINES, count - start))
        yield start, stop
        start = stop


def _running_bytes(texts: Sequence[str]) -> list[int]:
    """Return the running sums of UTF-8 bytes, from 0."""
    sizes = map(len, texts) if all(map(str.isascii, texts)) else (len(text.encode()) for text in texts)
    return list(itertools.accumulate(sizes, initial=0))
