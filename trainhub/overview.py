"""What the home page shows: what runs, what waits and why, what ended since the last visit, what needs somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from artifacts.models import Artifact, ArtifactState
from projects.models import Membership, Project
from projects.querysets import is_staff
from runs.attempts import is_unreachable
from runs.executor_use import ExecutorUse, read_executor_use
from runs.lifecycle import LIVE, Status
from runs.models import Attempt, Run, RunMetric
from runs.newest_values import MEAN, PREFIXES, GpuUse, choose_loss, gpu_use
from runs.parts import asked_of_each
from runs.progress import remaining_seconds
from runs.querysets import RunQuerySet
from runs.sparkline import Sparkline, draw_sparkline
from runs.telemetry.sketches import read_sketches
from runs.tracking.hearing import is_long_silent, last_heard

SHOWN_RUNS = 15  # of each kind; a link leads to the rest
QUEUE_LOOKED_AT = 1000  # places; behind them nobody needs the exact one
NEWS_COUNTED = 500  # runs that ended; more are "500+"
NEWS_WITHOUT_VISIT = timedelta(days=1)
OLDEST_NEWS = timedelta(days=7)


@dataclass(frozen=True)
class RunningRun:
    """A run that trains: how its loss went, when it will be done (None: unknown) and its GPUs (None: unknown).

    `heard_at` is when an external run's client last reported; `is_long_silent` when that is days ago.
    """

    run: Run
    attempt: Attempt | None
    loss: RunMetric | None
    sparkline: Sparkline | None
    remaining_seconds: float | None
    gpu: GpuUse | None
    is_unreachable: bool
    heard_at: datetime | None = None
    is_long_silent: bool = False


@dataclass(frozen=True)
class Group:
    """The first runs of a kind, and how many there are; `is_more` when they were counted so far and not to the end.

    `external` is how many of them a tracking client made, who executes them elsewhere.
    """

    rows: list[Any]
    total: int
    is_more: bool = False
    external: int = 0


@dataclass(frozen=True)
class Needs:
    """What somebody must see to: failed runs, attempts whose node is silent, damaged artifacts."""

    failed: list[Run]
    more_failed: int
    unreachable: list[Attempt]
    damaged: list[Artifact]

    def __bool__(self) -> bool:
        return bool(self.failed or self.unreachable or self.damaged)


@dataclass(frozen=True)
class Overview:
    """All of it. `since` is when news begin, `is_since_visit` whether that was a visit; GPUs are those of the hub."""

    running: Group
    waiting: Group
    ended: Group
    failed_total: int
    needs: Needs
    since: datetime
    is_since_visit: bool
    executors: list[ExecutorUse] = field(default_factory=list)

    @property
    def gpus(self) -> int:
        """GPUs of all executors."""
        return sum(executor.total.gpus for executor in self.executors)

    @property
    def gpus_in_use(self) -> int:
        """GPUs that are given to runs, whoever's they are."""
        return sum(executor.gpus_in_use for executor in self.executors)


def read_overview(*, user: Any, last_visit: datetime | None, now: datetime | None = None) -> Overview:
    """Return what `user` sees. At most 8 queries, however many runs there are.

    News begin at the last visit, but not more than a week ago; on the first visit a day ago.
    """
    moment = now or timezone.now()
    since = max(last_visit or moment - NEWS_WITHOUT_VISIT, moment - OLDEST_NEWS)
    visible = Run.objects.visible_to(user).select_related("project").without_wide_columns()
    going_on = list(_first_of_each_kind(visible))
    live: list[Any] = list(_live_attempts(user))
    ended: list[Any] = list(_newly_ended(visible, user, since))
    failed = [run for run in ended if run.status == Status.FAILED]
    ended_total, failed_total = (ended[0].in_all, ended[0].failed_in_all) if ended else (0, 0)
    return Overview(
        running=_group(_running([run for run in going_on if run.status in LIVE], live, moment), going_on, is_live=True),
        waiting=_group(_with_places([run for run in going_on if run.status not in LIVE]), going_on, is_live=False),
        ended=Group(ended, ended_total, is_more=ended_total >= NEWS_COUNTED),
        failed_total=failed_total,
        needs=Needs(
            failed=failed,
            more_failed=failed_total - len(failed),
            unreachable=[one for one in live if one.is_visible and is_unreachable(one, moment)],
            damaged=list(_damaged(user)),
        ),
        since=since,
        is_since_visit=since == last_visit,
        executors=read_executor_use(live=live, waiting={}),
    )


def _first_of_each_kind(visible: RunQuerySet) -> QuerySet[Run]:
    """Return the runs that train, the newest first, and those that wait, the next first, each with `in_all`."""
    kind = Case(When(status=Status.QUEUED, then=Value(1)), default=Value(0))
    next_first = [
        Case(When(status=Status.QUEUED, then=F("priority")), default=Value(0)).desc(),
        Case(When(status=Status.QUEUED, then=F("queued_at")), default=None).asc(),
        Case(When(status=Status.QUEUED, then=F("id")), default=-F("id")).asc(),
    ]
    return (
        visible.order_by()
        .filter(completed_at=None, status__in=[Status.QUEUED, *sorted(LIVE)])
        .annotate(
            place=Window(RowNumber(), partition_by=[kind], order_by=next_first),
            in_all=Window(Count("id"), partition_by=[kind]),
            external_in_all=Window(Count("id", filter=Q(is_managed=False)), partition_by=[kind]),
            metrics_at=F("telemetry__newest_at"),
        )
        .filter(place__lte=SHOWN_RUNS)
        .order_by("place")
    )


def _newly_ended(visible: RunQuerySet, user: Any, since: datetime) -> QuerySet[Run]:
    """Return the runs that ended last, each with how many of the last NEWS_COUNTED ended and failed."""
    ended = Run.objects.order_by("-completed_at", "-id").not_deleted().not_archived().filter(completed_at__gte=since)
    if not is_staff(user):
        # Not a join: the walk along the index of ends is short, that through all runs of a person's projects is not.
        ended = ended.filter(asked_of_each(Q(project__in=_projects_of(user))))
    return (
        visible.filter(pk__in=ended.values("pk")[:NEWS_COUNTED])
        .with_client_end()
        .annotate(
            in_all=Window(Count("id")),
            failed_in_all=Window(Count("id", filter=Q(status=Status.FAILED))),
        )
        .order_by("-completed_at", "-id")[:SHOWN_RUNS]
    )


def _live_attempts(user: Any) -> QuerySet[Attempt]:
    """Return all attempts that have not ended, for they share the GPUs; `is_visible` tells whose the person sees."""
    own = Exists(Membership.objects.filter(user=user, project=OuterRef("run__project")))
    return (
        Attempt.objects.filter(ended_at=None, run__deleted_at=None)
        .annotate(is_visible=Value(1, output_field=BooleanField()) if is_staff(user) else own)
        .select_related("run", "resume_from")
        .only(
            *("number", "executor", "gpu_count", "engine_state", "started_at", "heartbeat_at", "ended_at", "host"),
            *("run__uid", "run__name", "resume_from__step"),
        )
        .order_by("heartbeat_at")
    )


def _damaged(user: Any) -> QuerySet[Artifact]:
    rows = Artifact.objects.filter(state=ArtifactState.CORRUPT, run__deleted_at=None).order_by("-created_at")
    if not is_staff(user):
        # Not a join, which would go through all artifacts of a person's projects.
        rows = rows.filter(asked_of_each(Q(run__project__in=_projects_of(user))))
    return rows.select_related("run").only("uid", "name", "damaged_file", "created_at", "run__uid", "run__name")[:10]


def _projects_of(user: Any) -> QuerySet[Any, Any]:
    return Project.objects.visible_to(user).order_by().values("pk")


def _group(rows: list[Any], going_on: Sequence[Run], *, is_live: bool) -> Group:
    first: Any = next((run for run in going_on if (run.status in LIVE) is is_live), None)
    return Group(rows, first.in_all, external=first.external_in_all) if first else Group(rows, 0)


def _running(runs: list[Run], live: Sequence[Attempt], now: datetime) -> list[RunningRun]:
    """Return the rows of runs that train; three queries, none without runs."""
    shown = Q(key__contains="loss") | Q(key=MEAN)
    for prefix in PREFIXES:
        shown |= Q(key__startswith=prefix)
    metrics: dict[int, list[RunMetric]] = {run.pk: [] for run in runs}
    for metric in RunMetric.objects.filter(shown, run__in=runs) if runs else ():
        metrics[metric.run_id].append(metric)
    attempts = {attempt.run_id: attempt for attempt in live}
    reported: dict[int, datetime | None] = {run.pk: run.metrics_at for run in runs}  # type: ignore[attr-defined]
    losses = {run.pk: choose_loss(metrics[run.pk]) for run in runs}
    sketches = read_sketches({run_id: loss.key for run_id, loss in losses.items() if loss is not None})
    return [
        RunningRun(
            run=run,
            attempt=attempts.get(run.pk),
            loss=losses[run.pk],
            sparkline=draw_sparkline(sketches[run.pk]) if run.pk in sketches else None,
            remaining_seconds=remaining_seconds(run, attempt=attempts.get(run.pk), metrics=metrics[run.pk], now=now),
            gpu=gpu_use(metrics[run.pk]),
            is_unreachable=is_unreachable(attempts.get(run.pk), now),
            heard_at=None if run.is_managed else last_heard(run, reported[run.pk]),
            is_long_silent=is_long_silent(run, reported[run.pk], now),
        )
        for run in runs
    ]


def _with_places(runs: list[Run]) -> list[Run]:
    """Give waiting runs their place among all that wait for the same executor; a query, none without runs."""
    places: dict[int, int] = {}
    ahead: dict[str, int] = {}
    if runs:
        queue = Run.objects.not_deleted().waiting().values_list("pk", "executor")
        for run_id, executor in queue[:QUEUE_LOOKED_AT]:
            places[run_id] = ahead[executor] = ahead.get(executor, 0) + 1
    for run in runs:
        run.place_in_queue = places.get(run.pk)  # type: ignore[attr-defined]
    return runs
