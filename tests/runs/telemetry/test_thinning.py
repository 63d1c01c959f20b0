"""Few points for many: what must stay, stays."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.telemetry.thinning import outline_indexes, sketch_indexes, thin

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


@pytest.mark.parametrize(("choose", "most"), [(outline_indexes, 5), (sketch_indexes, 21)])
@given(values=series)
def test_selections_of_a_chunk_keep_ends_extremes_and_a_gap(choose, most, values):
    kept = choose(values)

    assert len(kept) <= most
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert max(finite(at(values, kept)), default=None) == max(finite(values), default=None)
    assert min(finite(at(values, kept)), default=None) == min(finite(values), default=None)
    assert all(map(math.isfinite, at(values, kept))) == all(map(math.isfinite, values))


def test_short_series_stays_whole():
    assert list(thin([1.0, 2.0, 3.0], 5)) == [0, 1, 2]


def test_limit_below_five_is_refused():
    with pytest.raises(ValueError, match="at least 5"):
        thin([1.0], 4)
