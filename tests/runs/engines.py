"""Executors in memory, put in the place of the installation's."""

from __future__ import annotations

from typing import Any

from runs import registry
from runs.executors.base import Choice
from runs.executors.configuration import Configuration, LocalSettings
from tests.runs.scheduler.conftest import Engine

PARTITIONS = Choice("partition", "Partition", ("gpu", "debug"), "gpu")


class Cluster(Engine):
    """An engine with a queue of its own, of which an operator lets people choose the partition."""

    kind = "slurm"

    def __init__(self, name: str = "cluster", *, slots: int = 10, gpus: int = 16, nodes: int = 2) -> None:
        super().__init__(slots=slots, gpus=gpus, nodes=nodes, has_queue=True)
        self.name = name

    def choices(self, recipe: str) -> tuple[Choice, ...]:
        return (PARTITIONS,)


class Machine(Engine):
    """This machine, in memory."""

    kind = "local"

    def choices(self, recipe: str) -> tuple[Choice, ...]:
        return ()


def install(monkeypatch: Any, *engines: Any, default: str = "local") -> dict[str, Any]:
    """Make these the executors of the installation, everywhere; returns them by name."""
    by_name = {engine.name: engine for engine in engines}
    declared = {name: LocalSettings() for name in by_name}
    loaded = registry._Loaded((), Configuration(default, declared), by_name)
    monkeypatch.setattr(registry, "_load", lambda: loaded)
    return by_name
