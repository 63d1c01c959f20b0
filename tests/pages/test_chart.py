"""The chart's SVG attributes."""

import pytest

from runs.chart import draw_chart
from runs.telemetry.series import Series

NAN, INFINITY = float("nan"), float("inf")


def series(values, steps=None):
    count = len(values)
    return Series(steps or list(range(count)), [0] * count, values, [1] * count, total=count, thinned=False)


def parts(values, steps=None):
    return draw_chart({"loss": series(values, steps)}).lines[0].parts


def test_line_spans_the_whole_view():
    assert parts([2.0, 1.0]) == ["0.0,0.0 600.0,180.0"]


def test_gap_cuts_the_line():
    assert parts([2.0, NAN, 1.0]) == ["0.0,0.0", "600.0,180.0"]


@pytest.mark.parametrize("gap", [NAN, INFINITY, -INFINITY])
def test_gaps_at_the_ends_leave_nothing_empty(gap):
    assert parts([gap, 2.0, 1.0, gap]) == ["200.0,0.0 400.0,180.0"]


def test_no_finite_value_is_no_chart():
    assert draw_chart({"loss": series([NAN, INFINITY])}) is None


def test_nothing_is_no_chart():
    assert draw_chart({}) is None


def test_one_point_has_a_place():
    assert parts([1.0], [5]) == ["0.0,180.0"]


def test_whole_range_of_numbers_fits():
    assert parts([1.7e308, -1.7e308]) == ["0.0,0.0 600.0,180.0"]


def test_whole_range_of_steps_fits():
    assert parts([1.0, 0.0], [-(2**63), 2**63 - 1]) == ["0.0,0.0 600.0,180.0"]
