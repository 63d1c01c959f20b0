"""Downloads: one file, a tar of many, and nothing of what is damaged."""

import io
import shutil
import tarfile

import pytest
from django.utils import timezone

from artifacts import downloads
from artifacts.models import Artifact, ArtifactState
from artifacts.storage import FileStore, choice, store
from tests.factories import CHECKPOINT_FILES, artifact_path, damage, lose, new_artifact, new_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    return new_run(project, status="completed")


@pytest.fixture
def get(as_viewer):
    return lambda artifact, place="download", **headers: as_viewer.call(
        "GET", f"{artifact_path(artifact)}/{place}", **headers
    )


def content(answer):
    return b"".join(answer.streaming_content)


def members(answer):
    """Return the files of a tar by name, read as a client would."""
    with tarfile.open(fileobj=io.BytesIO(content(answer))) as archive:
        return {item.name: archive.extractfile(item).read() for item in archive.getmembers()}


def test_a_single_file_comes_as_it_is(get, run):
    artifact = new_artifact(run, files={"eval/scores.json": b'{"bleu": 32.5}'}, is_directory=False)

    answer = get(artifact)

    assert content(answer) == b'{"bleu": 32.5}'
    assert answer.headers["Content-Length"] == "14"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{artifact.uid}-scores.json"'


def test_a_folder_comes_as_a_tar_below_its_id(get, run):
    artifact = new_artifact(run)

    answer = get(artifact)

    assert answer.headers["Content-Disposition"] == f'attachment; filename="{artifact.uid}.tar"'
    assert members(answer) == {f"{artifact.uid}/{name}": data for name, data in CHECKPOINT_FILES.items()}


@pytest.mark.parametrize(
    "files",
    [
        {"empty": b""},
        {"one": b"x" * 512, "two": b"y" * 513, "three": b""},
        {"/".join(["long-folder-name-" * 6] * 3) + "/weights.bin": b"long"},
        {"模型/größe (1).bin": b"unicode"},
        {"big.bin": bytes(3_000_000)},
    ],
)
def test_every_name_and_size_survives_the_tar(get, run, files):
    artifact = new_artifact(run, files=files)

    assert members(get(artifact)) == {f"{artifact.uid}/{name}": data for name, data in files.items()}


def test_one_file_of_a_folder_is_found_by_its_index(get, run):
    artifact = new_artifact(run)

    assert content(get(artifact, "files/1")) == b"momentum"


@pytest.mark.parametrize("index", ["2", "999999999999999999999999", "9" * 5000])
def test_a_file_that_is_not_there_is_404(get, run, index):
    assert get(new_artifact(run), f"files/{index}").status_code == 404


@pytest.mark.parametrize("index", ["-1", "x", "1.0", "..", "%2e%2e", "0/..", "0%00"])
def test_an_index_that_is_no_number_is_404(get, run, index):
    assert get(new_artifact(run), f"files/{index}").status_code == 404


def test_no_browser_renders_what_a_run_wrote(get, run):
    artifact = new_artifact(run, files={"page.html": b"<script>alert(1)</script>"}, is_directory=False)

    headers = get(artifact, "files/0").headers

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("place", ["download", "files/0"])
def test_what_is_known_to_be_damaged_is_not_sent(get, as_editor, run, place):
    artifact = new_artifact(run)
    name = damage(artifact)
    as_editor.call("POST", f"{artifact_path(artifact)}/verify")

    answer = get(artifact, place)

    assert (answer.status_code, answer.json()["code"], answer.json()["file"]) == (409, "artifact_damaged", name)


@pytest.mark.parametrize("place", ["download", "files/0"])
def test_what_is_lost_is_refused_before_the_first_byte(get, run, place):
    artifact = new_artifact(run)
    name = lose(artifact)

    answer = get(artifact, place)

    assert (answer.status_code, answer.json()["file"]) == (409, name)


def cut_short(artifact):
    path = store()._place(artifact.uid, 0)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("place", ["download", "files/0"])
def test_what_was_cut_short_is_refused_before_the_first_byte(get, run, place):
    artifact = new_artifact(run)
    cut_short(artifact)

    assert get(artifact, place).status_code == 409


@pytest.mark.parametrize("accept", ["application/octet-stream", "application/x-tar", "text/plain", "image/png"])
@pytest.mark.parametrize("place", ["download", "files/0"])
def test_a_download_is_given_whatever_form_is_accepted(get, run, accept, place):
    assert get(new_artifact(run), place, Accept=accept).status_code == 200


def test_a_browser_that_is_signed_in_downloads_too(client, viewer, run):
    client.force_login(viewer)
    artifact = new_artifact(run)

    answer = client.get(f"{artifact_path(artifact)}/files/1", headers={"Accept": "text/html"})

    assert content(answer) == b"momentum"


# --- Bytes that go elsewhere between the look and the opening ---------------------------------------
@pytest.fixture
def meanwhile(monkeypatch):
    """Have something done to an artifact after it was looked at and before its bytes are opened."""

    def plan(change):
        as_download = downloads.as_download

        def change_first(make, **options):
            change()
            return as_download(make, **options)

        monkeypatch.setattr(downloads, "as_download", change_first)

    return plan


@pytest.fixture
def move(monkeypatch, tmp_path):
    """Move an artifact to another store, as a mover does it."""
    other = FileStore(tmp_path / "other")
    monkeypatch.setitem(choice._KINDS, "s3", lambda: other)

    def move(artifact):
        there = other._place(artifact.uid, 0).parent
        there.parent.mkdir(parents=True)
        shutil.move(store()._place(artifact.uid, 0).parent, there)
        Artifact.objects.filter(pk=artifact.pk).update(store="s3")

    return move


@pytest.mark.parametrize("place", ["download", "files/0"])
def test_what_is_moved_meanwhile_is_sent_from_there(get, run, meanwhile, move, place):
    artifact = new_artifact(run)
    meanwhile(lambda: move(artifact))

    answer = get(artifact, place)

    assert (answer.status_code, len(content(answer)) > 0) == (200, True)


def test_what_is_removed_meanwhile_is_gone(get, run, meanwhile):
    artifact = new_artifact(run)

    def remove():
        store().delete(artifact.uid)
        Artifact.objects.filter(pk=artifact.pk).update(state=ArtifactState.REMOVED, removed_at=timezone.now())

    meanwhile(remove)

    assert get(artifact, "files/0").status_code == 410


def test_what_is_lost_meanwhile_is_damaged(get, run, meanwhile):
    artifact = new_artifact(run)
    meanwhile(lambda: lose(artifact))

    answer = get(artifact, "files/0")

    assert (answer.status_code, answer.json()["code"]) == (409, "artifact_damaged")


def test_what_is_deleted_meanwhile_is_not_found(get, run, meanwhile):
    artifact = new_artifact(run)

    def delete():
        store().delete(artifact.uid)
        Artifact.objects.filter(pk=artifact.pk).delete()

    meanwhile(delete)

    assert get(artifact, "files/0").status_code == 404
