"""Searches of the registry: filters, orders, pages."""

import pytest

from tests.factories import new_run

from .registering import checkpoint_at, register


@pytest.fixture
def filled(db, tracker, project):
    """Three models; the first one has three versions, of two runs."""
    runs = [new_run(project, status="completed", name=name) for name in ("one", "two")]
    for name, run, tag in (
        ("Alpha", 0, "x"), ("Alpha", 1, "y"), ("Alpha", 0, "x"), ("beta_2", 1, "x"), ("gamma's", 1, "z"),
    ):  # fmt: skip
        path = f"{name}-{tag}"
        found = runs[run].artifacts.filter(source=path).first() or checkpoint_at(runs[run], path)
        register(tracker, found, name=name, tags=[{"key": "eval.set", "value": tag}])
    tracker.post("registered-models/set-tag", name="Alpha", key="team x", value="NLP 100%")
    return runs


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["Alpha", "beta_2", "gamma's"]),
        ("name = 'Alpha'", ["Alpha"]),
        ("name != 'Alpha'", ["beta_2", "gamma's"]),
        ('name="gamma\'s"', ["gamma's"]),
        ("attribute.name LIKE 'alp%'", []),
        ("`name` ilike 'ALP%'", ["Alpha"]),
        ("name LIKE 'beta__'", ["beta_2"]),
        ("name IN ('Alpha', \"beta_2\")", ["Alpha", "beta_2"]),
        ("name NOT IN ('Alpha')", ["beta_2", "gamma's"]),
        ("tags.`team x` = 'NLP 100%'", ["Alpha"]),
        ("tag.\"team x\" ILIKE '%nlp%' and name != 'x'", ["Alpha"]),
        ("tags.`team x` != 'other'", ["Alpha"]),
        ("name IN ('a (b)', 'Alpha',)", ["Alpha"]),
        ("tags.nothing != 'a'", []),
        ("tag.`mlflow.prompt.is_prompt` != 'true'", ["Alpha", "beta_2", "gamma's"]),
        ("name = 'Alpha' AND tag.`mlflow.prompt.is_prompt` = 'true'", []),
        ("name = 'x'' OR ''1''=''1'", []),
        ("name = 'gamma''s'", ["gamma's"]),
        ("creation_timestamp > 1700000000000 AND last_updated_timestamp != 5.5", ["Alpha", "beta_2", "gamma's"]),
        ("timestamp < 1700000000000", []),
        ("name", None), ("name =", None), ("name = Alpha", None), ("name = 7", None), ("name > 'a'", None),
        ("name = 'a' OR name = 'b'", None), ("name = 'a' name = 'b'", None), ("AND name = 'a'", None),
        ("run_id = 'x'", None), ("metrics.loss = 1", None), ("tags.a IN ('b')", None), ("name IN ()", None),
        ("tags.a IS NULL", None), ("TAGS.a = 'b'", None), ("tags.a-b = 'c'", None),
        ("name IN 'a'", None), ("name = ('a')", None), ("(name = 'a')", None),
        ("name = 'a" + "a" * 10_000 + "'", None),
    ],
)  # fmt: skip
def test_models_are_found_by_a_filter(tracker, filled, text, names):
    answer = tracker.get("registered-models/search", code=400 if names is None else 200, filter=text)
    assert [model["name"] for model in answer.get("registered_models", [])] == (names or [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name = 'Alpha'", ["3", "2", "1"]),
        ("name = 'Alpha' AND run_id = '{one}'", ["3", "1"]),
        ("run_id IN ('{two}') and name ILIKE 'ALPHA'", ["2"]),
        ("version_number >= 2", ["3", "2"]),
        ("version_number = 1 AND tags.eval.set = 'x'", ["1", "1"]),
        ("tag.`eval.set` LIKE 'y%'", ["2"]),
        ("source_path LIKE 'runs:/{one}/%'", ["3", "1"]),
        ("version_number IN ('1')", None),
        ("version_number > 99999999999999999999", []),
        ("version_number <= 1.5 AND name = 'Alpha'", ["1"]),
        ("run_id != '{one}' AND name = 'Alpha'", ["2"]),
        ("run_id NOT IN ('{one}', '{two}')", []),
        ("version_number = '1'", None),
        ("version_number LIKE 1", None),
    ],
)
def test_versions_are_found_by_a_filter(tracker, filled, text, found):
    text = text.format(one=filled[0].uid, two=filled[1].uid)
    answer = tracker.get("model-versions/search", code=400 if found is None else 200, filter=text)
    assert [version["version"] for version in answer.get("model_versions", [])] == (found or [])


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (["name DESC"], ["gamma's1", "beta_21", "Alpha3", "Alpha2", "Alpha1"]),
        (["version_number ASC", "name desc"], ["gamma's1", "beta_21", "Alpha1", "Alpha2", "Alpha3"]),
        (["last_updated_timestamp ASC"], ["Alpha1", "Alpha2", "Alpha3", "beta_21", "gamma's1"]),
        ([], ["gamma's1", "beta_21", "Alpha3", "Alpha2", "Alpha1"]),
        (["attributes.creation_timestamp desc", "run_id"], ["gamma's1", "beta_21", "Alpha3", "Alpha2", "Alpha1"]),
        (["description"], None), (["tags.eval"], None),
        (["name UP"], None), (["name; DROP"], None), (["name"] * 21, None),
    ],
)  # fmt: skip
def test_versions_are_ordered(tracker, filled, order, found):
    answer = tracker.get("model-versions/search", code=400 if found is None else 200, order_by=order)
    assert [one["name"] + one["version"] for one in answer.get("model_versions", [])] == (found or [])


@pytest.mark.parametrize(
    ("route", "what", "count"), [("registered-models", "registered_models", 3), ("model-versions", "model_versions", 5)]
)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pages_give_everything_once(tracker, filled, route, what, count, size):
    seen, token = [], None
    while token != "":
        page = {"page_token": token} if token else {}
        answer = tracker.get(f"{route}/search", max_results=size, **page)
        assert len(answer[what]) <= size
        seen += [one["name"] + one.get("version", "") for one in answer[what]]
        token = answer.get("next_page_token", "")
    assert len(seen) == len(set(seen)) == count


@pytest.mark.parametrize("query", [{"max_results": 0}, {"max_results": 1001}, {"max_results": "x"}, {"page_token": "x"},
                                   {"page_token": "LTE="}, {"page_token": "x" * 200}])  # fmt: skip
def test_bad_pages_are_refused(tracker, db, query):
    tracker.get("registered-models/search", code=400, **query)


def test_many_models_cost_as_many_queries_as_few(tracker, filled, django_assert_max_num_queries):
    with django_assert_max_num_queries(9):
        assert len(tracker.get("registered-models/search")["registered_models"]) == 3
