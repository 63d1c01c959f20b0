"""The benchmark of the MLflow protocol: tiny and with trainhub alone, and how it compares."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.hub import ROOT
from benchmarks.protocol.memory import watched
from benchmarks.protocol.transfer import BLOCK_BYTES, content
from benchmarks.protocol.works import Figure, Outcome, in_turn
from benchmarks.report import Report

RATE, TIME = Figure("calls", "/s", is_rate=True, times_better=3), Figure("search", "ms", times_better=5)
PART, GROWTH = Figure("p50", "ms", part_of="calls"), Figure("growth", "MB", at_most=50, is_compared=False)


class FakeSide:
    def __init__(self, server: str, samples: dict[Figure, float], asked: list[str]) -> None:
        self.server, self.samples, self.asked = server, samples, asked

    def wait_until_idle(self) -> None:
        self.asked.append(f"{self.server} idle")

    def work(self) -> dict[Figure, float]:
        self.asked.append(self.server)
        return self.samples


def compared(ours: dict[Figure, float], theirs: dict[Figure, float]) -> Report:
    outcome, report, asked = Outcome(), Report(machine={}), []
    in_turn(outcome, [FakeSide("ours", ours, asked), FakeSide("theirs", theirs, asked)], "w", FakeSide.work, 2)
    outcome.report_to(report, ["ours", "theirs"])
    return report


def test_servers_take_turns_after_a_round_that_does_not_count_and_wait_for_both_to_be_idle():
    asked, outcome = [], Outcome()
    in_turn(outcome, [FakeSide("a", {RATE: 1}, asked), FakeSide("b", {RATE: 2}, asked)], "w", FakeSide.work, 2)

    assert [one for one in asked if "idle" not in one] == ["b", "a", "a", "b", "b", "a"]
    assert asked[:3] == ["a idle", "b idle", "b"]
    assert outcome.samples == {("a", RATE): [1, 1], ("b", RATE): [2, 2]}


def test_ratios_are_of_rates_and_of_times_with_their_aims():
    report = compared({RATE: 40, PART: 1, TIME: 2}, {RATE: 10, PART: 9, TIME: 8})

    assert [(result.name, result.median, result.verdict) for result in report.results if "MLflow" in result.name] == [
        ("calls: MLflow", 4, "≥ 3: met"),
        ("search: MLflow", 4, "≥ 5: MISSED"),
    ]


def test_an_aim_of_our_own_is_not_the_peers():
    report = compared({GROWTH: 10}, {GROWTH: 90})

    assert [(result.server, result.verdict) for result in report.results] == [("ours", "≤ 50: met"), ("theirs", "")]


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 3])
def test_content_has_the_size_that_was_asked_for(size):
    assert sum(map(len, content(size))) == size


def test_growth_of_memory_is_seen():
    with watched(lambda: [os.getpid()]) as growth:
        held = bytes(range(256)) * 400_000
        growth.look()

    assert len(held) / 1e6 * 0.8 < growth.grown_mb < 1000


def test_trainhub_alone_is_measured_and_nothing_is_left_behind(tmp_path):
    report = tmp_path / "report.json"
    command = ["-m", "benchmarks.mlflow", "get", "--server", "trainhub", "--small", "--json", str(report)]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found["machine"]["mlflow"] == "3.18.0"
    (figure, *_) = found["results"]
    assert figure["name"].startswith("runs/get, 50 metrics")
    assert figure["median"] > 1
    assert list(tmp_path.iterdir()) == [report]
