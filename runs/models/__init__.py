"""The tables of runs: the run, its parameters, attempts and events, and its telemetry."""

from runs.models.attempt import Attempt, ExecutorLock, RunEvent
from runs.models.deletion import RunDeletion
from runs.models.parameter import RunParameter
from runs.models.run import Run
from runs.models.telemetry import LogChunk, MetricBatch, MetricChunk, MetricSection, RunMetric, TelemetryCounter

__all__ = [
    "Attempt",
    "ExecutorLock",
    "LogChunk",
    "MetricBatch",
    "MetricChunk",
    "MetricSection",
    "Run",
    "RunDeletion",
    "RunEvent",
    "RunMetric",
    "RunParameter",
    "TelemetryCounter",
]
