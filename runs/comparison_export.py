"""A comparison as a file: CSV for spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from runs.comparison import Cell, Outcome, Row
from runs.models import Run
from trainhub.api.renderers import api_time, dump_json

# What spreadsheets take for the beginning of a formula (OWASP, CSV Injection), in both widths that they read.
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?Infinity")
_MEASURES = ("final", "step", "min", "max")


def as_csv(runs: Sequence[Run], rows: Sequence[Row]) -> bytes:
    """Return the table as CSV (RFC 4180): a column for each run, facts about the runs first; missing is empty.

    It is UTF-8 with a byte order mark, without which Excel takes it for another encoding; programs that would
    stumble over that have the JSON. Texts that a spreadsheet would calculate begin with an apostrophe.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["group", "name", "measure", *(run.uid for run in runs)])
    described = [_describe_run(run) for run in runs]
    for name in described[0] if described else ():
        writer.writerow(["run", name, "", *(guarded(one[name]) for one in described)])
    for row in rows:
        for measure, values in _measured(row):
            writer.writerow([row.group, guarded(row.name), measure, *map(guarded, values)])
    return file.getvalue().encode("utf-8-sig")


def as_json(runs: Sequence[Run], rows: Sequence[Row], *, differences: bool) -> bytes:
    """Return the table as JSON: values by run id, missing ones left out.

    A newest value that is no number is null and named in `special`, as everywhere in the API.
    """
    content = {
        "runs": [{"id": run.uid, **_describe_run(run)} for run in runs],
        "only_differences": differences,
        "rows": [_row_json([run.uid for run in runs], row) for row in rows],
    }
    return dump_json(content, indent=True)


def guarded(value: Any) -> str:
    """Return a cell's text, numbers in full precision, such that no spreadsheet calculates it."""
    text = plain_text(value)
    is_safe = not isinstance(value, str) or _NUMBER.fullmatch(text) or not _FORMULA.match(text)
    return text if is_safe else f"'{text}"


def plain_text(value: Any) -> str:
    """Return a value as text: texts as they are, the rest as JSON; None, for missing, is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else dump_json(value).decode()  # JSON's whole numbers end at 64 bits


def _describe_run(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "project": run.project.name,
        "status": run.status,
        "simulated": run.is_simulated,
        "created_at": api_time(run.created_at),
        "started_at": api_time(run.started_at),
        "completed_at": api_time(run.completed_at),
    }


def _measured(row: Row) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lines that a row takes in CSV: one, or for a metric one for each measure."""
    if row.is_metric:
        for measure in _MEASURES:
            yield measure, [_outcome(cell).get(measure) for cell in row.cells]
    else:
        yield "", ["null" if cell.value is None else None if cell.is_missing else cell.value for cell in row.cells]


def _outcome(cell: Cell) -> dict[str, Any]:
    if not isinstance(cell.value, Outcome):
        return {}
    one = cell.value
    return {"final": one.special or one.final, "step": one.step, "min": one.minimum, "max": one.maximum}


def _row_json(uids: Sequence[str], row: Row) -> dict[str, Any]:
    cells = [(uid, cell) for uid, cell in zip(uids, row.cells, strict=True) if not cell.is_missing]
    shown: dict[str, Any] = {"group": row.group, "name": row.name, "differs": row.differs}
    if row.better:
        shown |= {"better": row.better, "best": [uid for uid, cell in cells if cell.is_best]}
    return {**shown, "values": {uid: _value_json(cell.value) for uid, cell in cells}}


def _value_json(value: Any) -> Any:
    if not isinstance(value, Outcome):
        return value
    special = {"special": value.special} if value.special else {}
    return {"final": value.final, **special, "step": value.step, "min": value.minimum, "max": value.maximum}
