"""Order and paging of runs/search."""

import base64

import pytest

from mlflow_api.search import pages
from runs.models import Run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ([], ["delta", "gamma", "beta", "alpha"]),
        (["start_time"], ["alpha", "beta", "gamma", "delta"]),
        (["metrics.loss"], ["alpha", "beta", "gamma", "delta"]),
        (["metrics.loss ASC"], ["alpha", "beta", "gamma", "delta"]),
        (["metrics.`loss`  desc"], ["beta", "alpha", "gamma", "delta"]),
        (["metrics.peak DESC"], ["gamma", "delta", "beta", "alpha"]),
        (["params.lr"], ["beta", "alpha", "gamma", "delta"]),
        (["params.lr DESC"], ["gamma", "alpha", "beta", "delta"]),
        (["tags.mlflow.note", "run_name ASC"], ["beta", "alpha", "delta", "gamma"]),
        (['tags."mlflow.note" DESC', "run_name ASC"], ["alpha", "beta", "delta", "gamma"]),
        (["tags.mlflow.runName"], ["alpha", "beta", "delta", "gamma"]),
        (["attributes.run_name DESC"], ["gamma", "delta", "beta", "alpha"]),
        (["`Run Name`"], ["alpha", "beta", "delta", "gamma"]),
        (["Created DESC"], ["delta", "gamma", "beta", "alpha"]),
        (["user_id"], ["alpha", "beta", "gamma", "delta"]),
        (["status", "end_time", "attr.artifact_uri DESC", "start_time"], None),
        (["metrics.unknown", "params.unknown DESC"], ["delta", "gamma", "beta", "alpha"]),
    ],
)
def test_runs_come_in_the_order_asked_for(search, runs, order, names):
    assert search(order_by=order) == (names or search(order_by=["artifact_uri DESC"]))
    assert [*runs] == ["alpha", "beta", "gamma", "delta"]


@pytest.mark.parametrize(
    "order",
    ["", "foo", "metrics", "metrics.loss UP", "metrics.loss ASC DESC", "datasets.name", "foo.bar", "loss DESC", "a b"],
)
def test_an_order_is_refused(tracker, project, order):
    refused = tracker.post("runs/search", code=400, experiment_ids=[project.uid], order_by=[order])
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


def test_infinities_stand_at_the_ends(tracker, project, search):
    values = {"a": 1, "b": "Infinity", "c": "-Infinity", "d": "NaN", "e": -1, "f": None}
    for name, value in values.items():
        run = tracker.new_run(project, run_name=name)
        if value is not None:
            tracker.post("runs/log-metric", run_id=run, key="m", value=value, timestamp=1)
    assert search(order_by=["metrics.m"]) == ["c", "e", "a", "b", "d", "f"]
    assert search(order_by=["metrics.m DESC"]) == ["b", "a", "e", "c", "d", "f"]
    assert search("metrics.m <= -1") == sorted(["c", "e"], key=uid_of)
    assert search("metrics.m != 1", order_by=["metrics.m"]) == ["c", "e", "b", "d"]


def uid_of(name):
    return Run.objects.get(name=name).uid


@pytest.fixture
def many(tracker, project, attempt):
    """A dozen runs with ties in everything, a managed one among them."""
    for number in range(12):
        run = tracker.new_run(project, run_name=f"run {number}", start_time=1000 + number // 4)
        value = [1, 2, 2, "NaN", "Infinity", None][number % 6]
        if value is not None:
            tracker.post("runs/log-metric", run_id=run, key="m", value=value, timestamp=1)
        tracker.post("runs/log-parameter", run_id=run, key="p", value=str(number % 3))
    tracker.post("runs/log-metric", run_id=attempt.run.uid, key="m", value=2, timestamp=1)


ORDERS = [
    [],
    ["start_time ASC"],
    ["metrics.m"],
    ["metrics.m DESC"],
    ["params.p DESC", "metrics.m"],
    ["end_time", "tags.none DESC"],
    ["status", "user_id DESC"],
]


def all_pages(tracker, project, size, **asked):
    """The ids of each page, up to the one without a token."""
    token, found = "", []
    while True:
        answer = tracker.post("runs/search", experiment_ids=[project.uid], max_results=size, page_token=token, **asked)
        found.append([run["info"]["run_id"] for run in answer["runs"]])
        token = answer.get("next_page_token", "")
        if not token:
            return found


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("few", [500, -1])
@pytest.mark.parametrize("most", [4000, 0])
@pytest.mark.usefixtures("many")
def test_pages_of_any_size_have_every_run_once_in_order(tracker, project, monkeypatch, order, few, most):
    """By each of the three ways to find a page."""
    everything = all_pages(tracker, project, 50, order_by=order)[0]
    assert len(set(everything)) == 13
    monkeypatch.setattr(pages, "FEW", few)
    monkeypatch.setattr(pages, "MOST_CANDIDATES", most)
    monkeypatch.setattr(pages, "_FIRST_CANDIDATES", 1)
    monkeypatch.setattr(pages, "_GROWTH", 2)
    for size in range(1, 15):
        found = all_pages(tracker, project, size, order_by=order)
        assert [run for page in found for run in page] == everything
        assert all(len(page) == size for page in found[:-1])
    kept = [run for page in all_pages(tracker, project, 2, order_by=order, filter="metrics.m >= 2") for run in page]
    assert kept == [run for run in everything if run in set(kept)]
    assert len(kept) == 7


@pytest.mark.usefixtures("many")
def test_runs_that_come_meanwhile_move_no_others(tracker, project):
    everything = all_pages(tracker, project, 50)[0]
    first = tracker.post("runs/search", experiment_ids=[project.uid], max_results=5)
    tracker.new_run(project, start_time=4_000_000_000_000)
    second = tracker.post(
        "runs/search", experiment_ids=[project.uid], max_results=50, page_token=first["next_page_token"]
    )
    assert [run["info"]["run_id"] for run in (*first["runs"], *second["runs"])] == everything


def test_a_page_that_ends_with_the_last_run_has_no_token(tracker, project, runs):
    answer = tracker.post("runs/search", experiment_ids=[project.uid], max_results=len(runs))
    assert "next_page_token" not in answer


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'{"offset": 5}',
        b'[["attribute.start_time DESC"],[[0,null]],"run_x"]',
        b'[["attribute.start_time DESC"],[[0,"a"]],"run_x"]',
        b'[["attribute.start_time DESC"],[[9,5]],"run_x"]',
        b'[["attribute.start_time DESC"],[[true,5]],"run_x"]',
        b'[["attribute.start_time DESC"],[[0,5]],7]',
        b'[["attribute.start_time DESC"],[[0,5]],"a\\u0000b"]',
        b'[["attribute.start_time ASC"],[[0,5]],"run_x"]',
        b'[["attribute.start_time DESC"],[],"run_x"]',
        b"[" * 5000,
    ],
)
def test_a_token_that_was_made_up_is_refused(tracker, project, runs, content):
    token = base64.urlsafe_b64encode(content).decode() or "%"
    refused = tracker.post("runs/search", code=400, experiment_ids=[project.uid], page_token=token)
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("value", ["-9223372036854775808", "9223372036854775807", "99999999999999999999", "1e300"])
def test_a_made_up_token_far_away_does_no_harm(tracker, project, runs, value):
    content = f'[["attribute.start_time DESC"],[[0,{value}]],"run_x"]'.encode()
    token = base64.urlsafe_b64encode(content).decode()
    tracker.post("runs/search", experiment_ids=[project.uid], page_token=token)


@pytest.mark.parametrize("size", [0, -1, 50_001, "many"])
def test_sizes_are_bounded(tracker, project, size):
    tracker.post("runs/search", code=400, experiment_ids=[project.uid], max_results=size)
