"""Bodies of the measured calls, made beforehand: what changes from call to call are marks of a fixed width.

The client only puts numbers in place of the marks, so that it takes little of the processor that the server needs.
Steps and times grow from call to call, values differ, and nothing repeats within what a store packs together.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SEQUENCE = "@" * 12  # the batch's number, filled up with spaces
CALL = "#######"  # the call's number from FIRST_CALL on: the leading digits of steps and times
FIRST_CALL = 1_000_000
RUN = "$RUN$"
LINE_CHARACTERS = 96
VARIANTS = 16  # bodies with other values; 1,000 points of a key never hold one of them twice
_EPOCH = "1764000000000000000"  # leading digits of times: ms have 13 digits, µs 16
_KEYS = ("loss", "grad_norm", "learning_rate", "accuracy", "tokens_per_second", "perplexity", "epoch")
_LEVELS = "1111111111111111111111120111111111111113"  # mostly INFO, as a training writes


@dataclass(frozen=True)
class Size:
    """What a call brings: `keys` metrics with `steps` points each, or `steps` lines."""

    keys: int = 1
    steps: int = 1

    @property
    def points(self) -> int:
        """Points or lines of a call."""
        return self.keys * self.steps


def key_name(index: int) -> str:
    """Return the name of a metric."""
    return _KEYS[index] if index < len(_KEYS) else f"train/metric_{index:02d}"


def line_tail(rng: random.Random) -> str:
    """Return what follows the step in a line of a training's log: some numbers of a usual length."""
    kind = rng.random()
    if kind < 0.9:
        return (
            f"loss={rng.uniform(1, 4):.4f} grad_norm={rng.uniform(0, 2):.3f} lr=1.50e-04"
            f" tokens/s={rng.uniform(9e3, 1e5):.0f} gpu={rng.uniform(30, 79):.1f}GiB wait={rng.random():.4f}s"
        )
    if kind < 0.95:
        return f"eval: loss={rng.uniform(1, 4):.4f} perplexity={rng.uniform(2, 50):.3f} in {rng.uniform(5, 60):.2f} s"
    return f"saved shard {rng.randrange(64)} sha256 {rng.randbytes(16).hex()} in {rng.uniform(1, 9):.2f} s"


def line_text(step: str, tail: str) -> str:
    """Return a line of exactly LINE_CHARACTERS."""
    return f"step {step} {tail}"[:LINE_CHARACTERS].ljust(LINE_CHARACTERS, ".")


def _digits(count: int) -> int:
    return len(str(count - 1)) if count > 1 else 0


def _numbers(count: int) -> list[str]:
    """Return the texts of steps: the call's mark and a place within the call."""
    width = _digits(count)
    return [CALL + (f"{place:0{width}d}" if width else "") for place in range(count)]


def _times(count: int, digits: int) -> list[str]:
    """Return the texts of times with so many digits."""
    head = _EPOCH[: digits - len(CALL) - _digits(count)]
    return [head + number for number in _numbers(count)]


def _values(count: int, rng: random.Random) -> list[str]:
    return [repr(rng.gauss(2.0, 0.5)) for _ in range(count)]


def metric_columns(size: Size, rng: random.Random) -> str:
    """A call of POST /node/metrics, columns."""
    steps, times = ",".join(_numbers(size.steps)), ",".join(_times(size.steps, 13))
    keys = (
        f'"{key_name(key)}":{{"step":[{steps}],"time":[{times}],"value":[{",".join(_values(size.steps, rng))}]}}'
        for key in range(size.keys)
    )
    return f'{{"sequence":{SEQUENCE},"metrics":{{{",".join(keys)}}}}}'


def _points(size: Size, rng: random.Random) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, step, time in ms and value of every point."""
    steps, times = _numbers(size.steps), _times(size.steps, 13)
    for key in range(size.keys):
        for point in zip(steps, times, _values(size.steps, rng), strict=True):
            yield key_name(key), *point


def metric_objects(size: Size, rng: random.Random) -> str:
    """A call of POST /node/metrics, objects."""
    points = (
        f'{{"key":"{key}","step":{step},"time":{time},"value":{value}}}'
        for key, step, time, value in _points(size, rng)
    )
    return f'{{"sequence":{SEQUENCE},"metrics":[{",".join(points)}]}}'


def _lines(size: Size, rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Yield time in µs, level and text of every line."""
    numbers, times = _numbers(size.steps), _times(size.steps, 16)
    for place, (number, time) in enumerate(zip(numbers, times, strict=True)):
        yield time, _LEVELS[place % len(_LEVELS)], line_text(number, line_tail(rng))


def log_columns(size: Size, rng: random.Random) -> str:
    """A call of POST /node/logs, columns."""
    times, levels, texts = zip(*_lines(size, rng), strict=True)
    streams = ",".join("0" * size.steps)
    return (
        f'{{"sequence":{SEQUENCE},"lines":{{"time":[{",".join(times)}],"level":[{",".join(levels)}],'
        f'"stream":[{streams}],"text":[{",".join(map(json.dumps, texts))}]}}}}'
    )


def log_objects(size: Size, rng: random.Random) -> str:
    """A call of POST /node/logs, objects."""
    lines = (
        f'{{"time":{time},"level":{level},"stream":0,"text":{json.dumps(text)}}}'
        for time, level, text in _lines(size, rng)
    )
    return f'{{"sequence":{SEQUENCE},"lines":[{",".join(lines)}]}}'


def log_rows(size: Size, rng: random.Random) -> str:
    """A call of POST /node/logs, rows."""
    lines = (f"[{time},{level},0,{json.dumps(text)}]" for time, level, text in _lines(size, rng))
    return f'{{"sequence":{SEQUENCE},"lines":[{",".join(lines)}]}}'


def mlflow_batch(size: Size, rng: random.Random) -> str:
    """A call of MLflow's runs/log-batch."""
    points = (
        f'{{"key":"{key}","step":{step},"timestamp":{time},"value":{value}}}'
        for key, step, time, value in _points(size, rng)
    )
    return f'{{"run_id":"{RUN}","metrics":[{",".join(points)}]}}'


def mlflow_metric(size: Size, rng: random.Random) -> str:
    """A call of MLflow's runs/log-metric: one point."""
    key, step, time, value = next(_points(size, rng))
    return f'{{"run_id":"{RUN}","key":"{key}","step":{step},"timestamp":{time},"value":{value}}}'


def trackio_bulk(size: Size, rng: random.Random) -> str:
    """A call of trackio's bulk_log: an entry for each step, with all keys."""
    columns = [_values(size.steps, rng) for _ in range(size.keys)]
    entries = []
    for step, *values in zip(_numbers(size.steps), *columns, strict=True):
        metrics = ",".join(f'"{key_name(key)}":{value}' for key, value in enumerate(values))
        entries.append(f'{{"project":"bench","run":"{RUN}","run_id":"{RUN}","step":{step},"metrics":{{{metrics}}}}}')
    return f'{{"logs":[{",".join(entries)}],"hf_token":null}}'


SHAPES: dict[str, Callable[[Size, random.Random], str]] = {
    function.__name__: function
    for function in (
        metric_columns,
        metric_objects,
        log_columns,
        log_objects,
        log_rows,
        mlflow_batch,
        mlflow_metric,
        trackio_bulk,
    )
}


def variants(shape: str, size: Size) -> list[str]:
    """Return bodies of one shape with marks in them; the same ones at every call."""
    rng = random.Random(7)
    return [SHAPES[shape](size, rng) for _ in range(VARIANTS)]
