"""The scheduler's threads for the stores: nothing that fails ends them."""

import threading

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from artifacts.storage import StoreUnavailable, store_problems
from artifacts.store_work import AGAIN_SECONDS, IDLE_SECONDS, Loop, start_store_work
from trainhub.installation import read_bucket


@pytest.mark.parametrize(
    "error", [StoreUnavailable("away"), OperationalError("locked"), ValueError("a bug"), OSError()]
)
@pytest.mark.django_db  # whose connection is looked at after an error of the database
def test_an_error_is_followed_by_a_later_try(error):
    def fail():
        raise error

    assert Loop([fail]).once() == AGAIN_SECONDS


@pytest.mark.parametrize(("more", "wait"), [(True, 0.0), (False, IDLE_SECONDS), (None, IDLE_SECONDS)])
def test_a_step_with_more_to_do_is_taken_again_at_once(more, wait):
    assert Loop([lambda: None, lambda: more]).once() == wait


def test_sweeps_and_chores_run_beside_the_scheduler_until_it_stops(settings):
    settings.S3_BUCKET = None
    stop, swept, done = threading.Event(), threading.Event(), threading.Event()

    start_store_work(stop, sweeps=[swept.set], chores=[lambda: 1 / 0, done.set])

    assert swept.wait(30)
    assert done.wait(30)
    stop.set()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", None),
        ("s3://models", ("models", "")),
        ("s3://models/", ("models", "")),
        ("s3://my.models/a/b/", ("my.models", "a/b/")),
    ],
)
def test_a_bucket_is_read_with_its_prefix(url, expected):
    assert read_bucket(url) == expected


@pytest.mark.parametrize(
    "url",
    ["models", "s3:models", "s3://", "http://models", "s3://key:secret@models", "s3://a/b?x=1", "s3://a/b#c", "S4://a"],
)
def test_what_names_no_bucket_is_refused_at_the_start(url):
    with pytest.raises(ImproperlyConfigured, match="TRAINHUB_S3 must be of the form s3://bucket/prefix") as refusal:
        read_bucket(url, name="TRAINHUB_S3")
    assert "secret" not in str(refusal.value)


def test_a_folder_that_cannot_be_written_is_told(settings, tmp_path):
    settings.S3_BUCKET, settings.DATA_DIR = None, tmp_path
    healthy = store_problems()
    (tmp_path / "store" / "incoming").rmdir()
    (tmp_path / "store" / "incoming").write_text("in the way")

    assert healthy == []
    assert len(store_problems()) == 1
