"""Batches on disk: order, restart, their size, and disks that do not take them."""

import json

import pytest

from runner.lines import MetricLine
from runner.protocol import MAX_BATCH_POINTS
from runner.spool import MAX_MEMORY_BYTES, Spool
from runner.telemetry import FULL_POINTS, Telemetry
from runs.node.batches import read_metrics


def body(number):
    return b"%d" % number


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool" / "logs"


def test_numbers_follow_what_the_hub_has(folder):
    spool = Spool(folder, stored=7)
    assert spool.append(body)
    assert (spool.wait_next(), spool.read(8)) == (8, b"8")


def test_what_is_acknowledged_is_deleted_and_its_number_known_after_a_restart(folder):
    spool = Spool(folder, stored=0)
    assert [spool.append(body) for _ in range(3)] == [True] * 3
    spool.acknowledge(1)
    spool.acknowledge(2)
    assert sorted(path.name for path in folder.iterdir()) == ["00000002.sent", "00000003.json"]
    spool.acknowledge(3)
    later = Spool(folder, stored=0)
    assert later.wait_empty(0)
    assert later.append(body)
    assert later.wait_next() == 4


def test_a_restart_finds_what_waits_and_clears_half_written_files(folder):
    Spool(folder, stored=0).append(body)
    (folder / "00000002.json.tmp").write_bytes(b"half")
    later = Spool(folder, stored=0)
    assert (later.wait_next(), later.read(1)) == (1, b"1")
    assert not (folder / "00000002.json.tmp").exists()


def test_a_full_spool_refuses_and_takes_again_later(folder):
    spool = Spool(folder, stored=0, max_bytes=2)
    assert [spool.append(body) for _ in range(3)] == [True, True, False]
    spool.acknowledge(1)
    assert spool.append(body)
    assert spool.read(3) == b"3"


def test_a_disk_that_takes_nothing_leaves_a_little_in_memory(tmp_path):
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file" / "logs", stored=0)
    half = MAX_MEMORY_BYTES // 2
    assert [spool.append(lambda _: b"x" * half) for _ in range(3)] == [True, True, False]
    assert spool.read(1) == b"x" * half
    spool.acknowledge(1)
    assert spool.append(body)


def test_a_closed_and_empty_spool_has_no_next(folder):
    spool = Spool(folder, stored=0)
    spool.append(body)
    spool.close()
    assert spool.wait_next() == 1
    spool.acknowledge(1)
    assert spool.wait_next() is None


def test_lines_that_found_no_room_are_told_once_there_is_room(tmp_path):
    logs = Spool(tmp_path / "logs", stored=0, max_bytes=200)
    telemetry = Telemetry(logs, Spool(tmp_path / "metrics", stored=0))
    telemetry.add_line(1, 1, 0, "a" * 60)
    telemetry.flush()
    telemetry.add_line(2, 1, 0, "b" * 60)
    telemetry.flush()
    assert logs.read(2) is None
    logs.acknowledge(1)
    logs._max_bytes = 1000
    telemetry.flush()
    assert b"1 lines were left out here" in logs.read(2)


@pytest.mark.parametrize("waiting", [0, 1, FULL_POINTS - 1])
def test_a_line_with_as_many_values_as_there_may_be_loses_none_of_those_that_wait(tmp_path, waiting):
    metrics = Spool(tmp_path / "metrics", stored=0)
    telemetry = Telemetry(Spool(tmp_path / "logs", stored=0), metrics)
    largest = {f"m{number}": 1.0 for number in range(MAX_BATCH_POINTS)}
    telemetry.add_points(1, 1, {f"w{number}": 1.0 for number in range(waiting)})
    telemetry.add_metric_line(1_000, MetricLine(2, largest, None))
    telemetry.close_metrics()
    bodies = [json.loads(metrics.read(number)) for number in range(1, 3 if waiting else 2)]
    assert [len(read_metrics(body)) for body in bodies] == ([waiting] if waiting else []) + [MAX_BATCH_POINTS]
    assert metrics.read(len(bodies) + 1) is None


def test_points_are_written_together_as_long_as_the_hub_takes_them(tmp_path):
    metrics = Spool(tmp_path / "metrics", stored=0)
    telemetry = Telemetry(Spool(tmp_path / "logs", stored=0), metrics)
    telemetry.add_points(1, 1, {"loss": 1.0})
    telemetry.add_points(2, 1, {f"m{number}": 1.0 for number in range(MAX_BATCH_POINTS - 1)})
    assert len(read_metrics(json.loads(metrics.read(1)))) == MAX_BATCH_POINTS
