"""How a runner hands over artifacts: offer, upload, complete; and how it fetches a checkpoint."""

import errno
import hashlib
import os
from datetime import timedelta

import orjson
import pytest
from django.utils import timezone

from artifacts.models import Artifact
from artifacts.services import collect_unfinished, tag_artifact
from artifacts.storage import store
from artifacts.verification import verify_artifact
from runs.attempts import finish_attempt, open_attempt
from runs.services import create_run
from tests.factories import damage, entry, everything, exit_body, kinds, new_artifact, new_attempt, new_run, runner_of
from trainhub.errors import ArtifactDamaged

pytestmark = pytest.mark.django_db
WEIGHTS, STATE = b"weights " * 1000, b"momentum"


def offer_body(**changes):
    return {
        "type": "checkpoint",
        "source": "checkpoints/step-10",
        "name": "step-10",
        "step": 10,
        "is_directory": True,
        "files": [entry("model.bin", WEIGHTS), entry("optimizer.bin", STATE)],
        **changes,
    }


@pytest.fixture
def attempt(project):
    return new_attempt(project=project)


@pytest.fixture
def runner(attempt):
    return runner_of(attempt)


@pytest.fixture
def offered(runner):
    """The path of an artifact that was offered and not yet sent."""
    return f"/node/artifacts/{runner.call('POST', '/node/artifacts', offer_body()).json()['id']}"


def only():
    return Artifact.objects.get()


def test_an_artifact_appears_when_all_its_files_have_arrived(runner, offered, attempt, as_viewer):
    runner.call("PUT", f"{offered}/files/0", WEIGHTS)
    hidden = only().state
    runner.call("PUT", f"{offered}/files/1", STATE)

    answer = runner.call("POST", f"{offered}/complete")

    assert (hidden, answer.status_code) == ("writing", 200)
    assert answer.json() == {"id": only().uid, "state": "verified", "missing": []}
    assert kinds(attempt.run)[-1] == "checkpoint_recorded"


def test_an_offer_is_answered_with_what_is_missing(runner):
    answer = runner.call("POST", "/node/artifacts", offer_body())

    assert (answer.status_code, answer.json()["state"], answer.json()["missing"]) == (200, "writing", [0, 1])
    assert answer.json()["id"].startswith("ckpt_")


def test_the_same_offer_again_finds_the_artifact_and_what_is_still_missing(runner, offered):
    runner.call("PUT", f"{offered}/files/1", STATE)

    again = runner.call("POST", "/node/artifacts", offer_body())

    assert f"/node/artifacts/{again.json()['id']}" == offered
    assert again.json()["missing"] == [0]
    assert Artifact.objects.count() == 1


def test_an_offer_of_other_files_replaces_what_was_not_complete(runner, offered):
    runner.call("PUT", f"{offered}/files/0", WEIGHTS)

    again = runner.call("POST", "/node/artifacts", offer_body(files=[entry("model.bin", b"other")]))

    assert (again.json()["missing"], only().size_bytes) == ([0], 5)


def test_an_offer_of_other_files_under_a_complete_name_is_409(runner, attempt):
    new_artifact(attempt.run, files={"a": b"x"})
    Artifact.objects.update(source="checkpoints/step-10")
    before = everything()

    answer = runner.call("POST", "/node/artifacts", offer_body())

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert everything() == before


@pytest.mark.parametrize("content", [b"", WEIGHTS[:-1], WEIGHTS + b"x", WEIGHTS[:-1] + b"x", bytes(len(WEIGHTS))])
def test_a_file_with_another_size_or_hash_is_400_and_not_kept(runner, offered, content):
    answer = runner.call("PUT", f"{offered}/files/0", content)

    assert (answer.status_code, answer.json()["code"], list(answer.json())[1]) == (400, "invalid", "file")
    assert runner.call("POST", "/node/artifacts", offer_body()).json()["missing"] == [0, 1]
    assert stored_files(offered) == []


def stored_files(offered):
    folder = store()._place(offered.rsplit("/", 1)[1], 0).parent
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_completing_without_all_files_is_409_and_names_them(runner, offered):
    runner.call("PUT", f"{offered}/files/0", WEIGHTS)

    answer = runner.call("POST", f"{offered}/complete")

    assert (answer.status_code, answer.json()["missing"], only().state) == (409, [1], "writing")


def test_an_artifact_of_which_another_file_is_damaged_too_is_not_whole_when_the_first_was_sent_again(runner, offered):
    for index, content in enumerate((WEIGHTS, STATE)):
        runner.call("PUT", f"{offered}/files/{index}", content)
    runner.call("POST", f"{offered}/complete")
    damage(only(), 0)
    damage(only(), 1)
    with pytest.raises(ArtifactDamaged):
        verify_artifact(artifact=only())

    for index, content, state in ((0, WEIGHTS, "corrupt"), (1, STATE, "verified")):
        assert runner.call("POST", "/node/artifacts", offer_body()).json()["missing"] == [index]
        runner.call("PUT", f"{offered}/files/{index}", content)
        assert runner.call("POST", f"{offered}/complete").json()["state"] == state


@pytest.fixture
def reopened(runner, offered, editor):
    """A tagged checkpoint whose second file was damaged, and that its runner has begun to send again."""
    for index, content in enumerate((WEIGHTS, STATE)):
        runner.call("PUT", f"{offered}/files/{index}", content)
    runner.call("POST", f"{offered}/complete")
    tag_artifact(artifact=only(), value="release", notes="", by=editor)
    damage(only(), 1)
    with pytest.raises(ArtifactDamaged):
        verify_artifact(artifact=only())
    assert runner.call("POST", "/node/artifacts", offer_body()).json()["missing"] == [1]
    return only()


def test_a_tagged_checkpoint_is_not_replaced_while_it_is_sent_again(runner, reopened):
    before = everything()

    answer = runner.call("POST", "/node/artifacts", offer_body(files=[entry("model.bin", b"other")]))

    assert (answer.status_code, everything(), store().numbers(reopened.uid)) == (409, before, {0})


def test_a_tagged_checkpoint_that_nobody_goes_on_sending_is_damaged_as_before(attempt, reopened):
    finish_attempt(attempt=attempt, report=exit_body())
    Artifact.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert collect_unfinished() == 0
    assert (only().state, only().damaged_file, only().tags.count()) == ("corrupt", "optimizer.bin", 1)
    assert store().numbers(reopened.uid) == {0}


def test_complete_twice_leaves_one_event(runner, offered, attempt):
    runner.call("PUT", f"{offered}/files/0", WEIGHTS)
    runner.call("PUT", f"{offered}/files/1", STATE)

    states = [runner.call("POST", f"{offered}/complete").json()["state"] for _ in range(2)]

    assert states == ["verified", "verified"]
    assert kinds(attempt.run).count("checkpoint_recorded") == 1


def test_a_file_sent_again_is_accepted_and_not_written_again(runner, offered):
    runner.call("PUT", f"{offered}/files/1", STATE)

    assert runner.call("PUT", f"{offered}/files/1", b"something else").status_code == 200
    assert store().digest(only().uid, 1) == hashlib.sha256(STATE).hexdigest()


@pytest.mark.parametrize("files", [{"empty": b""}, {"a": b"", "b": b"x", "c": b""}])
def test_empty_files_are_files(runner, files):
    body = offer_body(files=[entry(name, content) for name, content in files.items()])
    uid = runner.call("POST", "/node/artifacts", body).json()["id"]

    sent = [
        runner.call("PUT", f"/node/artifacts/{uid}/files/{index}", content).status_code
        for index, content in enumerate(files.values())
    ]

    assert set(sent) == {200}
    assert runner.call("POST", f"/node/artifacts/{uid}/complete").json()["state"] == "verified"


@pytest.mark.parametrize("kind", ["tensorboard", "evaluation", "config", "other"])
def test_other_kinds_have_ids_of_their_own(runner, kind):
    answer = runner.call("POST", "/node/artifacts", offer_body(type=kind, source=f"{kind}/x", step=None))

    assert answer.json()["id"].startswith("art_")


UNSAFE = [
    "../x",
    "a/../b",
    "/etc/passwd",
    "a//b",
    "a/",
    "./a",
    "..",
    ".",
    "",
    "a\\b",
    "..\\x",
    "a\nb",
    "a\x7fb",
    "C:\\x",
    "C:x",
    "a:b",
    "~\x1b",
    "a|b",
    'a"b',
    "a<b",
    "a*b",
    "a`b",
    "\u202ea",
    "x" * 401,
    "x" * 256,
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_could_leave_its_folder_is_400_and_nothing_is_stored(runner, name):
    before = everything()

    of_file = runner.call("POST", "/node/artifacts", offer_body(files=[entry(name, b"x")]))
    of_source = runner.call("POST", "/node/artifacts", offer_body(source=name))

    assert (of_file.status_code, of_source.status_code) == (400, 400)
    assert everything() == before


@pytest.mark.parametrize(
    "name", ["%2e%2e/x", "..%2fx", "a b (1)[2]{3}.bin", "模型.bin", "...", "..a", "-rf", "a=b,c@d+e~#f&g!h'i"]
)
def test_an_odd_name_is_a_name_and_no_path(runner, name):
    answer = runner.call("POST", "/node/artifacts", offer_body(files=[entry(name, b"x")]))
    runner.call("PUT", f"/node/artifacts/{answer.json()['id']}/files/0", b"x")

    assert answer.status_code == 200
    assert stored_files(f"/{answer.json()['id']}") == ["000000"]


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "model"},
        {"type": ["checkpoint"]},
        {"type": None},
        {"source": 1},
        {"source": "x" * 1001},
        {"name": ""},
        {"name": "x" * 256},
        {"name": "a\x00b"},
        {"name": None},
        {"step": -1},
        {"step": 2**63},
        {"step": "10"},
        {"step": 1.5},
        {"step": True},
        {"is_directory": 1},
        {"is_directory": None},
        {"files": []},
        {"files": None},
        {"files": {}},
        {"files": ["model.bin"]},
        {"files": [{"name": "a"}]},
        {"files": [{**entry("a", b""), "mode": 0o777}]},
        {"files": [{**entry("a", b""), "size_bytes": -1}]},
        {"files": [{**entry("a", b""), "size_bytes": 2**53 + 1}]},
        {"files": [{**entry("a", b""), "size_bytes": "0"}]},
        {"files": [{**entry("a", b""), "sha256": "0" * 63}]},
        {"files": [{**entry("a", b""), "sha256": "G" * 64}]},
        {"files": [{**entry("a", b""), "sha256": "A" * 64}]},
        {"files": [{**entry("a", b""), "sha256": "0" * 64 + "\n"}]},
        {"files": [entry("a", b""), entry("a", b"x")]},
    ],
)
def test_a_bad_offer_is_400_and_nothing_is_stored(runner, changes):
    before = everything()

    answer = runner.call("POST", "/node/artifacts", offer_body(**changes))

    assert answer.status_code == 400
    assert answer.json()["code"] in {"invalid", "parse_error"}
    assert everything() == before


def test_too_many_files_are_413_with_the_limit(runner):
    files = [entry(f"file-{number}", b"") for number in range(10_001)]

    answer = runner.call("POST", "/node/artifacts", offer_body(files=files))

    assert (answer.status_code, answer.json()["limit"]) == (413, 10_000)


@pytest.mark.parametrize("index", [2, 10**30])
def test_a_file_that_was_not_offered_is_404(runner, offered, index):
    assert runner.call("PUT", f"{offered}/files/{index}", b"x").status_code == 404


@pytest.mark.parametrize("place", ["files/0", "complete"])
def test_the_artifact_of_another_attempt_is_404(offered, project, place):
    other = runner_of(new_attempt(project=project))

    assert other.call("PUT" if "files" in place else "POST", f"{offered}/{place}", b"x").status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_another_method_is_405_in_json(runner, offered, method):
    answer = runner.call(method, f"{offered}/files/0")

    assert (answer.status_code, answer.json()["code"], answer.headers["Allow"]) == (405, "method_not_allowed", "PUT")


def test_an_attempt_that_is_over_hands_over_nothing(runner, offered, attempt):
    finish_attempt(attempt=attempt, report=exit_body())
    before = everything()

    answers = [
        runner.call("POST", "/node/artifacts", offer_body()),
        runner.call("POST", "/node/artifacts", offer_body(files=[entry("a", b"x")])),
        runner.call("POST", "/node/artifacts", offer_body(source="checkpoints/step-11")),
        runner.call("PUT", f"{offered}/files/0", WEIGHTS),
        runner.call("POST", f"{offered}/complete"),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "fenced")}
    assert everything() == before
    assert stored_files(offered) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_store_is_507_with_retry_after_and_keeps_nothing(runner, offered, monkeypatch, number):
    def full(descriptor):
        raise OSError(number, "full")

    monkeypatch.setattr("artifacts.storage.file.os.fsync", full)

    answer = runner.call("PUT", f"{offered}/files/0", WEIGHTS)

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (507, "storage_full", "60")
    assert stored_files(offered) == []


@pytest.fixture
def resuming(project):
    """A runner whose attempt resumes from a checkpoint, and that checkpoint."""
    checkpoint = new_artifact(new_run(project, status="completed"))
    run = create_run(project=project, by=project.created_by, values={"name": "x"}, resumed_from=checkpoint)
    return runner_of(open_attempt(run=run, gpu_indexes=[])), checkpoint


def test_the_files_of_the_checkpoint_are_fetched_by_index(resuming):
    runner, checkpoint = resuming

    fetched = [b"".join(runner.call("GET", f"/node/resume/files/{index}").streaming_content) for index in (0, 1)]

    assert [hashlib.sha256(content).hexdigest() for content in fetched] == [
        file["sha256"] for file in checkpoint.manifest
    ]


def test_a_checkpoint_file_that_is_not_there_is_404(resuming, runner):
    assert resuming[0].call("GET", "/node/resume/files/2").status_code == 404
    assert runner.call("GET", "/node/resume/files/0").status_code == 404


def test_an_attempt_that_has_ended_reads_its_checkpoint_no_more(resuming):
    runner, _ = resuming
    runner.call("POST", "/node/exit", exit_body())

    answer = runner.call("GET", "/node/resume/files/0")

    assert (answer.status_code, answer.json()["code"]) == (409, "fenced")


def test_every_new_folder_of_the_store_is_synced_with_the_file(runner, offered, monkeypatch):
    synced = []
    monkeypatch.setattr("artifacts.storage.file._sync_folder", synced.append)

    runner.call("PUT", f"{offered}/files/0", WEIGHTS)

    uid = offered.rsplit("/", 1)[-1]
    assert [folder.name for folder in synced] == [uid[-2:], "store", uid]
    synced.clear()
    runner.call("PUT", f"{offered}/files/1", STATE)
    assert [folder.name for folder in synced] == [uid]


def test_an_offer_is_read_as_strictly_as_any_body(runner):
    assert runner.call("POST", "/node/artifacts", orjson.dumps([offer_body()])).status_code == 400
