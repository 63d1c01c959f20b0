"""What an answer means, and pauses between attempts."""

import json
import socket

import pytest

from runner.client import Backoff, Client, Fenced, NoAnswer, Refused, StoreAway, judge


def answer(**fields):
    return json.dumps(fields).encode()


def test_an_object_is_an_answer():
    assert judge(200, b'{"sequence": 3}', None) == {"sequence": 3}


@pytest.mark.parametrize(("status", "code"), [(401, "authentication_failed"), (409, "fenced")])
def test_the_hub_can_fence(status, code):
    with pytest.raises(Fenced):
        judge(status, answer(code=code, detail=""), None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>Sign in to the hotel</html>"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (302, b""),
        (401, b"<html>proxy</html>"),
        (404, b"<html>starting</html>"),
        (409, b"{}"),
        (429, b'{"code": "throttled"}'),
        (500, b'{"code": "error"}'),
        (502, b""),
        (507, b'{"code": "disk_full"}'),
    ],
)
def test_what_no_hub_says_for_good_is_no_answer(status, body):
    with pytest.raises(NoAnswer):
        judge(status, body, None)


def test_a_store_that_is_away_is_told_apart():
    with pytest.raises(StoreAway, match="answered 403") as problem:
        judge(503, answer(code="store_unavailable", detail="The object store answered 403."), "2")
    assert problem.value.retry_after == 2


@pytest.mark.parametrize("status", [400, 403, 404, 410, 413])
def test_the_hub_can_refuse(status):
    with pytest.raises(Refused) as refusal:
        judge(status, answer(code="invalid", detail="No."), None)
    assert (refusal.value.status, refusal.value.detail, refusal.value.expected) == (status, "No.", None)


def test_a_gap_names_what_is_expected():
    with pytest.raises(Refused) as refusal:
        judge(409, answer(code="sequence_gap", detail="", expected=4), None)
    assert refusal.value.expected == 4


def test_a_proxy_that_finds_a_body_too_large_refuses_for_good():
    with pytest.raises(Refused):
        judge(413, b"<html>", None)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("9999999", 30), ("soon", 0), ("-1", 0), ("²", 0), (None, 0)]
)
def test_a_wish_to_retry_later_is_read_with_care(header, seconds):
    with pytest.raises(NoAnswer) as problem:
        judge(503, b"", header)
    assert problem.value.retry_after == seconds


def test_pauses_grow_to_five_seconds_and_obey_the_hub():
    backoff = Backoff()
    pauses = [backoff.delay() for _ in range(8)]
    assert 0.125 <= pauses[0] <= 0.25
    assert 2.5 <= pauses[-1] <= 5
    assert backoff.delay(NoAnswer("", 9.0)) == 9.0
    backoff.reset()
    assert backoff.delay() <= 0.25


@pytest.mark.parametrize("url", ["ftp://hub", "hub:8000", "http://", "file:///etc/passwd"])
def test_only_http_addresses_are_hubs(url):
    with pytest.raises(ValueError, match="http"):
        Client(url, "token")


def test_an_address_may_have_a_path_and_be_secure():
    client = Client("https://hub.example/trainhub/", "token")
    assert client._prefix == "/trainhub/node/"
    assert client._secure


@pytest.mark.parametrize("size_bytes", [10, 3_000_000])
def test_a_hub_that_takes_no_connection_gives_no_answer(size_bytes):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        client = Client(f"http://127.0.0.1:{nobody.getsockname()[1]}", "token")

        for _ in range(2):
            with pytest.raises(NoAnswer, match="ConnectionRefused"):
                client.post("claim", b"x" * size_bytes)
