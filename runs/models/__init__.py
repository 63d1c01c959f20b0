"""The tables of runs: the run, its parameters, attempts and events, its telemetry, and what tracking clients tell."""

from runs.models.attempt import Attempt, ExecutorLock, RunEvent
from runs.models.columns import ChosenColumns
from runs.models.deletion import RunDeletion
from runs.models.parameter import RunParameter
from runs.models.run import Run
from runs.models.scheduler import SchedulerBeat
from runs.models.telemetry import LogChunk, MetricBatch, MetricChunk, MetricSection, RunMetric, TelemetryCounter
from runs.models.tracking import ClientStatus, RunDataset, RunTag, RunTracking

__all__ = [
    "Attempt",
    "ChosenColumns",
    "ClientStatus",
    "ExecutorLock",
    "LogChunk",
    "MetricBatch",
    "MetricChunk",
    "MetricSection",
    "Run",
    "RunDataset",
    "RunDeletion",
    "RunEvent",
    "RunMetric",
    "RunParameter",
    "RunTag",
    "RunTracking",
    "SchedulerBeat",
    "TelemetryCounter",
]
