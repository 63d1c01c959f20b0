"""From bytes to lines, levels and metrics."""

import math

import pytest

from runner.lines import CUT_MARK, MAX_LINE_BYTES, LineSplitter, decode_line, find_level, parse_metrics
from runner.output import ChunkQueue
from runner.protocol import LEVELS, MAX_LINE_CHARACTERS


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\nc"], [b"ab", b"c"]),
        ([b"\n\n"], [b"", b""]),
        ([b"dos\r\nunix\n"], [b"dos", b"unix"]),
        ([b"10%\r50%\r100%\n"], [b"100%"]),
        ([b"10%\r", b"50%\r", b"100%\r\n"], [b"100%"]),
        ([b"done\r", b"\nnext\n"], [b"done", b"next"]),
        ([b"10%\r20%"], [b"20%"]),
        ([b""], []),
    ],
)
def test_lines_are_cut_at_newlines_and_bars_folded(pieces, lines):
    splitter = LineSplitter()
    found = [line for piece in pieces for line in splitter.feed(piece)]
    assert found + splitter.flush() == lines


def test_a_line_without_end_takes_bounded_memory():
    splitter = LineSplitter()
    found = [splitter.feed(b"x" * 100_000) for _ in range(20)]
    assert found == [[]] * 20
    assert len(splitter.flush()[0]) == MAX_LINE_BYTES


def test_a_bar_that_never_ends_its_line_keeps_its_last_state():
    splitter = LineSplitter()
    for number in range(100_000):
        splitter.feed(b"\r%d of 100000 and some more words" % number)
    assert splitter.flush() == [b"99999 of 100000 and some more words"]


def test_text_is_whatever_the_bytes_say():
    assert decode_line("grün ✓".encode()) == "grün ✓"
    assert decode_line(b"\xff\x00\xed\xa0\x80") == "\\xff\\x00\\xed\\xa0\\x80"


def test_a_long_line_is_cut_with_a_mark():
    text = decode_line(b"x" * 100_000)
    assert len(text) == MAX_LINE_CHARACTERS
    assert text.endswith("x" + CUT_MARK)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("INFO starting", "INFO"),
        ("WARN: disk", "WARNING"),
        ("WARNING disk", "WARNING"),
        ("[ERROR] disk", "ERROR"),
        ("DEBUG:root:x", "DEBUG"),
        ("CRITICAL", "CRITICAL"),
        ("FATAL: no", "CRITICAL"),
        ("2024-01-01 12:00:00,123 ERROR boom", "ERROR"),
        ("2024-01-01T12:00:00.123Z ERROR boom", "ERROR"),
        ("2024-01-01 12:00:00,123 - my.module - WARNING - odd", "WARNING"),
        ("01/02/2024 12:00:00 - WARNING - odd", "WARNING"),
        ("[2024-01-01 12:00:00,123] [ERROR] [engine.py:1] boom", "ERROR"),
        ("2024-01-01 12:00:00.1 | DEBUG    | m:f:1 - x", "DEBUG"),
        ("[WARNING|trainer.py:10] 2024-01-01 >> x", "WARNING"),
        ("\x1b[31mERROR\x1b[0m boom", "ERROR"),
        ("E0102 12:00:00.123456 42 agent.py:1] boom", "ERROR"),
        ("nothing of the kind", "INFO"),
        ("INFORMATION", "INFO"),
        ("ERRORS 0", "INFO"),
        ("the ERROR is elsewhere", "INFO"),
        ("", "INFO"),
    ],
)
def test_levels_come_from_a_leading_word(text, level):
    assert LEVELS[find_level(text, LEVELS.index("INFO"))] == level


def test_a_level_search_is_quick_on_hostile_text():
    assert find_level("1 - " * 4_000, 1) == 1
    assert find_level("T1:" * 5_000, 1) == 1


def test_numbers_are_metrics():
    line = parse_metrics(b'{"step": 3, "loss": 1, "lr": 2.5e-5, "progress": 1.5}')
    assert line == (3, {"loss": 1.0, "lr": 2.5e-5}, 1.0)


def test_what_json_has_no_number_for_is_a_metric():
    line = parse_metrics(b'{"step": -1, "a": NaN, "b": Infinity, "c": -Infinity}')
    assert math.isnan(line.values["a"])
    assert (line.values["b"], line.values["c"]) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"loss": 1}',
        b'{"step": true, "loss": 1}',
        b'{"step": 1.0, "loss": 1}',
        b'{"step": 9223372036854775808, "loss": 1}',
        b'{"step": 1, "loss": "1"}',
        b'{"step": 1, "loss": false}',
        b'{"step": 1, "loss": null}',
        b'{"step": 1, "loss": [1]}',
        b'{"step": 1, "progress": NaN}',
        b'{"step": 1, "": 1}',
        b'{"step": 1, "a\\u0000": 1}',
        b'{"step": 1, "a\\ud800": 1}',
        b'{"step": 1, "' + b"k" * 251 + b'": 1}',
        b'{"step": 1, "big": ' + b"9" * 400 + b"}",
        b'{"step": 1, "big": ' + b"9" * 5000 + b"}",
        b'{"step": 1, "deep": ' + b"[" * 100_000,
        b'{"step": 1, "a": 1} and more',
        b'{"step": 1, "a": \xff}',
        b"{" + b",".join(b'"k%d": 1' % number for number in range(10_001)) + b', "step": 1}',
    ],
)
def test_everything_else_is_a_log_line(line):
    assert parse_metrics(line) is None


def test_a_full_queue_drops_whole_lines_and_counts_them():
    queue = ChunkQueue(max_bytes=10)
    queue.put(0, b"one\ntw")  # "two" will be torn: its end is dropped
    queue.put(0, b"o\nthree\nfo")
    queue.put(0, b"ur-and-a-long-tail")
    assert queue.get().data == b"one\ntw"
    queue.put(0, b"r\nfive\n")
    chunk = queue.get()
    assert (chunk.data, chunk.lost) == (b"five\n", 3)  # two, three and four


def test_lines_lost_at_the_very_end_are_counted():
    queue = ChunkQueue(max_bytes=4)
    queue.put(1, b"a\nb\nc\n")
    queue.close()
    assert (queue.get().lost, queue.get()) == (3, None)
