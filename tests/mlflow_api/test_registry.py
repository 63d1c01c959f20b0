"""Registered models as clients make, read, change and delete them; who may, and who learns nothing."""

import pytest

from artifacts.models import Artifact, ArtifactType, RegisteredModel
from artifacts.services import tag_artifact, untag_artifact
from projects.models import Role
from projects.services import archive_project
from runs.models import Run
from tests.factories import add_member, everything, fresh, new_artifact, new_project, new_run, new_user

from .conftest import Tracker
from .registering import checkpoint_at, logged_model, register, tags_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    return new_run(project, status="completed", name="trained")


@pytest.fixture
def checkpoint(run):
    return checkpoint_at(run)


def code_of(answer):
    return answer["error_code"]


# --- Models ---------------------------------------------------------------------------------------
def test_a_model_is_made_and_belongs_to_the_project_of_its_first_version(tracker, person, project, checkpoint):
    made = tracker.post(
        "registered-models/create", name="summaries", description="short", tags=[{"key": "team", "value": "nlp"}]
    )["registered_model"]
    assert (made["name"], made["description"], made["user_id"]) == ("summaries", "short", "mara")
    assert made["tags"] == [{"key": "team", "value": "nlp"}]
    assert (made["latest_versions"], made["aliases"]) == ([], [])
    colleague = Tracker(add_member(project, "edith", Role.EDITOR))
    assert code_of(colleague.get("registered-models/get", code=404, name="summaries")) == "RESOURCE_DOES_NOT_EXIST"

    version = register(tracker, checkpoint)

    assert (version["version"], version["status"], version["current_stage"]) == ("1", "READY", "None")
    assert (version["run_id"], version["source"]) == (
        checkpoint.run.uid, f"runs:/{checkpoint.run.uid}/checkpoints/step-10",
    )  # fmt: skip
    assert colleague.get("registered-models/get", name="summaries")["registered_model"]["latest_versions"] == [version]


def test_a_taken_name_is_refused_with_the_code_that_clients_wait_for(tracker, checkpoint):
    register(tracker, checkpoint)
    assert code_of(tracker.post("registered-models/create", code=400, name="summaries")) == "RESOURCE_ALREADY_EXISTS"
    tracker.post("registered-models/create", name="other")
    assert (
        code_of(tracker.post("registered-models/rename", code=400, name="other", new_name="summaries"))
        == "RESOURCE_ALREADY_EXISTS"
    )


def test_a_foreign_name_is_neither_told_nor_taken(tracker, checkpoint):
    register(tracker, checkpoint)
    stranger = Tracker(new_user("eve"))
    for method, route in (
        ("GET", "registered-models/get?name=summaries"),
        ("GET", "model-versions/get?name=summaries&version=1"),
        ("GET", "model-versions/get-download-uri?name=summaries&version=1"),
        ("GET", "registered-models/alias?name=summaries&alias=release"),
    ):
        assert code_of(stranger.ask(method, route, code=404)) == "RESOURCE_DOES_NOT_EXIST"
    assert stranger.get("registered-models/search") == {"registered_models": []}
    assert stranger.get("model-versions/search", filter="name='summaries'") == {"model_versions": []}
    before = everything()
    for method, route in (("PATCH", "update"), ("DELETE", "delete"), ("POST", "set-tag"), ("POST", "rename")):
        body = {"name": "summaries", "key": "a", "value": "b", "new_name": "mine", "description": "x"}
        stranger.ask(method, f"registered-models/{route}", body, code=404)
    assert everything() == before
    stranger.post("registered-models/create", name="summaries")


def test_a_viewer_reads_and_changes_nothing(tracker, project, checkpoint):
    register(tracker, checkpoint)
    viewer = Tracker(add_member(project, "vera", Role.VIEWER))
    assert viewer.get("model-versions/get", name="summaries", version="1")["model_version"]["version"] == "1"
    before = everything()
    body = {"name": "summaries", "version": "1", "key": "a", "value": "b", "alias": "release", "stage": "Staging"}
    body |= {"new_name": "mine", "description": "x", "source": f"runs:/{checkpoint.run.uid}/{checkpoint.source}"}
    for method, route in (
        ("POST", "registered-models/rename"), ("PATCH", "registered-models/update"),
        ("DELETE", "registered-models/delete"), ("POST", "registered-models/set-tag"),
        ("DELETE", "registered-models/delete-tag"), ("POST", "registered-models/alias"),
        ("DELETE", "registered-models/alias"), ("POST", "model-versions/create"), ("PATCH", "model-versions/update"),
        ("DELETE", "model-versions/delete"), ("POST", "model-versions/transition-stage"),
        ("POST", "model-versions/set-tag"), ("DELETE", "model-versions/delete-tag"),
    ):  # fmt: skip
        assert code_of(viewer.ask(method, route, body, code=403)) == "PERMISSION_DENIED"
    assert everything() == before


def test_a_model_is_renamed_described_tagged_and_deleted(tracker, checkpoint):
    register(tracker, checkpoint)
    renamed = tracker.post("registered-models/rename", name="summaries", new_name="short texts")["registered_model"]
    assert (renamed["name"], renamed["latest_versions"][0]["name"]) == ("short texts", "short texts")
    described = tracker.ask("PATCH", "registered-models/update", {"name": "short texts", "description": "why"})
    assert described["registered_model"]["description"] == "why"
    for value in ("one", "two"):
        tracker.post("registered-models/set-tag", name="short texts", key="a/b", value=value)
    model = tracker.get("registered-models/get", name="short texts")["registered_model"]
    assert model["tags"] == [{"key": "a/b", "value": "two"}]
    assert model["last_updated_timestamp"] >= model["creation_timestamp"]
    for _ in range(2):
        tracker.ask("DELETE", "registered-models/delete-tag", {"name": "short texts", "key": "a/b"})
    assert RegisteredModel.objects.get().tags == {}
    assert tracker.ask("DELETE", "registered-models/delete", {"name": "short texts"}) == {}
    tracker.get("registered-models/get", code=404, name="short texts")
    tracker.ask("DELETE", "registered-models/delete", {"name": "short texts"}, code=404)


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 500, "a/b", "models:a", ".", "..", "line\nbreak", "\0", "\u202e", 7, ["a"], None]
)
def test_bad_names_are_refused_and_nothing_is_kept(tracker, name):
    assert code_of(tracker.post("registered-models/create", code=400, name=name)) == "INVALID_PARAMETER_VALUE"
    assert not RegisteredModel.objects.exists()


@pytest.mark.parametrize("name", ["größe 7 %_'\"\\", "x" * 256, "模型", "a.b-c_d", "<b>x", "@release", "#1?&"])
def test_odd_names_are_names(tracker, checkpoint, name):
    tracker.post("registered-models/create", name=name)
    source = f"runs:/{checkpoint.run.uid}/{checkpoint.source}"
    tracker.post("model-versions/create", name=name, source=source)
    assert tracker.get("model-versions/get", name=name, version="1")["model_version"]["name"] == name


@pytest.mark.parametrize(
    "body",
    [
        {"description": "x" * 10_001},
        {"description": 3},
        {"tags": [{"key": ""}]},
        {"tags": [{"key": "k" * 251}]},
        {"tags": [{"key": "k", "value": "v" * 5001}]},
        {"tags": [{"key": f"k{number}"} for number in range(201)]},
        {"tags": {"key": "k"}},
        {"tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
    ],
)
def test_what_is_too_much_or_of_another_kind_is_refused(tracker, body):
    tracker.post("registered-models/create", code=400, name="m", **body)
    assert not RegisteredModel.objects.exists()


def test_an_archived_project_takes_no_registrations(tracker, project, checkpoint):
    register(tracker, checkpoint)
    archive_project(project=project)
    before = everything()
    source = f"runs:/{checkpoint.run.uid}/{checkpoint.source}"
    tracker.post("model-versions/create", code=400, name="summaries", source=source)
    tracker.post("registered-models/alias", code=400, name="summaries", alias="a", version="1")
    tracker.get("registered-models/get", name="summaries")
    assert everything() == before


# --- Jobs -----------------------------------------------------------------------------------------
def test_a_job_registers_its_own_checkpoint_in_its_project_and_deletes_nothing(
    job_tracker, attempt, tracker, project, checkpoint
):
    own = checkpoint_at(attempt.run)
    version = register(job_tracker, own, name="from-job")
    assert version["version"] == "1"
    assert RegisteredModel.objects.get(name="from-job").project == project
    job_tracker.post("registered-models/alias", name="from-job", alias="release", version="1")
    assert tags_of(own) == {"release"}
    assert own.tags.get().applied_by == attempt.run.created_by
    assert attempt.run.events.filter(kind="tagged").get().actor == "trainer"

    source = f"runs:/{checkpoint.run.uid}/{checkpoint.source}"
    job_tracker.post("model-versions/create", code=404, name="from-job", source=source)  # another run's
    assert code_of(job_tracker.ask("DELETE", "registered-models/delete", {"name": "from-job"}, code=403))
    job_tracker.ask("DELETE", "model-versions/delete", {"name": "from-job", "version": "1"}, code=403)
    job_tracker.post("registered-models/rename", code=403, name="from-job", new_name="x")
    elsewhere = checkpoint_at(new_run(new_project(by=project.created_by), status="completed"))
    register(tracker, elsewhere, name="elsewhere")
    job_tracker.get("registered-models/get", code=404, name="elsewhere")


def test_a_job_takes_no_release_from_another_runs_checkpoint(job_tracker, attempt, tracker, checkpoint):
    register(tracker, checkpoint)
    tracker.post("registered-models/alias", name="summaries", alias="release", version="1")
    theirs = {"name": "summaries", "version": "1"}
    tracker.post("model-versions/transition-stage", **theirs, stage="Production", archive_existing_versions=False)
    tracker.post("model-versions/set-tag", **theirs, key="by", value="mara")
    tracker.post("registered-models/set-tag", name="summaries", key="by", value="mara")
    register(job_tracker, checkpoint_at(attempt.run))
    mine = {"name": "summaries", "version": "2"}
    stage = {"stage": "Production", "archive_existing_versions": False}
    before = everything()

    for method, route, body in (
        ("POST", "registered-models/alias", {**mine, "alias": "release"}),
        ("POST", "registered-models/alias", {**theirs, "alias": "champion"}),
        ("DELETE", "registered-models/alias", {"name": "summaries", "alias": "release"}),
        ("PATCH", "registered-models/update", {"name": "summaries", "description": "mine"}),
        ("POST", "registered-models/set-tag", {"name": "summaries", "key": "by", "value": "job"}),
        ("DELETE", "registered-models/delete-tag", {"name": "summaries", "key": "by"}),
        ("PATCH", "model-versions/update", {**theirs, "description": "mine"}),
        ("POST", "model-versions/set-tag", {**theirs, "key": "by", "value": "job"}),
        ("DELETE", "model-versions/delete-tag", {**theirs, "key": "by"}),
        ("POST", "model-versions/transition-stage", {**theirs, **stage, "stage": "None"}),
        ("POST", "model-versions/transition-stage", {**mine, **stage, "archive_existing_versions": True}),
    ):
        assert code_of(job_tracker.ask(method, route, body, code=403)) == "PERMISSION_DENIED", route
    assert everything() == before

    job_tracker.post("model-versions/transition-stage", **mine, **stage)
    job_tracker.post("registered-models/alias", **mine, alias="champion")
    job_tracker.post("model-versions/set-tag", **mine, key="by", value="job")
    assert (tags_of(checkpoint), tags_of(attempt.run.artifacts.get())) == ({"release"}, {"release"})


def test_a_job_moves_what_stands_at_its_own_versions(job_tracker, attempt):
    for step in (10, 20):
        register(job_tracker, checkpoint_at(attempt.run, f"checkpoints/step-{step}"))
    for version in ("1", "2"):
        job_tracker.post("registered-models/alias", name="summaries", alias="release", version=version)
        job_tracker.post(
            "model-versions/transition-stage", name="summaries", version=version, stage="Staging",
            archive_existing_versions=True,
        )  # fmt: skip
    job_tracker.ask("PATCH", "registered-models/update", {"name": "summaries", "description": "mine"})
    job_tracker.ask("DELETE", "registered-models/alias", {"name": "summaries", "alias": "release"})
    first, second = attempt.run.artifacts.order_by("name")
    assert (tags_of(first), tags_of(second)) == ({"archived"}, {"candidate"})


def test_models_of_one_name_in_two_projects_are_told_apart_by_the_checkpoint(tracker, project, checkpoint):
    other = new_run(new_project(), status="completed")
    register(Tracker(other.project.created_by), checkpoint_at(other), name="summaries")
    register(tracker, checkpoint)
    operator = Tracker(new_user("olga", is_staff=True))
    source = f"runs:/{checkpoint.run.uid}/{checkpoint.source}"
    made = operator.post("model-versions/create", name="summaries", source=source)["model_version"]
    assert made["version"] == "2"
    assert RegisteredModel.objects.get(project=project).versions.count() == 2


def register_as_clients_do(tracker, artifact, name="summaries", *, code):
    """As both clients' `register_model`: a name that is taken is fine; return the version."""
    made = tracker.call("POST", "/mlflow/api/2.0/mlflow/registered-models/create", {"name": name})
    assert made.status_code == code
    source = f"runs:/{artifact.run.uid}/{artifact.source}"
    return tracker.post("model-versions/create", name=name, source=source)["model_version"]


def test_a_name_of_another_project_of_mine_is_made_in_the_checkpoints_project(tracker, person, project, checkpoint):
    register(tracker, checkpoint)
    other = checkpoint_at(new_run(new_project(by=person), status="completed"))

    versions = [register_as_clients_do(tracker, other, code=400) for _ in range(2)]

    assert [version["version"] for version in versions] == ["1", "2"]
    alias = {"name": "summaries", "alias": "release", "version": "1"}
    refused = tracker.post("registered-models/alias", code=400, **alias)  # of which project's version?
    assert "Several projects" in refused["message"]
    assert tags_of(checkpoint) == tags_of(other) == set()
    tracker.post("registered-models/rename", name="summaries", new_name="summaries of old")
    tracker.post("registered-models/alias", **alias)
    assert (tags_of(checkpoint), tags_of(other)) == (set(), {"release"})
    assert RegisteredModel.objects.get(project=project).versions.count() == 1
    made = RegisteredModel.objects.get(project=other.run.project)
    assert (made.versions.count(), made.created_by) == (2, person)


def test_a_name_that_i_may_only_see_elsewhere_is_free_to_me(tracker, project, checkpoint):
    register(tracker, checkpoint)
    vera = add_member(project, "vera", Role.VIEWER)
    other = checkpoint_at(new_run(new_project(by=vera), status="completed"))
    colleague = Tracker(vera)

    assert register_as_clients_do(colleague, other, code=200)["version"] == "1"

    colleague.post("registered-models/alias", name="summaries", alias="release", version="1")
    assert (tags_of(checkpoint), tags_of(other)) == (set(), {"release"})
    read = colleague.get("registered-models/alias", name="summaries", alias="release")["model_version"]
    assert read["run_id"] == other.run.uid
    assert code_of(colleague.post("registered-models/create", code=400, name="summaries")) == "RESOURCE_ALREADY_EXISTS"


def test_an_operator_does_not_take_the_name_that_a_person_made_for_themselves(tracker, person, checkpoint):
    tracker.post("registered-models/create", name="summaries")
    olga = new_user("olga", is_staff=True)
    other = checkpoint_at(new_run(new_project(by=olga), status="completed"))

    register_as_clients_do(Tracker(olga), other, code=200)

    assert RegisteredModel.objects.get(created_by=person).project is None
    assert register(tracker, checkpoint)["version"] == "1"


def test_no_model_is_left_of_a_registration_that_is_refused(tracker, person, checkpoint):
    register(tracker, checkpoint)
    other = checkpoint_at(new_run(new_project(by=person), status="completed"), state="corrupt")
    before = everything()
    source = f"runs:/{other.run.uid}/{other.source}"
    tracker.post("model-versions/create", code=400, name="summaries", source=source)
    assert everything() == before


# --- Sources --------------------------------------------------------------------------------------
def test_every_way_to_name_a_checkpoint_leads_to_it(tracker, project, run):
    mine = checkpoint_at(run, "checkpoints/step-10")
    of_model = checkpoint_at(run, "models/whatever")
    logged = logged_model(of_model, run)
    tracker.post("registered-models/create", name="m")
    root = f"mlflow-artifacts:/{project.uid}"
    for source, wanted in (
        (f"runs:/{run.uid}/checkpoints/step-10", mine),
        (f"runs:/{run.uid}/checkpoints/step-10/", mine),
        (f"runs:/{run.uid}/classifier", of_model),
        (f"models:/{logged.uid}", of_model),
        (f"{root}/{run.uid}/artifacts/checkpoints/step-10", mine),
        (f"{root}/models/{logged.uid}/artifacts", of_model),
        ("models:/m/1", mine),
    ):
        version = tracker.post("model-versions/create", name="m", source=source, run_id=run.uid)["model_version"]
        row = RegisteredModel.objects.get().versions.get(number=int(version["version"]))
        assert (row.artifact, version["source"]) == (wanted, source)
        uri = tracker.get("model-versions/get-download-uri", name="m", version=version["version"])["artifact_uri"]
        assert uri == (
            f"{root}/{run.uid}/artifacts/{mine.source}" if wanted == mine else f"{root}/models/{logged.uid}/artifacts"
        )
        assert version.get("model_id") == (logged.uid if wanted == of_model else None)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("dbfs:/x", 400), ("s3://bucket/x", 400), ("file:///etc/passwd", 400), ("/etc/passwd", 400), ("x", 400),
        ("http://host/x", 400), ("mlflow-artifacts://host/{project}/{run}/artifacts/checkpoints/step-10", 400),
        ("runs:/{run}", 400), ("runs:/{run}/../{run}/checkpoints/step-10", 400), ("runs:/{run}//checkpoints", 400),
        ("runs://{run}/checkpoints/step-10", 400), ("runs:/{run}/checkpoints/step-11", 404),
        ("runs:/run_none/checkpoints/step-10", 404), ("runs:/{foreign}/checkpoints/step-10", 404),
        ("runs:/{run}/half", 400), ("models:/m-none", 404), ("models:/m/2", 404), ("models:/m/latest", 400),
        ("models:/m/1/x", 400), ("models:/{no_files}", 404), ("models:/{half}", 400),
        ("mlflow-artifacts:/{project}/{run}/checkpoints/step-10", 400),
        ("mlflow-artifacts:/proj_none/{run}/artifacts/checkpoints/step-10", 404),
        ("mlflow-artifacts:/{project}/models/m-none/artifacts", 404),
        ("runs:/{run}/" + "x" * 1000, 400), ("", 400), (7, 400),
    ],
)  # fmt: skip
def test_a_source_that_is_not_here_is_refused_and_says_so(tracker, project, run, checkpoint, source, code):
    foreign = checkpoint_at(new_run(new_project(), status="completed")).run
    unfinished = checkpoint_at(run, "half", state="writing")
    known = {"project": project.uid, "run": run.uid, "foreign": foreign.uid}
    known |= {"no_files": logged_model(None, run).uid, "half": logged_model(unfinished, run).uid}
    tracker.post("registered-models/create", name="m")
    before = everything()
    sent = source.format(**known) if isinstance(source, str) else source
    refused = tracker.post("model-versions/create", code=code, name="m", source=sent)
    assert code_of(refused) == ("INVALID_PARAMETER_VALUE" if code == 400 else "RESOURCE_DOES_NOT_EXIST")
    assert everything() == before


def test_a_checkpoint_of_another_run_is_refused(tracker, person, checkpoint):
    register(tracker, checkpoint)
    other = checkpoint_at(new_run(new_project(by=person), status="completed"))
    source = f"runs:/{checkpoint.run.uid}/{checkpoint.source}"
    tracker.post("model-versions/create", code=400, name="summaries", source=source, run_id=other.run.uid)
    assert RegisteredModel.objects.get().versions.count() == 1


def test_a_damaged_checkpoint_is_not_registered_or_released(tracker, checkpoint):
    register(tracker, checkpoint)
    checkpoint.state = "corrupt"
    checkpoint.save()
    before = everything()
    source = f"runs:/{checkpoint.run.uid}/{checkpoint.source}"
    tracker.post("model-versions/create", code=400, name="summaries", source=source)
    tracker.post("registered-models/alias", code=400, name="summaries", alias="release", version="1")
    stage = {"name": "summaries", "version": "1", "stage": "Production", "archive_existing_versions": True}
    tracker.post("model-versions/transition-stage", code=400, **stage)
    assert everything() == before


def test_where_several_attempts_wrote_a_path_the_newest_counts(tracker, run, checkpoint):
    Artifact.objects.filter(pk=checkpoint.pk).update(attempt=None)  # as of an earlier attempt
    newer = checkpoint_at(run)
    register(tracker, checkpoint)
    assert RegisteredModel.objects.get().versions.get().artifact == newer


# --- Versions -------------------------------------------------------------------------------------
def test_numbers_are_never_used_again(tracker, checkpoint):
    assert [register(tracker, checkpoint)["version"] for _ in range(3)] == ["1", "2", "3"]
    tracker.ask("DELETE", "model-versions/delete", {"name": "summaries", "version": "3"})
    tracker.get("model-versions/get", code=404, name="summaries", version="3")
    tracker.ask("DELETE", "model-versions/delete", {"name": "summaries", "version": "3"}, code=404)
    assert register(tracker, checkpoint)["version"] == "4"
    found = tracker.get("model-versions/search", filter="name = 'summaries'")["model_versions"]
    assert [version["version"] for version in found] == ["4", "2", "1"]


def test_a_version_is_described_and_tagged(tracker, checkpoint):
    register(tracker, checkpoint, tags=[{"key": "a", "value": "1"}], run_link="https://else.where/run", description="d")
    name = {"name": "summaries", "version": "1"}
    shown = tracker.ask("PATCH", "model-versions/update", {**name, "description": "better"})["model_version"]
    assert (shown["description"], shown["run_link"]) == ("better", "https://else.where/run")
    tracker.post("model-versions/set-tag", **name, key="b", value="")
    tracker.ask("DELETE", "model-versions/delete-tag", {**name, "key": "a"})
    assert tracker.get("model-versions/get", **name)["model_version"]["tags"] == [{"key": "b", "value": ""}]


@pytest.mark.parametrize(
    ("version", "code"), [("2", 404), ("9" * 30, 404), ("x", 400), ("-1", 400), ("1.0", 400), ("", 400), ("²", 400)]
)
def test_a_version_that_is_not_there_or_no_number(tracker, checkpoint, version, code):
    register(tracker, checkpoint)
    tracker.get("model-versions/get", code=code, name="summaries", version=version)


def test_the_newest_of_each_stage(tracker, checkpoint):
    for _ in range(3):
        register(tracker, checkpoint)
    stage = {"name": "summaries", "stage": "staging", "archive_existing_versions": False}
    assert (
        tracker.post("model-versions/transition-stage", **stage, version="1")["model_version"]["current_stage"]
        == "Staging"
    )
    for method in ("get", "post"):
        found = getattr(tracker, method)("registered-models/get-latest-versions", name="summaries")["model_versions"]
        assert [(one["version"], one["current_stage"]) for one in found] == [("1", "Staging"), ("3", "None")]
    wanted = {"name": "summaries", "stages": ["Staging", "production"]}
    assert [
        one["version"] for one in tracker.get("registered-models/get-latest-versions", **wanted)["model_versions"]
    ] == ["1"]
    tracker.get("registered-models/get-latest-versions", code=400, name="summaries", stages=["Gold"])
    tracker.post("model-versions/transition-stage", code=400, **{**stage, "stage": "Gold"}, version="1")


# --- Aliases and tags of checkpoints --------------------------------------------------------------
def alias(tracker, word, version, code=200):
    return tracker.post("registered-models/alias", code=code, name="summaries", alias=word, version=version)


def test_an_alias_leads_to_its_version_and_moves(tracker, run):
    first, second = checkpoint_at(run), checkpoint_at(run, "checkpoints/step-20")
    for one in (first, second):
        register(tracker, one)
    alias(tracker, "champion", "1")
    alias(tracker, "champion", "2")
    found = tracker.get("registered-models/alias", name="summaries", alias="champion")["model_version"]
    assert (found["version"], found["aliases"]) == ("2", ["champion"])
    assert tracker.get("registered-models/get", name="summaries")["registered_model"]["aliases"] == [
        {"alias": "champion", "version": "2"}
    ]
    assert tags_of(second) == set()  # only some words say something of a release
    assert tracker.get("registered-models/alias", name="summaries", alias="latest")["model_version"]["version"] == "2"
    for _ in range(2):
        tracker.ask("DELETE", "registered-models/alias", {"name": "summaries", "alias": "champion"})
    tracker.get("registered-models/alias", code=404, name="summaries", alias="champion")


@pytest.mark.parametrize("word", ["", "latest", "LATEST", "v1", "V22", "a b", "a/b", "x" * 256, "a.b", "@x"])
def test_bad_aliases_are_refused(tracker, checkpoint, word):
    register(tracker, checkpoint)
    alias(tracker, word, "1", code=400)


def test_the_alias_release_is_the_tag_and_takes_it_along(tracker, person, run):
    first, second = checkpoint_at(run), checkpoint_at(run, "checkpoints/step-20")
    register(tracker, first, description="beats the old one")
    register(tracker, second)
    alias(tracker, "release", "1")
    tag = first.tags.get()
    assert (tag.value, tag.notes, tag.applied_by) == ("release", "beats the old one", person)
    alias(tracker, "release", "2")
    assert (tags_of(first), tags_of(second)) == (set(), {"release"})
    assert second.tags.get().notes == "Registered as summaries version 2"
    kinds = list(run.events.filter(kind__in=["tagged", "untagged", "registered"]).values_list("kind", flat=True))
    assert kinds == ["registered", "registered", "tagged", "untagged", "tagged"]
    tracker.ask("DELETE", "registered-models/alias", {"name": "summaries", "alias": "release"})
    assert tags_of(second) == set()


def test_a_tag_stays_as_long_as_anything_stands_for_it(tracker, checkpoint):
    register(tracker, checkpoint)
    stage = {"name": "summaries", "version": "1", "archive_existing_versions": False}
    alias(tracker, "release", "1")
    tracker.post("model-versions/transition-stage", **stage, stage="Production")
    tracker.ask("DELETE", "registered-models/alias", {"name": "summaries", "alias": "release"})
    assert tags_of(checkpoint) == {"release"}
    tracker.post("model-versions/transition-stage", **stage, stage="Archived")
    assert tags_of(checkpoint) == {"archived"}
    tracker.post("model-versions/transition-stage", **stage, stage="None")
    assert tags_of(checkpoint) == set()


def test_a_tag_that_a_person_put_on_is_left_alone(tracker, person, checkpoint):
    tag_artifact(artifact=checkpoint, value="release", notes="by hand", by=person)
    register(tracker, checkpoint)
    alias(tracker, "release", "1")
    tracker.ask("DELETE", "registered-models/alias", {"name": "summaries", "alias": "release"})
    assert checkpoint.tags.get().notes == "by hand"


def test_a_tag_that_a_person_puts_on_again_is_theirs_from_then_on(tracker, person, checkpoint):
    register(tracker, checkpoint)
    alias(tracker, "release", "1")
    tag_artifact(artifact=checkpoint, value="release", notes="by hand", by=person)
    tracker.ask("DELETE", "registered-models/alias", {"name": "summaries", "alias": "release"})
    assert checkpoint.tags.get().notes == "by hand"


def test_a_tag_that_a_person_takes_off_takes_alias_and_stage_with_it(tracker, person, checkpoint):
    register(tracker, checkpoint)
    for word in ("release", "champion"):
        alias(tracker, word, "1")
    stage = {"name": "summaries", "version": "1", "stage": "Production", "archive_existing_versions": False}
    tracker.post("model-versions/transition-stage", **stage)
    untag_artifact(artifact=checkpoint, value="release", by=person)
    version = tracker.get("model-versions/get", name="summaries", version="1")["model_version"]
    assert (version["aliases"], version["current_stage"]) == (["champion"], "None")


def test_archiving_the_existing_versions_of_a_stage(tracker, run):
    checkpoints = [checkpoint_at(run, f"checkpoints/step-{step}") for step in (10, 20, 30)]
    for one in checkpoints:
        register(tracker, one)
    stage = {"name": "summaries", "stage": "Production"}
    for version in ("1", "2"):
        tracker.post("model-versions/transition-stage", **stage, version=version, archive_existing_versions=False)
    tracker.post("model-versions/transition-stage", **stage, version="3", archive_existing_versions=True)
    assert [tags_of(one) for one in checkpoints] == [{"archived"}, {"archived"}, {"release"}]
    tracker.post(
        "model-versions/transition-stage", code=400, name="summaries", version="3", stage="None",
        archive_existing_versions=True,
    )  # fmt: skip


@pytest.mark.parametrize("what", ["model-versions", "registered-models"])
def test_deleting_a_version_or_model_takes_its_tags_along(tracker, checkpoint, what):
    register(tracker, checkpoint)
    alias(tracker, "candidate", "1")
    assert tags_of(checkpoint) == {"candidate"}
    tracker.ask("DELETE", f"{what}/delete", {"name": "summaries", "version": "1"})
    assert tags_of(checkpoint) == set()
    assert fresh(checkpoint).state == "verified"


def test_what_is_no_checkpoint_is_not_released_and_can_be_laid_aside(tracker, run):
    other = new_artifact(run, type=ArtifactType.OTHER, name="model")
    register(tracker, other)
    alias(tracker, "release", "1", code=400)
    stage = {"name": "summaries", "version": "1", "stage": "Archived", "archive_existing_versions": False}
    tracker.post("model-versions/transition-stage", **stage)
    assert tags_of(other) == set()
    assert tracker.get("registered-models/get", name="summaries")["registered_model"]["aliases"] == []


def test_a_folder_that_a_client_put_becomes_a_checkpoint_when_it_is_registered(tracker, project):
    """MLflow 2 puts a model's files into a folder of the run, registers that, and moves the version to Production."""
    run = Run.objects.get(uid=tracker.new_run(project))
    root = f"/mlflow/api/2.0/mlflow-artifacts/artifacts/{project.uid}/{run.uid}/artifacts"
    for path in ("model/MLmodel", "checkpoint-5/weights.bin"):
        assert tracker.call("PUT", f"{root}/{path}", b"content").status_code == 200
    tracker.post("registered-models/create", name="summaries")
    for number, path in ((1, "model"), (2, "checkpoint-5")):
        source = f"runs:/{run.uid}/{path}"
        version = tracker.post("model-versions/create", name="summaries", source=source, run_id=run.uid)[
            "model_version"
        ]
        assert version["version"] == str(number)
        tracker.post(
            "model-versions/transition-stage",
            name="summaries",
            version=version["version"],
            stage="Production",
            archive_existing_versions=False,
        )
        artifact = run.artifacts.get(source=path)
        assert (artifact.type, artifact.state, tags_of(artifact)) == ("checkpoint", "verified", {"release"})
