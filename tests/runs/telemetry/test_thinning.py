"""Few points for many: what must stay, stays."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.telemetry.points import Points
from runs.telemetry.thinning import select, thin

series = st.lists(st.floats(), min_size=1, max_size=200)


def finite(values):
    return [value for value in values if math.isfinite(value)]


def at(values, indexes):
    return [values[index] for index in indexes]


@given(series, st.integers(5, 50))
def test_ends_and_extremes_are_kept_within_the_limit(values, limit):
    kept = thin(values, limit)

    assert len(kept) <= limit
    assert list(kept) == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert min(finite(at(values, kept)), default=None) == min(finite(values), default=None)
    assert max(finite(at(values, kept)), default=None) == max(finite(values), default=None)


@given(series, st.integers(5, 50))
def test_series_with_gaps_shows_one(values, limit):
    kept = thin(values, limit)

    assert all(map(math.isfinite, at(values, kept))) == all(map(math.isfinite, values))


@pytest.mark.parametrize("parts", [1, 8, 32])
@given(values=series, data=st.data())
def test_selections_keep_ends_extremes_and_a_gap(parts, values, data):
    times = data.draw(st.lists(st.integers(0, 5), min_size=len(values), max_size=len(values)))

    outline, sketch = select(Points(range(len(values)), times, values), parts)

    assert set(outline) <= set(sketch)
    assert (len(outline) <= 7, len(sketch) <= 7 + 3 * parts) == (True, True)
    assert (outline[0], outline[-1]) == (0, len(values) - 1)
    assert max(finite(at(values, outline)), default=None) == max(finite(values), default=None)
    assert min(finite(at(values, outline)), default=None) == min(finite(values), default=None)
    assert all(map(math.isfinite, at(values, outline))) == all(map(math.isfinite, values))
    assert (min(at(times, outline)), max(at(times, outline))) == (min(times), max(times))


def test_short_series_stays_whole():
    assert list(thin([1.0, 2.0, 3.0], 5)) == [0, 1, 2]


def test_limit_below_five_is_refused():
    with pytest.raises(ValueError, match="at least 5"):
        thin([1.0], 4)
