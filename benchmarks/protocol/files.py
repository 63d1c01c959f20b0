"""Artifacts up and down: one large file, many small ones, and what a large one does to the server's memory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from benchmarks.protocol.memory import watched
from benchmarks.protocol.sides import Tracker
from benchmarks.protocol.transfer import Transfer, transfer_elsewhere
from benchmarks.protocol.works import Figure, Outcome, in_turn

SMALL_FILES, SMALL_BYTES = 200, 20_000
FILES_AIM = 1.0
MEMORY_LIMIT_MB = 50.0
_PREFIX = "mlflow-artifacts:"


def measure_files(outcome: Outcome, sides: Sequence[Tracker], large_bytes: int, rounds: int) -> None:
    """Send and fetch, each time to a run of its own."""
    for what, count, size in (
        (f"one file of {large_bytes / 1e9:g} GB", 1, large_bytes),
        (f"{SMALL_FILES} files of {SMALL_BYTES / 1e3:g} kB", SMALL_FILES, SMALL_BYTES),
    ):
        in_turn(outcome, sides, what, partial(_there_and_back, what=what, count=count, size=size), rounds)


def _there_and_back(side: Tracker, *, what: str, count: int, size: int) -> Mapping[Figure, float]:
    """Send files, fetch them, and fetch the last one again to look at it; the disk is at rest before each."""
    root = artifact_root(side)
    upload = Transfer(side.port, root, side.token, count, size)
    os.sync()
    with watched(side.web_processes) as growth:
        sent = transfer_elsewhere(upload)
    os.sync()
    fetched = transfer_elsewhere(replace(upload, is_download=True))
    transfer_elsewhere(replace(upload, is_download=True, is_checked=True))
    figures = {
        Figure(f"upload of {what}", "MB/s", is_rate=True, times_better=FILES_AIM): count * size / 1e6 / sent,
        Figure(f"download of {what}", "MB/s", is_rate=True, times_better=FILES_AIM): count * size / 1e6 / fetched,
    }
    if count == 1:
        name = f"web's memory (RSS), growth in the upload of {what}"
        figures[Figure(name, "MB", at_most=MEMORY_LIMIT_MB, is_compared=False)] = growth.grown_mb
    return figures


def artifact_root(side: Tracker) -> str:
    """Return the path below which the artifacts of a new run are sent and fetched. Raises: RuntimeError."""
    uri = str(side.new_run(side.new_experiment("files"))["artifact_uri"])
    if not uri.startswith(f"{_PREFIX}/"):
        raise RuntimeError(f"{side.server} does not serve artifacts itself: {uri}")
    return f"{side.root}/api/2.0/mlflow-artifacts/artifacts/{uri.removeprefix(_PREFIX).lstrip('/')}"
