"""The form that resumes from a checkpoint: filled in with what the run had, and what changes."""

import pytest
from django.urls import reverse

from projects.services import archive_project, update_project
from runs.models import Run
from tests.factories import damage, everything, new_artifact, new_run
from tests.pages.reading import text_of
from tests.runs.engines import Cluster, Machine, install

HAD = {
    "model_parameters": {"max_steps": 10, "own": "kept"}, "hyperparameters": {"learning_rate": 0.5}, "priority": 7,
    "compute": {"node_count": 2, "gpu_type": "H100"},
}  # fmt: skip


@pytest.fixture
def checkpoint(project):
    return new_artifact(new_run(project, status="completed", name="parent", **HAD), step=4)


@pytest.fixture
def place(checkpoint):
    return reverse("run-resume", args=[checkpoint.uid])


def test_run_is_resumed_from_a_checkpoint(browse, checkpoint, place, editor):
    answer = browse().post(place, {"model_parameters.max_steps": "50"})

    run = Run.objects.get(resumed_from=checkpoint)
    assert answer["Location"] == reverse("run", args=[run.uid])
    assert (run.name, run.model_parameters["max_steps"], run.created_by) == ("parent resumed", 50, editor)


@pytest.mark.parametrize("is_filled", [True, False])
def test_what_is_not_changed_stays_as_it_was(browse, checkpoint, place, editor, is_filled):
    browser = browse()
    form = browser.get(place).context["form"]
    shown = {name: form[name].value() for name in form.fields if form[name].value() is not None}

    browser.post(place, shown if is_filled else {})

    run = Run.objects.get(resumed_from=checkpoint)
    assert {name: getattr(run, name) for name in HAD} == HAD
    assert (run.recipe, run.executor, run.dataset) == ("simulate", "local", checkpoint.run.dataset)


def test_a_run_resumed_on_another_executor_leaves_what_it_chose_behind(browse, project, editor, monkeypatch):
    install(monkeypatch, Machine(), Cluster())
    compute = {"partition": "debug", "node_count": 1}
    run = new_run(project, status="completed", executor="cluster", compute=compute)
    place = reverse("run-resume", args=[new_artifact(run, step=4).uid])

    browse().post(place, {"executor": "local"})
    browse().post(place, {"executor": "cluster"})

    on_local, on_cluster = Run.objects.exclude(resumed_from=None).order_by("pk")
    assert (on_local.executor, on_local.compute) == ("local", {"node_count": 1})
    assert (on_cluster.executor, on_cluster.compute) == ("cluster", compute)


def test_form_shows_what_the_run_had(browse, place, editor):
    answer = browse().get(place)

    form = answer.context["form"]
    assert form["hyperparameters.learning_rate"].value() == "0.5"
    assert (form["node_count"].value(), form["priority"].value()) == (2, 7)
    assert 'placeholder="as before 0.5"' in text_of(answer)
    assert "Nothing: the run goes on as it was." in text_of(answer)


def test_plan_shows_what_changes_and_the_checkpoints_to_come(browse, place, editor):
    browser = browse()
    before = everything()
    changed = {"model_parameters.max_steps": "20", "model_parameters.checkpoint_interval": "5"}

    answer = browser.post(place, {**changed, "plan": "yes"})

    text = text_of(answer)
    assert "<b>20</b>" in text
    assert "(before 10, recipe default 1000)" in text
    assert "4: every 5 steps up to step 20" in text
    assert "from <bdi>checkpoint-10</bdi>, step 4" in text
    assert everything() == before


def test_plan_says_when_nothing_is_left_to_do(browse, place, editor):
    answer = browse().post(place, {"model_parameters.max_steps": "4", "plan": "yes"})

    assert "It would have nothing to do: the checkpoint is at step 4" in text_of(answer)


def test_form_sent_twice_resumes_once(browse, checkpoint, place, editor):
    browser = browse()
    sent = {"once": browser.get(place).context["form"]["once"].value()}

    answers = [browser.post(place, sent) for _ in range(2)]

    assert {answer["Location"] for answer in answers} == {
        reverse("run", args=[Run.objects.get(resumed_from=checkpoint).uid])
    }


def test_damaged_checkpoint_is_not_resumed(browse, checkpoint, place, editor):
    name = damage(checkpoint)

    answer = browse().post(place, {})

    assert answer.status_code == 409
    assert name in text_of(answer)
    assert not Run.objects.filter(resumed_from=checkpoint).exists()


@pytest.mark.parametrize(("typed", "status"), [({}, 400), ({"plan": "yes"}, 409)])
def test_evaluation_is_not_resumed(browse, checkpoint, editor, typed, status):
    evaluation = new_artifact(checkpoint.run, type="evaluation", name="eval", is_directory=False)

    answer = browse().post(reverse("run-resume", args=[evaluation.uid]), typed)

    assert answer.status_code == status
    assert "Only a checkpoint can be resumed from." in text_of(answer)


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"model_parameters.max_steps": "0"}, "model_parameters.max_steps"),
        ({"hyperparameters": "[]"}, "hyperparameters"),
        ({"executor": "moon"}, "executor"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_bad_change_is_told_beside_its_field(browse, place, editor, typed, field):
    answer = browse().post(place, typed)

    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == [field]
    assert Run.objects.count() == 1


def test_archived_project_says_why_there_is_no_form(browse, project, place, editor):
    archive_project(project=project)

    assert "The project is archived: nothing can be launched in it." in text_of(browse().get(place))
    assert browse().post(place, {}).status_code == 409


def test_run_of_a_recipe_that_is_gone_says_so(browse, checkpoint, place, editor):
    Run.objects.filter(pk=checkpoint.run.pk).update(recipe="gone")

    answer = browse().get(place)

    assert "<bdi>gone</bdi></code> of this run cannot be used now" in text_of(answer)
    assert browse().post(place, {}).status_code == 400


def test_projects_default_that_the_run_did_not_have_is_shown_where_it_would_count(browse, project, place, editor):
    update_project(project=project, values={"default_hyperparameters": {"batch_size": 3}})

    assert 'placeholder="project 3"' in text_of(browse().get(place))


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("stranger", 404), ("anonymous", 302)])
def test_resuming_is_for_editors(browse, place, role, status):
    assert browse(role).post(place, {}).status_code == status
    assert browse(role).post(place, {"plan": "yes"}).status_code == status
    assert Run.objects.count() == 1


def test_page_takes_few_queries(browse, place, editor, django_assert_max_num_queries):
    browser = browse()

    with django_assert_max_num_queries(12):
        browser.get(place)
