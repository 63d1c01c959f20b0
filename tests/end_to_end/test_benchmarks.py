"""The parts of `make bench-telemetry` against a real hub, tiny and without peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import databases, ingest, lists, reads, soak
from benchmarks.databases import Database
from benchmarks.filled import filled
from benchmarks.hub import Hub
from benchmarks.load import Load, Sender, measure_elsewhere
from benchmarks.report import Report
from benchmarks.telemetry import started

LINES, POINTS, RUNS, METRICS = 1000, 2000, 800, 3
ONE_OF_EACH_SHAPE = list({case.shape: case for case in reversed(ingest.HUB_CASES) if case.connections == 1}.values())


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """A hub of the benchmark's own, filled a little and running."""
    with Hub(databases.offered()[-1]) as own:
        own.prepare()
        filled(own, "lines", count=LINES)
        filled(own, "points", count=POINTS)
        filled(own, "runs", count=RUNS, metrics=METRICS)
        with started(own):
            yield own


@pytest.fixture
def report() -> Report:
    return Report(machine={}, server="ours")


def test_log_pages_are_measured_at_every_depth(hub: Hub, report: Report) -> None:
    reads.measure_logs(report, hub, [LINES], rounds=1, requests=2)

    assert report.samples("ours", "log page of 500 by time, p50 of the slowest", "1,000 lines, at 99 %, p50")


def test_charts_are_measured_whole_and_zoomed(hub: Hub, report: Report) -> None:
    reads.measure_charts(report, hub, [POINTS], rounds=1, requests=2)

    assert [*report.samples("ours", reads.chart_name(POINTS)), *report.samples("ours", reads.zoom_name(POINTS))]


def test_lists_are_measured_by_cursor_and_by_number(hub: Hub, report: Report) -> None:
    lists.measure_lists(report, hub, RUNS, METRICS, rounds=1, requests=2)

    assert {result.name for result in report.results if not result.is_part} == {
        *(lists.NEWEST, lists.ORDERED, lists.FILTERED),
        *map(lists.by_number, (lists.NEWEST, lists.ORDERED, lists.FILTERED)),
    }


def test_every_kind_of_ingest_is_measured_and_all_of_it_is_there_afterwards(hub: Hub, report: Report) -> None:
    ingest.measure_cases(report, ingest.HubTarget(hub), ONE_OF_EACH_SHAPE, rounds=1, seconds=0.05)

    assert [result.name for result in report.results if not result.is_part] == [case.name for case in ONE_OF_EACH_SHAPE]


def test_reporting_runs_stay_reachable(hub: Hub, report: Report) -> None:
    soak.measure_soak(report, hub, runs=3, seconds=2)

    assert report.samples(report.server, "runs shown unreachable, the most at a time") == [0]


def test_points_that_are_missing_fail_the_benchmark(hub: Hub) -> None:
    run = filled(hub, "points", count=POINTS)["run"]

    with pytest.raises(RuntimeError, match="2001 were acknowledged"):
        ingest.check_stored(hub, run, "points", POINTS + 1)


@pytest.mark.parametrize(("path", "expect"), [("/projects/proj_none", ""), ("/projects", "not in the answer")])
def test_an_answer_that_is_not_as_it_must_be_fails_the_benchmark(hub: Hub, path: str, expect: str) -> None:
    load = Load(hub.port, path, [Sender(token=hub.token)], 1.0, requests=1, expect=expect)

    with pytest.raises(RuntimeError, match=path):
        measure_elsewhere(load)


def test_a_kept_database_is_filled_once(hub: Hub) -> None:
    assert filled(hub, "lines", count=LINES) == filled(hub, "lines", count=LINES)


def test_a_kept_database_keeps_its_name(hub: Hub) -> None:
    assert Database.of(hub.database.kind, hub.data, "trainhub.sqlite3") == hub.database
