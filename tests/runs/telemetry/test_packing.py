"""What is packed comes back the same, whatever it holds; and it takes little room."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.telemetry.line_packing import LineColumns, pack_lines, unpack_lines
from runs.telemetry.packing import (
    batch_first_time,
    batch_keys,
    pack_batch,
    summarize_batch,
    unpack_batch,
)
from runs.telemetry.point_packing import (
    ChunkHead,
    pack_heads,
    pack_points,
    pack_selection,
    unpack_heads,
    unpack_points,
    unpack_selections,
)
from runs.telemetry.points import Points

int64 = st.integers(-(2**63), 2**63 - 1)
points = st.lists(st.tuples(int64, int64, st.floats()), min_size=1, max_size=40).map(
    lambda rows: Points.checked(dict(zip(("step", "time", "value"), map(list, zip(*rows, strict=True)), strict=True)))
)
lines = st.lists(
    st.tuples(st.integers(0, 2**57), st.integers(0, 4), st.integers(0, 2), st.integers(1, 9), st.text()), min_size=1
)


def rows_of(packed):
    return [(s, t, repr(v)) for s, t, v in zip(packed.steps, packed.times, packed.values, strict=True)]


@given(lines)
def test_lines_come_back(rows):
    times, levels, streams, attempts, texts = zip(*rows, strict=True)
    columns = LineColumns(list(times), bytes(levels), bytes(streams), sorted(attempts), list(texts))

    assert unpack_lines(memoryview(pack_lines(columns))) == columns


@given(points)
def test_points_of_a_chunk_come_back(packed):
    assert rows_of(unpack_points(memoryview(pack_points(packed)))) == rows_of(packed)


@pytest.mark.parametrize(
    "numbers",
    [
        range(100),
        range(0, 1000, 10),
        range(50, 0, -1),
        [7] * 9,
        [5],
        [1, 2, 4],
        [0, 2**40, 2**41],
        [-(2**63), 2**63 - 1],
        [2**62, 2**62 + 1, -(2**62)],
    ],
)
def test_steps_and_times_of_any_kind_come_back(numbers):
    packed = Points(list(numbers), list(numbers), [0.5] * len(numbers))

    assert unpack_points(pack_points(packed)) == packed


@given(st.integers(0, 14), st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=60), st.booleans())
def test_rounded_values_of_a_chunk_come_back_exactly(digits, numbers, has_minus_zero):
    values = [round(number / 10**digits, digits) for number in numbers] + [-0.0] * has_minus_zero
    packed = Points(range(len(values)), range(len(values)), values)

    assert rows_of(unpack_points(pack_points(packed))) == rows_of(packed)


@pytest.mark.parametrize("late", [math.nan, math.inf, -0.0, 1e300, 0.1234567890123])
def test_value_that_does_not_fit_the_others_comes_back_exactly(late):
    values = [*(step / 100 for step in range(99)), late]

    assert list(map(repr, unpack_points(pack_points(Points(range(100), range(100), values))).values)) == list(
        map(repr, values)
    )


@given(st.lists(st.tuples(*[int64] * 7).map(ChunkHead._make), max_size=5))
def test_heads_of_chunks_come_back(heads):
    assert unpack_heads(memoryview(pack_heads(heads))) == heads


@given(st.dictionaries(st.text(min_size=1), points, min_size=1, max_size=4))
def test_names_and_earliest_time_of_a_batch_are_read_without_its_points(columns):
    payload = memoryview(pack_batch(columns))

    assert batch_keys(payload) == list(columns)
    assert batch_first_time(payload) == min(min(part.times) for part in columns.values())


@given(st.dictionaries(st.text(min_size=1), points, max_size=4))
def test_points_of_a_batch_come_back_per_key(columns):
    unpacked = dict(unpack_batch(memoryview(pack_batch(columns))))

    assert {key: rows_of(part) for key, part in unpacked.items()} == {k: rows_of(part) for k, part in columns.items()}


@given(st.dictionaries(st.sampled_from("abcd"), points, min_size=2))
def test_only_the_keys_asked_for_are_unpacked(columns):
    unpacked = dict(unpack_batch(pack_batch(columns), keys={"a", "z"}))

    assert set(unpacked) == set(columns) & {"a"}


@given(points)
def test_summary_of_a_batch_is_that_of_its_points(packed):
    (summary,) = summarize_batch(memoryview(pack_batch({"loss": packed})), attempt_number=4)

    finite = [value for value in packed.values if math.isfinite(value)]
    assert (summary.key, summary.attempt_number) == ("loss", 4)
    assert (summary.step, summary.time) == max(zip(packed.steps, packed.times, strict=True))
    assert summary.minimum == min(finite, default=None)
    assert summary.maximum == max(finite, default=None)


@given(points)
def test_selected_points_come_back(packed):
    half = range(0, len(packed), 2)
    payload = memoryview(pack_selection(packed, half))

    assert rows_of(unpack_selections([payload, payload])) == rows_of(packed.at(half)) * 2


@pytest.mark.parametrize("seed", [1, 2])
def test_thousand_points_take_less_than_ten_bytes_each(seed):
    rng = random.Random(seed)
    times = [1_700_000_000_000 + 250 * step + rng.randrange(20) for step in range(1000)]
    packed = Points(range(1000), times, [2 + rng.gauss(0, 0.1) for _ in range(1000)])

    assert len(pack_points(packed)) < 9_000


def test_values_of_five_digits_take_less_than_five_bytes_each():
    rng = random.Random(4)
    times = list(itertools.accumulate((200 + rng.randrange(-100, 101) for _ in range(1000)), initial=1_700_000_000_000))
    packed = Points(range(1000), times[:1000], [float(f"{2 + rng.gauss(0, 0.1):.5g}") for _ in range(1000)])

    assert len(pack_points(packed)) < 5_000


def test_usual_log_lines_take_less_than_thirty_bytes_each():
    rng = random.Random(3)
    texts = [
        f"12:00:{i % 60:02} INFO trainer: step {i} loss {2 + rng.random():.4f} lr 0.0003 tokens/s 18{i % 90:02}"
        for i in range(700)
    ]
    times = [1_700_000_000_000_000 + 100_000 * i + rng.randrange(900) for i in range(700)]
    columns = LineColumns(times, bytes([1]) * 700, bytes(700), [1] * 700, texts)

    assert len(pack_lines(columns)) < 30 * 700
