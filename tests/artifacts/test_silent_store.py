"""An object store that takes connections and never answers: whoever needs it is told so soon, and few threads wait."""

import socket
import threading
import time

import pytest
from django.urls import reverse

from artifacts.models import Artifact
from artifacts.storage import StoreUnavailable, choice, s3_client
from artifacts.storage.s3_client import QUESTIONS_AT_ONCE
from tests.artifacts.conftest import forget_clients
from tests.factories import new_artifact, new_run

pytest.importorskip("botocore")
UID = "art_0000000000000000000silent"
MANY = 12


class SilentServer:
    """Takes every connection and keeps it."""

    def __init__(self):
        self.taken = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    def close(self):
        self.listener.close()
        for connection in self.taken:
            connection.close()


@pytest.fixture
def silent_store(settings, monkeypatch):
    """The store in a bucket of such a server, to which new artifacts go."""
    server = SilentServer()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    settings.STORE, settings.S3_BUCKET = "s3", ("bucket", "")
    settings.S3_ENDPOINT = f"http://127.0.0.1:{server.listener.getsockname()[1]}"
    forget_clients()
    s3_client._away_until.clear()
    yield server
    server.close()
    forget_clients()


def seconds_until_refused(call):
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        call()
    return time.monotonic() - started


def test_many_who_ask_are_refused_soon_and_few_of_them_wait_for_the_server(silent_store):
    files, took = choice.s3_store(), []
    threads = [
        threading.Thread(target=lambda: took.append(seconds_until_refused(lambda: files.has(UID, 0, 1))))
        for _ in range(MANY)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(took) == MANY
    assert max(took) < 20  # one wait of ASK_SECONDS, on a machine that is busy; three of a minute without it
    assert len(silent_store.taken) <= QUESTIONS_AT_ONCE


@pytest.mark.parametrize(
    "call",
    [
        lambda files: files.has(UID, 0, 1),
        lambda files: files.missing(UID, dict.fromkeys(range(9), 1)),
        lambda files: files.open(UID, 0),
        lambda files: files.delete_file(UID, 0),
        lambda files: files.link(UID, 0, to_uid=UID, to_number=1),
        lambda files: files.bucket.begin(files.key(UID, 0)),
        lambda files: files.bucket.sent_parts(files.key(UID, 0), "upload"),
    ],
)
def test_after_one_wait_nobody_else_asks_for_a_moment(silent_store, monkeypatch, call):
    monkeypatch.setattr(s3_client, "ASK_SECONDS", 0.5)
    monkeypatch.setattr(s3_client, "AWAY_SECONDS", 600.0)
    files = choice.s3_store()

    first = seconds_until_refused(lambda: call(files))
    seconds_until_refused(lambda: call(files))

    assert first < 15
    assert len(silent_store.taken) == 1


@pytest.mark.django_db
def test_pages_and_downloads_say_that_it_cannot_be_reached(silent_store, client, viewer, project, settings):
    settings.STORE = "file"
    artifact = new_artifact(new_run(project, status="completed"))
    Artifact.objects.filter(pk=artifact.pk).update(store="s3")
    client.force_login(viewer)
    started = time.monotonic()

    answers = [client.get(reverse(name, args=[artifact.uid])).status_code for name in ("artifact", "artifact-download")]

    assert answers == [503, 503]
    assert time.monotonic() - started < 30
    assert client.get("/health").status_code == 200
