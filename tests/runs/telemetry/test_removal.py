"""Removing a run's log and metric history: a mark at once, rows in bounded steps, nothing half seen."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from runs.models import LogChunk, MetricBatch, MetricChunk, MetricSection, Run, RunMetric, TelemetryCounter
from runs.telemetry import removal
from runs.telemetry.append import append_metrics
from runs.telemetry.fold import fold_run, runs_to_fold
from runs.telemetry.lineage import read_stories
from runs.telemetry.log_blocks import read_blocks
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_pages import LogPage, follow, read_page
from runs.telemetry.log_ranges import count_lines, find_spans
from runs.telemetry.log_search import SearchResult, Words, search_lines
from runs.telemetry.newest import runs_to_refresh
from runs.telemetry.removal import Amount, amount_of, mark_removed, remove_leftovers, remove_step
from runs.telemetry.removed import unbroken
from runs.telemetry.series import SeriesRequest, read_metrics, read_series
from tests.runs.telemetry.builders import append_lines, columns, end, line, new_attempt
from tests.runs.telemetry.model import Crash, small_chunks
from trainhub.errors import Removed

pytestmark = pytest.mark.django_db
MANY_CHUNKS = 10_000


@pytest.fixture
def run():
    """A run with 20 lines in 5 chunks, 12 folded points in chunks and 3 in the inbox; its attempt has ended."""
    attempt = new_attempt()
    with small_chunks(text_bytes=1000):
        append_lines(attempt=attempt, sequence=1, lines=[line(place, f"line {place}") for place in range(20)])
        append_metrics(attempt=attempt, sequence=1, columns={"loss": columns(*((n, n, 1.0) for n in range(12)))})
        fold_run(run_id=attempt.run_id, everything=True)
        append_metrics(attempt=attempt, sequence=2, columns={"loss": columns(*((n, n, 2.0) for n in range(12, 15)))})
    end(attempt)
    return attempt.run


def mark(run, **what):
    with transaction.atomic():
        return mark_removed(run_id=run.pk, at=timezone.now(), **what)


def rows_of(run):
    return [model.objects.filter(run=run).count() for model in (LogChunk, MetricBatch, MetricChunk, MetricSection)]


def read_log(run):
    page = read_page(run_id=run.pk, page=1, page_size=500, matcher=Words.of("line"))
    return page.total, len(page.items), len(follow(run_id=run.pk, after=0, limit=500))


def read_points(run, **window):
    return read_series(run_id=run.pk, keys=["loss"], **window)["loss"].total


def keys_of(run):
    (metrics,) = read_metrics(read_stories(Run.objects.filter(pk=run.pk), hidden=False), SeriesRequest(keys=None))
    return metrics.keys


def small_steps(size=2):
    return mock.patch.multiple(
        removal, STEP_LOG_CHUNKS=size, STEP_METRIC_CHUNKS=size, STEP_METRIC_BATCHES=size, STEP_NEWEST=size
    )


def test_the_amount_counts_lines_their_bytes_and_points(run):
    text = sum(len(f"line {place}") for place in range(20))

    assert amount_of(run.pk) == Amount(log_lines=20, log_bytes=text, metric_points=15)
    assert amount_of(run.pk).metric_bytes == 15 * 24


def test_the_counted_bytes_are_those_of_the_chunks(run):
    assert amount_of(run.pk).log_bytes == sum(LogChunk.objects.filter(run=run).values_list("text_bytes", flat=True))


def test_from_the_mark_on_nobody_reads_a_line_though_every_row_is_there(run):
    before = rows_of(run)

    amount = mark(run, log=True)

    assert (amount.log_lines, read_log(run), count_lines(run.pk)) == (20, (0, 0, 0), 0)
    assert rows_of(run) == before


def test_from_the_mark_on_nobody_reads_a_point_and_the_newest_values_stay(run):
    newest = list(RunMetric.objects.filter(run=run).values())

    mark(run, metrics=True)

    assert (read_points(run), read_points(run, first_step=3), keys_of(run)) == (0, 0, ["loss"])
    assert list(RunMetric.objects.filter(run=run).values()) == newest


@pytest.mark.parametrize(
    ("what", "left"),
    [({"log": True}, [0, 1, 3, 1]), ({"metrics": True}, [5, 0, 0, 0]), ({"log": True, "metrics": True}, [0, 0, 0, 0])],
)
def test_the_rows_of_what_was_marked_go_and_no_others(run, what, left):
    other = new_attempt()
    append_lines(attempt=other, sequence=1, lines=[line()])
    mark(run, **what)

    assert remove_leftovers(seconds=60) is False

    assert (rows_of(run), rows_of(other.run)) == (left, [1, 0, 0, 0])
    assert not TelemetryCounter.objects.filter(leftovers_since__isnull=False).exists()


def test_what_was_not_marked_is_read_as_before(run):
    mark(run, log=True)
    remove_leftovers(seconds=60)

    assert (read_log(run), read_points(run)) == ((0, 0, 0), 15)


def test_without_a_mark_nothing_is_removed(run):
    before = rows_of(run)

    assert (remove_leftovers(seconds=60), remove_step(run.pk)) == (False, 0)

    assert rows_of(run) == before


def test_a_step_deletes_no_more_rows_than_its_limit(run):
    mark(run, log=True, metrics=True)

    with small_steps():
        deleted = [remove_step(run.pk) for _ in range(8)]

    assert deleted == [2, 2, 1, 1, 1, 2, 1, 0]


def test_steps_end_when_their_time_is_over_and_say_that_there_is_more(run):
    mark(run, log=True)

    with small_steps(1):
        assert remove_leftovers(seconds=0) is True

    assert rows_of(run)[0] == 4


def test_a_step_of_10000_chunks_asks_as_often_as_one_of_5(run):
    mark(run, log=True)
    with CaptureQueriesContext(connection) as few:
        remove_step(run.pk)
    chunk = {"lines": 1, "first_time": 0, "last_time": 0, "earliest_time": 0, "latest_time": 0, "text_bytes": 1}
    rows = [LogChunk(run=run, first_line=number, payload=b"x", **chunk) for number in range(MANY_CHUNKS)]
    LogChunk.objects.bulk_create(rows)

    with CaptureQueriesContext(connection) as many:
        deleted = remove_step(run.pk)

    assert (deleted, len(many)) == (removal.STEP_LOG_CHUNKS, len(few))
    assert rows_of(run)[0] == MANY_CHUNKS - removal.STEP_LOG_CHUNKS


@pytest.mark.parametrize("crash_at", range(8))
def test_a_crash_in_any_step_loses_nothing_of_the_work_and_the_next_pass_goes_on(run, crash_at):
    mark(run, log=True, metrics=True)
    real, calls = removal._delete_some, []

    def delete(rows, limit):
        deleted = real(rows, limit)
        calls.append(deleted)
        if deleted and sum(map(bool, calls)) == crash_at + 1:
            raise Crash
        return deleted

    with small_steps(), mock.patch.object(removal, "_delete_some", delete):
        crashed = _crashes(lambda: remove_leftovers(seconds=60))
    seen = read_log(run), read_points(run)
    remove_leftovers(seconds=60)

    assert (crashed, seen) == (crash_at < 7, ((0, 0, 0), 0))
    assert rows_of(run) == [0, 0, 0, 0]


def _crashes(work):
    try:
        work()
    except Crash:
        return True
    return False


def test_a_crash_before_the_mark_is_stored_leaves_everything(run):
    with mock.patch.object(removal, "_amount", side_effect=Crash), pytest.raises(Crash):
        mark(run, log=True, metrics=True)

    assert (read_log(run), read_points(run)) == ((20, 20, 20), 15)
    assert remove_leftovers(seconds=60) is False


# --- Readers at the same time ---------------------------------------------------------------------
def remove_all(run):
    mark(run, log=True, metrics=True)
    with small_steps():
        remove_step(run.pk)


def remove_during(name, run):
    """Let the removal begin when a reader is about to call what `name` names."""
    module, _, attribute = name.rpartition(".")
    real = getattr(__import__(module, fromlist=[attribute]), attribute)

    def late(*args, **kwargs):
        if not Run.objects.get(pk=run.pk).log_removed_at:
            remove_all(run)
        return real(*args, **kwargs)

    return mock.patch(name, late)


PAGES = [
    {},
    {"wanted": LineFilter.of(levels=["INFO"])},
    {"matcher": Words.of("line")},
    {"wanted": LineFilter.of(start_us=2, end_us=18)},
]


@pytest.mark.parametrize("filters", PAGES)
@pytest.mark.parametrize(
    "place",
    [f"log_pages.{name}" for name in ("read_payloads", "read_range", "find_spans", "mark_before", "seek", "marks_from")]
    + [f"log_blocks.{name}" for name in ("read_payloads", "mark_before", "marks_from")]
    + ["log_marks.mark_before"],
)
def test_a_page_whose_log_goes_while_it_is_read_is_empty_or_whole(run, place, filters):
    whole = read_page(run_id=run.pk, page=1, page_size=500, **filters)

    with remove_during(f"runs.telemetry.{place}", run):
        page = read_page(run_id=run.pk, page=1, page_size=500, **filters)

    assert page in (LogPage(0, []), whole)


@pytest.mark.parametrize("place", ["read_range", "count_lines"])
def test_a_follower_whose_log_goes_while_it_is_read_gets_nothing(run, place):
    with remove_during(f"runs.telemetry.log_pages.{place}", run):
        assert follow(run_id=run.pk, after=0, limit=500) == []


@pytest.mark.parametrize("place", ["read_stories", "open_shelves", "fill_shelves", "read_of_chunks", "read_counters"])
def test_a_series_whose_points_go_while_it_is_read_is_empty(run, place):
    with remove_during(f"runs.telemetry.series.{place}", run):
        assert read_points(run) == 0


def test_a_key_error_of_another_cause_is_not_taken_for_a_removal(run):
    with mock.patch("runs.telemetry.log_pages._cut_page", side_effect=KeyError), pytest.raises(KeyError):
        read_page(run_id=run.pk, page=1, page_size=10)


@pytest.mark.parametrize("place", ["read_blocks", "find_spans", "count_lines"])
def test_a_search_whose_log_goes_meanwhile_finds_nothing(run, place):
    with remove_during(f"runs.telemetry.log_search.{place}", run):
        found = search_lines(
            run_id=run.pk, wanted=LineFilter.of(), matcher=Words.of("line"), after=0, limit=500, seconds=60
        )

    assert found == SearchResult([], None, 0, 0)


def blocks(run, wanted=None, matcher=None):
    wanted = wanted or LineFilter.of()
    return unbroken(run.pk, read_blocks(run.pk, find_spans(run.pk, wanted.times), wanted, matcher))


@pytest.mark.parametrize("filters", PAGES[:3])
def test_a_download_ends_with_an_error_when_the_log_goes_meanwhile(run, filters):
    lines = blocks(run, **filters)
    next(lines)

    remove_all(run)

    with pytest.raises(Removed):
        list(lines)


def test_a_download_of_a_log_that_stays_is_whole(run):
    assert [line.number for block in blocks(run) for line in block.lines] == list(range(20))


# --- Folding at the same time ---------------------------------------------------------------------
def test_a_removed_inbox_is_neither_folded_nor_merged(run):
    Run.objects.filter(pk=run.pk).update(status="completed", completed_at=timezone.now())
    later = timezone.now() + timedelta(seconds=10)
    wanted = runs_to_fold(10), runs_to_refresh(limit=10, now=later)

    mark(run, metrics=True)

    assert wanted == ([run.pk], [run.pk])
    assert (runs_to_fold(10), runs_to_refresh(limit=10, now=later)) == ([], [])


def test_a_fold_that_read_the_inbox_before_the_removal_brings_nothing_back(run):
    with remove_during("runs.telemetry.fold._apply", run):
        fold_run(run_id=run.pk)
    remove_leftovers(seconds=60)

    assert (rows_of(run), read_points(run)) == ([0, 0, 0, 0], 0)
