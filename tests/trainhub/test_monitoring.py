"""What monitoring reads: figures in Prometheus' format, and the checks; who may, and that no user's words are in it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from runs.models import Attempt, Run
from tests.factories import Caller, new_artifact, new_attempt, new_run
from tests.trainhub.test_health import beat
from trainhub import traffic

pytestmark = pytest.mark.django_db
PATHS = ["/health/metrics", "/health/details"]
TOKEN = "token of monitoring, which is long"


def figures(caller):
    """Return every sample as name and labels → value."""
    answer = caller.get("/health/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


@pytest.mark.parametrize("path", PATHS)
def test_operators_read_by_token_and_by_session(path, as_operator, operator):
    browser = Client()
    browser.force_login(operator)

    assert as_operator.get(path).status_code == 200
    assert browser.get(path).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_whoever_has_the_token_of_monitoring_reads(path, settings):
    settings.METRICS_TOKEN = TOKEN

    assert Caller(token=TOKEN).get(path).status_code == 200
    assert Caller(token=TOKEN + "x").get(path).status_code == 401
    assert Caller(token="é").get(path).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_without_such_a_token_an_empty_one_opens_nothing(path):
    assert Client(headers={"Authorization": "Bearer "}).get(path).status_code == 401
    assert Client(headers={"Authorization": "Basic eDp5"}).get(path).status_code == 401
    assert Client(REMOTE_ADDR="127.0.0.1").get(path).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_others_are_refused(path, as_admin, as_operator):
    assert as_admin.get(path).status_code == 403
    assert as_operator.post(path).status_code == 405


def test_the_token_of_monitoring_opens_nothing_else(settings):
    settings.METRICS_TOKEN = TOKEN

    assert Caller(token=TOKEN).get("/projects").status_code == 401


def test_the_figures_are_those_of_the_database(as_operator, project):
    now = timezone.now()
    beat(seconds_ago=7, pass_seconds=0.25)
    Run.objects.filter(pk=new_run(project).pk).update(queued_at=now - timedelta(seconds=90))
    silent = new_attempt(new_run(project))
    Attempt.objects.filter(pk=silent.pk).update(heartbeat_at=now - timedelta(minutes=5))
    size = new_artifact(new_run(project, status="completed")).size_bytes

    found = figures(as_operator)

    assert found["trainhub_runs", "queued"] == 1
    assert found["trainhub_runs", "running"] == 1
    assert found["trainhub_runs", "failed"] == 0
    assert found["trainhub_queue_oldest_wait_seconds",] == pytest.approx(90, abs=20)
    assert found["trainhub_attempts_unreachable",] == 1
    assert found["trainhub_schedulers",] == 1
    assert found["trainhub_scheduler_age_seconds",] == pytest.approx(7, abs=20)
    assert found["trainhub_scheduler_pass_seconds",] == 0.25
    assert found["trainhub_executor_slots_in_use", "local"] == 1
    assert found["trainhub_store_bytes", "file"] == size
    assert found["trainhub_database_size_bytes",] > 100_000
    assert found["trainhub_disk_free_bytes",] > 0


def test_an_empty_hub_has_figures(as_operator):
    found = figures(as_operator)

    assert found["trainhub_queue_oldest_wait_seconds",] == 0
    assert found["trainhub_schedulers",] == 0


def test_the_number_of_queries_does_not_grow_with_the_hub(as_operator, project, django_assert_max_num_queries):
    for number in range(5):
        new_attempt(new_run(project, name=f"run {number}"))

    with django_assert_max_num_queries(15):
        as_operator.get("/health/metrics")


def test_no_word_of_a_user_is_in_it(as_operator, project):
    new_run(project, name='a "private" name')

    text = as_operator.get("/health/metrics").content.decode()

    assert project.uid not in text
    assert "private" not in text


def test_requests_are_counted_with_few_labels(as_operator, project):
    before = figures(as_operator)
    name, slow = "trainhub_http_request_duration_seconds_count", ("4xx", "GET", "api")
    labels = tuple(sorted(slow))

    as_operator.get("/projects/proj_none")
    as_operator.get(f"/runs/{'x' * 300}")
    after = figures(as_operator)

    assert after[name, *labels] == before.get((name, *labels), 0) + 2
    assert {key[1:] for key in after if key[0] == name} <= {
        tuple(sorted((part, method, status)))
        for part in traffic.PARTS
        for method in traffic.METHODS
        for status in traffic.STATUSES
    }


@pytest.mark.parametrize(("method", "label"), [("GET", "GET"), ("BREW", "other"), ("", "other")])
def test_an_odd_method_is_other(method, label):
    traffic.count("/somewhere", method, 200, 0.002)

    assert (label, "api") in {(series.method, series.part) for series in traffic.read()}


def test_workers_count_apart_and_are_read_together(monkeypatch):
    def total():
        return sum(series.total for series in traffic.read() if series.part == "admin")

    before = total()
    monkeypatch.setattr(traffic, "_first", 0)
    for worker in (1, 2, traffic.SLOTS + 1):
        traffic.begin_worker(worker)
        traffic.count("/admin/", "GET", 200, 100.0)

    assert total() == before + 3


def test_the_checks_come_as_json_with_the_worst_of_all(as_operator):
    told = as_operator.get("/health/details").json()

    assert told["level"] == "problem"  # no scheduler
    (scheduler,) = [check for check in told["checks"] if check["about"] == "scheduler"]
    assert scheduler["level"] == "problem"
    assert "manage.py scheduler" in scheduler["remedy"]


def test_the_page_is_for_operators(operator, admin):
    browser, other = Client(), Client()
    browser.force_login(operator)
    other.force_login(admin)

    page = browser.get("/ui/health")

    assert page.status_code == 200
    assert "Some things do not work" in page.content.decode()
    levels = [finding.level for finding in page.context["findings"]]
    assert levels == sorted(levels, reverse=True)
    assert other.get("/ui/health").status_code == 403
    assert 'href="/ui/health"' in browser.get("/").content.decode()
    assert 'href="/ui/health"' not in other.get("/").content.decode()
