"""What monitoring sees, read from the database when it asks: the same whichever web process answers.

Names and units follow Prometheus' conventions: base units, a unit at the end of the name, `_total` for what only grows.
Labels are statuses, executors and other words of the hub or its operator, never what users wrote.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Max, Min, Q, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from artifacts.models import Artifact
from runs.executor_use import read_executor_use
from runs.lifecycle import Status
from runs.models import Attempt, Run, TelemetryCounter
from runs.scheduler.beat import beating, last_beat
from trainhub import __version__, traffic


def registry() -> CollectorRegistry:
    """Return everything that monitoring sees; nothing is read before it is asked for."""
    made = CollectorRegistry(auto_describe=False)
    for collect in (hub, schedulers, runs, telemetry, executors, storage, requests):
        made.register(_Collected(collect))
    return made


class _Collected(Collector):
    """A function of families as the library wants it."""

    def __init__(self, collect: Any) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        """Read now."""
        yield from self._collect()


def hub() -> Iterator[Metric]:
    """Which version this is and which database it has."""
    yield InfoMetricFamily(
        "trainhub", "The version and its database.", {"version": __version__, "database": connection.vendor}
    )
    yield GaugeMetricFamily("trainhub_database_size_bytes", "Bytes of the database.", database_bytes())


def database_bytes() -> int:
    """Return the size of the database: its files with SQLite, what the server says with PostgreSQL."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
        cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        return int(cursor.fetchone()[0])


def schedulers() -> Iterator[Metric]:
    """Whether somebody starts and watches runs."""
    yield GaugeMetricFamily("trainhub_schedulers", "Schedulers that are at work.", len(beating()))
    beat = last_beat()
    if beat is not None:
        age = max(0.0, (timezone.now() - beat.seen_at).total_seconds())
        yield GaugeMetricFamily("trainhub_scheduler_age_seconds", "Since the last pass of any scheduler.", age)
        yield GaugeMetricFamily(
            "trainhub_scheduler_pass_seconds", "Longest pass of the scheduler in about 5 seconds.", beat.pass_seconds
        )


def runs() -> Iterator[Metric]:
    """Runs by status, the queue, and attempts whose nodes are silent."""
    now = timezone.now()
    kept = Run.objects.filter(deleted_at=None).order_by()
    counted = {**dict.fromkeys(Status.values, 0), **dict(kept.values_list("status").annotate(Count("id")))}
    family = GaugeMetricFamily("trainhub_runs", "Runs by status.", labels=["status"])
    for status, count in sorted(counted.items()):
        family.add_metric([status], count)
    yield family
    oldest = kept.filter(status=Status.QUEUED).aggregate(oldest=Min("queued_at"))["oldest"]
    wait = (now - oldest).total_seconds() if oldest else 0.0
    yield GaugeMetricFamily("trainhub_queue_oldest_wait_seconds", "How long the run waits that waits longest.", wait)
    silent_since = now - timedelta(seconds=settings.UNREACHABLE_AFTER_SECONDS)
    live = Attempt.objects.filter(ended_at=None, run__deleted_at=None).aggregate(
        all=Count("id"), silent=Count("id", filter=Q(heartbeat_at__lt=silent_since))
    )
    yield GaugeMetricFamily("trainhub_attempts_live", "Attempts that have not ended.", live["all"])
    yield GaugeMetricFamily("trainhub_attempts_unreachable", "Of those, whose node is silent.", live["silent"])


def telemetry() -> Iterator[Metric]:
    """What waits to be packed, and when something arrived last."""
    waiting = TelemetryCounter.objects.filter(inbox_batches__gt=0).aggregate(all=Sum("inbox_batches"))["all"]
    yield GaugeMetricFamily("trainhub_metric_inbox_batches", "Metric batches not folded into chunks.", waiting or 0)
    behind = TelemetryCounter.objects.filter(metric_points__gt=F("newest_points")).aggregate(
        points=Sum(F("metric_points") - F("newest_points"))
    )["points"]
    yield GaugeMetricFamily("trainhub_metric_points_behind", "Points that lists of runs do not show yet.", behind or 0)
    heard = Attempt.objects.filter(ended_at=None).aggregate(last=Max("heartbeat_at"))["last"]
    if heard is not None:
        age = max(0.0, (timezone.now() - heard).total_seconds())
        yield GaugeMetricFamily("trainhub_last_heartbeat_age_seconds", "Since any live runner was heard.", age)


def executors() -> Iterator[Metric]:
    """Room on each executor, and whether it can be used."""
    families = {
        name: GaugeMetricFamily(f"trainhub_executor_{name}", text, labels=["executor"])
        for name, text in (
            ("slots", "Attempts that it takes at once."),
            ("slots_in_use", "Attempts that it has."),
            ("gpus", "Its GPUs."),
            ("gpus_in_use", "GPUs that are given to runs."),
            ("problems", "Reasons why it cannot be used; 0 is well."),
        )
    }
    for use in read_executor_use():
        values = (use.total.slots, use.slots_in_use, use.total.gpus, use.gpus_in_use, len(use.problems))
        for family, value in zip(families.values(), values, strict=True):
            family.add_metric([use.name], value)
    yield from families.values()


def storage() -> Iterator[Metric]:
    """Bytes of artifacts, and the room that is left where the hub writes."""
    kept = GaugeMetricFamily("trainhub_store_bytes", "Bytes of artifacts.", labels=["store"])
    there = Artifact.objects.exclude(state="removed").order_by()
    for store, size in there.values_list("store").annotate(Sum("size_bytes")):
        kept.add_metric([store], size or 0)
    yield kept
    disk = shutil.disk_usage(settings.DATA_DIR)
    yield GaugeMetricFamily("trainhub_disk_size_bytes", "Size of the disk with the data folder.", disk.total)
    yield GaugeMetricFamily("trainhub_disk_free_bytes", "Bytes free on that disk.", disk.free)


def requests() -> Iterator[Metric]:
    """Requests that this web server answered, all its workers together."""
    family = HistogramMetricFamily(
        "trainhub_http_request_duration_seconds",
        "Time until the answer began.",
        labels=["part", "method", "status"],
    )
    for series in traffic.read():
        bounds = [(repr(bound), count) for bound, count in zip(traffic.BOUNDS, series.within, strict=True)]
        family.add_metric(
            [series.part, series.method, series.status], [*bounds, ("+Inf", series.total)], sum_value=series.seconds
        )
    yield family
