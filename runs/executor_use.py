"""What each executor has, what of it is in use, who waits for it, and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Count

from runs.executors.base import Capacity, Choice, Executor, ExecutorError
from runs.models import Attempt, Run
from runs.registry import default_executor, executors
from runs.scheduler.room import live_attempts


@dataclass(frozen=True)
class ExecutorUse:
    """An executor now.

    `slots_in_use` and `gpus_in_use` are held by live attempts, whosever they are; what waits in an engine's own queue
    holds no GPU yet. `starting` of these attempts have not begun to train, and `engine_states` counts them all by the
    engine's own word for their jobs. `waiting` runs are queued in the hub. `choices` are what a run may choose, and
    `max_time_limit_minutes` bounds its time; None: nothing does.
    """

    name: str
    kind: str
    is_default: bool
    total: Capacity
    slots_in_use: int
    gpus_in_use: int
    starting: int
    waiting: int
    problems: list[str]
    choices: tuple[Choice, ...] = ()
    max_time_limit_minutes: int | None = None
    engine_states: Mapping[str, int] = field(default_factory=dict)

    @property
    def free_slots(self) -> int:
        """Attempts that it would take now."""
        return max(0, self.total.slots - self.slots_in_use)

    @property
    def free_gpus(self) -> int:
        """GPUs that nobody holds."""
        return max(0, self.total.gpus - self.gpus_in_use)


def read_executor_use(
    *, live: Sequence[Attempt] | None = None, waiting: Mapping[str, int] | None = None, recipe: str = ""
) -> list[ExecutorUse]:
    """Return all executors in the order of their declaration; choices are those for runs of `recipe`.

    A query each for the live attempts and the numbers of waiting runs by executor, unless the caller has them; each
    executor is asked once.
    """
    of_executor: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in live_attempts() if live is None else live:
        of_executor[attempt.executor].append(attempt)
    queued = count_waiting() if waiting is None else waiting
    default = default_executor()
    return [
        _use_of(executor, of_executor[name], recipe, is_default=name == default, waiting=queued.get(name, 0))
        for name, executor in executors().items()
    ]


def count_waiting() -> dict[str, int]:
    """Return how many runs wait for each executor that some wait for. One query."""
    return dict(Run.objects.waiting().order_by().values_list("executor").annotate(Count("pk")))


def _use_of(executor: Executor, live: Sequence[Attempt], recipe: str, *, is_default: bool, waiting: int) -> ExecutorUse:
    try:
        total, problems = executor.capacity(), executor.problems()
    except ExecutorError as error:
        total, problems = Capacity(slots=0, gpus=0), [f"The executor cannot be asked: {error}."]
    return ExecutorUse(
        name=executor.name,
        kind=executor.kind,
        is_default=is_default,
        total=total,
        slots_in_use=len(live),
        gpus_in_use=sum(attempt.gpu_count for attempt in live if attempt.started_at or not total.has_queue),
        starting=sum(attempt.started_at is None for attempt in live),
        waiting=waiting,
        problems=problems,
        choices=executor.choices(recipe),
        max_time_limit_minutes=executor.max_time_limit_minutes(recipe),
        engine_states=dict(Counter(attempt.engine_state for attempt in live if attempt.engine_state)),
    )
