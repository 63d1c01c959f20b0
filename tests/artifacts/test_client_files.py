"""Files that clients put one by one: nothing half there, nothing lost, nothing left behind."""

import os
import threading
from datetime import timedelta
from unittest import mock

import pytest
from django.db import OperationalError
from django.utils import timezone

from artifacts import verification
from artifacts.erasure import ErasureSweep
from artifacts.manifest import is_client_path, is_safe_name
from artifacts.models import Artifact
from artifacts.services import collect_broken_uploads
from artifacts.storage import BodyCutOff, FileStore, store
from artifacts.tracking import checkpoints
from artifacts.tracking import files as client_files
from artifacts.tracking.checkpoints import complete_checkpoint, drop_unrecorded, settle_client_files
from artifacts.tracking.files import PathRefused, Sender, put_file
from artifacts.tracking.logged import create_logged_model, link_models, put_model_file
from artifacts.tracking.places import find_step, place_of
from artifacts.tracking.removal import delete_files
from artifacts.tracking.tree import artifacts_of_run, find_file
from artifacts.verification import Verifier, verify_artifact
from runs.attempts import finish_attempt, open_attempt
from runs.deletion import delete_run
from runs.models import Run
from runs.telemetry.removal import remove_leftovers
from runs.tracking.external import create_external_run, update_tracked
from tests.factories import at_once, everything, exit_body, fresh, new_artifact, new_attempt
from tests.runs.telemetry.model import Crash
from trainhub.errors import ArtifactDamaged, Conflict, DomainError, NotFound

pytestmark = pytest.mark.django_db
UID = "art_0123456789abcdef"
ANNA = Sender("anna")


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "store")


@pytest.fixture
def run(project, admin):
    return create_external_run(project=project, by=admin, actor="anna")


def put(run, path, content=b"content", **more):
    given = {"blocks": [content[:3], content[3:]], "size_bytes": len(content), **more}
    return put_file(run=run, path=path, by=ANNA, **given)


def content_of(run, path):
    artifact, index = find_file(artifacts_of_run(run), path)
    return store().open(artifact.uid, artifact.file_number(index)).read()


def aside(files):
    return sorted(path.name for path in files._incoming.glob("*"))


# --- The store ------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [10, None])
def test_a_file_of_unknown_hash_is_received(files, size):
    with files.receive(UID, 12345, [b"check", b"point"], size_bytes=size) as received:
        assert aside(files) != []  # until it is recorded

    assert received.size_bytes == 10
    assert files.digest(UID, 12345) == received.sha256
    assert (aside(files), files.numbers(UID)) == ([], {12345})


@pytest.mark.parametrize(("content", "size"), [(b"chec", 10), (b"checkpoints", 10), (b"", 1)])
def test_another_length_than_announced_is_not_kept(files, content, size):
    with pytest.raises(BodyCutOff), files.receive(UID, 1, [content], size_bytes=size):
        pytest.fail("nothing arrived")

    assert (aside(files), files.numbers(UID)) == ([], set())


def test_what_is_refused_when_it_is_recorded_is_not_kept(files):
    with pytest.raises(DomainError), files.receive(UID, 1, [b"x"], size_bytes=1):
        raise DomainError("no")

    assert (aside(files), files.numbers(UID)) == ([], set())


def test_what_may_be_recorded_is_kept_until_somebody_looks(files):
    with pytest.raises(OperationalError), files.receive(UID, 1, [b"x"], size_bytes=1):
        raise OperationalError("was it committed?")

    assert (files.numbers(UID), files.being_received(UID), len(aside(files))) == ({1}, {1}, 1)
    assert files.abandoned(older_than=timedelta(0)) == {UID: {1}}


def test_a_file_has_two_places_while_it_moves(files):
    with files.receive(UID, 1, [b"x"], size_bytes=1):
        pass
    files.link(UID, 1, to_uid="ckpt_0", to_number=7)
    files.delete_file(UID, 1)
    files.delete_file(UID, 1)

    assert (files.numbers(UID), files.open("ckpt_0", 7).read()) == (set(), b"x")


# --- Faults ---------------------------------------------------------------------------------------
def break_commit(monkeypatch, *, after):
    """Let the next recording fail as a lost connection does, before or after it is stored."""
    record = client_files._record

    def fail(*arguments):
        if after:
            record(*arguments)
        monkeypatch.undo()
        raise OperationalError("the connection is gone")

    monkeypatch.setattr(client_files, "_record", fail)


def age_incoming(hours=2):
    for path in store()._incoming.glob("*"):
        moment = timezone.now().timestamp() - hours * 3600
        os.utime(path, (moment, moment))


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_of_which_nobody_knows_leaves_no_half_file(run, monkeypatch, after):
    put(run, "plots/a", b"old")
    break_commit(monkeypatch, after=after)
    with pytest.raises(OperationalError):
        put(run, "plots/a", b"new")
    assert content_of(run, "plots/a") == (b"new" if after else b"old")

    age_incoming()
    collect_broken_uploads()

    artifact = run.artifacts.get()
    assert content_of(run, "plots/a") == (b"new" if after else b"old")
    assert store().numbers(artifact.uid) == set(artifact.places)
    assert aside(store()) == []


@pytest.mark.parametrize("step", ["delete_file", "collect_incoming"])
def test_a_process_that_is_killed_while_it_collects_leaves_the_rest_to_the_next(run, monkeypatch, step):
    put(run, "plots/a", b"old")
    break_commit(monkeypatch, after=False)
    with pytest.raises(OperationalError):
        put(run, "plots/b", b"new")
    age_incoming()

    with mock.patch.object(FileStore, step, side_effect=Crash), pytest.raises(Crash):
        collect_broken_uploads()
    collect_broken_uploads()

    artifact = run.artifacts.get()
    assert store().numbers(artifact.uid) == set(artifact.places)
    assert aside(store()) == []


def test_collecting_leaves_alone_what_is_on_its_way(run):
    put(run, "plots/a", b"old")
    uid = run.artifacts.get().uid
    with store().receive(uid, 99, [b"x"], size_bytes=1):
        assert drop_unrecorded(uid) == 0
        assert 99 in store().numbers(uid)
    assert drop_unrecorded(uid) == 1


def test_one_in_a_store_that_is_away_holds_up_no_other(run, caplog):
    for path in ("checkpoints/5/a", "checkpoints/6/a", "checkpoints/7/a"):
        put(run, path)
    for path in ("plots/a", "others/a"):
        with pytest.raises(BodyCutOff):
            put(run, path, size_bytes=100)
    away = run.artifacts.filter(source__in=["checkpoints/5", "plots"])
    away.update(store="s3")  # which no setting names

    assert settle_client_files(now=timezone.now() + timedelta(hours=2)) == 2
    left = run.artifacts.filter(state="writing").values_list("source", flat=True)
    assert set(left) == {"checkpoints/5", "checkpoints/7", "plots"}
    assert caplog.text.count("names none") == 2
    away.update(store="file")
    assert settle_client_files(now=timezone.now() + timedelta(hours=2)) == 2


def test_a_first_upload_that_fails_leaves_an_artifact_that_nobody_sees_and_that_goes(run):
    with pytest.raises(BodyCutOff):
        put(run, "plots/a", size_bytes=100)
    assert not artifacts_of_run(run).exists()
    assert not run.artifacts.whole().exists()

    assert settle_client_files() == 0
    assert settle_client_files(now=timezone.now() + timedelta(hours=2)) == 1
    assert not Artifact.objects.exists()


def test_what_began_as_a_file_may_be_a_folder_when_it_is_sent_again(run):
    with pytest.raises(BodyCutOff):
        put(run, "plots", size_bytes=100)
    put(run, "plots/a", b"inside")

    assert content_of(run, "plots/a") == b"inside"


def test_a_checkpoint_to_which_a_file_is_on_its_way_is_not_whole(run):
    put(run, "checkpoints/5/a")
    checkpoint = run.artifacts.get()
    put(run, "checkpoints/10/a")
    with store().receive(checkpoint.uid, 99, [b"x"], size_bytes=1):
        assert settle_client_files(now=timezone.now() + timedelta(hours=2)) == 0
    assert settle_client_files(now=timezone.now() + timedelta(hours=2)) == 1
    assert fresh(checkpoint).state == "verified"


def test_what_is_removed_meanwhile_is_not_found(run):
    put(run, "checkpoints/5/a")
    put(run, "plots/a")
    checkpoint, plots = run.artifacts.order_by("source")
    delete_files(run=run, path="checkpoints")
    run.artifacts.all().delete()
    with pytest.raises(NotFound):
        complete_checkpoint(checkpoint=checkpoint, by=ANNA)
    with pytest.raises(NotFound):
        checkpoints._flip(plots, ANNA)
    with pytest.raises(NotFound):
        verify_artifact(artifact=plots)
    assert checkpoints._complete([checkpoint], ANNA) == 0
    assert not run.artifacts.exists()


def test_verifying_does_not_make_whole_what_is_overwritten_meanwhile(run, admin):
    put(run, "checkpoints/5/a", b"one")
    update_tracked(run=run, by=admin, actor="anna", status="FINISHED")
    checkpoints.complete_checkpoints_of(run=run, by=ANNA)
    stale = run.artifacts.get()
    put(run, "checkpoints/5/b", b"two")
    with pytest.raises(NotFound):
        verify_artifact(artifact=stale)
    assert fresh(stale).state == "writing"


def test_more_files_than_an_artifact_may_have_are_refused(run, monkeypatch):
    monkeypatch.setattr(client_files, "MAX_ARTIFACT_FILES", 2)
    put(run, "plots/a")
    put(run, "plots/b")
    before = everything()
    with pytest.raises(PathRefused, match="as many as"):
        put(run, "plots/c")
    put(run, "plots/b", b"replaced")

    assert len(before["Artifact"]) == 1
    assert len(run.artifacts.get().manifest) == 2


# --- What the hub does with them ------------------------------------------------------------------
def test_verifying_finds_damage_and_a_file_that_is_sent_again_mends_it(run):
    put(run, "plots/a", b"aaaa")
    put(run, "plots/b", b"bbbb")
    put(run, "plots/a", b"cccc")
    artifact = run.artifacts.get()
    verify_artifact(artifact=artifact)
    path = store()._place(artifact.uid, artifact.file_number(1))
    path.write_bytes(b"bbbx")
    with pytest.raises(ArtifactDamaged, match="b is missing"):
        verify_artifact(artifact=artifact)
    assert fresh(artifact).state == "corrupt"

    put(run, "plots/b", b"bbbb")
    assert (fresh(artifact).state, fresh(artifact).damaged_file) == ("verified", "")
    assert content_of(run, "plots/b") == b"bbbb"
    verify_artifact(artifact=fresh(artifact))


def test_a_damaged_checkpoint_is_mended_by_the_same_bytes_and_replaced_by_others(run):
    put(run, "checkpoints/5.pt", b"weights")
    checkpoint = run.artifacts.get()
    store().delete(checkpoint.uid)
    with pytest.raises(ArtifactDamaged):
        verify_artifact(artifact=checkpoint)
    put(run, "checkpoints/5.pt", b"weights")
    assert (fresh(checkpoint).state, fresh(checkpoint).damaged_file) == ("verified", "")
    store().delete(checkpoint.uid)
    with pytest.raises(ArtifactDamaged):
        verify_artifact(artifact=checkpoint)
    put(run, "checkpoints/5.pt", b"another")
    assert (fresh(checkpoint).state, fresh(checkpoint).damaged_file) == ("verified", "")
    assert verify_artifact(artifact=fresh(checkpoint)).state == "verified"


def damaged_twice(run, *paths, content=b"four"):
    """Return an artifact of these files, of which the first two are lost and the first one is known to be."""
    for path in paths:
        put(run, path, content)
    artifact = run.artifacts.get()
    for index in (0, 1):
        store().delete_file(artifact.uid, artifact.file_number(index))
    with pytest.raises(ArtifactDamaged, match=paths[0].rpartition("/")[2]):
        verify_artifact(artifact=artifact)
    return fresh(artifact)


def state_of(artifact):
    now = fresh(artifact)
    return now.state, now.damaged_file


@pytest.mark.parametrize(
    "mend", [lambda run: put(run, "plots/a", b"four"), lambda run: delete_files(run=run, path="plots/a")]
)
def test_of_two_damaged_files_the_second_is_known_once_the_first_is_mended(run, mend):
    plots = damaged_twice(run, "plots/a", "plots/b", "plots/c")

    mend(run)
    assert state_of(plots) == ("corrupt", "b")
    put(run, "plots/b", b"four")
    assert state_of(plots) == ("verified", "")


def test_what_is_too_large_to_be_compared_at_once_is_damaged_until_the_scheduler_has_compared_it(run, monkeypatch):
    monkeypatch.setattr(verification, "READ_AT_ONCE_BYTES", 1)
    plots = damaged_twice(run, "plots/a", "plots/b")

    put(run, "plots/a", b"four")
    assert state_of(plots) == ("corrupt", "")
    verifier = Verifier()
    assert [verifier(), verifier()] == [True, False]
    assert state_of(plots) == ("corrupt", "b")
    put(run, "plots/b", b"four")
    assert [state_of(plots), verifier(), state_of(plots)] == [("corrupt", ""), True, ("verified", "")]


def test_overwriting_another_file_of_a_damaged_checkpoint_does_not_make_it_whole(run):
    paths = [f"checkpoints/5/{name}" for name in "abc"]
    for path in paths:
        put(run, path)
    complete_checkpoint(checkpoint=run.artifacts.get(), by=ANNA)
    checkpoint = damaged_twice(run, *paths, content=b"content")

    put(run, paths[2], b"another")
    assert fresh(checkpoint).state == "writing"
    complete_checkpoint(checkpoint=checkpoint, by=ANNA)
    assert state_of(checkpoint) == ("corrupt", "a")
    for path in paths[:2]:
        put(run, path, b"other")
    complete_checkpoint(checkpoint=checkpoint, by=ANNA)
    assert state_of(checkpoint) == ("verified", "")


@pytest.mark.parametrize("path", ["plots", "plots/deep"])
def test_damaged_files_do_not_become_a_model(run, path):
    plots = damaged_twice(run, "plots/deep/a", "plots/deep/b")

    with pytest.raises(Conflict, match="damaged"):
        checkpoints.mark_model(run=run, path=path, by=ANNA)

    assert [state_of(one) for one in run.artifacts.all()] == [state_of(plots)] == [("corrupt", "deep/a")]
    assert fresh(plots).type == "other"


def test_a_file_that_is_replaced_while_it_is_verified_is_no_damage(run):
    put(run, "plots/a", b"old")
    stale = run.artifacts.get()
    put(run, "plots/a", b"new")

    assert verify_artifact(artifact=stale).state == "verified"


def test_a_run_that_is_deleted_takes_its_files_with_it(run, admin):
    put(run, "plots/a")
    put(run, "checkpoints/5/a")
    model = create_logged_model(project=run.project, run=run, name="best")
    put_model_file(model=model, path="MLmodel", blocks=[b"x"], size_bytes=1, by=ANNA)
    link_models(run=run, steps={model: 5})
    uids = list(run.artifacts.values_list("uid", flat=True))
    update_tracked(run=run, by=admin, actor="anna", status="FINISHED")
    delete_run(run=fresh(run), by=admin)
    with pytest.raises(NotFound):
        put(run, "plots/b")
    remove_leftovers(seconds=60)
    ErasureSweep(seconds=60)(now=timezone.now() + timedelta(hours=1))

    assert [store().holds(uid) for uid in uids] == [False] * 3
    assert not Run.objects.filter(pk=run.pk).exists()
    assert aside(store()) == []


def test_a_restart_goes_on_from_what_the_trainer_saved_not_from_what_it_sent(project):
    attempt = new_attempt(project=project)
    Run.objects.filter(pk=attempt.run_id).update(max_restarts=1)
    saved = new_artifact(attempt.run, step=10)
    put(attempt.run, "checkpoints/20.pt")
    run = finish_attempt(attempt=attempt, report=exit_body(exit_code=1))

    assert run.status == "queued"
    assert open_attempt(run=run, gpu_indexes=[]).resume_from == saved


# --- Places ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "source", "kind", "is_directory", "step"),
    [
        ("a.txt", "a.txt", "other", False, None),
        ("a/b/c", "a", "other", True, None),
        ("evaluations/5.json", "evaluations", "evaluation", True, None),
        ("checkpoints/5.pt", "checkpoints/5.pt", "checkpoint", False, 5),
        ("checkpoints/step-5/a/b", "checkpoints/step-5", "checkpoint", True, 5),
        ("checkpoints", "checkpoints", "other", False, None),
        ("checkpoint-30/model.bin", "checkpoint-30", "checkpoint", True, 30),
        ("checkpoint-best/model.bin", "checkpoint-best", "other", True, None),
        ("model/checkpoints/epoch=0-step=5/x.ckpt", "model/checkpoints/epoch=0-step=5", "checkpoint", True, 5),
        ("model/MLmodel", "model", "other", True, None),
        ("epoch=1-step=20/epoch=1-step=20.ckpt", "epoch=1-step=20", "checkpoint", True, 20),
        ("epoch=1-step=20/metadata.yaml", "epoch=1-step=20", "checkpoint", True, 20),
        ("last/last.ckpt", "last", "checkpoint", True, None),
        ("last/other.ckpt", "last", "other", True, None),
        ("last/last.ckpt/x", "last", "other", True, None),
        ("epoch=1-step=20.png", "epoch=1-step=20.png", "other", False, None),
    ],
)
def test_where_files_belong(run, path, source, kind, is_directory, step):
    place = place_of(run, path)

    assert (place.source, place.type, place.is_directory, place.step) == (source, kind, is_directory, step)


@pytest.mark.parametrize(("name", "step"), [("a", None), ("9" * 19, None), ("epoch=3-step=500.ckpt", 500), ("007", 7)])
def test_steps_are_read_from_names(name, step):
    assert find_step(name) == step


@pytest.mark.parametrize(
    "name", ["a%2e.", "%2E%2e", "%25252e", "x%2Fy", "%5c", "%00", "%0d%0a", "%250a", "%step%5%2f0d8a3c", " a", "a "]
)
def test_what_one_more_decoding_or_nobodys_eyes_would_change_is_no_path_of_a_client(name):
    assert not is_client_path(name)


IMAGES = [  # of mlflow.log_image, MLflow 2.22
    "images/k%step%5%timestamp%1795776232437%3b0d8a3c-5b7e-4d58-9f3f-2f3a2c9f11aa.png",
    "images/k%step%2500%timestamp%1795776232437%2f0d8a3c-5b7e-4d58-9f3f-2f3a2c9f11aa%compressed.webp",
    "images/k%step%0%timestamp%1795776232437%00ad8a3c-5b7e-4d58-9f3f-2f3a2c9f11aa.json",
]


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_a_step_are_paths_of_a_client(name):
    assert is_client_path(name)
    assert not is_client_path(name.replace("k%step", "%2e%2e%2fk%step"))


@pytest.mark.parametrize("name", ["100%", "%", "50%25", "%41", "a%20b", "größe – 漢", "हिन्दी", "xy:z"])
def test_percent_signs_and_scripts_are_fine(name):
    assert is_client_path(name)
    assert is_safe_name(name.replace(":", ""))


def test_removing_at_once_with_putting_leaves_whole_files_or_none(transactional_db, run):
    put(run, "plots/a", b"first")
    stop = threading.Event()

    def remove():
        while not stop.is_set():
            delete_files(run=run, path="plots")

    def send():
        for number in range(20):
            try:
                put(run, f"plots/{number}", b"x")
            except DomainError:
                continue
        stop.set()

    at_once(remove, send)
    for artifact in run.artifacts.exclude(digest=""):
        assert store().numbers(artifact.uid) == set(artifact.places)
