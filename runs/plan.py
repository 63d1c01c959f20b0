"""What would happen if a run were launched now: told before anything is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from runs.defaults import Entry
from runs.models import Run
from runs.recipes import PARAMETER_GROUPS, with_defaults
from runs.registry import executors
from runs.run_form import RunForm
from runs.scheduler.room import Room, Space, current_space

MAX_AHEAD = 200  # waiting runs looked at: as many as the scheduler looks at in one go


@dataclass(frozen=True)
class ExpectedCheckpoints:
    """The steps at which a run saves: every `interval` up to `last_step`, and there in any case."""

    interval: int
    first_step: int
    last_step: int
    count: int


@dataclass(frozen=True)
class Free:
    """What an executor has, and what of it is free now, before the runs that wait."""

    slots: int
    free_slots: int
    gpus: int
    free_gpus: int
    has_queue: bool = False

    @classmethod
    def of(cls, room: Room) -> Free:
        """Return what is free in a room."""
        free_slots = max(0, room.total.slots - room.used_slots)
        return cls(
            room.total.slots,
            free_slots,
            room.total.gpus,
            max(0, room.total.gpus - room.used_gpus),
            room.total.has_queue,
        )


@dataclass(frozen=True)
class Plan:
    """What is known of a run before it is launched.

    `waits` is why it would not start at once, in the scheduler's words, "" when it would; `ahead` is how many runs wait
    before it on its executor. `reserves` tells whether the GPUs asked for are reserved. `ends_before` is the step of
    the checkpoint to continue from when the run would have nothing left to do. `chosen` has title and value of what the
    executor lets people choose.
    """

    run: Run
    waits: str
    ahead: int
    free: Free | None
    nodes: int
    gpus_per_node: int
    reserves: bool
    checkpoints: ExpectedCheckpoints | None
    ends_before: int | None
    chosen: list[tuple[str, str]]
    config: dict[str, list[Entry]]


def make_plan(*, run: Run, form: RunForm) -> Plan:
    """Return what would happen to a prepared run that is not stored. Three queries; each executor is asked once."""
    space = current_space()
    free = Free.of(space.rooms[run.executor]) if run.executor in space.rooms else None
    before = Run.objects.waiting().with_needs().filter(priority__gte=run.priority)
    ahead = list(before.filter(Q(executor=run.executor) | Q(project=run.project))[:MAX_AHEAD])
    start_step = run.resumed_from.step if run.resumed_from is not None else None
    last_step = declared_steps(run)
    nothing_left = start_step is not None and last_step is not None and start_step >= last_step
    return Plan(
        run=run,
        waits=foretell_wait(run, ahead, space),
        ahead=sum(earlier.executor == run.executor for earlier in ahead),
        free=free,
        nodes=int(run.compute.get("node_count", 1)),
        gpus_per_node=int(run.compute.get("gpus_per_node", 0)),
        reserves=bool(run.recipe_snapshot.get("reserves_compute", True)),
        checkpoints=None if nothing_left else expected_checkpoints(run, after=start_step or 0),
        ends_before=start_step if nothing_left else None,
        chosen=_chosen(run),
        config=form.defaults.config(form.given()),
    )


def _chosen(run: Run) -> list[tuple[str, str]]:
    """Return title and value of what the run chooses on its executor, or gets without choosing."""
    executor = executors().get(run.executor)
    choices = executor.choices(run.recipe) if executor else ()
    chosen = [(choice.title, run.compute.get(choice.name) or choice.default) for choice in choices]
    return [(title, value) for title, value in chosen if value]


def foretell_wait(run: Run, ahead: list[Run], space: Space) -> str:
    """Return why `run` would wait behind the runs `ahead`, in their order; "" when it would start at once."""
    for earlier in ahead:
        if not space.why_not(earlier):
            space.take(earlier)
    return space.why_not(run)


def expected_checkpoints(run: Run, *, after: int) -> ExpectedCheckpoints | None:
    """Return the steps at which `run` saves after step `after`; None when its recipe does not declare them."""
    last_step = declared_steps(run)
    names = run.recipe_snapshot.get("checkpoints", {}).get("interval", [])
    config = _config(run)
    intervals = [_whole(config.get(name)) for name in ([names] if isinstance(names, str) else names)]
    interval = next(filter(None, intervals), None)
    if interval is None or last_step is None:
        return None
    count = last_step // interval - after // interval + (last_step % interval > 0)
    first_step = min(last_step, (after // interval + 1) * interval)
    return ExpectedCheckpoints(interval, first_step, last_step, max(0, count))


def declared_steps(run: Run) -> int | None:
    """Return the step at which `run` ends; None when its recipe does not declare which parameter says so."""
    return _whole(_config(run).get(run.recipe_snapshot.get("checkpoints", {}).get("steps", "")))


def _config(run: Run) -> dict[str, Any]:
    """Return all parameters by name, of both groups; those of the model count first."""
    groups = [with_defaults(run.recipe_snapshot.get(group, {}), getattr(run, group)) for group in PARAMETER_GROUPS]
    return {name: value for values in reversed(groups) for name, value in values.items()}


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
