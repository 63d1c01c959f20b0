"""Programs that log to MLflow and that nobody adapted: as managed runs, and outside with three variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.clients import (
    CLIENTS,
    SCRIPTS,
    People,
    make_people,
    outside,
    python_of,
    run_program,
    tracked,
    variables,
    write_recipe,
)
from tests.end_to_end.hub import Hub, eventually

pytestmark = pytest.mark.trainer
ENVIRONMENTS = {
    "hf_trainer": {"MLFLOW_TAGS": '{"team": "nlp"}'},
    "system_metrics": {"MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1"},
}
RECIPES = {
    name: (CLIENTS / folder / f"{name}.py", ENVIRONMENTS.get(name, {}))
    for folder, names in {
        "scripts": ("plain", "hf_trainer", "lightning_logger", "autolog", "system_metrics"),
        "programs": ("steady", "boasts"),
    }.items()
    for name in names
}


def with_recipes(hub: Hub) -> Hub:
    """Give a hub that is not started yet a recipe for each program."""
    for name, (program, environment) in RECIPES.items():
        write_recipe(hub.data / "recipes", name.replace("_", "-"), program, environment=environment)
    hub.environment["TRAINHUB_RECIPES"] = str(hub.data / "recipes")
    return hub


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter of the trainers' environment; asked for first, so that without it no hub is started."""
    return python_of("trainers")


@pytest.fixture(scope="module")
def hub(python: str, prepared: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a recipe for each program."""
    hub = with_recipes(prepared.copy(tmp_path_factory.mktemp("hub"), with_pages=True))
    try:
        yield hub.start()
    finally:
        hub.stop()


@pytest.fixture(scope="module")
def people(hub: Hub) -> People:
    return make_people(hub)


def run_managed(hub: Hub, recipe: str, status: str = "completed") -> str:
    """Launch a recipe in a project of its own, wait for its end, and return the run's path."""
    path = hub.new_run(hub.new_project(name=recipe), recipe=recipe, name=f"{recipe} as launched")
    ended = hub.wait_for_status(path, "completed", "failed", "cancelled", seconds=120)
    assert ended["status"] == status, hub.messages(path, "stderr")
    return path


@pytest.fixture
def start(python: str, hub: Hub, people: People, tmp_path: Path) -> Callable[..., str]:
    """Run a script of tests/clients outside the hub, with what a person sets; return what it printed."""

    def run(name: str, **given: str) -> str:
        environment = variables(tmp_path, **outside(hub, people.mara, **given))
        return run_program([python, str(SCRIPTS / name)], environment, tmp_path)

    return run


def runs_of(hub: Hub, project: str) -> list[dict[str, Any]]:
    """Return the runs of a project by its path, newest first."""
    return hub.call("GET", f"{project}/runs").body["items"]


def project_named(hub: Hub, name: str) -> str:
    """Return the path of a project by its name."""
    (found,) = [one for one in hub.call("GET", "/projects").body if one["name"] == name]
    return f"/projects/{found['id']}"


def test_a_trainer_of_transformers_logs_to_its_managed_run(hub: Hub) -> None:
    path = run_managed(hub, "hf-trainer")

    assert hub.series(path, "loss")["step"] == list(range(2, 21, 2))
    assert hub.series(path, "eval_loss")["step"] == [10, 20]
    assert hub.series(path, "loss")["value"][-1] < hub.series(path, "loss")["value"][0]
    found = tracked(hub, path)
    assert len(found["params"]) > 100
    assert {"learning_rate": "0.01", "hidden_size": "32", "max_steps": "20"}.items() <= found["params"].items()
    assert found["tags"]["team"] == "nlp"
    assert found["status"] == "FINISHED"
    assert found["run_name"] == hub.run(path)["name"] == "hf-trainer as launched"
    checkpoints = hub.call("GET", f"{path}/artifacts?type=checkpoint").body["items"]
    assert [(one["step"], one["state"]) for one in checkpoints] == [(10, "verified"), (20, "verified")]


def test_the_trainers_token_is_nowhere_to_be_read(hub: Hub) -> None:
    path = run_managed(hub, "plain")
    attempt = hub.attempt_of(path)["id"]
    token = hub.manage(
        "shell", "--no-imports", "-c", f"from runs.attempts import *; print(tracking_token('{attempt}'))"
    )
    secret = token.strip().encode()

    assert len(secret) == 64
    files = [file for file in hub.data.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert [file for file in files if secret in file.read_bytes()] == []
    asked = "/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert hub.call("GET", asked, token=secret.decode()).status == 401  # its attempt has ended


def test_a_run_ends_as_the_scheduler_saw_it_whatever_its_program_says(hub: Hub) -> None:
    path = run_managed(hub, "boasts", status="failed")

    run, found = hub.run(path), tracked(hub, path)
    assert (run["status"], run["name"]) == ("failed", "boasts as launched")
    assert (found["status"], found["metrics"]["loss"]) == ("FAILED", 1.0)
    project = path.rpartition("/runs/")[0]
    others = {one["name"]: one for one in runs_of(hub, project) if one["id"] != run["id"]}
    assert sorted(others) == ["evaluation", "fold 1"]
    assert [one["status"] for one in others.values()] == ["completed", "completed"]


@pytest.mark.parametrize(
    ("recipe", "metric", "steps"),
    [("lightning-logger", "train/loss", [4, 9, 14, 19, 24, 29, 34, 39]), ("autolog", "train_loss", [0, 1])],
)
def test_lightning_logs_into_the_managed_run_itself(hub: Hub, recipe: str, metric: str, steps: list[int]) -> None:
    path = run_managed(hub, recipe)

    assert hub.series(path, metric)["step"] == steps
    assert [f"{path.rpartition('/')[0]}/{one['id']}" for one in runs_of(hub, path.rpartition("/runs/")[0])] == [path]
    assert tracked(hub, path)["status"] == "FINISHED"


def test_the_clients_system_metrics_arrive_beside_those_of_the_runner(hub: Hub) -> None:
    path = run_managed(hub, "system-metrics")

    keys = hub.call("GET", f"{path}/metrics").body["keys"]
    assert {"total", "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(keys)


def test_nothing_is_lost_when_the_hub_is_killed_while_a_program_logs(python: str, idle_hub: Hub) -> None:
    path = with_recipes(idle_hub).start().new_run(idle_hub.new_project(), recipe="steady")
    eventually(lambda: "seen 5" in tracked(idle_hub, path)["params"], "five steps")

    idle_hub.kill_web()
    idle_hub.start_web()

    assert idle_hub.wait_for_status(path, "completed", "failed")["status"] == "completed"
    assert idle_hub.series(path, "loss")["step"] == list(range(1, 31))
    found = tracked(idle_hub, path)
    assert found["params"] == {f"seen {step}": str(step) for step in range(1, 31)}
    assert found["tags"]["seen"] == "30"


def test_outside_three_variables_connect_a_trainer_and_a_fourth_resumes_its_run(hub: Hub, start) -> None:
    start("hf_trainer.py", MLFLOW_EXPERIMENT_NAME="Llama outside", HF_MLFLOW_LOG_ARTIFACTS="1")
    project = project_named(hub, "Llama outside")
    (run,) = runs_of(hub, project)
    path = f"{project}/runs/{run['id']}"
    assert (run["name"], run["status"]) == ("llama-tiny", "completed")
    assert hub.series(path, "loss")["step"] == list(range(2, 21, 2))
    assert len(tracked(hub, path)["params"]) > 100
    assert tracked(hub, path)["tags"]["mlflow.source.name"].endswith("hf_trainer.py")
    checkpoints = hub.call("GET", f"{path}/artifacts?type=checkpoint").body["items"]
    assert sorted(one["step"] for one in checkpoints) == [10, 20]

    start("hf_trainer.py", MLFLOW_RUN_ID=run["id"])

    assert [one["id"] for one in runs_of(hub, project)] == [run["id"]]
    assert hub.run(path)["status"] == "completed"
    moves = [kind for kind in hub.events(path) if kind in {"running", "completed"}]
    assert moves == ["running", "completed", "running", "completed"]
    history = f"/mlflow/api/2.0/mlflow/metrics/get-history?run_id={run['id']}&metric_key=loss"
    assert sorted(point["step"] for point in hub.call("GET", history).body["metrics"]) == sorted(2 * [*range(2, 21, 2)])


@pytest.mark.parametrize(
    ("script", "experiment", "metric"),
    [("plain.py", "Plain outside", "loss"), ("lightning_logger.py", "lightning_logs", "train/loss")],
)
def test_outside_a_script_makes_a_run_of_its_own(hub: Hub, start, script: str, experiment: str, metric: str) -> None:
    start(script, MLFLOW_EXPERIMENT_NAME=experiment)

    (run,) = runs_of(hub, project_named(hub, experiment))
    assert run["status"] == "completed"
    assert metric in tracked(hub, run["id"])["metrics"]


def test_without_an_experiment_runs_go_to_the_persons_default_project(hub: Hub, start) -> None:
    start("plain.py")
    (run,) = runs_of(hub, project_named(hub, "Default"))
    assert (run["name"], run["status"]) == ("plain", "completed")
