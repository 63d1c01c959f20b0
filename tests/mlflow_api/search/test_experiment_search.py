"""experiments/search."""

import pytest

from tests.factories import new_project, new_user
from tests.mlflow_api.conftest import Tracker

pytestmark = pytest.mark.django_db


@pytest.fixture
def experiments(tracker):
    """Ids by name, oldest first; "Gamma" is deleted."""
    made = {}
    for name, tags in {"alpha": {"team": "nlp"}, "beta": {"team": "NLP", "x": ""}, "Gamma": {}}.items():
        sent = [{"key": key, "value": value} for key, value in tags.items()]
        made[name] = tracker.post("experiments/create", name=name, tags=sent)["experiment_id"]
    tracker.post("experiments/delete", experiment_id=made["Gamma"])
    return made


@pytest.fixture
def search(tracker, experiments):
    def find(text="", **asked):
        found = tracker.post("experiments/search", filter=text, max_results=10, **asked)
        return [one["name"] for one in found.get("experiments", [])]

    return find


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["beta", "alpha"]),
        ("name = 'alpha'", ["alpha"]),
        ("attribute.name != 'alpha'", ["beta"]),
        ("attributes.name LIKE 'A%'", []),
        ("attr.name ILIKE 'A%'", ["alpha"]),
        ("tags.team = 'nlp'", ["alpha"]),
        ("tag.team ILIKE 'nlp' AND name = 'beta'", ["beta"]),
        ("tags.x IS NULL", ["alpha"]),
        ("tags.x IS NOT NULL", ["beta"]),
        ("creation_time > 1700000000000", ["beta", "alpha"]),
        ("last_update_time <= 1700000000000", []),
        ("creation_time < 1e300", ["beta", "alpha"]),
    ],
)
def test_a_filter_finds(search, text, names):
    assert search(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "metrics.loss > 1",
        "params.x = '1'",
        "run_id = 'x'",
        "name IN ('alpha')",
        "name > 'a'",
        "name = 5",
        "creation_time = '5'",
        "name = 'a' OR name = 'b'",
    ],
)
def test_a_filter_is_refused(tracker, text):
    refused = tracker.post("experiments/search", code=400, filter=text, max_results=5)
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (["name"], ["Gamma", "alpha", "beta"]),
        (["name DESC"], ["beta", "alpha", "Gamma"]),
        (["creation_time ASC"], ["alpha", "beta", "Gamma"]),
        (["tags.team", "name"], ["beta", "alpha", "Gamma"]),
        (["attribute.last_update_time DESC"], ["Gamma", "beta", "alpha"]),
        ([], ["Gamma", "beta", "alpha"]),
    ],
)
def test_experiments_come_in_the_order_asked_for(search, order, names):
    assert search(order_by=order, view_type="ALL") == names


def test_experiments_are_found_by_id_and_by_view(search, experiments):
    assert search(f"experiment_id = '{experiments['beta']}'") == ["beta"]
    assert search(view_type="DELETED_ONLY") == ["Gamma"]
    assert search(view_type=1) == ["beta", "alpha"]


def test_pages_have_every_experiment_once_also_by_get(tracker, experiments):
    token, names = "", []
    for _ in range(3):
        asked = {"max_results": 1, "view_type": "ALL", "page_token": token}
        answer = tracker.get("experiments/search", **asked, order_by="name ASC")
        names += [one["name"] for one in answer["experiments"]]
        token = answer.get("next_page_token", "")
    assert (names, token) == (["Gamma", "alpha", "beta"], "")
    tracker.get("experiments/search", code=400, max_results=1, page_token="nonsense")


@pytest.mark.parametrize("asked", [{}, {"max_results": 0}, {"max_results": 50_001}, {"max_results": 5, "view_type": 9}])
def test_what_is_asked_for_is_checked(tracker, asked):
    tracker.post("experiments/search", code=400, **asked)


def test_people_and_jobs_find_their_own_alone(tracker, experiments, project, job_tracker):
    new_project(by=new_user("kim"), name="secret")
    assert Tracker(new_user("eve")).post("experiments/search", max_results=5) == {}
    found = tracker.post("experiments/search", max_results=50)["experiments"]
    assert {one["name"] for one in found} == {"alpha", "beta", "sentiment"}
    assert [one["name"] for one in job_tracker.post("experiments/search", max_results=5)["experiments"]] == [
        "sentiment"
    ]
