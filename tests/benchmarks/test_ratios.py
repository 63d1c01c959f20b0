"""Aims and ratios of the benchmark's report."""

from __future__ import annotations

import pytest

from benchmarks.ratios import Ratio, add_ratios
from benchmarks.report import Report, Result


def report_with(*figures: tuple[str, str, list[float]]) -> Report:
    report = Report(machine={})
    for server, name, samples in figures:
        report.server = server
        report.add(name, "", samples)
    return report


OURS, THEIRS = ("ours", "work", ""), ("theirs", "work", "")


def test_of_rates_the_larger_one_is_better():
    report = report_with(("ours", "work", [90, 100, 110]), ("theirs", "work", [9, 10, 11]))

    assert Ratio("r", OURS, THEIRS, is_rate=True).samples(report) == [90 / 11, 10, 110 / 9]


def test_of_times_the_smaller_one_is_better():
    report = report_with(("ours", "work", [2.0]), ("theirs", "work", [50.0]))

    assert Ratio("r", OURS, THEIRS).samples(report) == [25, 25, 25]


def test_what_a_peer_did_not_do_has_no_ratio():
    assert Ratio("r", OURS, THEIRS).samples(report_with(("ours", "work", [2.0]))) == []


def test_parts_are_found_below_their_figure():
    report = report_with(("ours", "first", [1.0]), ("ours", "work", [2.0]))
    report.server = "ours"
    report.add_part("p50", "ms", [3.0])

    assert (report.samples("ours", "work", "p50"), report.samples("ours", "first", "p50")) == ([3.0], [])


def test_ratios_of_what_was_measured_carry_their_aim():
    name = "1,000 points a call, columns, 1 connection"
    report = report_with(
        ("trainhub, SQLite", name, [800_000.0]), ("MLflow, SQLite", "1,000 points a call, 1 connection", [5_000.0])
    )

    add_ratios(report)

    assert [(result.name, result.verdict) for result in report.results[2:]] == [(f"{name}: MLflow", "≥ 80: met")]


@pytest.mark.parametrize(
    ("aim", "verdict"),
    [({"at_most": 3}, "≤ 3: met"), ({"at_most": 1}, "≤ 1: MISSED"), ({"at_least": 3}, "≥ 3: MISSED"), ({}, "")],
)
def test_the_median_decides_whether_an_aim_is_met(aim, verdict):
    assert Result("r", "s", [1.0, 2.0, 9.0], **aim).verdict == verdict
