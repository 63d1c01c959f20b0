"""What a run produced: list, one, verify."""

import pytest

from artifacts import comparing
from artifacts.models import Artifact
from artifacts.storage import choice
from artifacts.verification import Verifier
from tests.factories import (
    CHECKPOINT_FILES,
    artifact_path,
    damage,
    everything,
    fresh,
    kinds,
    lose,
    new_artifact,
    new_run,
    run_path,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    return new_run(project, status="completed")


@pytest.fixture
def checkpoint(run) -> Artifact:
    return new_artifact(run)


def test_artifacts_are_listed_oldest_first_with_the_contracts_fields(as_viewer, run):
    first, second = new_artifact(run), new_artifact(run, name="eval.json", type="evaluation", step=None)

    items = as_viewer.call("GET", f"{run_path(run)}/artifacts").json()["items"]

    assert [item["id"] for item in items] == [first.uid, second.uid]
    assert items[0].keys() >= {"id", "name", "type", "path", "created_at", "size_bytes", "tags"}
    assert (items[0]["size_bytes"], items[0]["tags"], items[0]["simulated"]) == (808, [], True)
    assert items[0]["path"] == f"trainhub://{run.project.uid}/{run.uid}/{first.uid}"


def test_what_is_still_being_written_is_nowhere(as_viewer, run):
    writing = new_artifact(run, state="writing")

    assert as_viewer.call("GET", f"{run_path(run)}/artifacts").json()["items"] == []
    assert as_viewer.call("GET", run_path(run)).json()["artifacts"] == []
    assert as_viewer.call("GET", artifact_path(writing)).status_code == 404
    assert as_viewer.call("GET", f"{artifact_path(writing)}/download").status_code == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [("type=checkpoint", 2), ("type=evaluation", 1), ("type=config", 0), ("state=corrupt", 1), ("state=verified", 2)],
)
def test_artifacts_are_filtered(as_viewer, run, query, count):
    new_artifact(run)
    new_artifact(run, state="corrupt", name="other")
    new_artifact(run, type="evaluation", name="eval.json")

    assert len(as_viewer.call("GET", f"{run_path(run)}/artifacts?{query}").json()["items"]) == count


@pytest.mark.parametrize("query", ["type=model", "state=lost", "type=", "tag=release", "state=%00"])
def test_a_query_that_is_not_understood_is_400(as_viewer, run, query):
    assert as_viewer.call("GET", f"{run_path(run)}/artifacts?{query}").status_code == 400


def test_one_artifact_shows_its_manifest(as_viewer, checkpoint):
    shown = as_viewer.call("GET", artifact_path(checkpoint)).json()

    assert [(file["index"], file["name"], file["size_bytes"]) for file in shown["files"]] == [
        (index, name, len(content)) for index, (name, content) in enumerate(CHECKPOINT_FILES.items())
    ]
    assert (shown["state"], shown["step"], shown["sha256"], shown["attempt"]) == ("verified", 10, checkpoint.digest, 1)


def test_verify_notes_that_the_bytes_are_whole(as_editor, checkpoint):
    before = checkpoint.verified_at

    answer = as_editor.call("POST", f"{artifact_path(checkpoint)}/verify")

    assert (answer.status_code, answer.json()["state"]) == (200, "verified")
    assert fresh(checkpoint).verified_at > before


@pytest.mark.parametrize("spoil", [damage, lose])
@pytest.mark.parametrize("index", [0, 1])
def test_verify_names_the_file_that_is_damaged_or_lost(as_editor, checkpoint, spoil, index):
    name = spoil(checkpoint, index)

    answer = as_editor.call("POST", f"{artifact_path(checkpoint)}/verify")

    assert (answer.status_code, answer.json()["code"], answer.json()["file"]) == (409, "artifact_damaged", name)
    assert (fresh(checkpoint).state, fresh(checkpoint).damaged_file) == ("corrupt", name)


@pytest.fixture
def large_in_a_bucket(checkpoint, monkeypatch):
    """A checkpoint that takes longer to read than a request may."""
    monkeypatch.setattr(comparing, "READ_AT_ONCE_BYTES", 10)
    monkeypatch.setitem(choice._KINDS, "s3", choice.file_store)
    Artifact.objects.filter(pk=checkpoint.pk).update(store="s3")
    return checkpoint


@pytest.mark.parametrize(("spoil", "after"), [(str, "verified"), (damage, "corrupt")])
def test_what_is_large_and_in_a_bucket_is_compared_by_the_scheduler(as_editor, large_in_a_bucket, spoil, after):
    spoil(large_in_a_bucket)

    answer = as_editor.call("POST", f"{artifact_path(large_in_a_bucket)}/verify")
    Verifier()()

    assert (answer.status_code, answer.json()["state"]) == (202, "complete")
    assert fresh(large_in_a_bucket).state == after


@pytest.mark.parametrize("ask", ["{}/verify", "{run}/resume?source_artifact_id={uid}"])
def test_more_than_two_comparisons_at_once_are_asked_to_come_back(as_editor, checkpoint, ask):
    place = artifact_path(checkpoint)
    path = ask.format(place, run=run_path(checkpoint.run), uid=checkpoint.uid)
    before = everything()
    with comparing.comparing_place(), comparing.comparing_place():
        refused = as_editor.call("POST", path, {})
    unchanged = everything() == before
    answers = [as_editor.call("POST", path, {}).status_code for _ in range(3)]
    damage(checkpoint)
    answers += [as_editor.call("POST", path, {}).status_code for _ in range(3)]
    damage(checkpoint)  # which puts the byte back
    answers.append(as_editor.call("POST", path, {}).status_code)

    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "2")
    assert unchanged
    assert answers in ([code] * 3 + [409] * 3 + [code] for code in (200, 201))


def test_the_scheduler_compares_while_all_places_are_taken(checkpoint):
    Artifact.objects.filter(pk=checkpoint.pk).update(state="complete")
    with comparing.comparing_place(), comparing.comparing_place():
        Verifier()()

    assert fresh(checkpoint).state == "verified"


@pytest.mark.parametrize("state", ["removed", "writing"])
def test_what_is_not_there_is_not_compared_later_either(as_editor, large_in_a_bucket, state):
    Artifact.objects.filter(pk=large_in_a_bucket.pk).update(state=state)

    answer = as_editor.call("POST", f"{artifact_path(large_in_a_bucket)}/verify")

    assert (answer.status_code, fresh(large_in_a_bucket).state) == ({"removed": 409, "writing": 404}[state], state)


def test_damage_is_noted_once_in_the_timeline(as_editor, checkpoint):
    damage(checkpoint)

    as_editor.call("POST", f"{artifact_path(checkpoint)}/verify")
    as_editor.call("POST", f"{artifact_path(checkpoint)}/verify")

    assert kinds(checkpoint.run).count("artifact_damaged") == 1


def test_bytes_that_were_put_back_are_verified_again(as_editor, checkpoint):
    damage(checkpoint)
    as_editor.call("POST", f"{artifact_path(checkpoint)}/verify")
    damage(checkpoint)  # flips the same bit back

    answer = as_editor.call("POST", f"{artifact_path(checkpoint)}/verify")

    assert (answer.status_code, answer.json()["state"], answer.json()["damaged_file"]) == (200, "verified", "")


def test_an_artifact_without_files_is_whole(as_editor, run):
    empty = new_artifact(run, files={})

    assert as_editor.call("POST", f"{artifact_path(empty)}/verify").status_code == 200


@pytest.mark.parametrize("uid", ["ckpt_none", "run_x", "art_0000000000000000"])
def test_an_unknown_artifact_is_404_and_changes_nothing(as_editor, checkpoint, uid):
    before = everything()

    answer = as_editor.call("POST", f"{run_path(checkpoint.run)}/artifacts/{uid}/verify")

    assert answer.status_code == 404
    assert everything() == before
