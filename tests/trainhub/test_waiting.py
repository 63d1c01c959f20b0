"""`Prefer: wait=N`: bounded in time and in number."""

import threading

import pytest
from rest_framework.test import APIRequestFactory

from trainhub.api import waiting


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when somebody sleeps."""
    now = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5),
        ("wait=0", 0),
        ("respond-async, wait=7", 7),
        ("wait=7; foo=1", 7),
        ("wait=999999", 60),
        ("wait=9999999", 30),
        ("wait=-1", 30),
        ("wait=1.5", 30),
        ("wait=x", 30),
        ("await=3", 30),
        ("", 30),
    ],
)
def test_the_wait_is_read_from_the_header_and_bounded(settings, header, seconds):
    settings.MAX_WAIT_SECONDS = 60
    request = APIRequestFactory().get("/", headers={"Prefer": header})

    assert waiting.wanted_seconds(request, 30) == seconds


def test_what_is_done_already_is_not_waited_for(clock):
    assert waiting.wait_until(lambda: True, 10)
    assert clock == [0.0]


def test_the_wait_ends_when_it_is_done(clock):
    assert waiting.wait_until(lambda: clock[0] > 3, 10)
    assert 3 < clock[0] < 3.2


def test_the_wait_ends_when_the_time_is_over(clock):
    assert not waiting.wait_until(lambda: False, 10)
    assert 10 <= clock[0] < 10.2


def test_a_caller_too_many_does_not_wait(clock, monkeypatch):
    places = threading.BoundedSemaphore(1)
    monkeypatch.setattr(waiting, "_places", places)
    places.acquire()

    assert not waiting.wait_until(lambda: False, 10)
    assert clock == [0.0]


def test_a_place_is_given_back_after_the_wait(clock, monkeypatch):
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))

    waiting.wait_until(lambda: False, 1)

    assert waiting._places.acquire(blocking=False)


def test_a_place_is_given_back_after_an_error(clock, monkeypatch):
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))

    with pytest.raises(ZeroDivisionError):
        waiting.wait_until(lambda: clock[0] and 1 / 0, 1)

    assert waiting._places.acquire(blocking=False)
