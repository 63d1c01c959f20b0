"""What the store must answer, from plain lists."""

import math
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from unittest import mock

import pytest

from runner.protocol import LEVELS, STREAMS
from runs.telemetry.append import append_metrics
from runs.telemetry.fold import fold_run
from runs.telemetry.log_blocks import LogLine
from tests.runs.telemetry.builders import append_lines, new_attempt, new_checkpoint, new_run
from trainhub.errors import SequenceGap


class Crash(Exception):
    """Stands for a process that dies."""


@contextmanager
def small_chunks(*, lines=4, text_bytes=40, points=5, unpacked_per_point=20, in_list=2, chunks=2, parts=2):
    """Let a few lines and points fill many chunks, and pages of rows be short."""
    with (
        mock.patch("runs.telemetry.log_chunks.MAX_CHUNK_LINES", lines),
        mock.patch("runs.telemetry.log_chunks.MAX_CHUNK_TEXT_BYTES", text_bytes),
        mock.patch("runs.telemetry.log_marks._FEWEST_AT_ONCE", 1),
        mock.patch("runs.telemetry.log_marks._MOST_AT_ONCE", 3),
        mock.patch("runs.telemetry.log_blocks.PAYLOADS_AT_ONCE", 2),
        mock.patch("runs.telemetry.log_pages.PAYLOADS_AT_ONCE", 2),
        mock.patch("runs.telemetry.newest._SLICE", in_list),
        mock.patch("runs.telemetry.fold._STEP_BATCHES", 3),
        mock.patch("runs.telemetry.chunks.CHUNK_POINTS", points),
        mock.patch("runs.telemetry.series_plan.CHUNK_POINTS", points),
        mock.patch("runs.telemetry.series_plan._UNPACKED_PER_POINT", unpacked_per_point),
        mock.patch("runs.telemetry.sections.SECTION_CHUNKS", chunks),
        mock.patch("runs.telemetry.sections.SECTION_PARTS", parts),
        mock.patch("runs.telemetry.series_plan.SECTION_PARTS", parts),
        mock.patch("runs.telemetry.assembly.SECTION_PARTS", parts),
    ):
        yield


@dataclass
class LogModel:
    """A run's log, in the store and as a list."""

    run: object = field(default_factory=new_run)
    lines: list = field(default_factory=list)
    sequence: int = 0

    def __post_init__(self):
        self.attempt = new_attempt(self.run)

    def append(self, batch):
        self.sequence += 1
        assert append_lines(attempt=self.attempt, sequence=self.sequence, lines=batch) == self.sequence
        self.lines += [
            LogLine(len(self.lines) + place, time, LEVELS[level], STREAMS[stream], self.attempt.number, text)
            for place, (time, level, stream, text) in enumerate(batch)
        ]

    def repeat(self, batch):
        """An old number again, whatever it carries."""
        assert append_lines(attempt=self.attempt, sequence=self.sequence, lines=batch) == self.sequence

    def skip(self, batch):
        with pytest.raises(SequenceGap) as caught:
            append_lines(attempt=self.attempt, sequence=self.sequence + 2, lines=batch)
        assert caught.value.extra == {"expected": self.sequence + 1}

    def crash(self, batch):
        with (
            mock.patch("runs.telemetry.log_chunks._COUNT_LINES.execute", side_effect=Crash),
            pytest.raises(Crash),
        ):
            append_lines(attempt=self.attempt, sequence=self.sequence + 1, lines=[*batch, (0, 0, 0, "lost")])

    def restart(self, _batch):
        self.attempt = new_attempt(self.run, number=self.attempt.number + 1)
        self.sequence = 0

    def matching(self, *, start_us, end_us, levels, streams, attempt, contains):
        return [
            line
            for line in self.lines
            if (start_us is None or line.time_us >= start_us)
            and (end_us is None or line.time_us < end_us)
            and (levels is None or line.level in levels)
            and (streams is None or line.stream in streams)
            and (attempt is None or line.attempt == attempt)
            and (not contains or contains.lower() in line.message.lower())
        ]


@dataclass(frozen=True)
class Point:
    key: str
    step: int
    time: int
    value: float
    attempt: int
    generation: int = 0

    @property
    def text(self):
        """Something that is equal for equal NaNs."""
        return self.key, self.step, self.time, repr(self.value), self.attempt

    @property
    def place(self):
        return self.generation, self.attempt


ORDERS = {
    "step": lambda point: (point.step, point.place, point.time),
    "time": lambda point: (point.time, point.place, point.step),
    "relative": lambda point: (point.time, point.place, point.step),
}


@dataclass
class MetricModel:
    """The metrics of a run and of those that it was resumed from, in the store and as a list in the order they came."""

    run: object = field(default_factory=new_run)
    points: list = field(default_factory=list)
    sequence: int = 0
    restored: dict = field(default_factory=dict)
    generation: int = 0

    def __post_init__(self):
        self.attempt = new_attempt(self.run)

    def append(self, batch):
        self.sequence += 1
        arguments = {"attempt": self.attempt, "sequence": self.sequence, "columns": as_columns(batch)}
        assert append_metrics(**arguments) == self.sequence
        self.points += [Point(*point, self.attempt.number, self.generation) for point in batch]

    def repeat(self, batch):
        arguments = {"attempt": self.attempt, "sequence": self.sequence, "columns": as_columns(batch)}
        assert append_metrics(**arguments) == self.sequence

    def crash(self, batch):
        columns = as_columns([*batch, ("lost", 0, 0, 0.0)])
        with (
            mock.patch("runs.telemetry.append._INSERT_BATCH.execute", side_effect=Crash),
            pytest.raises(Crash),
        ):
            append_metrics(attempt=self.attempt, sequence=self.sequence + 1, columns=columns)

    def fold(self, _batch):
        fold_run(run_id=self.run.pk)

    def fold_everything(self, _batch):
        fold_run(run_id=self.run.pk, everything=True)

    def crash_in_fold(self, _batch):
        with mock.patch("runs.telemetry.fold.MetricChunk.objects.bulk_create", side_effect=Crash), suppress(Crash):
            fold_run(run_id=self.run.pk)  # no crash where the inbox is empty

    def crash_in_section(self, _batch):
        with mock.patch("runs.telemetry.sections.MetricSection.save", side_effect=Crash), suppress(Crash):
            fold_run(run_id=self.run.pk)  # no crash where there are too few chunks

    def restart(self, batch):
        """From the step of the first point, or from the beginning."""
        checkpoint = new_checkpoint(self.run, batch[0][1]) if batch else None
        self._begin(self.run, self.attempt.number + 1, checkpoint, -math.inf)

    def resume(self, batch):
        """In a new run, from the step of the first point, or from a checkpoint of unknown step."""
        checkpoint = new_checkpoint(self.run, batch[0][1] if batch else None, attempt=self.attempt)
        self.generation += 1
        self._begin(new_run(self.run.project, resumed_from=checkpoint), 1, checkpoint, math.inf)

    def _begin(self, run, number, checkpoint, otherwise):
        self.run, self.sequence = run, 0
        self.attempt = new_attempt(run, number=number, resume_from=checkpoint)
        step = None if checkpoint is None else checkpoint.step
        self.restored[self.generation, number] = otherwise if step is None else step

    def is_hidden(self, point):
        return any(place > point.place and point.step > step for place, step in self.restored.items())

    def story(self, *, stitched=False):
        return [point for point in self.points if stitched or point.generation == self.generation]

    def visible(
        self, key, *, hidden, steps=(-math.inf, math.inf), times=(-math.inf, math.inf), axis="step", stitched=False
    ):
        inside = [
            point
            for point in self.story(stitched=stitched)
            if point.key == key
            and steps[0] <= point.step <= steps[1]
            and times[0] <= point.time <= times[1]
            and (hidden or not self.is_hidden(point))
        ]
        return sorted(inside, key=ORDERS[axis])

    def newest(self, key):
        return max(
            (point for point in self.story() if point.key == key),
            key=lambda point: (
                point.attempt,
                point.step,
                point.time,
                -math.inf if math.isnan(point.value) else point.value,
                not math.isnan(point.value),
            ),
        )


def as_columns(batch):
    columns = {}
    for key, step, time, value in batch:
        column = columns.setdefault(key, {"step": [], "time": [], "value": []})
        column["step"].append(step)
        column["time"].append(time)
        column["value"].append(value)
    return columns


def points_of(key, series):
    """The points of a series as the model writes them."""
    rows = zip(series.step, series.time, series.value, series.attempt, strict=True)
    return [Point(key, step, time, value, attempt).text for step, time, value, attempt in rows]
