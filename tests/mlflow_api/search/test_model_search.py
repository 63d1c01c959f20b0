"""Searches of registered models, versions and logged models: any text, long patterns, and LIKE outside the database."""

import re
import time
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifacts.models import LoggedModel, ModelVersion, RegisteredModel
from mlflow_api.search.matching import like
from mlflow_api.search.vocabulary import LOGGED_MODELS, MODELS, VERSIONS, Entity
from tests.factories import new_run
from tests.mlflow_api.registering import checkpoint_at

from .test_run_search import KEYS, TEXTS, VALUES

pytestmark = pytest.mark.django_db

SEARCHES = {"registered-models": "registered_models", "model-versions": "model_versions", "logged-models": "models"}
LONG = "a" * 256  # as long as a name may be
VALUE = "Näme 100%_[x]*\\'"  # what LIKE, GLOB and quoting treat apart


@pytest.fixture
def search(tracker, project):
    """Search one of the three, and return how many were found; None where the filter was refused."""

    def find(where, text, **asked):
        path, query = f"/mlflow/api/2.0/mlflow/{where}/search", {"filter": text, **asked}
        if where == "logged-models":
            response = tracker.call("POST", path, {"experiment_ids": [project.uid], **query})
        else:
            response = tracker.call("GET", f"{path}?{urlencode(query, doseq=True)}")
        assert response.status_code in {200, 400}, response.content
        return len(response.json().get(SEARCHES[where], [])) if response.status_code == 200 else None

    return find


@pytest.fixture
def models(project, person):
    """One of each, whose name, one tag and all other texts are alike; and one of each whose are long."""
    run = new_run(project, status="completed")
    artifact = checkpoint_at(run)
    for text in (VALUE, LONG):
        tags = {"same": text}
        model = RegisteredModel.objects.create(name=text, project=project, created_by=person, tags=tags)
        ModelVersion.objects.create(model=model, number=1, artifact=artifact, run=run, source=text, tags=tags)
        metrics = {"loss": [0.5, 1, 0], "none": ["NaN", 1, 0], "peak": ["Infinity", 1, 0]}
        LoggedModel.objects.create(
            project=project, run=run, name=text, model_type=text, tags=tags, parameters=tags, metrics=metrics
        )


NAMES = sorted({key for known in (MODELS, VERSIONS, LOGGED_MODELS) for key in known.comparators[Entity.ATTRIBUTE]})
QUOTED = VALUES.map(lambda text: "'" + text.replace("'", "''") + "'")
NUMBERS = (st.integers() | st.floats(allow_nan=False, allow_infinity=False)).map(str)
CLAUSES = st.builds(
    "{} {} {}".format,
    st.sampled_from([*NAMES, "tags.same", "params.same", "metrics.none", "metrics.peak"])
    | st.builds("{}.`{}`".format, st.sampled_from(["tags", "params", "metrics"]), KEYS),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "LIKE", "ilike", "IN", "not in"]),
    QUOTED | NUMBERS | st.lists(QUOTED, min_size=1, max_size=3).map(lambda texts: f"({','.join(texts)})"),
)
FILTERS = TEXTS | st.lists(CLAUSES, max_size=3).map(" AND ".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILTERS)
@pytest.mark.parametrize("where", SEARCHES)
@pytest.mark.usefixtures("models")
def test_any_filter_is_answered_or_refused(search, where, text):
    search(where, text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILTERS | st.sampled_from(NAMES), st.text(max_size=20), st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5))
@pytest.mark.parametrize("where", SEARCHES)
@pytest.mark.usefixtures("models")
def test_any_order_and_page_are_answered_or_refused(search, where, order, token, size):
    order_by = [{"field_name": order}] if where == "logged-models" else [order]
    search(where, "", order_by=order_by, page_token=token, max_results=size)


@pytest.mark.parametrize(
    "texts",
    [
        *((where, key) for where in SEARCHES for key in ("name", "tags.same")),
        ("model-versions", "source_path"),
        ("logged-models", "model_type"),
        ("logged-models", "params.same"),
    ],
)
@pytest.mark.usefixtures("models")
def test_columns_and_texts_in_json_are_compared_alike(search, texts):
    where, key = texts
    quoted = VALUE.replace("'", "''")
    found = {
        f"= '{quoted}'": 1, f"!= '{quoted}'": 1, f"LIKE '{quoted}'": 1, "LIKE 'N_me%'": 1, "LIKE 'n%'": 0,
        "ILIKE 'n%X]*_'''": 1, "LIKE '%[x]*%'": 1, "LIKE '%\\_'": 1, "LIKE '*'": 0, "LIKE '?%'": 0, "LIKE '%'": 2,
        "LIKE ''": 0, "LIKE 'a%'": 1, "ILIKE 'A%_A'": 1, "LIKE '" + "_" * 256 + "'": 1, "LIKE '" + "_" * 257 + "'": 0,
    }  # fmt: skip
    assert {text: search(where, f"{key} {text}") for text in found} == found


@pytest.mark.parametrize("where", SEARCHES)
@pytest.mark.parametrize("comparator", ["LIKE", "ILIKE"])
@pytest.mark.parametrize("pattern", ["%a" * 5000, "%a" * 127 + "b", "%_a" * 80 + "b", "_%" * 4000 + "b"])
@pytest.mark.usefixtures("models")
def test_no_pattern_takes_long(search, where, comparator, pattern):
    began = time.process_time()
    assert search(where, f"name {comparator} '{pattern}' AND tags.same {comparator} '{pattern}'") == 0
    assert search(where, f"tags.same {comparator} '{pattern}'") == 0
    assert time.process_time() - began < 2


@pytest.mark.parametrize(("text", "pattern"), [("a" * 8000, "%" + "a" * 4000 + "b"), ("a" * 8000, "%a_" * 3000 + "b")])
def test_a_long_text_takes_no_long_either(text, pattern):
    began = time.process_time()
    assert not like(pattern)(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [("", "", True), ("", "%", True), ("a", "", False), ("abc", "a%c", True), ("abc", "_b_", True),
     ("abc", "a_", False), ("a%c", "a%c", True), ("aXbXc", "%X%c", True),
     ("aaab", "%aab", True), ("a\nb", "a%b", True)],
)  # fmt: skip
def test_like(text, pattern, fits):
    assert like(pattern)(text) is fits


@settings(max_examples=500, deadline=None)
@given(st.text("abé\n", max_size=12), st.text("abé%_%_", max_size=8))
def test_like_is_what_a_regular_expression_says(text, pattern):
    expression = "".join({"%": ".*", "_": "."}.get(letter, letter) for letter in pattern)
    assert like(pattern)(text) is bool(re.fullmatch(expression, text, re.DOTALL))
