"""Odd values that are legal: they come back as they were sent, and no list or page breaks over them."""

import math

import orjson
import pytest

from tests.factories import run_path
from tests.runs.telemetry.builders import append_lines, show_metrics

pytestmark = pytest.mark.django_db
TEXTS = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{{ 7*7 }}{% debug %}{% include 'base.html' %}",
    "format": "%s %n {0} {self.__class__} ${HOME} $(id) `id`",
    "SQL": "'; DROP TABLE runs_run; --",
    "path": "../../../etc/passwd",
    "shell": "x\n#SBATCH --wrap=id\nrm -rf /",
    "right to left": "\u202egnirts\u202c",
    "zero width": "a\u200b\u200d\ufeffb",
    "combining": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "emoji": "👨‍👩‍👧‍👦🏳️‍🌈",
    "control": "a\x01\x08\x0b\x1b[31m\x7f\x85\u2028\u2029b",
    "noncharacter": "\ufffe\uffff\U0010ffff",
    "private": "\ue000\U000f0000",
    "long": "x" * 190,
    "formula": '=HYPERLINK("http://evil","x")',
    "only dots": "...",
    "None": "None",
    "json": '{"a": [1, 2',
    "comment": "<!-- ]]> */ --> {# x #}",
}
LATEST_MS = 253_402_300_799_000  # the last second of the year 9999
VALUES = {
    "largest": 1.7976931348623157e308,
    "smallest": 5e-324,
    "minus zero": -0.0,
    "beyond 64 bits": 1e20,
    "far beyond": -1e300,
    "2^63": 2**63,
    "2^64-1": 2**64 - 1,
    "-2^63": -(2**63),
    "fraction": 0.1 + 0.2,
    "integral float": 1e5,
    "null": None,
    "nested": {"a": [{"b": [{"c": [{"d": []}]}]}]},
    "empty": [[], {}, "", None],
    "booleans": [True, False],
    "text": "x" * 9_000,
    "odd keys": {"": 1, " ": 2, "__proto__": 3, "a.b": 4, "$ref": "#/x", "é": 5, "<b>": 6},
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_an_odd_name_of_a_project_breaks_nothing(as_anybody, writes, looked_at, text):
    answer = as_anybody.call(*writes["change"], {"name": text, "owner": text, "description": text, "tags": [text[:99]]})

    assert answer.status_code == 200
    assert answer.json()["name"] == text.strip()
    assert looked_at() == {}


def test_odd_names_of_runs_break_nothing(as_anybody, writes, looked_at):
    for text in TEXTS.values():
        body = {"name": text, "description": text, "dataset": text, "compute": {"gpu_type": text[:99]}}

        answer = as_anybody.call(*writes["run"], body)

        assert answer.status_code == 201, text
        assert answer.json()["name"] == text.strip()
        shown = as_anybody.call("GET", f"{writes['run'][1]}/{answer.json()['id']}").json()
        assert shown["dataset"] == text.strip()
    assert looked_at() == {}


def test_odd_notes_of_tags_break_nothing(as_anybody, writes, looked_at):
    for text in TEXTS.values():
        answer = as_anybody.call(*writes["tag"], {"tag": "release", "notes": text})

        assert answer.json()["tags"][0]["notes"] == text.strip()
    assert looked_at() == {}


def test_odd_parameters_come_back_and_break_nothing(as_anybody, writes, looked_at):
    for value in VALUES.values():
        body = {"name": "x", "model_parameters": {"odd": value}, "hyperparameters": {"odd": value}}

        created = as_anybody.call(*writes["run"], body).json()

        shown = as_anybody.call("GET", f"{writes['run'][1]}/{created['id']}").json()
        assert shown["model_parameters"] == shown["hyperparameters"] == {"odd": value}
        assert shown["config"]["hyperparameters"]["odd"] == value
    assert looked_at() == {}


def test_odd_defaults_of_a_project_come_back_and_break_nothing(as_anybody, writes, looked_at):
    for defaults in ({"odd": value} for value in VALUES.values()):
        answer = as_anybody.call(*writes["change"], {"default_hyperparameters": defaults})

        assert answer.status_code == 200, defaults
        assert as_anybody.call("GET", writes["change"][1]).json()["default_hyperparameters"] == defaults
    assert looked_at() == {}


KEYS = ["a/b c", "<b>", "{{ x }}", "模型", "%s", "'", '"', "\\", "__proto__", "x" * 250]
NUMBERS = [math.nan, math.inf, -math.inf, 1.7e308, 5e-324, -0.0]
ODD = {**dict.fromkeys(KEYS, math.nan), **{f"odd {value}": value for value in NUMBERS}}


def test_odd_metrics_break_nothing(checkpoint, as_anybody, looked_at):
    points = {key: {"step": [2**63 - 1, -(2**63)], "time": [LATEST_MS, 0], "value": [ODD[key], 1.0]} for key in ODD}
    show_metrics(attempt=checkpoint.attempt, sequence=2, columns=points)

    shown = as_anybody.call("GET", f"{run_path(checkpoint.run)}/metrics").json()

    assert all(shown["series"][key]["step"] == [-(2**63), 2**63 - 1] for key in ODD)
    assert looked_at() == {}


def test_odd_lines_break_nothing(checkpoint, as_anybody, looked_at):
    late = [(LATEST_MS * 1_000_000, 4, 2, text) for text in TEXTS.values()]
    early = [(0, 0, 1, text) for text in TEXTS.values()]
    append_lines(attempt=checkpoint.attempt, sequence=2, lines=late + early)

    items = as_anybody.call("GET", f"{run_path(checkpoint.run)}/logs").json()["items"]

    assert [item["message"] for item in items[1:]] == [*TEXTS.values()] * 2
    assert looked_at() == {}


def test_duplicate_keys_count_as_the_last(as_anybody):
    answer = as_anybody.call("POST", "/projects", b'{"name": "first", "name": "second"}')

    assert (answer.status_code, answer.json()["name"]) == (201, "second")


def test_a_body_of_the_largest_size_is_read(as_anybody):
    padding = b" " * (8 * 1024 * 1024 - 13)

    assert as_anybody.call("POST", "/projects", padding + orjson.dumps({"name": "x"})).status_code == 201
