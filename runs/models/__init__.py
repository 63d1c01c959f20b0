"""The tables of runs: the run, its attempts and events, and its telemetry."""

from runs.models.attempt import Attempt, ExecutorLock, RunEvent
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
    "RunEvent",
    "RunMetric",
    "TelemetryCounter",
]
