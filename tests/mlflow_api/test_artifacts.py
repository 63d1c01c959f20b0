"""Artifacts as clients put, list, read and remove them, through the proxy."""

import hashlib
import threading
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from artifacts.models import TagValue
from artifacts.services import tag_artifact
from artifacts.storage import store
from artifacts.tracking.checkpoints import settle_client_files
from artifacts.tracking.files import Sender, put_file
from artifacts.verification import verify_artifact
from projects.models import Role
from runs.attempts import finish_attempt, open_attempt, tracking_token
from runs.models import Run
from tests.factories import (
    add_member,
    at_once,
    everything,
    exit_body,
    fresh,
    kinds,
    new_artifact,
    new_attempt,
    new_project,
    new_user,
)
from trainhub.errors import TooBusy

from .conftest import Tracker

pytestmark = pytest.mark.django_db
PROXY = "/mlflow/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def run(tracker, project):
    """An external run."""
    return Run.objects.get(uid=tracker.new_run(project))


def root(run):
    return f"{PROXY}/{run.project.uid}/{run.uid}/artifacts"


def put(caller, run, path, content=b"content", code=200):
    answer = caller.call("PUT", f"{root(run)}/{quote(path)}", content)
    assert answer.status_code == code, answer.content
    return answer.json()


def read(caller, run, path, code=200):
    answer = caller.call("GET", f"{root(run)}/{quote(path)}")
    assert answer.status_code == code, answer.content
    return b"".join(answer.streaming_content) if answer.streaming else answer.json()


def delete(caller, run, path, code=200):
    answer = caller.call("DELETE", f"{root(run)}/{quote(path)}")
    assert answer.status_code == code, answer.content
    return answer.json()


def listed(caller, run, path=""):
    """Return what the run's listing has: sizes by path, None for folders."""
    files = caller.get("artifacts/list", run_id=run.uid, path=path)["files"]
    return {file["path"]: file.get("file_size") for file in files}


def sources(run):
    return {one.source: (one.type, one.state, [e["name"] for e in one.manifest]) for one in run.artifacts.all()}


def stored_files(artifact):
    return store().numbers(artifact.uid)


def test_files_are_grouped_by_the_first_part_of_their_path(tracker, run):
    for path in ("plots/loss.png", "plots/a/b.png", "notes.txt", "config/run.json", "tensorboard/events"):
        put(tracker, run, path, path.encode())

    assert sources(run) == {
        "plots": ("other", "verified", ["loss.png", "a/b.png"]),
        "notes.txt": ("other", "verified", ["notes.txt"]),
        "config": ("config", "verified", ["run.json"]),
        "tensorboard": ("tensorboard", "verified", ["events"]),
    }
    assert read(tracker, run, "plots/a/b.png") == b"plots/a/b.png"
    plots = run.artifacts.get(source="plots")
    assert (plots.is_directory, plots.attempt, plots.is_from_client) == (True, None, True)
    assert plots.size_bytes == len("plots/loss.png") + len("plots/a/b.png")
    assert kinds(run).count("other_recorded") == 2


def test_listings_are_one_tree(tracker, run):
    for path in ("plots/loss.png", "plots/a/b.png", "notes.txt", "checkpoints/step-5/model.bin"):
        put(tracker, run, path, b"123")

    assert listed(tracker, run) == {"checkpoints": None, "notes.txt": 3, "plots": None}
    assert listed(tracker, run, "plots") == {"plots/a": None, "plots/loss.png": 3}
    assert listed(tracker, run, "plots/a") == {"plots/a/b.png": 3}
    assert listed(tracker, run, "checkpoints") == {"checkpoints/step-5": None}
    assert listed(tracker, run, "plots/loss.png") == listed(tracker, run, "nothing") == {}
    answer = tracker.get("artifacts/list", run_id=run.uid, page_token="x")
    assert answer["root_uri"] == f"mlflow-artifacts:/{run.project.uid}/{run.uid}/artifacts"


def test_the_proxy_lists_names_relative_to_the_folder(tracker, run):
    put(tracker, run, "plots/a/b.png", b"123")
    put(tracker, run, "plots/loss.png", b"")
    where = f"{run.project.uid}/{run.uid}/artifacts"

    def ask(path):
        return tracker.call("GET", f"{PROXY}?path={quote(path)}").json()["files"]

    assert ask(where) == [{"path": "plots", "is_dir": True}]
    assert ask(f"{where}/plots/") == [
        {"path": "a", "is_dir": True},
        {"path": "loss.png", "is_dir": False, "file_size": 0},
    ]
    assert ask(f"{where}/missing") == []


def test_what_the_runner_brought_is_in_the_tree_and_cannot_be_removed(job_tracker, attempt):
    run = attempt.run
    artifact = new_artifact(run, files={"model.bin": b"weights"})
    new_artifact(run, name="half", state="writing")

    assert listed(job_tracker, run, "checkpoints") == {artifact.source: None}
    assert read(job_tracker, run, f"{artifact.source}/model.bin") == b"weights"
    assert "whole checkpoint" in delete(job_tracker, run, f"{artifact.source}/model.bin", code=400)["message"]
    delete(job_tracker, run, "checkpoints", code=400)
    assert read(job_tracker, run, f"{artifact.source}/model.bin") == b"weights"


def test_the_same_path_again_replaces_the_file(tracker, run):
    put(tracker, run, "plots/loss.png", b"old")
    put(tracker, run, "plots/lr.png", b"rate")
    before = run.artifacts.get()
    put(tracker, run, "plots/loss.png", b"newer")

    artifact = run.artifacts.get()
    assert read(tracker, run, "plots/loss.png") == b"newer"
    assert read(tracker, run, "plots/lr.png") == b"rate"
    assert (artifact.size_bytes, artifact.file_number(1)) == (9, before.file_number(1))
    assert artifact.digest != before.digest
    assert stored_files(artifact) == set(artifact.places)


def test_who_reads_a_file_that_is_replaced_reads_the_old_one_to_its_end(tracker, run):
    content = b"old" * 1_000_000
    put(tracker, run, "big.bin", content)
    answer = tracker.call("GET", f"{root(run)}/big.bin")
    blocks = iter(answer.streaming_content)
    first = next(blocks)
    put(tracker, run, "big.bin", b"new")

    assert first + b"".join(blocks) == content
    assert read(tracker, run, "big.bin") == b"new"


def test_the_same_bytes_again_change_nothing(tracker, run):
    put(tracker, run, "checkpoints/last.ckpt", b"weights")
    before = everything()
    put(tracker, run, "checkpoints/last.ckpt", b"weights")  # the answer was lost, and the client repeats it

    assert everything() == before
    assert len(stored_files(run.artifacts.get())) == 1


def test_removing_files_leaves_the_others_as_they_are(tracker, run):
    for path in ("plots/a/1", "plots/a/2", "plots/b", "plots/ab"):
        put(tracker, run, path, path.encode())

    assert delete(tracker, run, "plots/a") == {}
    assert listed(tracker, run, "plots") == {"plots/ab": 8, "plots/b": 7}
    assert read(tracker, run, "plots/b") == b"plots/b"
    assert read(tracker, run, "plots/a/1", code=404)["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert delete(tracker, run, "plots/a") == delete(tracker, run, "nothing/there") == {}
    artifact = run.artifacts.get()
    assert stored_files(artifact) == set(artifact.places)
    delete(tracker, run, "plots")
    assert not run.artifacts.exists()
    assert not store().holds(artifact.uid)
    put(tracker, run, "plots", b"a file now")
    assert listed(tracker, run) == {"plots": 10}


def test_everything_of_a_run_can_be_removed(tracker, run):
    put(tracker, run, "plots/a")
    put(tracker, run, "notes.txt")

    assert tracker.call("DELETE", root(run)).json() == {}
    assert listed(tracker, run) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c"), ("a/b/c", "a/b"), ("checkpoints/5/x", "checkpoints/5")],
)
def test_a_file_is_no_folder_and_a_folder_no_file(tracker, run, first, second):
    put(tracker, run, first)
    before = everything()

    assert put(tracker, run, second, code=400)["error_code"] == "INVALID_PARAMETER_VALUE"
    assert everything() == before


ODD_NAMES = [
    *("a b.txt", "100%.txt", "#1.txt", "ünïcödé/日本語.txt", "e\u0301.txt", "हिन्दी.txt", "a%20b", "=1+1"),
    *(
        "epoch=0-step=5.ckpt",
        "größe – 漢.txt",
        "x#y?z.txt",
        "a;b,c.txt",
        "eval: 1.json",
        "🚀.txt",
        "[1] (2) {3}.txt",
        "it's.txt",
        "~a",
        ".hidden",
        "-rf",
        "images/k%step%2500%timestamp%1795776232437%2f0d8a3c-5b7e-4d58-9f3f-2f3a2c9f11aa.png",  # MLflow 2.22, log_image
    ),
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(tracker, run, name):
    put(tracker, run, name, b"odd")

    assert read(tracker, run, name) == b"odd"
    assert name.partition("/")[0] in listed(tracker, run)


HOSTILE = [
    *(
        "../x",
        "a/../x",
        "..",
        "a/..",
        "%2e%2e/x",
        "%2E%2e/x",
        "a/%252e%252e/x",
        "a%2fb%2f..%2fx",
        "..%2f..%2fx",
        "%2e/x",
    ),
    *("./x", "a/./b", "a//b", "/etc/passwd", "//etc/passwd", "a\\b", "..\\x", "C:/x", "C:\\x", "file:///etc/passwd"),
    *(
        "a\0b",
        "a\nb",
        "a\x7fb",
        "a%00b",
        "a%0ab",
        "a%255c..%255cx",
        "a\u202eb",
        "a\u2028b",
        "c:",
        "\u00a0",
        " ",
        "a/ /b",
        "a /b",
    ),
    *("x" * 256, "y/" * 200 + "z", "<script>", "a|b", 'a"b', "a*b"),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_hostile_paths_are_refused(tracker, run, name, method):
    put(tracker, run, "safe", b"safe")
    before = everything()
    answer = tracker.call(method, f"{root(run)}/{quote(name, safe='/')}", b"evil" if method == "PUT" else None)

    assert answer.status_code in {400, 404}
    assert answer.json()["error_code"] in {"INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND"}
    assert everything() == before


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_paths_are_not_listed_or_sent(tracker, run, name):
    ask = {"run_id": run.uid, "path": name}
    assert tracker.get("artifacts/list", code=400, **ask)["error_code"] == "INVALID_PARAMETER_VALUE"
    answer = tracker.call("GET", f"/mlflow/get-artifact?run_id={run.uid}&path={quote(name)}")
    assert answer.status_code == 400


NOWHERE = [
    *("x", "{exp}", "{exp}/{run}", "{exp}/{run}/file", "{exp}/{run}/artifact/x", "{run}/artifacts/x"),
    *("{exp}/models/m-0/artifacts/x", "{exp}/models/artifacts/x", "other/{run}/artifacts/x", "{exp}/run_0/artifacts/x"),
    "{exp}/{run}/artifacts/../../x",
]


@pytest.mark.parametrize("location", NOWHERE)
def test_a_location_of_nothing_is_nowhere(tracker, run, location):
    path = location.format(exp=run.project.uid, run=run.uid)
    before = everything()

    assert {tracker.call(m, f"{PROXY}/{path}", b"x").status_code for m in ("PUT", "GET", "DELETE")} <= {400, 404}
    assert tracker.call("GET", f"{PROXY}?path={path}").status_code in {400, 404}
    assert everything() == before


def test_a_put_or_read_of_the_root_names_no_file(tracker, run):
    assert tracker.call("PUT", root(run), b"x").status_code == 400
    assert tracker.call("GET", root(run)).status_code == 404
    assert tracker.call("POST", f"{root(run)}/x", b"x").status_code == 405


def test_empty_files_are_files(tracker, run):
    put(tracker, run, "plots/empty", b"")
    put(tracker, run, "empty", b"")

    assert read(tracker, run, "plots/empty") == read(tracker, run, "empty") == b""
    assert listed(tracker, run) == {"plots": None, "empty": 0}


def test_strangers_viewers_and_other_jobs_cannot_write(tracker, run, project):
    put(tracker, run, "notes.txt", b"mine")
    before = everything()
    viewer = Tracker(add_member(project, "vera", Role.VIEWER))
    stranger = Tracker(new_user("eve"))
    job = Tracker(token=tracking_token(new_attempt(project=new_project(by=project.created_by)).uid))
    for caller, code in ((viewer, 403), (stranger, 404), (job, 404), (Tracker(token="0" * 64), 401)):
        put(caller, run, "notes.txt", b"theirs", code=code)
        delete(caller, run, "notes.txt", code=code)

    assert [row for row in everything()["Artifact"] if row["run_id"] == run.pk] == before["Artifact"]
    assert read(viewer, run, "notes.txt") == b"mine"
    for caller, code in ((stranger, 404), (job, 404), (Tracker(token="0" * 64), 401)):
        read(caller, run, "notes.txt", code=code)
        caller.get("artifacts/list", code=code, run_id=run.uid)
        assert caller.call("GET", f"/mlflow/get-artifact?run_id={run.uid}&path=notes.txt").status_code == code


def test_a_jobs_token_puts_files_of_its_own_run_and_of_those_it_made(job_tracker, attempt, tracker, project):
    nested = Run.objects.get(uid=job_tracker.new_run(project, tags=[{"key": "mlflow.parentRunId", "value": "x"}]))
    other = Run.objects.get(uid=tracker.new_run(project))
    put(job_tracker, attempt.run, "a.txt")
    put(job_tracker, nested, "a.txt")
    put(job_tracker, other, "a.txt", code=404)
    assert attempt.run.events.get(kind="other_recorded").actor == "trainer"


def test_a_deleted_run_takes_no_files_and_shows_those_it_has(tracker, run):
    put(tracker, run, "notes.txt", b"kept")
    tracker.post("runs/delete", run_id=run.uid)

    assert "active" in put(tracker, run, "more.txt", code=400)["message"]
    assert "active" in delete(tracker, run, "notes.txt", code=400)["message"]
    assert read(tracker, run, "notes.txt") == b"kept"


def test_a_download_is_an_attachment_that_no_browser_executes(tracker, run):
    kinds_of = {
        "p.png": "image/png",
        "t.txt": "text/plain",
        "j.json": "application/json",
        "h.html": None,
        "s.svg": None,
    }
    for name, kind in kinds_of.items():
        put(tracker, run, name, b"<script>")
        answer = tracker.call("GET", f"{root(run)}/{name}")
        assert answer.headers["Content-Type"] == (kind or "application/octet-stream")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert b"".join(answer.streaming_content) == b"<script>"
    head = tracker.call("HEAD", f"{root(run)}/p.png")
    assert (head.status_code, head.headers["Content-Length"], b"".join(head.streaming_content)) == (200, "8", b"")


def test_the_pages_own_way_to_a_file(tracker, run):
    put(tracker, run, "plots/loss.png", b"pixels")
    answer = tracker.call("GET", f"/mlflow/get-artifact?run_uuid={run.uid}&path=plots/loss.png")

    assert b"".join(answer.streaming_content) == b"pixels"
    assert tracker.call("POST", "/mlflow/get-artifact", b"").status_code == 405


@pytest.mark.parametrize(
    ("method", "route"), [("POST", "mpu/create/x/y"), ("POST", "mpu/abort/x"), ("GET", "presigned/x")]
)
def test_what_server_info_does_not_announce_is_not_implemented(tracker, method, route):
    answer = tracker.call(method, f"/mlflow/api/2.0/mlflow-artifacts/{route}")

    assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")


# --- Checkpoints ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "source", "step"),
    [
        ("checkpoints/epoch=1-step=20/model.bin", "checkpoints/epoch=1-step=20", 20),
        ("checkpoint-500/artifacts/model.bin", "checkpoint-500", 500),
        ("model/checkpoints/last/last.ckpt", "model/checkpoints/last", None),
    ],
)
def test_a_checkpoint_is_whole_when_its_client_ends_the_run(tracker, run, path, source, step):
    put(tracker, run, path, b"weights")
    checkpoint = run.artifacts.get()
    assert (checkpoint.type, checkpoint.source, checkpoint.step) == ("checkpoint", source, step)
    assert (checkpoint.state, read(tracker, run, path)) == ("writing", b"weights")
    put(tracker, run, path, b"better weights")
    tracker.post("runs/update", run_id=run.uid, status="RUNNING")
    assert fresh(checkpoint).state == "writing"

    tracker.post("runs/update", run_id=run.uid, status="FINISHED")
    assert fresh(checkpoint).state == "verified"
    assert kinds(run).count("checkpoint_recorded") == 1
    before = everything()
    assert "cannot be changed" in delete(tracker, run, source, code=400)["message"]
    put(tracker, run, path, b"better weights")
    assert everything() == before


def test_a_checkpoint_on_which_nothing_is_built_is_overwritten_by_its_client(tracker, run):
    put(tracker, run, "checkpoints/last.ckpt", b"first")
    put(tracker, run, "checkpoints/last.ckpt", b"second")
    put(tracker, run, "checkpoints/epoch=1/a", b"one")
    tracker.post("runs/update", run_id=run.uid, status="FINISHED")
    put(tracker, run, "checkpoints/epoch=1/a", b"two")
    assert sources(run) == {
        "checkpoints/last.ckpt": ("checkpoint", "verified", ["last.ckpt"]),
        "checkpoints/epoch=1": ("checkpoint", "writing", ["a"]),
    }
    tracker.post("runs/update", run_id=run.uid, status="FINISHED")
    assert sources(run)["checkpoints/epoch=1"] == ("checkpoint", "verified", ["a"])
    assert read(tracker, run, "checkpoints/last.ckpt") == b"second"
    assert read(tracker, run, "checkpoints/epoch=1/a") == b"two"
    assert [len(stored_files(checkpoint)) for checkpoint in run.artifacts.all()] == [1, 1]


def test_a_checkpoint_on_which_something_is_built_stays_and_another_takes_its_place(tracker, run, person):
    put(tracker, run, "checkpoints/last.ckpt", b"first")
    first = run.artifacts.get()
    tag_artifact(artifact=first, value=TagValue.RELEASE, notes="", by=person)
    put(tracker, run, "checkpoints/last.ckpt", b"second")
    put(tracker, run, "checkpoints/last.ckpt", b"third")
    second = run.artifacts.exclude(pk=first.pk).get()
    assert read(tracker, run, "checkpoints/last.ckpt") == b"third"
    for checkpoint in (first, second):
        assert verify_artifact(artifact=fresh(checkpoint)).state == "verified"
        assert len(stored_files(checkpoint)) == 1
    assert fresh(first).digest != fresh(second).digest


def test_a_file_that_is_a_checkpoint_is_whole_at_once(tracker, run):
    put(tracker, run, "checkpoints/step=7.ckpt", b"weights")

    checkpoint = run.artifacts.get()
    assert (checkpoint.state, checkpoint.step, checkpoint.is_directory) == ("verified", 7, False)
    assert checkpoint.name == "Checkpoint @ step 7"


def test_the_recipes_marker_ends_a_checkpoint_of_its_pattern(job_tracker, attempt):
    run = attempt.run
    Run.objects.filter(pk=run.pk).update(
        recipe_snapshot={**run.recipe_snapshot, "checkpoint_pattern": "out/ckpt-*", "complete_marker": "DONE"}
    )
    put(job_tracker, run, "out/ckpt-30/model.bin", b"weights")
    put(job_tracker, run, "out/log.txt")
    assert sources(run)["out/ckpt-30"] == ("checkpoint", "writing", ["model.bin"])
    put(job_tracker, run, "out/ckpt-30/DONE", b"")
    assert sources(run)["out/ckpt-30"] == ("checkpoint", "verified", ["model.bin", "DONE"])
    assert sources(run)["out"] == ("other", "verified", ["log.txt"])


LATER = timedelta(hours=2)


def states(run):
    return {one.source.rpartition("/")[2]: one.state for one in run.artifacts.all()}


def test_while_a_run_goes_on_all_but_its_last_checkpoint_are_whole_after_an_hour(tracker, run):
    put(tracker, run, "checkpoints/5/a")
    put(tracker, run, "checkpoints/10/a")
    assert settle_client_files() == 0

    assert settle_client_files(now=timezone.now() + LATER) == 1
    assert states(run) == {"5": "verified", "10": "writing"}
    assert settle_client_files(now=timezone.now() + LATER) == 0
    assert read(tracker, run, "checkpoints/10/a") == b"content"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_the_last_checkpoint_of_a_run_that_broke_off_is_not_whole(tracker, run, status):
    put(tracker, run, "checkpoints/5/a")
    put(tracker, run, "checkpoints/10/a")
    tracker.post("runs/update", run_id=run.uid, status=status)
    assert states(run) == {"5": "verified", "10": "writing"}
    tracker.post("runs/update", run_id=run.uid, status=status)
    settle_client_files(now=timezone.now() + LATER)
    assert states(run)["10"] == "writing"


@pytest.mark.parametrize("path", ["runs/delete", "experiments/delete"])
def test_a_run_that_ends_with_what_it_belongs_to_keeps_its_last_checkpoint_open(tracker, run, path):
    put(tracker, run, "checkpoints/5/a")
    put(tracker, run, "checkpoints/10/a")
    tracker.post(path, run_id=run.uid, experiment_id=run.project.uid)

    assert settle_client_files(now=timezone.now() + LATER) == 1
    assert states(run) == {"5": "verified", "10": "writing"}


def test_what_a_program_left_half_there_stays_so_when_another_one_finishes(tracker, run):
    put(tracker, run, "checkpoints/5/a")
    put(tracker, run, "checkpoints/10/a")
    for status in ("FAILED", "RUNNING"):
        tracker.post("runs/update", run_id=run.uid, status=status)
    put(tracker, run, "checkpoints/15/a")
    put(tracker, run, "checkpoints/20/a")
    settle_client_files(now=timezone.now() + LATER)
    assert states(run) == {"5": "verified", "10": "writing", "15": "verified", "20": "writing"}
    tracker.post("runs/update", run_id=run.uid, status="FINISHED")
    assert states(run) == {"5": "verified", "10": "writing", "15": "verified", "20": "verified"}
    put(tracker, run, "checkpoints/10/b")
    settle_client_files(now=timezone.now() + LATER)
    assert states(run)["10"] == "verified"


def test_what_an_attempt_left_half_there_stays_so_when_the_next_goes_on(job_tracker, attempt):
    run = attempt.run
    put(job_tracker, run, "checkpoints/5/a")
    Run.objects.filter(pk=run.pk).update(max_restarts=1)
    finish_attempt(attempt=attempt, report=exit_body(exit_code=1))
    second = open_attempt(run=fresh(run), gpu_indexes=[])
    again = Tracker(token=tracking_token(second.uid))
    put(again, run, "checkpoints/10/a")
    put(again, run, "checkpoints/15/a")
    again.post("runs/update", run_id=run.uid, status="FINISHED")

    assert states(run) == {"5": "writing", "10": "verified", "15": "verified"}


def test_a_managed_run_that_completes_without_its_clients_word_has_whole_checkpoints(job_tracker, attempt):
    put(job_tracker, attempt.run, "checkpoints/5/a")
    finish_attempt(attempt=attempt, report=exit_body(exit_code=0))
    assert settle_client_files() == 0

    assert settle_client_files(now=timezone.now() + LATER) == 1
    assert states(attempt.run) == {"5": "verified"}


def test_two_puts_of_one_path_at_once_leave_one_whole_file(transactional_db, tracker, run):
    contents = [bytes([number]) * 3_000_000 for number in range(2)]
    at_once(*[lambda content=content: put(tracker, run, "plots/a", content) for content in contents])

    artifact = run.artifacts.get()
    assert read(tracker, run, "plots/a") in contents
    assert artifact.manifest[0]["sha256"] in {hashlib.sha256(content).hexdigest() for content in contents}
    assert stored_files(artifact) == set(artifact.places)
    assert len(artifact.manifest) == 1


def test_many_files_at_once_are_all_there(transactional_db, tracker, run):
    jobs = [lambda number=number: put(tracker, run, f"plots/{number}", b"%d" % number) for number in range(4)]
    at_once(*jobs)

    assert listed(tracker, run, "plots") == {f"plots/{number}": 1 for number in range(4)}
    assert run.artifacts.count() == 1


def test_a_put_whose_artifact_is_removed_meanwhile_is_sent_again(transactional_db, tracker, run):
    put(tracker, run, "plots/a", b"first")
    reached, removed = threading.Event(), threading.Event()

    class Slow:
        def __iter__(self):
            yield b"sec"
            reached.set()
            assert removed.wait(10)
            yield b"ond"

    def send():
        with pytest.raises(TooBusy):
            put_file(run=run, path="plots/b", blocks=Slow(), size_bytes=6, by=Sender("x"))

    def remove():
        assert reached.wait(10)
        delete(tracker, run, "plots")
        removed.set()

    at_once(send, remove)
    assert listed(tracker, run) == {}
    put(tracker, run, "plots/b", b"second")
    assert read(tracker, run, "plots/b") == b"second"
