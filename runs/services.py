"""What people do to runs: create, cancel, restart."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction

from projects.models import Project
from projects.services import activate_project
from runs.deletion import lock_kept
from runs.lifecycle import Reason, Status, transition
from runs.models import Run, RunParameter, TelemetryCounter
from runs.parameters import effective
from runs.placement import checked_compute, choose_executor, without_choices
from runs.recipes import Recipe, check_nodes, check_values, known_to
from runs.registry import recipe_to_run
from runs.tracking.external import end_external
from trainhub.errors import Conflict, InvalidInput, StatusChanged

if TYPE_CHECKING:
    from artifacts.models import Artifact

# Fields that a run takes over from the one it repeats or resumes, unless they are given anew.
INHERITED = (
    "description",
    "recipe",
    "dataset",
    "model_parameters",
    "hyperparameters",
    "compute",
    "executor",
    "priority",
    "max_restarts",
)


def create_run(*, project: Project, by: Any, values: dict[str, Any], resumed_from: Artifact | None = None) -> Run:
    """Define a run and queue it; the scheduler starts it. Raises as `prepare_run` and `queue_run` do."""
    return queue_run(run=prepare_run(project=project, values=values, resumed_from=resumed_from), by=by)


def prepare_run(*, project: Project, values: dict[str, Any], resumed_from: Artifact | None = None) -> Run:
    """Return a run that is checked and not stored yet. Reads the recipe from disk, so call it outside a transaction.

    `values` holds the fields of the API's request, checked for shape by the caller. Missing ones come from the
    project (recipe, executor, hyperparameters) and the recipe (dataset, restarts).

    Raises: InvalidInput when there is no such recipe or executor, the recipe is not set up or cannot be read, its
    schema refuses a parameter, or the executor does not suit it or does not allow what `compute` chooses.
    """
    recipe = recipe_to_run(values.get("recipe") or project.default_recipe or settings.DEFAULT_RECIPE)
    if not recipe.is_set_up:
        raise InvalidInput({"recipe": [f"{recipe.name} is not set up yet: run {recipe.setup} on the hub's machine."]})
    parameters = _parameters(project, recipe, values)
    check_values(recipe, **parameters)
    check_nodes(recipe, values.get("compute") or {})
    executor = choose_executor(name=values.get("executor") or "", project=project, recipe=recipe)
    compute = checked_compute(compute=values.get("compute") or {}, executor=executor, recipe=recipe)
    return Run(
        project=project,
        name=values["name"],
        description=values.get("description", ""),
        recipe=recipe.name,
        recipe_snapshot=recipe.snapshot(),
        recipe_digest=recipe.digest,
        dataset=values.get("dataset") or recipe.default_dataset,
        compute=compute,
        executor=executor.name,
        is_simulated=recipe.simulated,
        priority=values.get("priority", 0),
        max_restarts=values.get("max_restarts", recipe.max_restarts),
        resumed_from=resumed_from,
        **parameters,
    )


@transaction.atomic
def queue_run(*, run: Run, by: Any) -> Run:
    """Store a prepared run and queue it. Rows: the run, its parameters for lists, its counter, its first event.

    Raises: Conflict (archived, or the checkpoint to resume from was removed by rule, found damaged or overwritten
    meanwhile), NotFound when the run to resume from was deleted meanwhile.
    """
    activate_project(project=run.project)
    if run.resumed_from is not None:
        lock_kept(run.resumed_from.run_id)
        run.resumed_from.refresh_from_db(fields=["state"])
        _check_whole(run.resumed_from)
    run.created_by = by
    run.save(force_insert=True)
    RunParameter.objects.bulk_create(parameter_rows(run))
    TelemetryCounter.objects.create(run=run)
    source = run.resumed_from
    run.events.create(
        at=run.created_at,
        kind="queued",
        actor=by.get_username(),
        user=by,
        message=f"Resumes from {source.name}." if source else "",
        evidence={"resumed_from": source.uid} if source else {},
    )
    return run


def _check_whole(checkpoint: Artifact) -> None:
    """Raise Conflict for a checkpoint that changed since it was chosen, so that nothing can resume from it."""
    happened = {
        "removed": "was removed by the project's rule",
        "corrupt": "was found damaged",
        "writing": "is overwritten by its client",
    }
    if checkpoint.state in happened:
        said = f"The checkpoint to resume from {happened[checkpoint.state]} meanwhile."
        raise Conflict(said, state=checkpoint.state)


def parameter_rows(run: Run) -> list[RunParameter]:
    """Return the rows by which lists find a stored run, not stored yet."""
    given = {"model_parameters": run.model_parameters, "hyperparameters": run.hyperparameters}
    return [
        RunParameter(run=run, group=group, name=name, number=number, text=text)
        for group, (name, number, text) in effective(run.recipe_snapshot, given)
    ]


def _parameters(project: Project, recipe: Recipe, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return both groups of parameters; the project's defaults fill in where the recipe knows them."""
    defaults = known_to(recipe.hyperparameters, project.default_hyperparameters)
    return {
        "model_parameters": values.get("model_parameters") or {},
        "hyperparameters": {**defaults, **(values.get("hyperparameters") or {})},
    }


def values_of(run: Run) -> dict[str, Any]:
    """Return what a new run takes over from `run`, as `create_run` takes it."""
    return {name: getattr(run, name) for name in INHERITED}


def changed_values(run: Run, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of `run` with `changes` laid over it; parameters are merged name by name.

    On another executor it chooses anew: a partition of the one it comes from is none there.
    """
    inherited = values_of(run)
    if changes.get("executor", run.executor) != run.executor:
        inherited["compute"] = without_choices(run.compute)
    merged = {**inherited, **changes}
    for group in ("model_parameters", "hyperparameters"):
        merged[group] = {**inherited[group], **changes.get(group, {})}
    return merged


def prepare_repeat(*, run: Run, changes: dict[str, Any]) -> Run:
    """Return a run, not stored yet, with the definition of `run` and `changes`.

    Raises: Conflict for an external run, which has no recipe to execute again; else as `prepare_run`.
    """
    check_repeatable(run)
    return prepare_run(project=run.project, values={"name": run.name, **changed_values(run, changes)})


def check_repeatable(run: Run) -> None:
    """Raise Conflict for an external run: there is nothing here that could be executed."""
    if not run.is_managed:
        raise Conflict(
            "A tracking client made this run: there is no recipe here to execute again. Repeat it where it ran.",
            managed=False,
        )


def repeat_run(*, run: Run, by: Any, changes: dict[str, Any]) -> Run:
    """Queue a new run with the same definition, from the beginning."""
    return queue_run(run=prepare_repeat(run=run, changes=changes), by=by)


def cancel_run(*, run: Run, by: Any) -> Run:
    """Ask a run to end: at once when it is queued, else through its runner, which lets the trainer save.

    A run that is already cancelling is left as it is. An external run ends at once, as far as trainhub can end it: what
    executes it is out of reach, and nothing is stopped. Returns the run with its new status.
    Raises: IllegalTransition when the run has ended.
    """
    for _ in range(3):  # the scheduler may move the run between our look and our word; then look again
        run.refresh_from_db()
        if run.status == Status.CANCELLING:
            return run
        try:
            return _cancel_once(run=run, by=by)
        except StatusChanged:
            continue
    raise StatusChanged("The run's status keeps changing; try again.")


def _cancel_once(*, run: Run, by: Any) -> Run:
    if not run.is_managed:
        return end_external(run=run, by=by)
    actor = by.get_username()
    if run.status == Status.QUEUED:
        return transition(run=run, to=Status.CANCELLED, reason=Reason.CANCELLED, actor=actor, user=by)
    return transition(run=run, to=Status.CANCELLING, actor=actor, user=by)


def cancel_wait_seconds(run: Run) -> float:
    """Return how long a cancel may honestly take: the trainer's grace and the end after it."""
    return run.grace_seconds + timedelta(seconds=15).total_seconds()
