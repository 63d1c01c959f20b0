"""Which executor a run goes to, and what it may choose there."""

import pytest
from django.utils import timezone

from projects.services import update_project
from runs.models import Run
from runs.scheduler.start import start_waiting_runs
from tests.factories import new_run
from tests.runs.engines import Cluster, Machine, install

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def engines(monkeypatch):
    return install(monkeypatch, Machine(), Cluster())


@pytest.fixture
def launch(as_editor, project, engines):
    """Return a function that launches a run by the API."""
    return lambda **values: as_editor.call("POST", f"/projects/{project.uid}/runs", {"name": "r", **values})


def test_a_run_goes_to_the_executor_that_it_names(launch):
    assert launch(executor="cluster").json()["executor"] == "cluster"


def test_a_run_that_names_none_goes_where_its_project_says_else_where_the_hub_says(launch, project):
    assert launch().json()["executor"] == "local"

    update_project(project=project, values={"default_executor": "cluster"})

    assert launch().json()["executor"] == "cluster"
    assert launch(executor="local").json()["executor"] == "local"


def test_an_executor_that_is_not_there_is_refused_with_those_that_are(launch):
    answer = launch(executor="moon")

    assert answer.status_code == 400
    assert answer.json()["executor"] == ["There is no such executor; there are cluster, local."]
    assert not Run.objects.exists()


def test_an_executor_that_does_not_suit_the_recipe_is_refused_with_those_that_do(launch, settings, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.toml").write_text('title = "x"\ncommand = ["true"]')
    settings.RECIPE_FOLDERS = [tmp_path]

    answer = launch(recipe="mine", executor="cluster")

    assert (answer.status_code, answer.json()["executor"]) == (400, ["The recipe mine suits local."])


def test_a_default_that_is_gone_says_that_it_is_the_default(launch, project, engines):
    update_project(project=project, values={"default_executor": "cluster"})
    del engines["cluster"]

    answer = launch()

    assert answer.json()["executor"] == [
        "cluster is the default here. There is no such executor; there are local."
    ]  # fmt: skip


@pytest.mark.parametrize("recipe", ["simulate", "tiny-gpt", "script"])
def test_shipped_recipes_run_on_every_kind_of_executor(launch, recipe):
    assert [launch(recipe=recipe, executor=name).status_code for name in ("local", "cluster")] == [201, 201]


# --- Choices --------------------------------------------------------------------------------------
def test_what_the_operator_allows_can_be_chosen_and_reaches_the_engine(launch, engines, now, settings, tmp_path):
    (tmp_path / "wide").mkdir()
    declared = 'title = "x"\ncommand = ["true"]\nexecutors = ["slurm"]\nmulti_node = true'
    (tmp_path / "wide" / "recipe.toml").write_text(declared)
    settings.RECIPE_FOLDERS = [tmp_path]
    asked = {"partition": "debug", "node_count": 2, "gpus_per_node": 8, "time_limit_minutes": 90}
    answer = launch(executor="cluster", compute=asked, recipe="wide")

    start_waiting_runs(now)

    request = engines["cluster"].requests[0]
    assert answer.json()["compute"] == asked
    assert (request.recipe, request.choices, request.time_limit_minutes) == ("wide", {"partition": "debug"}, 90)
    assert (request.nodes, request.gpus_per_node, request.gpu_indexes) == (2, 8, None)
    assert request.grace_seconds == Run.objects.get().grace_seconds


@pytest.mark.parametrize(
    ("executor", "compute", "sentence"),
    [
        ("cluster", {"partition": "secret"}, "partition: This is not allowed on cluster; there are gpu, debug."),
        ("cluster", {"account": "lab"}, "account: This is not allowed on cluster; there is nothing to choose."),
        ("local", {"partition": "gpu"}, "partition: This is not allowed on local; there is nothing to choose."),
        ("cluster", {"time_limit_minutes": 1441}, "time_limit_minutes: At most 1440 minutes are allowed on cluster."),
    ],
)
def test_what_the_operator_does_not_allow_is_refused(launch, engines, executor, compute, sentence):
    engines["cluster"].longest_minutes = 1440

    answer = launch(executor=executor, compute=compute)

    assert (answer.status_code, answer.json()["compute"]) == (400, [sentence])
    assert not Run.objects.exists()


@pytest.mark.parametrize(("executor", "least"), [("local", 2), ("cluster", 3)])
def test_a_time_limit_that_leaves_no_time_to_train_is_refused(launch, executor, least):
    """The recipe has 10 s to save; what else is needed depends on who tells it to."""
    refused = launch(executor=executor, compute={"time_limit_minutes": least - 1})

    assert refused.status_code == 400
    assert refused.json()["compute"][0].startswith(f"time_limit_minutes: At least {least} minutes are needed on ")
    assert not Run.objects.exists()
    assert launch(executor=executor, compute={"time_limit_minutes": least}).status_code == 201


@pytest.mark.parametrize(
    "compute", [{"partition": ["gpu"]}, {"partition": "x" * 201}, {"time_limit_minutes": 0}, {"node": 1}]
)
def test_what_cannot_be_a_choice_is_refused(launch, compute):
    answer = launch(executor="cluster", compute=compute)

    assert (answer.status_code, list(answer.json()["compute"])) == (400, list(compute))


def test_an_empty_choice_is_none(launch):
    assert launch(executor="cluster", compute={"partition": ""}).status_code == 201


def test_a_run_on_this_machine_that_names_no_time_has_the_executors_bound(launch, engines):
    engines["local"].longest_minutes = engines["cluster"].longest_minutes = 60

    assert launch().json()["compute"] == {"time_limit_minutes": 60}
    assert launch(executor="cluster").json()["compute"] == {}


def test_a_repeated_run_chooses_anew_on_another_executor(as_editor, project, engines):
    compute = {"partition": "debug", "gpus_per_node": 0}
    run = new_run(project, executor="cluster", compute=compute)
    path = f"/projects/{project.uid}/runs/{run.uid}/repeat"

    assert as_editor.call("POST", path, {}).json()["compute"] == compute
    assert as_editor.call("POST", path, {"executor": "local"}).json()["compute"] == {"gpus_per_node": 0}


# --- What the API says of executors -----------------------------------------------------------------
def test_executors_say_what_can_be_chosen_and_who_waits(as_viewer, project, engines):
    engines["cluster"].longest_minutes = 60
    new_run(project, executor="cluster")

    cluster = as_viewer.call("GET", "/executors?recipe=tiny-gpt").json()[1]

    values = {"name": "partition", "title": "Partition", "values": ["gpu", "debug"], "default": "gpu"}
    assert cluster["choices"] == [values]
    assert (cluster["kind"], cluster["has_queue"], cluster["nodes"], cluster["waiting"]) == ("slurm", True, 2, 1)
    assert cluster["max_time_limit_minutes"] == 60


def test_an_unknown_query_parameter_is_refused(as_viewer):
    assert as_viewer.call("GET", "/executors?recipes=x").status_code == 400
