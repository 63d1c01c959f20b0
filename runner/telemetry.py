"""Log lines and metric points on their way to the spool: collected in memory, written in batches."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from runner.durable import printable
from runner.lines import CUT_MARK, WARNING, MetricLine
from runner.protocol import MAX_BATCH_POINTS, MAX_LINE_CHARACTERS, STREAMS, JsonFloat, MetricColumns
from runner.spool import Spool

TRAINHUB: Final = STREAMS.index("trainhub")
BATCH_LINES: Final = 1_000  # a batch is written when it has so many lines
BATCH_BYTES: Final = 256 * 1024  # or about so much text
FULL_POINTS: Final = 2_000  # a batch is written when it has so many; one line may bring MAX_BATCH_POINTS more
QUICK_FLUSH_SECONDS: Final = 0.2  # while the trainer is young, so that its first lines show at once
QUICK_UNTIL_SECONDS: Final = 10.0
FLUSH_SECONDS: Final = 1.0  # a killed runner loses at most this much
POINT_BYTES: Final = 60  # of one point in a body, roughly

Line = tuple[int, int, int, str]


class Telemetry:
    """The two streams of one attempt. `add_…` may be called from any thread."""

    def __init__(self, logs: Spool, metrics: Spool, max_steps: float | None = None) -> None:
        """`max_steps`: what the run's settings give, to tell progress from steps."""
        self.logs, self.metrics = logs, metrics
        self.progress: float | None = None
        self.reports_gpu_utilization = False
        self._max_steps = max_steps
        self._knows_progress = False
        self._filling, self._writing = threading.Lock(), threading.Lock()
        self._lines: list[Line] = []
        self._line_bytes = 0
        self._points: dict[str, MetricColumns] = {}
        self._point_count = 0
        self._lost_lines = self._lost_points = 0
        self._started = time.monotonic()
        self._closing = threading.Event()

    def run(self) -> None:
        """Write what was collected at least every second, until `close_logs`."""
        while not self._closing.wait(self._flush_seconds()):
            self.flush()

    def _flush_seconds(self) -> float:
        is_young = time.monotonic() - self._started < QUICK_UNTIL_SECONDS
        return QUICK_FLUSH_SECONDS if is_young else FLUSH_SECONDS

    def trainer_started(self) -> None:
        """Flush quickly from now on for a while."""
        self._started = time.monotonic()

    def add_line(self, time_us: int, level: int, stream: int, text: str) -> None:
        """Collect one log line. Writes when a batch is full."""
        with self._filling:
            self._lines.append((time_us, level, stream, text))
            self._line_bytes += len(text)
            is_full = len(self._lines) >= BATCH_LINES or self._line_bytes >= BATCH_BYTES
        if is_full and stream != TRAINHUB:
            self.flush()

    def remark(self, level: int, text: str) -> None:
        """Add a line of the runner's own. Never waits for the disk."""
        text = printable(text)
        if len(text) > MAX_LINE_CHARACTERS:
            text = text[: MAX_LINE_CHARACTERS - len(CUT_MARK)] + CUT_MARK
        with self._filling:
            self._lines.append((time.time_ns() // 1000, level, TRAINHUB, text))

    def lines_left_out(self, count: int) -> None:
        """Count lines that were thrown away; a later remark tells how many."""
        with self._filling:
            self._lost_lines += count

    def add_metric_line(self, time_us: int, line: MetricLine) -> None:
        """Collect what a trainer's metric line says, and the progress in it."""
        if line.progress is not None:
            self.progress, self._knows_progress = line.progress, True
        elif self._max_steps and not self._knows_progress:
            self.progress = min(max(line.step / self._max_steps, 0.0), 1.0)
        if "gpu_utilization" in line.values:
            self.reports_gpu_utilization = True
        self.add_points(line.step, time_us // 1000, line.values)

    def add_sample(self, step: int, values: dict[str, float]) -> None:
        """Collect what is used just now; a trainer that reports its GPUs' use itself is believed instead."""
        if self.reports_gpu_utilization:
            values = {key: value for key, value in values.items() if key != "gpu_utilization"}
        self.add_points(step, time.time_ns() // 1_000_000, values)

    def add_points(self, step: int, time_ms: int, values: dict[str, float]) -> None:
        """Collect one value for each key, at most MAX_BATCH_POINTS. Writes when a batch is full."""
        while not self._takes_points(step, time_ms, values):
            self.flush()
        if self._point_count >= FULL_POINTS:
            self.flush()

    def _takes_points(self, step: int, time_ms: int, values: dict[str, float]) -> bool:
        """Collect the values, unless the hub would refuse the batch for their number, with all that wait in it."""
        with self._filling:
            if self._point_count and self._point_count + len(values) > MAX_BATCH_POINTS:
                return False
            for key, value in values.items():
                columns = self._points.setdefault(key, {"step": [], "time": [], "value": []})
                columns["step"].append(step)
                columns["time"].append(time_ms)
                columns["value"].append(_json_float(value))
            self._point_count += len(values)
        return True

    def flush(self) -> None:
        """Write everything collected so far to the spool."""
        with self._writing:
            self._flush_lines()
            self._flush_points()

    def close_metrics(self) -> None:
        """Write the rest of the points; none may be added afterwards."""
        self.flush()
        self.metrics.close()

    def close_logs(self) -> None:
        """Write the rest of the lines; none may be added afterwards."""
        self._closing.set()
        self.flush()
        self.logs.close()

    def _flush_lines(self) -> None:
        with self._filling:
            lines, self._lines, self._line_bytes = self._lines, [], 0
            lost, self._lost_lines = self._lost_lines, 0
        kept = [*lines, *_tell_losses(lost)]
        if kept and not self.logs.append(lambda sequence: log_body(sequence, kept)):
            self.lines_left_out(lost + len(lines))

    def _flush_points(self) -> None:
        with self._filling:
            points, self._points = self._points, {}
            count, self._point_count = self._point_count, 0
        if points and not self.metrics.append(lambda sequence: metric_body(sequence, points)):
            self._lost_points += count
        elif points and self._lost_points:
            self.remark(WARNING, f"{self._lost_points} metric points were left out: no room to keep them.")
            self._lost_points = 0


def _tell_losses(count: int) -> Iterable[Line]:
    if count:
        text = f"{count} lines were left out here: they came faster than they could be kept, or the disk was full."
        yield (time.time_ns() // 1000, WARNING, TRAINHUB, text)


def _json_float(value: float) -> JsonFloat:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def log_body(sequence: int, lines: list[Line]) -> bytes:
    """Return the body of a log call."""
    columns = zip(*lines, strict=True) if lines else ([], [], [], [])
    return _encode(
        {"sequence": sequence, "lines": dict(zip(("time", "level", "stream", "text"), columns, strict=True))}
    )


def metric_body(sequence: int, metrics: dict[str, MetricColumns]) -> bytes:
    """Return the body of a metric call."""
    return _encode({"sequence": sequence, "metrics": metrics})


def remark_body(sequence: int, level: int, text: str) -> bytes:
    """Return the body of a log call with a single line of the runner's own."""
    return log_body(sequence, [(time.time_ns() // 1000, level, TRAINHUB, printable(text)[:MAX_LINE_CHARACTERS])])


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
