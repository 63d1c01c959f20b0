"""Logs and metrics as packed rows; `runs.telemetry` is the only code that reads and writes them.

Why packed: a row per line or point costs 150 to 250 bytes and makes deep pages slow, packed rows cost about 26
bytes a line and 8 a point and answer any page by two index look-ups (docs/adr/0003-packed-telemetry.md).
"""

from __future__ import annotations

from django.db import models

from runs.models.run import Run


class TelemetryCounter(models.Model):
    """What a run holds, counted. The row is locked while lines or points are appended: it is their order.

    A table of its own, so that ingest never waits for a change of the run's status, nor the other way round.
    """

    run = models.OneToOneField(Run, on_delete=models.CASCADE, primary_key=True, related_name="telemetry")
    log_lines = models.BigIntegerField(default=0)
    log_bytes = models.BigIntegerField(default=0, help_text="UTF-8 bytes of the lines before packing.")
    log_last_time = models.BigIntegerField(default=0, help_text="Running maximum of line times, µs since 1970 UTC.")
    log_tally = models.JSONField(default=list, help_text="As LogChunk.tally, of the whole log.")
    log_open_lines = models.IntegerField(default=0, help_text="Lines in the newest chunk.")
    log_open_bytes = models.IntegerField(default=0, help_text="UTF-8 bytes of text in the newest chunk.")
    metric_points = models.BigIntegerField(default=0)
    inbox_points = models.BigIntegerField(default=0, help_text="Points not yet folded into chunks.")
    inbox_batches = models.BigIntegerField(default=0)
    folds = models.BigIntegerField(default=0, help_text="Grows with every change of chunks, so that readers notice.")
    metric_first_time = models.BigIntegerField(null=True, help_text="Least time of folded points, ms since 1970 UTC.")
    newest_at = models.DateTimeField(null=True, help_text="When RunMetric was last brought up to date.")
    newest_batch = models.BigIntegerField(default=0, help_text="RunMetric holds all batches up to this id.")
    newest_points = models.BigIntegerField(default=0, help_text="Points of those batches: of metric_points, how many.")
    leftovers_since = models.DateTimeField(
        null=True, help_text="Rows of a removed log or metric history wait since then to be deleted; None: none do."
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["newest_at"],
                name="newest_lagging",
                condition=models.Q(metric_points__gt=models.F("newest_points")),
            ),
            models.Index(
                fields=["leftovers_since"],
                name="telemetry_leftovers",
                condition=models.Q(leftovers_since__isnull=False),
            ),
            models.Index(fields=["-inbox_batches"], condition=models.Q(inbox_batches__gt=0), name="counter_with_inbox"),
        ]

    def __str__(self) -> str:
        return f"telemetry of {self.run_id}"


class LogChunk(models.Model):
    """Up to 1,000 consecutive lines of a run.

    Lines are numbered from 0 without gaps. `first_time` and `last_time` (µs since 1970 UTC) are running maxima
    over the whole run, so they never decrease from chunk to chunk, whatever a node's clock does; every line's own
    time is in `payload`, and `earliest_time` and `latest_time` are the least and greatest of those. A chunk is
    late when it holds a line with a time before `first_time`: a clock stepped back. Time ranges look up late
    chunks beside the running maxima, which say nothing about them.

    `tally` counts the lines of the run up to the end of this chunk, as [attempt, stream, level, lines] for each
    combination that occurs: the lines of any kind between two chunks are a difference, without reading what lies
    between.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="log_chunks", db_index=False)
    first_line = models.BigIntegerField()
    lines = models.IntegerField()
    first_time = models.BigIntegerField()
    last_time = models.BigIntegerField()
    earliest_time = models.BigIntegerField()
    latest_time = models.BigIntegerField()
    is_late = models.BooleanField(default=False)
    tally = models.JSONField(default=list, help_text="[attempt, stream, level, lines so far] of each kind of line.")
    text_bytes = models.IntegerField(help_text="UTF-8 bytes of the lines before packing.")
    payload = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "first_line"], name="log_chunk_place")]
        indexes = [
            models.Index(fields=["run", "last_time", "first_line"], name="log_chunk_time"),
            models.Index(fields=["run", "earliest_time"], name="log_chunk_late", condition=models.Q(is_late=True)),
        ]

    def __str__(self) -> str:
        return f"lines {self.first_line} to {self.first_line + self.lines - 1}"


class MetricBatch(models.Model):
    """The inbox: one row for an ingest call, all its keys as packed columns."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metric_batches")
    attempt_number = models.PositiveIntegerField(default=1)
    points = models.IntegerField()
    may_repeat = models.BooleanField(
        default=False, help_text="A tracking client sent it: points that are stored already do not count again."
    )
    payload = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.points} points"


class MetricChunk(models.Model):
    """About 1,000 points of one key of a run, with the summary that charts are drawn from.

    `minimum`, `maximum` and `total` are over the finite values alone and None where there is none; `finite`
    counts them. Chunks of a key may overlap in step when points came late. The newest chunk of a key and attempt
    is open while it is short: folding takes its points along.

    `outline` holds up to 7 of the points (first, last, least, greatest, first that is not finite, earliest, latest),
    `sketch` up to 23 (those and the extremes of 8 parts), `payload` all: charts read the smallest that shows enough.
    A chunk is loose until a `MetricSection` has it.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metric_chunks", db_index=False)
    key = models.CharField(max_length=250)
    attempt_number = models.PositiveIntegerField(default=1)
    first_step = models.BigIntegerField()
    last_step = models.BigIntegerField()
    first_time = models.BigIntegerField(help_text="ms since 1970 UTC")
    last_time = models.BigIntegerField(help_text="ms since 1970 UTC")
    points = models.IntegerField()
    finite = models.IntegerField()
    minimum = models.FloatField(null=True)
    maximum = models.FloatField(null=True)
    total = models.FloatField(null=True)
    last = models.FloatField(null=True)
    is_open = models.BooleanField(default=False)
    is_loose = models.BooleanField(default=True)
    outline = models.BinaryField()
    sketch = models.BinaryField()
    payload = models.BinaryField()

    class Meta:
        indexes = [
            # No other index begins with run and key: SQLite would take it instead and go through all chunks of the key.
            models.Index(fields=["run", "last_time"], name="metric_chunk_age"),
            models.Index(
                fields=["run", "key", "attempt_number"],
                condition=models.Q(is_loose=True),
                name="metric_chunk_loose",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "key", "attempt_number"], condition=models.Q(is_open=True), name="metric_chunk_one_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.first_step} to {self.last_step}"


class MetricSection(models.Model):
    """What charts of long series read instead of 64 full chunks of one key and attempt, consecutive as they came.

    `chunks` holds the place of each in columns (`runs.telemetry.point_packing.ChunkHead`), `outlines` their outlines
    one after the other, `sketch` up to 103 of these points, `outline` up to 7. Its chunks are never changed again;
    who deletes one deletes the section with all of them.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metric_sections", db_index=False)
    key = models.CharField(max_length=250)
    attempt_number = models.PositiveIntegerField(default=1)
    first_step = models.BigIntegerField()
    last_step = models.BigIntegerField()
    first_time = models.BigIntegerField(help_text="ms since 1970 UTC")
    last_time = models.BigIntegerField(help_text="ms since 1970 UTC")
    points = models.IntegerField()
    outline = models.BinaryField()  # first of the bytes: SQLite reads it without the pages of those that follow
    sketch = models.BinaryField()
    outlines = models.BinaryField()
    chunks = models.BinaryField()

    class Meta:
        indexes = [models.Index(fields=["run", "key", "first_step"], name="metric_section_place")]

    def __str__(self) -> str:
        return f"{self.key} {self.first_step} to {self.last_step}"


class RunMetric(models.Model):
    """The newest value of each metric of a run: what lists show, order by and search.

    Newest is the greatest (attempt, step, time, value); `minimum` and `maximum` are over all finite values.
    `value` is None for NaN and the infinities, which SQL cannot order; `special` then names which.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="newest_metrics", db_index=False)
    key = models.CharField(max_length=250)
    attempt_number = models.PositiveIntegerField(default=1)
    step = models.BigIntegerField()
    time = models.BigIntegerField(help_text="ms since 1970 UTC")
    value = models.FloatField(null=True)
    special = models.CharField(max_length=9, blank=True, default="", help_text="NaN, Infinity, -Infinity or empty.")
    minimum = models.FloatField(null=True)
    maximum = models.FloatField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="newest_metric_once")]
        indexes = [
            models.Index(
                fields=["key", "value", "run"], name="newest_metric_finite", condition=models.Q(value__isnull=False)
            ),
            models.Index(
                fields=["key", "special", "run"], name="newest_metric_special", condition=models.Q(value__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} = {self.value if self.value is not None else self.special}"
