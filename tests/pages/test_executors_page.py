"""The page of the executors, and what the launch form offers on each."""

import pytest
from django.urls import reverse

from runs import registry
from runs.models import Attempt, Run
from tests.factories import new_attempt, new_run
from tests.pages.reading import read, text_of
from tests.runs.engines import Cluster, Machine, install

PLACE = "/ui/executors"
pytestmark = pytest.mark.django_db


@pytest.fixture
def engines(monkeypatch):
    return install(monkeypatch, Machine(gpus=2), Cluster())


@pytest.fixture
def launch(project):
    return reverse("run-launch", args=[project.uid])


# --- The page -------------------------------------------------------------------------------------
def test_everybody_finds_the_page_in_the_navigation(browse, viewer, engines):
    assert f'<a href="{PLACE}" aria-current="page">' in text_of(browse("viewer").get(PLACE))
    assert browse("anonymous").get(PLACE).status_code == 302


def test_each_executor_shows_what_is_in_use_and_who_waits(browse, viewer, project, engines):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(gpu_indexes=[1], gpu_count=1)
    new_run(project, executor="cluster"), new_run(project, executor="cluster")

    text = text_of(browse("viewer").get(PLACE))

    assert "1 of 4 in use, 3 free" in text
    assert "1 of 2 in use, 1 free" in text
    assert "2 waiting runs" in text
    assert "at most 2 for a run" in text
    assert "gpu, debug" in text


def test_what_the_engine_says_of_its_jobs_is_counted(browse, viewer, project, engines):
    attempt = new_attempt(project=project)
    Attempt.objects.filter(pk=attempt.pk).update(
        executor="cluster", engine_state="PENDING", started_at=None, gpu_count=8
    )

    text = text_of(browse("viewer").get(PLACE))

    assert "1 PENDING" in text
    assert "0 of 16 in use by runs of this hub" in text
    assert ", 1 starting" in text


def test_operators_see_a_problem_in_full_and_others_that_there_is_one(browse, viewer, operator, engines):
    engines["cluster"].problem = "sinfo says: Unable to contact slurm controller."

    for_all, for_operators = text_of(browse("viewer").get(PLACE)), text_of(browse("operator").get(PLACE))

    assert "Nothing can start here now." in for_all
    assert "An operator must see to it" in for_all
    assert "sinfo says" not in for_all
    assert "sinfo says: Unable to contact slurm controller." in for_operators


def test_a_mistake_in_the_file_is_shown_to_operators(browse, viewer, operator, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_loaded", None)
    settings.EXECUTORS_FILE = tmp_path / "executors.toml"
    settings.EXECUTORS_FILE.write_text('[executors.local]\nkind = "local"\nslotz = 3\n')

    for_all, for_operators = text_of(browse("viewer").get(PLACE)), text_of(browse("operator").get(PLACE))

    assert for_operators.count("executors.local.slotz is not known") == 1
    assert "The file of the executors needs a correction, see above." in for_operators
    assert "slotz" not in for_all
    assert "slotz" in text_of(browse("operator").get(reverse("admin:installation")))


def test_the_page_has_no_inline_code(browse, viewer, engines):
    assert read(browse("viewer").get(PLACE)).inline == []


# --- The launch form ------------------------------------------------------------------------------
TYPED = {"name": "first", "recipe": "tiny-gpt"}


def fields(answer):
    return [field.name for field in answer.context["form"].machine]


def test_the_form_offers_what_can_be_chosen_on_the_executor(browse, editor, launch, engines):
    on_local = browse().get(launch)
    on_cluster = browse().post(launch, {**TYPED, "executor": "cluster", "choose": "yes"})

    assert "partition" not in fields(on_local)
    assert "partition" in fields(on_cluster)
    assert on_cluster.context["form"]["name"].value() == "first"
    assert '<option value="cluster" selected>cluster (slurm)</option>' in text_of(on_cluster)


def test_the_form_begins_with_the_projects_executor(browse, editor, launch, project, engines):
    project.default_executor = "cluster"
    project.save()

    assert "partition" in fields(browse().get(launch))


def test_what_is_chosen_is_launched(browse, editor, launch, engines):
    chosen = {"executor": "cluster", "partition": "debug", "time_limit_minutes": "90"}

    answer = browse().post(launch, {**TYPED, **chosen})

    assert answer.status_code == 302
    assert Run.objects.get().executor == "cluster"
    assert Run.objects.get().compute == {"time_limit_minutes": 90, "partition": "debug"}


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"partition": "secret"}, "partition"),
        ({"time_limit_minutes": "61"}, "time_limit_minutes"),
        ({"time_limit_minutes": "3"}, "time_limit_minutes"),
    ],
)
def test_what_is_not_allowed_is_told_beside_its_field(browse, editor, launch, engines, chosen, field):
    engines["cluster"].longest_minutes = 60

    answer = browse().post(launch, {**TYPED, "executor": "cluster", **chosen})

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert not Run.objects.exists()


def test_the_plan_names_what_was_chosen_and_why_the_run_would_wait(browse, editor, launch, project, engines):
    project.max_running_runs = 0
    project.save()
    chosen = {"executor": "cluster", "partition": "debug", "time_limit_minutes": "90", "plan": "yes"}

    text = text_of(browse().post(launch, {**TYPED, **chosen}))

    assert "Waits: this project may run 0 runs at once." in text
    assert "<dt>Partition</dt><dd><bdi>debug</bdi></dd>" in text
    assert "90 minutes at the latest" in text
    assert "16 GPUs in all; its own queue gives them" in text


def test_a_repeated_run_begins_with_what_it_chose(browse, editor, launch, project, engines):
    run = new_run(project, executor="cluster", compute={"partition": "debug", "time_limit_minutes": 5})

    form = browse().get(f"{launch}?repeat={run.uid}").context["form"]

    assert (form["executor"].value(), form["partition"].value(), form["time_limit_minutes"].value()) == (
        "cluster", "debug", 5,
    )  # fmt: skip
