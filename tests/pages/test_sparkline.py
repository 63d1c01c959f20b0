"""The small line beside a run, and what its newest values tell."""

import math

import pytest

from runs.models import RunMetric
from runs.newest_values import GpuUse, choose_loss, gpu_use
from runs.sparkline import draw_sparkline
from runs.telemetry.points import Points


def line_of(*values):
    return draw_sparkline(Points(list(range(len(values))), [0] * len(values), list(values)))


def test_the_line_goes_from_the_first_to_the_last_value():
    line = line_of(3.0, 2.0, 1.0)

    assert line.parts == ["0.0,2.0 60.0,15.0 120.0,28.0"]
    assert (line.first, line.last) == (3.0, 1.0)


def test_what_is_no_number_is_a_gap():
    assert line_of(3.0, math.nan, 1.0, math.inf).parts == ["0.0,2.0", "80.0,28.0"]


@pytest.mark.parametrize("values", [(math.nan,), (math.inf, -math.inf)])
def test_without_a_number_there_is_no_line(values):
    assert line_of(*values) is None


@pytest.mark.parametrize("values", [(1.0,), (2.0, 2.0), (-1.7e308, 1.7e308)])
def test_the_line_stays_on_its_paper(values):
    places = [float(number) for part in line_of(*values).parts for place in part.split() for number in place.split(",")]

    assert all(0 <= number <= 120 for number in places)


def newest(**values):
    return [RunMetric(key=key, value=value) for key, value in values.items()]


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [(("val_loss", "loss"), "loss"), (("eval/loss", "train_loss"), "train_loss"), (("aux_loss",), "aux_loss")],
)
def test_the_training_loss_comes_before_others(keys, chosen):
    assert choose_loss(newest(**dict.fromkeys(keys, 1.0), accuracy=1.0)).key == chosen


def test_gpu_use_is_the_mean_of_all_and_the_memory_of_all():
    values = {"system/gpu.0.utilization": 1.0, "system/gpu.1.utilization": 0.5, "system/gpu.0.memory_bytes": 10.0}

    assert gpu_use(newest(**values, gpu_utilization=0.1)) == GpuUse(0.75, 10.0, 2)


def test_gpus_of_several_nodes_are_counted_together():
    values = {f"system/node.{node}.gpu.0.{name}": 0.5 for node in (0, 1) for name in ("utilization", "memory_bytes")}

    assert gpu_use(newest(**values, **{"system/node.0.memory_bytes": 7.0})) == GpuUse(0.5, 1.0, 2)


def test_gpu_use_is_unknown_without_a_value():
    assert gpu_use(newest(loss=1.0, gpu_utilization=None)) is None
