"""Whatever is sent: it is stored as it was sent, or refused and nothing is stored."""

import json
from contextlib import suppress

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifacts.manifest import is_safe_name
from artifacts.storage import FileStore
from projects.models import Project
from runs.models import Run
from runs.node.batches import read_lines, read_metrics
from runs.node.payloads import read_exit, read_heartbeat
from tests.factories import everything, exit_body, heartbeat_body
from trainhub.api.parsers import check_json, parse_json
from trainhub.api.renderers import dump_json
from trainhub.errors import InvalidInput, MalformedBody, TooLarge

thorough = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
FIELDS = ["name", "description", "tags", "owner", "default_hyperparameters", "default_recipe", "surprise"]
RUN_FIELDS = ["recipe", "dataset", "model_parameters", "hyperparameters", "compute", "priority", "executor"]


@pytest.mark.django_db
@thorough
@given(body=st.dictionaries(st.sampled_from(FIELDS), anything, max_size=4) | anything)
def test_a_project_is_stored_as_sent_or_not_at_all(as_anybody, body):
    before = Project.objects.count()

    answer = as_anybody.call("POST", "/projects", body)

    assert answer.status_code in {201, 400}
    assert Project.objects.count() - before == {201: 1, 400: 0}[answer.status_code]
    assert as_anybody.call("GET", "/projects").status_code == 200


@pytest.mark.django_db
@thorough
@given(body=st.fixed_dictionaries({"name": texts}, optional=dict.fromkeys(RUN_FIELDS, anything)))
def test_a_run_is_stored_or_not_at_all(as_anybody, writes, body):
    before = Run.objects.count()

    answer = as_anybody.call(*writes["run"], body)

    assert answer.status_code in {201, 400}
    assert Run.objects.count() - before == {201: 1, 400: 0}[answer.status_code]
    assert as_anybody.call("GET", "/runs").status_code == 200


def as_floats(value):
    """Return the value as a reader has it whose numbers are all 64-bit floats; PostgreSQL keeps decimals."""
    return json.loads(json.dumps(value), parse_int=float)


@pytest.mark.django_db
@thorough
@given(value=st.dictionaries(texts.filter(bool).filter(lambda text: "\0" not in text), anything, max_size=5))
def test_parameters_come_back_as_they_were_sent(as_anybody, writes, value):
    answer = as_anybody.call(*writes["change"], {"default_hyperparameters": value})

    shown = as_anybody.call("GET", writes["change"][1]).json()["default_hyperparameters"]

    assert as_floats(shown) == as_floats(value if answer.status_code == 200 else shown)
    assert answer.status_code == 200 or "\\u0000" in orjson.dumps(value).decode()


@pytest.mark.django_db
@thorough
@given(raw=st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_and_nothing_is_stored(as_anybody, writes, raw):
    before = everything()

    answer = as_anybody.call(*writes["run"], b"\x01" + raw)

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert everything() == before


@thorough
@given(raw=st.binary(max_size=200) | anything.map(orjson.dumps))
def test_the_parser_returns_a_value_that_every_database_takes_or_refuses(raw):
    with suppress(MalformedBody):
        value = parse_json(raw)
        check_json(value)
        assert orjson.loads(dump_json(value)) == value


@thorough
@given(value=anything)
def test_what_is_dumped_is_json(value):
    assert orjson.loads(dump_json({"value": value})) == {"value": value}


@thorough
@given(
    value=st.recursive(
        st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8
    )
)
def test_whole_numbers_of_every_size_are_dumped(value):
    assert len(dump_json(value)) > 0


READERS = [
    (read_heartbeat, heartbeat_body()),
    (read_exit, exit_body()),
    (read_lines, {"lines": [{"time": 0, "level": 1, "stream": 0, "text": "x"}]}),
    (read_lines, {"lines": {"time": [0], "level": [1], "stream": [0], "text": ["x"]}}),
    (read_metrics, {"metrics": [{"key": "loss", "step": 1, "time": 1, "value": 1.0}]}),
    (read_metrics, {"metrics": {"loss": {"step": [1], "time": [1], "value": [1.0]}}}),
]


@pytest.mark.parametrize(("read", "good"), READERS)
@thorough
@given(data=st.data())
def test_a_runners_report_is_read_or_refused(read, good, data):
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(good)), anything, max_size=3))

    with suppress(InvalidInput, TooLarge):
        assert read({**good, **changes}) is not None


@thorough
@given(
    name=st.text(max_size=60)
    | st.lists(st.sampled_from(["..", ".", "a", "", "\\", "b c", "é"]), max_size=5).map("/".join)
)
def test_a_safe_name_stays_in_its_folder(name):
    parts = name.split("/")

    assert not is_safe_name(name) or (".." not in parts and "" not in parts and "\\" not in name and "\0" not in name)


@thorough
@given(uid=st.text(max_size=40))
def test_the_store_makes_places_below_its_root_or_none(tmp_path, uid):
    with suppress(ValueError):
        assert FileStore(tmp_path)._place(uid, 0).resolve().is_relative_to(tmp_path)
