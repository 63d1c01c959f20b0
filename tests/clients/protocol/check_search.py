"""Searches through the client."""

import pytest
from mlflow.entities import Metric, Param, RunTag, ViewType

from .conftest import refused, unique


@pytest.fixture(scope="module")
def runs(client):
    """The id of an experiment with four runs, one of them deleted, and their ids by name."""
    experiment = client.create_experiment(unique("searched"), tags={"suite": "search"})
    ids = {}
    for place, (name, loss, optimizer) in enumerate(
        [("a", 0.5, "adam"), ("b", 0.25, "sgd"), ("c", float("nan"), "AdamW"), ("gone", 0.1, "adam")]
    ):
        run_id = client.create_run(experiment, start_time=1000 + place, run_name=name).info.run_id
        metrics = [Metric("eval/loss", loss, 1000, 1)]
        client.log_batch(run_id, metrics, [Param("optimizer", optimizer)], [RunTag("team", f"team-{place % 2}")])
        ids[name] = run_id
    client.set_terminated(ids["b"], "FAILED")
    client.delete_run(ids["gone"])
    return experiment, ids


@pytest.fixture
def search(client, runs):
    """Return the names of the runs that a search finds, in its order."""
    experiment, _ = runs

    def names(filter_string="", **options):
        found = client.search_runs([experiment], filter_string, **options)
        return [run.info.run_name for run in found]

    return names


@pytest.mark.parametrize(
    ("filter_string", "names"),
    [
        ("", ["c", "b", "a"]),
        ("metrics.`eval/loss` < 0.4", ["b"]),
        ('metrics."eval/loss" <= 0.5 AND params.optimizer = "adam"', ["a"]),
        ("params.optimizer LIKE 'adam%'", ["a"]),
        ("params.optimizer ILIKE 'adam%'", ["c", "a"]),
        ("tags.team = 'team-1'", ["b"]),
        ("attributes.status = 'FAILED'", ["b"]),
        ("status != 'FAILED' and run_name != 'a'", ["c"]),
        ("run_name = 'a'", ["a"]),
        ("start_time >= 1001", ["c", "b"]),
        ("tags.nothing IS NULL", ["c", "b", "a"]),
        ("params.optimizer IS NOT NULL", ["c", "b", "a"]),
    ],
)
def test_a_filter_finds_the_runs_that_match(search, filter_string, names):
    assert search(filter_string) == names


def test_runs_are_found_by_their_ids(search, runs):
    _, ids = runs
    assert search(f"attributes.run_id IN ('{ids['a']}', '{ids['b']}')") == ["b", "a"]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("metrics.`eval/loss` ASC", ["b", "a", "c"]),
        ("metrics.`eval/loss` DESC", ["a", "b", "c"]),
        ("attributes.start_time ASC", ["a", "b", "c"]),
        ("params.optimizer ASC", ["c", "a", "b"]),
        ("attribute.run_name DESC", ["c", "b", "a"]),
        ("tags.missing DESC", ["c", "b", "a"]),
    ],
)
def test_runs_come_in_the_order_asked_for(search, order, names):
    assert search(order_by=[order]) == names


@pytest.mark.parametrize(
    ("view", "names"),
    [
        (ViewType.ACTIVE_ONLY, ["c", "b", "a"]),
        (ViewType.DELETED_ONLY, ["gone"]),
        (ViewType.ALL, ["gone", "c", "b", "a"]),
    ],
)
def test_deleted_runs_are_found_when_asked_for(search, view, names):
    assert search(run_view_type=view) == names


def test_pages_follow_each_other(client, runs):
    experiment, _ = runs
    first = client.search_runs([experiment], max_results=2)
    second = client.search_runs([experiment], max_results=2, page_token=first.token)
    assert [run.info.run_name for run in [*first, *second]] == ["c", "b", "a"]
    assert not second.token


@pytest.mark.parametrize(
    "filter_string", ["loss < 1 OR a = 2", "metrics.loss < 'x'", "params.a < 1", "nothing.a = 'b'", "a ="]
)
def test_a_filter_that_is_none_is_refused(client, runs, filter_string):
    with refused("INVALID_PARAMETER_VALUE"):
        client.search_runs([runs[0]], filter_string)


def test_runs_of_several_experiments_are_found_together(client, runs):
    other = client.create_experiment(unique("other"))
    client.create_run(other, run_name="elsewhere", start_time=5000)
    found = client.search_runs([runs[0], other])
    assert [run.info.run_name for run in found] == ["elsewhere", "c", "b", "a"]


def test_a_found_run_has_its_data(client, runs):
    found = client.search_runs([runs[0]], "run_name = 'a'")[0]
    assert (found.data.metrics, found.data.params) == ({"eval/loss": 0.5}, {"optimizer": "adam"})


def test_experiments_are_searched(client):
    mark = unique("x").split()[1]
    ids = [client.create_experiment(f"{mark}-{place}", tags={"mark": mark}) for place in range(3)]
    client.delete_experiment(ids[2])

    def found(**options):
        return [experiment.name[-1] for experiment in client.search_experiments(**options)]

    by_name, by_tag = f"name LIKE '{mark}%'", f"tags.mark = '{mark}'"
    assert found(filter_string=by_name) == ["1", "0"]
    assert found(filter_string=by_tag, order_by=["name ASC"]) == ["0", "1"]
    assert found(filter_string=by_tag, view_type=ViewType.DELETED_ONLY) == ["2"]
    assert found(filter_string=by_name, view_type=ViewType.ALL, order_by=["creation_time ASC"]) == ["0", "1", "2"]
    first = client.search_experiments(filter_string=by_name, max_results=1)
    second = client.search_experiments(filter_string=by_name, max_results=1, page_token=first.token)
    assert [experiment.experiment_id for experiment in [*first, *second]] == [ids[1], ids[0]]
