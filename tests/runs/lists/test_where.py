"""Lists of runs by conditions and by filters, in each way that a list may be answered."""

import pytest
from django.db import connection

from artifacts.models import ArtifactTag
from runs.comparing import fulfilling
from runs.conditions import Condition, Place
from runs.tracking.external import create_external_run
from runs.tracking.writing import log_batch
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


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("params.lr = 1e-4", "one"),
        ("params.lr > 1e-4", "two"),
        ("params.lr != 1e-4", "two"),
        ("params.optim = 'adamw'", "one"),
        ("params.optim != 'adamw'", "two"),
        ("params.lr = '0.0001'", ""),
        ("hyperparameters.lr = 1e-4", ""),
        ("tags.team = 'nlp'", "two one"),
        ("tags.team != 'nlp'", "three"),
        ("tags.team = 'nlp' and params.lr < 1", "one"),
        ("tags.none = ''", ""),
        ("tags.none != 'x'", ""),
        (f"tags.long = '{'x' * 250}'", ""),
        ("tags.lr = 'a' and metrics.loss > 0", ""),
    ],
)
def test_what_a_client_logged_can_be_asked_for(as_viewer, way, project, where, expected):
    logged = {"one": ({"lr": "1e-4", "optim": "adamw"}, "nlp"), "two": ({"lr": "2", "optim": "sgd"}, "nlp")}
    for name, (parameters, team) in {**logged, "three": ({}, "vision"), "four": ({}, "")}.items():
        run = new_run(project, name=name)
        tags = {"team": team, "long": "x" * 251} if team else {}
        log_batch(run=run, points={}, parameters=parameters, tags=tags)

    page = get(as_viewer, where=where)

    assert (names(page), page["total"]) == (expected, len(expected.split()))


@pytest.mark.parametrize("length", [1, 99, 100, 101, 250])
def test_tags_are_told_apart_by_all_of_their_value(project, length):
    value = "é" * length
    tags = {"same": value, "longer": f"{value}é", "shorter": value[1:], "other": f"{value[1:]}x"}
    log_batch(run=new_run(project), points={}, parameters={}, tags=tags)
    found = [name for name in tags if fulfilling(Condition(Place("tags", name), "=", value))]
    assert found == ["same"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads small tables without an index")
@pytest.mark.parametrize("value", ["nlp", "n" * 200])
def test_tags_are_found_through_the_index_of_their_values(value):
    rows = fulfilling(Condition(Place("tags", "team"), "=", value))
    assert "INDEX run_tag_value (key=? AND <expr>=?)" in rows.explain()


@pytest.mark.parametrize("where", ["params.lr > 0", "tags.team = 'nlp'"])
def test_what_a_client_logged_is_nothing_to_strangers(as_stranger, way, project, where):
    log_batch(run=new_run(project), points={}, parameters={"lr": "1"}, tags={"team": "nlp"})

    assert get(as_stranger, where=where)["total"] == 0


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


def test_runs_are_found_by_the_run_that_they_are_nested_in(as_viewer, project, admin, nine):
    parent = create_external_run(project=project, by=admin, actor="ada", name="parent")
    tags = {"mlflow.parentRunId": parent.uid}
    for name in ("first", "second"):
        create_external_run(project=project, by=admin, actor="ada", name=name, tags=tags)

    assert names(get(as_viewer, parent=parent.uid)) == "second first"
    assert names(get(as_viewer, parent="run_nosuch")) == ""
    assert as_viewer.get("/runs", {"parent": "x" * 65}).status_code == 400
