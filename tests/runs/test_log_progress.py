"""Progress bars are folded to their last state, and nothing else is."""

import pytest

from runs.log_progress import fold_lines, read_bar, split_updates
from runs.telemetry.log_blocks import LogLine


def lines_of(*texts, first=0, stream="stderr"):
    return [LogLine(first + place, 0, "INFO", stream, 1, text) for place, text in enumerate(texts)]


def folds_of(lines):
    return [(fold.last.message, len(fold.earlier)) for fold in fold_lines(lines)]


def bar(percent, name="train"):
    return f"{name}: {percent:3d}%|███   | {percent}/100 [00:01<00:09, 9.1it/s]"


@pytest.mark.parametrize(
    ("text", "last", "earlier"),
    [("plain", "plain", []), ("1%\r2%\r3%", "3%", ["1%", "2%"]), ("1%\r2%\r", "2%", ["1%"]), ("\r\r", "", []),
     ("\r1%", "1%", [])],
)  # fmt: skip
def test_a_line_that_overwrites_itself_shows_its_last_state(text, last, earlier):
    assert split_updates(text) == (last, earlier)


@pytest.mark.parametrize(
    ("text", "name", "done"),
    [
        (bar(12), "train:", 12),
        ("  0%|          | 0/5 [00:00<?, ?it/s]", "", 0),
        ("\x1b[32mDownloading ━━━━━━━━━ 1.0/2.0 GB\x1b[0m", "Downloading", 0),
        ("Epoch 1/3 12/100 [==>...........] - loss: 2.1", "Epoch 1/3", 12),
        ("45% done", "", 45),
        ("Loading: 45%", "Loading:", 45),
    ],
)
def test_progress_bars_are_known(text, name, done):
    assert read_bar(text) == (name, done)


@pytest.mark.parametrize(
    "text",
    ["loss=2.1 lr=0.1", "GPU 3 at 83% of its memory", "accuracy 45%", "[12:00:01] step 4/5", "a|b", "━━ part"],
)
def test_other_lines_are_no_bars(text):
    assert read_bar(text) is None


def test_updates_in_a_row_are_folded_to_the_last():
    lines = lines_of("begin", bar(1), bar(2), bar(3), "end")

    assert folds_of(lines) == [("begin", 0), (bar(3), 2), ("end", 0)]


def test_two_updates_are_not_worth_a_fold():
    assert folds_of(lines_of(bar(1), bar(2))) == [(bar(1), 0), (bar(2), 0)]


def test_a_bar_that_begins_anew_is_another_one():
    lines = lines_of(*map(bar, [10, 50, 100, 10, 50, 100]))

    assert folds_of(lines) == [(bar(100), 2), (bar(100), 2)]


def test_bars_with_other_names_streams_or_gaps_are_not_mixed():
    named = lines_of(bar(1), bar(2), bar(3), bar(4, "eval"), bar(5, "eval"), bar(6, "eval"))
    elsewhere = lines_of(bar(1), bar(2), bar(3)) + lines_of(bar(4), bar(5), bar(6), first=9)

    assert folds_of(named) == [(bar(3), 2), (bar(6, "eval"), 2)]
    assert folds_of(elsewhere) == [(bar(3), 2), (bar(6), 2)]


def test_no_line_is_lost_and_the_order_stays():
    lines = lines_of("a", bar(1), bar(2), bar(2), "b", bar(1), "c", bar(5))

    assert [line for fold in fold_lines(lines) for line in [*fold.earlier, fold.last]] == lines
