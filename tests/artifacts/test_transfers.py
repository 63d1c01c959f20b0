"""Slow transfers take a bounded number of threads: others are asked to come back, and places become free again."""

import threading

import pytest
from django.http import HttpResponse

from tests.artifacts.node.test_handover import WEIGHTS, attempt, offered, runner  # noqa: F401 - fixtures
from tests.factories import artifact_path, new_artifact, new_run
from trainhub import transfers
from trainhub.errors import TooBusy

pytestmark = pytest.mark.django_db
MOST = 2  # TRAINHUB_MAX_TRANSFERS as tests have it


class Quiet(HttpResponse):
    """A response whose end is no news to others."""

    def close(self):
        pass


def read(answer):
    """Read an answer to its end, which closes it."""
    return b"".join(answer.streaming_content)


@pytest.fixture
def artifact(project):
    return new_artifact(new_run(project, status="completed"))


@pytest.fixture
def download(as_viewer, artifact):
    return lambda place="download": as_viewer.call("GET", f"{artifact_path(artifact)}/{place}")


@pytest.mark.parametrize("place", ["download", "files/0"])
def test_one_download_more_than_there_are_places_is_asked_to_come_back(download, place):
    open_ones = [download(place) for _ in range(MOST)]

    refused = download(place)
    [read(answer) for answer in open_ones]

    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "busy", "2")
    assert {answer.status_code for answer in open_ones} == {200}
    assert download(place).status_code == 200


def test_a_download_that_is_closed_twice_gives_one_place_back():
    [first, _] = [transfers.as_download(Quiet) for _ in range(MOST)]

    first.close()
    first.close()
    transfers.as_download(Quiet)

    with pytest.raises(TooBusy):
        transfers.as_download(Quiet)


def test_a_download_that_cannot_begin_holds_no_place(download, artifact):
    answers = [download("files/9") for _ in range(MOST + 1)]

    assert {answer.status_code for answer in answers} == {404}


def test_an_upload_without_a_place_is_sent_again_and_nothing_is_kept(runner, offered):  # noqa: F811
    with transfers.upload_place(), transfers.upload_place():
        refused = runner.call("PUT", f"{offered}/files/0", WEIGHTS)
    stored = runner.call("PUT", f"{offered}/files/0", WEIGHTS)

    assert (refused.status_code, refused.headers["Retry-After"], stored.status_code) == (503, "2", 200)


def test_downloads_leave_the_places_of_uploads_alone(runner, offered, download):  # noqa: F811
    open_ones = [download() for _ in range(MOST)]

    assert runner.call("PUT", f"{offered}/files/0", WEIGHTS).status_code == 200
    [read(answer) for answer in open_ones]


def test_who_may_wait_gets_the_place_that_becomes_free():
    first = transfers.as_download(Quiet)
    transfers.as_download(Quiet)
    waiter = threading.Timer(0.05, first.close)
    waiter.start()

    assert transfers.as_download(Quiet, wait_seconds=10).status_code == 200
    waiter.join()


def test_few_may_wait(monkeypatch):
    monkeypatch.setattr(transfers, "_waiting", threading.BoundedSemaphore(1))
    with transfers.upload_place(), transfers.upload_place():
        assert transfers._waiting.acquire(blocking=False)
        with pytest.raises(TooBusy), transfers.upload_place(wait_seconds=60):
            pytest.fail("there was no place to wait")
