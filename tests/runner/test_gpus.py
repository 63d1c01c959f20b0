"""nvidia-smi's answers, and which GPUs are the run's."""

import pytest

from runner.gpus import parse

TWO = """\
0, GPU-aaaa-1, 50, 1024, 250.5, 61
1, GPU-bbbb-2, 100, 2048, 300, 70
"""


def test_all_gpus_when_none_is_chosen():
    metrics = parse(TWO, None)
    assert metrics["system/gpu.0.utilization"] == 0.5
    assert metrics["system/gpu.0.memory_bytes"] == 1024**3
    assert metrics["system/gpu.1.power_watts"] == 300
    assert metrics["system/gpu.1.temperature_celsius"] == 70
    assert metrics["gpu_utilization"] == 0.75


@pytest.mark.parametrize(
    ("visible", "utilizations"),
    [("1", [1.0]), ("1,0", [1.0, 0.5]), ("GPU-bbbb", [1.0]), ("", []), ("-1", []), ("7", []), ("0,7,1", [0.5])],
)
def test_only_the_gpus_that_the_trainer_sees_in_its_order(visible, utilizations):
    metrics = parse(TWO, visible)
    found = [metrics.get(f"system/gpu.{number}.utilization") for number in range(len(utilizations))]
    assert found == utilizations
    assert len(metrics) == 4 * len(utilizations) + bool(utilizations)


def test_what_the_driver_does_not_know_is_left_out():
    assert parse("0, GPU-a, [N/A], 5, [Not Supported], 40", None) == {
        "system/gpu.0.memory_bytes": 5 * 1024**2,
        "system/gpu.0.temperature_celsius": 40,
    }


@pytest.mark.parametrize("text", ["", "No devices were found", "NVIDIA-SMI has failed, because, of, a, driver"])
def test_failures_give_no_metrics(text):
    assert parse(text, None) == {}


SCRIPT = """\
#!/bin/sh
echo "0, GPU-a, 25, 100, [N/A], 50"
"""


def test_samples_of_a_run_arrive(bench, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SCRIPT)
    tool.chmod(0o755)
    bench.environment["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    hub = bench.prepare(trainer="import time; x = bytearray(50_000_000); time.sleep(60)")
    bench.start()
    hub.wait(lambda: hub.points("gpu_utilization"))
    assert hub.points("system/gpu.0.utilization") == [(1, 0.25)]
    assert hub.points("system/memory_bytes")[0][1] > 50_000_000
    assert 0 <= hub.points("system/cpu_utilization")[0][1] <= 1
