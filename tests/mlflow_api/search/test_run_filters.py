"""The filter grammar of runs, row by row of its tables."""

from datetime import UTC, datetime, timedelta

import pytest

from mlflow_api.search.reading import MAX_CLAUSES, MAX_FILTER, MAX_VALUE
from runs.models import Run, RunDataset, RunParameter, RunTracking
from tests.factories import new_run

pytestmark = pytest.mark.django_db

ALL = ["delta", "gamma", "beta", "alpha"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ALL),
        ("   ", ALL),
        # metrics: the newest value; NaN only differs, infinities are beyond all numbers
        ("metrics.loss = 0.5", ["alpha"]),
        ("metrics.loss != 0.5", ["gamma", "beta"]),
        ("metrics.loss < 1.5", ["alpha"]),
        ("metrics.loss <= 1.5", ["beta", "alpha"]),
        ("metrics.loss > .5", ["beta"]),
        ("metrics.loss >= 5e-1", ["beta", "alpha"]),
        ("metrics.loss<1.2", ["alpha"]),
        ("metric.loss > -1", ["beta", "alpha"]),
        ("metrics.`val/acc now` = 1", ["alpha"]),
        ('metrics."val/acc now" = 1.0', ["alpha"]),
        ("metrics.peak > 1e300", ["gamma"]),
        ("metrics.peak = 1.7976931348623157e308", ["gamma"]),
        ("metrics.peak < 1e300", []),
        ("metrics.unknown != 1", []),
        # params
        ("params.lr = '0.1'", ["alpha"]),
        ('params.lr = "0.1"', ["alpha"]),
        ("param.lr != '0.1'", ["gamma", "beta"]),
        ("parameter.model = 'llama'", ["beta"]),
        ("parameters.model LIKE 'l%'", ["beta"]),
        ("params.model ILIKE 'L_ama'", ["beta", "alpha"]),
        ("params.model = ''", ["gamma"]),
        ("params.lr = 'it''s'", ["gamma"]),
        ('params.lr = "it\'s"', ["gamma"]),
        ("params.lr LIKE '0.%'", ["beta", "alpha"]),
        ("params.lr IS NULL", ["delta"]),
        ("params.lr IS NOT NULL", ["gamma", "beta", "alpha"]),
        ("params.\"Näme-1\" = 'x'", ["alpha"]),
        # tags
        ("tags.team = 'nlp'", ["alpha"]),
        ("tag.team != 'nlp'", ["gamma", "beta"]),
        ("tags.team ILIKE 'N%'", ["beta", "alpha"]),
        ("tags.team LIKE 'N%'", ["beta"]),
        ("tags.team = 'the \"team\"'", ["gamma"]),
        ("tags.mlflow.note LIKE 'a*b?c[d]'", ["alpha"]),
        ("tags.mlflow.note LIKE 'a*%'", ["alpha"]),
        ("tags.mlflow.note LIKE '*%'", []),
        ("tags.mlflow.note LIKE '____\\'", ["beta"]),
        ("tags.mlflow.note ILIKE '50%\\'", ["beta"]),
        ("tags.`mlflow.note` IS NULL", ["delta", "gamma"]),
        ("tags.mlflow.runName = 'beta'", ["beta"]),
        ("tags.mlflow.runName IS NULL", []),
        ("tags.mlflow.runName IS NOT NULL", ALL),
        # attributes
        ("attributes.run_name = 'beta'", ["beta"]),
        ("run_name != 'beta'", ["delta", "gamma", "alpha"]),
        ("attributes.`Run name` LIKE '%ta'", ["delta", "beta"]),
        ("`run name` ILIKE 'B%'", ["beta"]),
        ("attr.\"Run Name\" = 'beta'", ["beta"]),
        ("run.user_id = 'user1'", ["beta"]),
        ("attribute.user_id LIKE 'user_'", ALL),
        ("status = 'RUNNING'", ALL),
        ("attributes.status != 'RUNNING'", []),
        ("status ILIKE 'run%'", ALL),
        ("artifact_uri LIKE 'mlflow-artifacts:/%/artifacts'", ALL),
        ("start_time = 1700000000001", ["beta"]),
        ("start_time != 1700000000001", ["delta", "gamma", "alpha"]),
        ("attributes.created > 1700000000001", ["delta", "gamma"]),
        ("Created < 1700000000000.5", ["alpha"]),
        ("start_time >= 1700000000002.5", ["delta"]),
        ("start_time = 1700000000000.5", []),
        ("start_time <= 99999999999999999999999", ALL),
        ("start_time > 99999999999999999999999", []),
        ("start_time > -1e300", ALL),
        ("end_time != 5", []),
        # several, in any case
        ("metrics.loss > 0 AND params.lr = '0.1'", ["alpha"]),
        ("metrics.loss > 0 and tags.team IlIkE 'nlp' AnD params.lr is  not\tnull", ["beta", "alpha"]),
        # a key may be spelt as a keyword; a name that nobody has matches nothing
        ("params.in = 'x'", []),
        ("tags.and IS NULL", ALL),
    ],
)
@pytest.mark.usefixtures("runs")
def test_a_filter_finds(search, text, names):
    assert search(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "metrics.loss = '0.5'",
        "metrics.loss LIKE 'a'",
        "metrics.loss IS NULL",
        "metrics.loss IN ('a')",
        "metrics.loss > 1e999",
        "metrics.loss > nan",
        "metrics.loss >",
        "metrics.val/acc > 1",
        "metrics. > 1",
        "metrics.`` > 1",
        "params.lr = 0.1",
        "params.lr > '0.1'",
        "params.lr IN ('0.1')",
        "params.lr = lr",
        "tags.team < 'a'",
        "tags.team NOT IN ('a')",
        "tags.team IS",
        "tags.team IS NOT",
        "tags.team NOT LIKE 'a'",
        "run_id > 'a'",
        "run_id IS NULL",
        "run_id IN ()",
        "run_id IN ('a'",
        "run_id IN (,)",
        "run_id IN ('a',,)",
        "run_id IN 'a'",
        "run_id IN (1)",
        "run_name IN ('a')",
        "status IN ('RUNNING')",
        "status = RUNNING",
        "start_time = '5'",
        "start_time LIKE '5'",
        "datasets.name = 5",
        "datasets.source = 'x'",
        "datasets.name IS NULL",
        "lifecycle_stage = 'active'",
        "foo.bar = 'x'",
        "METRICS.loss > 1",
        "metrics.loss > 1 OR metrics.loss < 0",
        "NOT metrics.loss > 1",
        "(metrics.loss > 1)",
        "((((((((((",
        "metrics.loss > 1 AND",
        "AND metrics.loss > 1",
        "metrics.loss > 1 metrics.loss < 2",
        "metrics.loss > 1; DROP TABLE runs_run",
        "metrics.loss > 1 -- ",
        "metrics.loss <> 1",
        "metrics.loss == 1",
        "tags.team = 'nlp",
        "tags.team = `nlp`",
        "'nlp' = tags.team",
        "tags.team = 'a\0b'",
        "tags.`" + "a" * 251 + "` = 'x'",
        "tags.team = '" + "a" * (MAX_VALUE + 1) + "'",
        " AND ".join(["metrics.loss > 1"] * (MAX_CLAUSES + 1)),
        "run_id IN (" + ",".join(["'a'"] * 5001) + ")",
        " " * (MAX_FILTER + 1),
    ],
)
def test_a_filter_is_refused(tracker, project, text):
    refused = tracker.post("runs/search", code=400, experiment_ids=[project.uid], filter=text)
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


def test_runs_are_found_by_id(search, runs):
    assert search(f"run_id = '{runs['beta']}'") == ["beta"]
    assert search(f"attributes.run_id IN ('{runs['beta']}', \"{runs['delta']}\",'x')") == ["delta", "beta"]
    assert search(f"run_id IN ('{runs['beta']}',)") == ["beta"]  # Python's tuple of one
    assert search(f"attributes.run_id not in ('{runs['beta']}')") == ["delta", "gamma", "alpha"]
    assert search(f"run_id LIKE '{runs['beta'][:-1]}_'") == ["beta"]


@pytest.mark.parametrize(
    "text",
    [
        "tags.team = 'x'' OR ''1''=''1'",
        "tags.team = '%'",
        "tags.team = '\\'",
        "tags.team LIKE '\\%'",
        "tags.`a' OR '1'='1` = 'x'",
        "tags.\"%s\" = '%s %(a)s'",
        "tags.team LIKE '[[[[*?'",
        "params.`\"); DROP` = 'x'",
        "metrics.`%` > 1",
    ],
)
@pytest.mark.usefixtures("runs")
def test_hostile_texts_are_only_texts(search, text):
    assert search(text) == []


@pytest.mark.usefixtures("runs")
def test_many_wildcards_and_all_clauses_take_no_time(search):
    assert search("tags.team LIKE '" + "%a" * 2000 + "'") == []
    assert search(" AND ".join(["metrics.loss != 7"] * MAX_CLAUSES)) == ["gamma", "beta", "alpha"]


def test_a_status_is_found_as_it_is_shown(search, tracker, runs, attempt):
    tracker.post("runs/update", run_id=runs["alpha"], status="FINISHED", end_time=1_700_000_005_000)
    tracker.post("runs/update", run_id=runs["beta"], status="SCHEDULED")
    assert search("status = 'FINISHED'") == ["alpha"]
    assert search("status = 'SCHEDULED'") == ["beta"]
    assert search("status = 'RUNNING' AND start_time > 1750000000000") == ["a run"]  # managed, of now
    assert search("end_time = 1700000005000") == ["alpha"]
    assert search("", order_by=["end_time"])[0] == "alpha"


@pytest.mark.parametrize("microsecond", [0, 7, 123_456, 999_999])
def test_times_of_managed_runs_are_found_as_they_are_shown(tracker, search, project, microsecond):
    run = new_run(project, status="completed")
    start = datetime(2026, 1, 31, 18, 0, 5, microsecond, tzinfo=UTC)
    Run.objects.filter(pk=run.pk).update(started_at=start, completed_at=start + timedelta(seconds=61))
    info = tracker.run(run.uid)["info"]
    assert info["end_time"] - info["start_time"] == 61_000
    assert search(f"start_time = {info['start_time']} AND end_time = {info['end_time']}") == ["a run"]
    assert search(f"start_time > {info['start_time']}") == []


def test_parameters_are_found_as_they_are_shown(tracker, search, attempt):
    run = attempt.run
    given = {"rate": 1e-5, "rank": 8.0, "big": 1e16, "share": 0.25}
    RunParameter.objects.bulk_create(
        RunParameter(run=run, group="hyperparameters", name=name, number=number) for name, number in given.items()
    )
    shown = tracker.data(run.uid, "params")
    assert {name: shown[name] for name in given} == {"rate": "1e-05", "rank": "8", "big": "1e+16", "share": "0.25"}
    for name in given:
        assert search(f"params.{name} = '{shown[name]}'") == ["a run"]
        assert search(f"params.{name} LIKE '{shown[name]}'") == ["a run"]
        assert search(f"params.{name} != '{shown[name]}'") == []
    assert search("params.rank = '8.0'") == []
    tracker.post("runs/log-parameter", run_id=run.uid, key="rank", value="8.0")
    assert search("params.rank = '8.0'") == ["a run"]
    assert search("params.rank = '8'") == []
    assert search("params.rank LIKE '8'") == []
    assert search("params.rank != '8.0'") == []


@pytest.mark.parametrize("groups", [("model_parameters", "hyperparameters"), ("hyperparameters", "model_parameters")])
def test_of_two_parameters_of_a_name_the_one_that_is_shown_is_found(tracker, search, project, groups):
    run = new_run(project)
    for group in groups:
        RunParameter.objects.create(run=run, group=group, name="size", text=group)
    assert tracker.data(run.uid, "params")["size"] == "hyperparameters"
    assert search("params.size = 'hyperparameters'") == ["a run"]
    assert search("params.size = 'model_parameters'") == search("params.size LIKE 'm%'") == []
    assert search("params.size != 'hyperparameters'") == []
    tracker.post("runs/log-parameter", run_id=run.uid, key="size", value="3")
    assert tracker.data(run.uid, "params")["size"] == "3"
    assert search("params.size = '3'") == ["a run"]
    assert search("params.size = 'hyperparameters'") == search("params.size != '3'") == []


def test_a_managed_run_ends_when_its_scheduler_says(search, project):
    run = new_run(project, status="completed")
    RunTracking.objects.create(run=run, end_time=5)
    Run.objects.filter(pk=run.pk).update(completed_at=datetime(2026, 1, 31, tzinfo=UTC))
    assert search("end_time = 1769817600000") == ["a run"]
    assert search("end_time = 5") == []


def test_datasets_are_found(search, runs):
    run = Run.objects.get(uid=runs["beta"])
    RunDataset.objects.create(run=run, name="squad", digest="d1", context="train")
    RunDataset.objects.create(run=run, name="Squad v2", digest="d2", context="eval")
    for text in (
        "datasets.name = 'squad'",
        "dataset.name LIKE 'Squad%'",
        "dataset.name ILIKE 'SQUAD'",
        "datasets.digest IN ('d2', 'd9')",
        "datasets.digest NOT IN ('d2')",
        "datasets.context != 'train'",
        "datasets.`context` = 'eval'",
    ):
        assert search(text) == ["beta"]
    assert search("datasets.name = 'Squad'") == []
    assert search("datasets.digest NOT IN ('d1', 'd2')") == []
