"""Files that a runner brings straight to a real S3 server, and those that the server's clients fetch from it."""

import base64
import hashlib
import http.client
import os
import threading
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from artifacts import direct, services
from artifacts.models import Artifact, ArtifactUpload
from artifacts.storage import StoreUnavailable, s3_client, store_of
from artifacts.verification import Verifier
from runner.client import Refused, StoreAway
from runner.parts import PartSender
from runner.store import ObjectStore
from runner.workspace import CannotPrepare, Download
from runs.node.views import resume_source
from tests.artifacts.conftest import forget_clients
from tests.end_to_end.hub import eventually
from tests.engines.s3_proxy import FAULTS, S3Proxy
from tests.factories import artifact_path, entry, kinds, new_attempt, runner_of

pytestmark = pytest.mark.django_db
PART = 5 * 1024 * 1024
LARGE = os.urandom(2 * PART + 1000)  # three parts
NAMES = {"model-ü 😀 (1).bin": LARGE, "empty": b"", "nested/a b+c&d=e%.json": b"{}"}


class ViewClient:
    """What PartSender asks of the hub, answered by the views in this process."""

    def __init__(self, runner):
        self._runner = runner

    def post(self, path, body):
        answer = self._runner.call("POST", f"/node/{path}", body)
        if answer.status_code >= 400:
            kind = StoreAway if answer.status_code == 503 else Refused
            raise kind(answer.json()["code"]) if kind is StoreAway else Refused(answer.status_code, "code", answer.text)
        return answer.json()


@pytest.fixture
def attempt(project):
    return new_attempt(project=project)


@pytest.fixture
def runner(attempt):
    return runner_of(attempt)


@pytest.fixture
def proxy(s3_settings):
    """The way from nodes to the server."""
    proxy = S3Proxy(s3_settings.S3_ENDPOINT)
    s3_settings.S3_PUBLIC_ENDPOINT = proxy.url
    yield proxy
    proxy.close()


@pytest.fixture
def offered(proxy, runner):
    """The path of an artifact with three files, of which none has been sent."""
    files = [entry(name, content) for name, content in NAMES.items()]
    body = {"type": "checkpoint", "source": "checkpoints/step-10", "name": "step-10", "step": 10, "is_directory": True}
    answer = runner.call("POST", "/node/artifacts", {**body, "files": files}).json()
    assert (answer["state"], answer["missing"], answer["part_size"]) == ("writing", [0, 1, 2], PART)
    return f"artifacts/{answer['id']}"


@pytest.fixture
def send(runner, offered, tmp_path):
    """Send one of the files, as a runner does."""

    def send(index, leaving=None):
        content = list(NAMES.values())[index]
        path = tmp_path / f"file-{index}"
        path.write_bytes(content)
        leaving = leaving or threading.Event()
        sender = PartSender(ViewClient(runner), ObjectStore(10, leaving), leaving)
        sender.send(f"{offered}/files/{index}", path, len(content), 1, PART)

    return send


def only():
    return Artifact.objects.get()


def md5(content):
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def ticket_for(runner, offered, number=1, **changes):
    content = LARGE[(number - 1) * PART : number * PART]
    body = {"number": number, "part_size": PART, "md5": md5(content)} | changes
    return runner.call("POST", f"/node/{offered}/files/0/part", body)


def put(url, body, headers):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("PUT", f"{parts.path}?{parts.query}", body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_checkpoint_arrives_in_parts_and_is_verified(send, runner, offered, attempt, as_viewer):
    for index in range(3):
        hidden = as_viewer.get(f"{run_of(attempt)}/artifacts").json()["items"]
        send(index)

    answer = runner.call("POST", f"/node/{offered}/complete").json()

    assert (hidden, answer["state"], answer["missing"]) == ([], "verified", [])
    assert (only().store, kinds(attempt.run)[-1]) == ("s3", "checkpoint_recorded")
    assert store_of(only()).sizes(only().uid) == dict(enumerate(map(len, NAMES.values())))
    assert not ArtifactUpload.objects.exists()


def run_of(attempt):
    return f"/projects/{attempt.run.project.uid}/runs/{attempt.run.uid}"


def test_parts_that_are_there_are_not_sent_again(send, runner, offered, proxy):
    proxy.faults = ["", *["internal error"] * 6]
    with pytest.raises(StoreAway):
        send(0)
    first = list(proxy.stored)

    send(0)  # another runner, which knows nothing of the first

    assert [number for _, number in first] == [1]
    assert [number for _, number in proxy.stored] == [1, 2, 3]
    assert store_of(only()).digest(only().uid, 0) == hashlib.sha256(LARGE).hexdigest()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("index", [0, 2])
def test_a_part_that_went_wrong_is_sent_again_and_no_other(send, runner, offered, proxy, fault, index):
    proxy.faults = [fault, fault]

    send(index)

    assert runner.call("POST", f"/node/{offered}/files/{index}/join").json() == {"missing": []}
    content = list(NAMES.values())[index]
    assert store_of(only()).digest(only().uid, index) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (bytes(PART), {}, b"SignatureDoesNotMatch"),
        (bytes(PART), {"Content-MD5": md5(LARGE[:PART])}, b"BadDigest"),
        (bytes(PART), {"Content-MD5": md5(bytes(PART))}, b"SignatureDoesNotMatch"),
        (LARGE[: PART + 1], {"Content-MD5": md5(LARGE[:PART])}, b"SignatureDoesNotMatch"),
    ],
    ids=["no MD5", "other bytes", "MD5 of other bytes", "more bytes"],
)
def test_a_ticket_is_good_for_the_announced_bytes_alone(runner, offered, body, headers, code):
    url = ticket_for(runner, offered).json()["url"]

    status, answer = put(url, body, headers)

    assert status in {400, 403}
    assert code in answer


def test_a_ticket_is_good_for_its_part_of_its_file_alone_and_for_a_while(runner, offered, monkeypatch):
    ticket = ticket_for(runner, offered).json()
    monkeypatch.setattr(direct, "UPLOAD_SECONDS", 1)
    short = ticket_for(runner, offered).json()
    tampered = [
        ticket["url"].replace("partNumber=1", "partNumber=2"),
        ticket["url"].replace("/000000?", "/000001?"),
        short["url"].replace("X-Amz-Expires=1&", "X-Amz-Expires=100&"),
    ]

    refused = [put(url, LARGE[:PART], ticket["headers"])[0] for url in tampered]

    assert refused == [403] * 3
    assert put(ticket["url"], LARGE[:PART], ticket["headers"])[0] == 200
    eventually(lambda: put(short["url"], LARGE[:PART], ticket["headers"])[0] == 403, "the end of the ticket", 30)


def test_no_ticket_shows_a_secret(runner, offered, s3_server):
    assert s3_server.variables["AWS_SECRET_ACCESS_KEY"] not in ticket_for(runner, offered).text


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0}, {"number": 4}, {"number": "1"}, {"number": True}, {"part_size": 5}, {"part_size": None},
        {"part_size": 2**60}, {"md5": "x"}, {"md5": None}, {"md5": base64.b64encode(b"short").decode()}, {"md5": "é"},
    ],
)  # fmt: skip
def test_what_is_no_part_of_the_file_is_400(runner, offered, changes):
    body = {"number": 1, "part_size": PART, "md5": md5(LARGE[:PART])} | changes
    answer = runner.call("POST", f"/node/{offered}/files/0/part", body)

    assert (answer.status_code, ArtifactUpload.objects.count()) == (400, 0)


def test_who_has_not_offered_the_file_gets_no_ticket(runner, offered, project):
    other = runner_of(new_attempt(project=project))

    answers = [
        ticket_for(other, offered),
        other.call("POST", f"/node/{offered}/files/0/join"),
        runner.call("POST", f"/node/{offered}/files/3/part", {}),
        runner.call("POST", f"/node/{offered}/files/3/join", {}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4


def test_other_part_sizes_begin_a_new_upload(runner, offered):
    ticket = ticket_for(runner, offered).json()
    put(ticket["url"], LARGE[:PART], ticket["headers"])
    larger = ticket_for(runner, offered, part_size=2 * PART, md5=md5(LARGE[: 2 * PART])).json()

    assert put(ticket["url"], LARGE[:PART], ticket["headers"])[0] == 404
    assert put(larger["url"], LARGE[: 2 * PART], larger["headers"])[0] == 200
    assert ArtifactUpload.objects.get().part_size == 2 * PART


def test_what_is_missing_is_told_before_joining_and_completing(runner, offered):
    ticket = ticket_for(runner, offered, number=2).json()
    put(ticket["url"], LARGE[PART : 2 * PART], ticket["headers"])

    joined = runner.call("POST", f"/node/{offered}/files/0/join")
    completed = runner.call("POST", f"/node/{offered}/complete")

    assert joined.json() == {"missing": [1, 3]}
    assert (completed.status_code, completed.json()["missing"]) == (409, [0, 1, 2])


def test_an_upload_that_the_server_forgot_is_begun_again(send, runner, offered):
    ticket_for(runner, offered)
    row = ArtifactUpload.objects.get()
    files = store_of(only())
    files.bucket.abort(files.key(only().uid, 0), row.upload_id)

    send(0)

    assert files.has(only().uid, 0, len(LARGE))


def test_files_may_also_go_through_the_hub(runner, offered):
    for index, content in enumerate(NAMES.values()):
        assert runner.call("PUT", f"/node/{offered}/files/{index}", content).status_code == 200

    assert runner.call("POST", f"/node/{offered}/complete").json()["state"] == "verified"


def complete(send, runner, offered):
    for index in range(3):
        send(index)
    return runner.call("POST", f"/node/{offered}/complete").json()["state"]


def test_damage_that_is_seen_at_once_is_told_at_once(send, runner, offered):
    for index in range(3):
        send(index)
    files, artifact = store_of(only()), only()
    size = artifact.manifest[2]["size_bytes"]
    files.bucket.put(files.key(artifact.uid, 2), b"x" * size)

    assert runner.call("POST", f"/node/{offered}/complete").json()["state"] == "corrupt"


def test_a_large_checkpoint_is_verified_by_the_scheduler(send, runner, offered, monkeypatch):
    monkeypatch.setattr(services, "READ_AT_ONCE_BYTES", 10)
    verifier = Verifier()

    states = [complete(send, runner, offered), only().state, verifier(), only().state, verifier()]

    assert states == ["complete", "complete", True, "verified", False]
    assert runner.call("POST", f"/node/{offered}/complete").json()["state"] == "verified"


def test_what_the_store_does_not_give_is_read_later(send, runner, offered, s3_settings, monkeypatch):
    monkeypatch.setattr(services, "READ_AT_ONCE_BYTES", 10)
    complete(send, runner, offered)
    good, s3_settings.S3_ENDPOINT = s3_settings.S3_ENDPOINT, "http://127.0.0.1:9"
    verifier = Verifier()

    with pytest.raises(StoreUnavailable):
        verifier()
    s3_settings.S3_ENDPOINT = good
    s3_client._away_until.clear()
    at_once = verifier()
    verifier._later.clear()  # some seconds later
    again = verifier()

    assert (at_once, again, only().state) == (False, True, "verified")


def test_a_damaged_file_is_told_to_its_runner_which_sends_it_again(send, runner, offered, attempt, monkeypatch):
    monkeypatch.setattr(services, "READ_AT_ONCE_BYTES", 10)
    complete(send, runner, offered)
    files, artifact = store_of(only()), only()
    files.bucket.put(files.key(artifact.uid, 2), b"[]")

    Verifier()()
    told = runner.call("POST", f"/node/{offered}/complete").json()["state"]
    body = {"type": "checkpoint", "source": artifact.source, "name": artifact.name, "step": 10, "is_directory": True}
    again = runner.call("POST", "/node/artifacts", {**body, "files": artifact.manifest}).json()
    send(2)
    monkeypatch.undo()

    assert (told, again["state"], again["missing"]) == ("corrupt", "writing", [2])
    assert runner.call("POST", f"/node/{offered}/complete").json()["state"] == "verified"
    assert "artifact_damaged" in kinds(attempt.run)


def test_a_store_that_is_away_is_503(runner, offered, s3_settings):
    s3_settings.S3_ENDPOINT = "http://127.0.0.1:9"

    answer = ticket_for(runner, offered)

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "store_unavailable", "2")


def test_reading_while_the_store_is_away_marks_nothing_damaged(send, runner, offered, s3_settings, as_editor):
    complete(send, runner, offered)
    s3_settings.S3_ENDPOINT = "http://127.0.0.1:9"

    answer = as_editor.post(f"{artifact_path(only())}/verify")

    assert (answer.status_code, only().state) == (503, "verified")


def test_uploads_that_were_given_up_are_ended_after_a_day(runner, offered, attempt):
    ticket_for(runner, offered)
    files = store_of(only())
    live = direct.give_up_uploads(older_than=timedelta(seconds=-5))
    type(attempt).objects.filter(pk=attempt.pk).update(ended_at=attempt.created_at)

    young = direct.give_up_uploads()
    given_up = direct.give_up_uploads(older_than=timedelta(seconds=-5))

    assert (live, young, given_up) == (0, 0, 1)
    assert list(files.bucket.uploads(files.bucket.prefix)) == []
    assert not ArtifactUpload.objects.exists()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_file_is_downloaded_from_the_store_under_its_name(send, runner, offered, proxy, as_viewer, index):
    complete(send, runner, offered)

    answer = as_viewer.get(f"{artifact_path(only())}/files/{index}")

    content = list(NAMES.values())[index]
    assert (answer.status_code, answer.headers["Location"].startswith(proxy.url)) == (302, True)
    parts = urlsplit(answer.headers["Location"])
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}")
    got = connection.getresponse()
    assert got.read() == content
    assert got.getheader("Content-Type") == "application/octet-stream"
    assert got.getheader("Content-Disposition").startswith("attachment; filename")


def test_a_file_comes_through_the_hub_for_who_asks_so(send, runner, offered, as_viewer):
    complete(send, runner, offered)

    answer = as_viewer.get(f"{artifact_path(only())}/files/0?through_hub=true")
    odd = as_viewer.get(f"{artifact_path(only())}/files/0?through_hub=perhaps")

    assert (answer.status_code, odd.status_code) == (200, 400)
    assert b"".join(answer.streaming_content) == LARGE
    assert answer.headers["Content-Length"] == str(len(LARGE))


def test_a_folder_is_one_stream_from_the_hub(send, runner, offered, as_viewer):
    complete(send, runner, offered)

    answer = as_viewer.get(f"{artifact_path(only())}/download")

    assert answer.status_code == 200
    assert LARGE in b"".join(answer.streaming_content)


def test_strangers_get_no_link(send, runner, offered, as_stranger):
    complete(send, runner, offered)

    assert as_stranger.get(f"{artifact_path(only())}/files/0").status_code == 404


def test_a_broken_connection_is_made_anew_where_reading_was(send, runner, offered, monkeypatch):
    complete(send, runner, offered)
    with store_of(only()).open(only().uid, 0) as file:
        start = file.read(1000)
        file._body.close()  # as a server does that is restarted
        rest = file.read()

    assert start + rest == LARGE


@pytest.fixture
def download(send, runner, offered, attempt, project, tmp_path):
    """Fetch the checkpoint as the runner of a run does that is resumed from it."""
    complete(send, runner, offered)
    later = new_attempt(project=project)
    type(later).objects.filter(pk=later.pk).update(resume_from=only())
    source = resume_source(type(later).objects.get(pk=later.pk))

    def download():
        return Download(tmp_path / "resume", source, ViewClient(runner_of(later)), threading.Event()).run()

    return download


def test_a_resumed_run_fetches_its_checkpoint_from_the_store(download, proxy):
    folder = download()

    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == NAMES
    assert proxy.fetched == ["", "", ""]


def test_a_download_that_breaks_off_goes_on_where_it_was(download, proxy):
    proxy.cuts = 2

    folder = download()

    got = len(LARGE) // 2
    assert (folder / next(iter(NAMES))).read_bytes() == LARGE
    assert proxy.fetched[:2] == ["", f"bytes={got}-"]
    assert proxy.fetched[2].startswith("bytes=")


def test_damaged_bytes_start_no_trainer(download, proxy):
    files = store_of(only())
    files.bucket.put(files.key(only().uid, 2), b"[]")

    with pytest.raises(CannotPrepare, match="is damaged"):
        download()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_hub_sends_the_files_to_a_runner_that_knows_no_links(send, runner, offered, project, index):
    complete(send, runner, offered)
    later = new_attempt(project=project)
    type(later).objects.filter(pk=later.pk).update(resume_from=only())

    answer = runner_of(later).call("GET", f"/node/resume/files/{index}")

    assert b"".join(answer.streaming_content) == list(NAMES.values())[index]


def test_problems_of_a_store_name_no_credential(s3_files, s3_settings, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-wrong")
    forget_clients()

    problems = s3_files.problems()

    assert len(problems) == 1
    assert "403" in problems[0]
    assert "canary" not in problems[0]
