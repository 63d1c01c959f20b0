"""What clients are shown of runs, projects and models, as expressions of the database; `objects` says it in Python."""

from __future__ import annotations

import math
from typing import Any

from django.db.models import (
    BigIntegerField,
    BooleanField,
    Case,
    CharField,
    F,
    FloatField,
    Func,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat, Floor, Replace

from mlflow_api.objects import ARTIFACT_SCHEME, PARAMETER_RANKS, STATUSES
from runs.lifecycle import TERMINAL
from runs.models import RunParameter

MAX_FLOAT = 1.7976931348623157e308
SPECIAL = {"NaN": math.nan, "Infinity": MAX_FLOAT, "-Infinity": -MAX_FLOAT}  # what each is compared as


class Milliseconds(Func):
    """A time in whole ms since 1970 UTC, None for none."""

    output_field = BigIntegerField()
    template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) * 1000)::bigint"
    # SQLite keeps times as text: 2026-01-31 18:00:00.123456, without a fraction when it is 0; strftime rounds them.
    _SQLITE = (
        "(CAST(strftime('%%%%s', SUBSTR(%(expressions)s, 1, 19)) AS INTEGER) * 1000"
        " + CAST(SUBSTR(%(expressions)s || '.000', 21, 3) AS INTEGER))"
    )

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the SQL for SQLite."""
        return self.as_sql(compiler, connection, template=self._SQLITE, **extra)


class Like(Func):
    """`text LIKE pattern`, exact in case: `%` stands for any characters, `_` for one, everything else for itself."""

    output_field = BooleanField()
    template = "%(expressions)s"
    arg_joiner = " LIKE "
    _GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})

    def __init__(self, text: Combinable, pattern: str, **extra: Any) -> None:
        super().__init__(text, Value(pattern.replace("\\", "\\\\"), TextField()), **extra)
        self.pattern = pattern

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the SQL for SQLite, whose LIKE is the same in any case and whose GLOB is not."""
        return self._sqlite(self.pattern.translate(self._GLOB), " GLOB ", compiler, connection, **extra)

    def _sqlite(self, pattern: str, operator: str, compiler: Any, connection: Any, **extra: Any) -> Any:
        clone = self.copy()
        clone.set_source_expressions([self.get_source_expressions()[0], Value(pattern, TextField())])
        return clone.as_sql(compiler, connection, arg_joiner=operator, **extra)


class ILike(Like):
    """As Like, in any case; on SQLite of ASCII letters alone."""

    arg_joiner = " ILIKE "

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the SQL for SQLite, whose LIKE knows no escapes."""
        return self._sqlite(self.pattern, " LIKE ", compiler, connection, **extra)


# --- Runs -----------------------------------------------------------------------------------------
# A managed run starts and ends when its scheduler says so, an external one when its client does.
MANAGED_START = Coalesce("started_at", "created_at")
START_TIME = Case(
    When(is_managed=True, then=Milliseconds(MANAGED_START)),
    default=Coalesce("tracking__start_time", Value(0)),
    output_field=BigIntegerField(),
)
END_TIME = Case(
    When(is_managed=True, then=Milliseconds("completed_at")),
    default=Coalesce("tracking__end_time", Milliseconds("completed_at")),
    output_field=BigIntegerField(),
)
USER_ID = Coalesce("tracking__user_id", Value(""), output_field=TextField())
ARTIFACT_URI = Concat(
    Value(ARTIFACT_SCHEME), "project__uid", Value("/"), "uid", Value("/artifacts"), output_field=TextField()
)
STATUS = Case(
    When(
        Q(tracking__isnull=False) & ~(Q(is_managed=True) & Q(status__in=sorted(TERMINAL))),
        then=F("tracking__client_status"),
    ),
    *(When(status=status, then=Value(word)) for status, word in STATUSES.items()),
    default=Value(""),
    output_field=CharField(),
)
RUN_ATTRIBUTES: dict[str, Combinable] = {
    "run_id": F("uid"),
    "run_name": F("name"),
    "status": STATUS,
    "artifact_uri": ARTIFACT_URI,
    "user_id": USER_ID,
    "start_time": START_TIME,
    "end_time": END_TIME,
}

# A number given at the launch as `mlflow_api.objects.parameter_text` writes it, but on SQLite with at most 15 digits.
_NUMBER_TEXT = Case(
    When(
        Q(number__gt=-1e15, number__lt=1e15, number=Floor("number")),
        then=Cast(Cast("number", BigIntegerField()), TextField()),
    ),
    default=Replace(Cast("number", TextField()), Value(".0e"), Value("e")),
    output_field=TextField(),
)
PARAMETER_TEXT = Coalesce("value", "text", _NUMBER_TEXT, output_field=TextField())


def shown_parameter(run: Any, name: str) -> QuerySet[RunParameter]:
    """Return the parameter of that name that a run is shown with, of several the first by PARAMETER_RANKS."""
    rank = Case(*(When(group=group, then=Value(rank)) for group, rank in PARAMETER_RANKS.items()))
    return RunParameter.objects.filter(run=run, name=name, group__in=PARAMETER_RANKS).order_by(rank)[:1]


def shown_metric(prefix: str = "") -> Case:
    """Return the number that a newest value is compared and ordered as; None for NaN and for none at all."""
    return Case(
        When(**{f"{prefix}value__isnull": False}, then=F(f"{prefix}value")),
        When(**{f"{prefix}special": "Infinity"}, then=Value(MAX_FLOAT)),
        When(**{f"{prefix}special": "-Infinity"}, then=Value(-MAX_FLOAT)),
        output_field=FloatField(),
    )


# --- Projects -------------------------------------------------------------------------------------
PROJECT_ATTRIBUTES: dict[str, Combinable] = {
    "name": F("name"),
    "experiment_id": F("uid"),
    "creation_time": Milliseconds("created_at"),
    "last_update_time": Milliseconds("updated_at"),
}


# --- Registered models, their versions, logged models ---------------------------------------------
_TIMESTAMPS: dict[str, F | Func] = {
    "creation_timestamp": Milliseconds("created_at"),
    "last_updated_timestamp": Milliseconds("updated_at"),
}
MODEL_ATTRIBUTES: dict[str, F | Func] = {"name": F("name"), **_TIMESTAMPS}
VERSION_ATTRIBUTES: dict[str, F | Func] = {
    "name": F("model__name"),
    "run_id": F("run__uid"),
    "source_path": F("source"),
    "version_number": F("number"),
    **_TIMESTAMPS,
}
LOGGED_MODEL_ATTRIBUTES: dict[str, F | Func] = {
    "name": F("name"),
    "model_id": F("uid"),
    "model_type": F("model_type"),
    "status": F("readiness"),
    "source_run_id": F("run__uid"),
    **_TIMESTAMPS,
}
