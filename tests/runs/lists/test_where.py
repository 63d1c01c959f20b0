"""Lists of runs by conditions and by filters, in each way that a list may be answered."""

import pytest

from artifacts.models import ArtifactTag
from tests.factories import new_artifact, new_project, new_run
from tests.runs.lists.reading import get, names, set_metric

pytestmark = pytest.mark.django_db

# --- Conditions -----------------------------------------------------------------------------------
CONDITIONS = [
    ("metrics.loss < 2", "r6 r4 r1"),
    ("metrics.loss <= 2", "r8 r6 r4 r3 r1"),
    ("metrics.loss > 2", "r0"),
    ("metrics.loss >= 2", "r8 r3 r0"),
    ("metrics.loss = 2", "r8 r3"),
    ("metrics.loss != 2", "r6 r4 r1 r0"),
    ("metrics.loss < 0", ""),
    ("metrics.none < 9", ""),
    ("hyperparameters.rate >= 1e-4", "r7 r6 r4 r3 r1 r0"),
    ("hyperparameters.rate = 1e-5", "r8 r5 r2"),
    ("hyperparameters.rate = '1e-5'", ""),
    ("model_parameters.rate = 1e-5", ""),
    ("metrics.loss <= 2 and hyperparameters.rate <= 1e-4", "r8 r4 r1"),
    ("metrics.loss <= 2 and metrics.loss >= 2", "r8 r3"),
    ("metrics.loss <= 2 and metrics.none = 0", ""),
]


@pytest.mark.parametrize(("where", "expected"), CONDITIONS)
def test_a_list_holds_the_runs_that_fulfil_the_conditions(as_viewer, way, nine, where, expected):
    page = get(as_viewer, where=where)

    assert (names(page), page["total"]) == (expected, len(expected.split()))


@pytest.mark.parametrize(("where", "expected"), CONDITIONS)
def test_operators_get_the_same_as_members(as_operator, way, nine, where, expected):
    page = get(as_operator, where=where)

    assert (names(page), page["total"]) == (expected, len(expected.split()))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("hyperparameters.optimizer = 'adam'", "adam"),
        ("hyperparameters.optimizer != 'adam'", "sgd"),
        ("hyperparameters.packing = true", "sgd"),
        ("hyperparameters.packing != true", "adam"),
        ('hyperparameters."lora.rank" = 8', "adam"),
    ],
)
def test_texts_flags_and_nested_parameters_can_be_asked_for(as_viewer, way, project, where, expected):
    new_run(project, name="adam", hyperparameters={"optimizer": "adam", "packing": False, "lora": {"rank": 8}})
    new_run(project, name="sgd", hyperparameters={"optimizer": "sgd", "packing": True, "lora": {"rank": 4}})
    new_run(project, name="neither")

    assert names(get(as_viewer, where=where)) == expected


def test_repeated_conditions_must_all_hold(as_viewer, way, nine):
    assert names(get(as_viewer, where=["metrics.loss <= 2", "hyperparameters.rate <= 1e-4"])) == "r8 r4 r1"


def test_conditions_and_filters_must_all_hold(as_viewer, way, nine):
    page = get(as_viewer, where="metrics.loss <= 2", status=["queued", "cancelled"], order="name")

    assert (names(page), page["total"]) == ("r1 r3 r4 r6 r8", 5)


@pytest.mark.parametrize("where", ["metrics.loss < 9", "hyperparameters.rate > 0"])
def test_conditions_show_nothing_of_strangers(as_stranger, way, nine, where):
    assert get(as_stranger, where=where)["total"] == 0


def test_a_name_is_a_value_and_never_a_column(as_viewer, project):
    set_metric(new_run(project), 'x" OR 1=1 --', 1.0)

    assert get(as_viewer, where='metrics."x"" OR 1=1 --" = 1')["total"] == 1
    assert get(as_viewer, where='metrics."run__project__name" = 1')["total"] == 0


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("where", "loss < 1"),
        ("where", "metrics.loss <"),
        ("where", " and ".join(["metrics.loss < 1"] * 11)),
        ("order", "metrics."),
        ("order", "hyperparameters.rate"),
        ("order", "metrics.loss desc"),
        ("order", "--name"),
        ("order", "name,created_at"),
        ("checkpoint_tag", "best"),
        ("name", "x" * 201),
        ("project_tag", "x" * 101),
    ],
)
def test_what_is_not_understood_is_400_under_its_name(as_viewer, nine, field, text):
    answer = as_viewer.get("/runs", {field: text})

    assert answer.status_code == 400
    assert set(answer.json()) == {"code", field}


# --- Filters --------------------------------------------------------------------------------------
def test_runs_are_found_by_a_part_of_their_name(as_viewer, nine):
    assert names(get(as_viewer, name="R3")) == "r3"


def test_runs_are_found_by_a_tag_of_their_project(as_admin, admin, nine):
    new_run(new_project(by=admin, tags=["vision", "nightly"]), name="tagged")

    assert names(get(as_admin, project_tag="nightly")) == "tagged"
    assert names(get(as_admin, project_tag="night")) == ""


def test_runs_are_found_by_a_tag_on_a_checkpoint(as_viewer, project, nine):
    run = new_run(project, name="released", status="completed")
    ArtifactTag.objects.create(artifact=new_artifact(run), value="release")

    assert names(get(as_viewer, checkpoint_tag="release")) == "released"
    assert names(get(as_viewer, checkpoint_tag="candidate")) == ""
