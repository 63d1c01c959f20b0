"""The dry run of retention over the API, and what readers are told of what is gone."""

from datetime import timedelta

import pytest

from projects.models import Project
from runs.retention import carry_out
from tests.factories import everything, fresh, kinds, new_project, run_path
from tests.runs.retained import ended_run, keep_for
from trainhub.api.renderers import api_time

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    """A run that ended six days ago."""
    return ended_run(project, days=6, name="old")


@pytest.fixture
def removed(project, run):
    """The same run without log and history."""
    keep_for(project, log=5, metrics=5)
    carry_out(limit=10)
    return fresh(run)


@pytest.fixture
def ask(as_viewer, project):
    return lambda query="": as_viewer.call("GET", f"/projects/{project.uid}/retention{query}")


# --- Settings -------------------------------------------------------------------------------------
def test_a_project_keeps_everything_for_ever_unless_it_says_otherwise(as_viewer, project):
    shown = as_viewer.call("GET", f"/projects/{project.uid}").json()

    assert (shown["log_retention_days"], shown["metric_retention_days"]) == (None, None)


@pytest.mark.parametrize("days", [1, 36_500, None])
def test_days_are_set_and_shown_and_kept_in_the_history(as_admin, project, days):
    path = f"/projects/{project.uid}"
    as_admin.call("PATCH", path, {"log_retention_days": 30, "metric_retention_days": 40})

    answer = as_admin.call("PATCH", path, {"log_retention_days": days, "metric_retention_days": days})

    assert (answer.status_code, answer.json()["log_retention_days"]) == (200, days)
    assert as_admin.call("GET", f"{path}/versions").json()[0]["changes"] == {
        "log_retention_days": {"from": 30, "to": days},
        "metric_retention_days": {"from": 40, "to": days},
    }


def test_days_are_set_with_a_new_project(as_stranger):
    answer = as_stranger.call("POST", "/projects", {"name": "x", "log_retention_days": 30})

    assert (answer.status_code, answer.json()["log_retention_days"]) == (201, 30)


@pytest.mark.parametrize("field", ["log_retention_days", "metric_retention_days"])
@pytest.mark.parametrize("days", [0, -1, 36_501, 1.5, "soon", "", [1], True, 2**63])
def test_days_that_are_none_are_400_and_nothing_is_stored(as_admin, project, field, days):
    before = everything()

    answer = as_admin.call("PATCH", f"/projects/{project.uid}", {field: days})

    assert (answer.status_code, list(answer.json())) == (400, ["code", field])
    assert everything() == before


@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_days_are_set_by_admins_alone(call_as, project, role):
    assert call_as(role).call("PATCH", f"/projects/{project.uid}", {"log_retention_days": 1}).status_code == 403
    assert Project.objects.get(pk=project.pk).log_retention_days is None


# --- The dry run ----------------------------------------------------------------------------------
def test_the_dry_run_lists_what_would_go_and_changes_nothing(ask, project, run):
    keep_for(project, log=5)
    before = everything()

    shown = ask().json()

    assert shown["items"] == [
        {
            "id": run.uid,
            "name": "old",
            "status": "completed",
            "completed_at": api_time(run.completed_at),
            "log_lines": 3,
            "log_bytes": 18,
            "metric_points": 0,
            "metric_bytes": 0,
        }
    ]
    assert shown["totals"] == {
        "runs": 1, "log_lines": 3, "log_bytes": 18, "metric_points": 0, "metric_bytes": 0,
    }  # fmt: skip
    assert (shown["log_days"], shown["metric_days"], shown["next_at"]) == (5, None, None)
    assert (shown["page"], shown["page_size"], shown["total"]) == (1, 50, 1)
    assert everything() == before


def test_without_a_rule_nothing_would_go(ask, run):
    shown = ask().json()

    assert (shown["items"], shown["total"], shown["log_days"], shown["next_at"]) == ([], 0, None, None)


def test_other_days_are_tried_before_they_are_set(ask, project, run):
    keep_for(project, log=30)

    tried = ask("?log_days=5&metric_days=5").json()

    assert (tried["log_days"], tried["metric_days"]) == (5, 5)
    assert (tried["totals"]["log_lines"], tried["totals"]["metric_points"]) == (3, 4)
    assert ask("?metric_days=5").json()["totals"]["log_lines"] == 0


def test_the_dry_run_tells_when_the_next_would_go(ask, run):
    assert ask("?log_days=7").json()["next_at"] == api_time(run.completed_at + timedelta(days=7))


def test_the_dry_run_has_pages_and_totals_of_all(ask, project, run):
    ended_run(project, days=9, name="older")

    pages = [ask(f"?log_days=5&page_size=1&page={page}").json() for page in (1, 2, 3)]

    assert [[item["name"] for item in page["items"]] for page in pages] == [["older"], ["old"], []]
    assert {(page["total"], page["totals"]["log_lines"]) for page in pages} == {(2, 6)}


def test_the_dry_run_shows_runs_of_the_project_alone(ask, run):
    ended_run(new_project(), days=9)

    assert ask("?log_days=5").json()["total"] == 1


@pytest.mark.parametrize(
    "query", ["log_days=0", "log_days=36501", "log_days=", "log_days=x", "metric_days=-1", "metric_days=1.5", "page=0"]
)
def test_a_dry_run_of_no_number_is_400(ask, query):
    answer = ask(f"?{query}")

    assert (answer.status_code, query.split("=")[0] in answer.json()) == (400, True)


# --- What readers are told ------------------------------------------------------------------------
@pytest.mark.parametrize("query", ["", "?level=INFO", "?contains=line", "?page=2", "?start_time=1970-01-01"])
def test_a_page_of_a_removed_log_is_empty_and_says_since_when(as_viewer, removed, query):
    shown = as_viewer.call("GET", f"{run_path(removed)}/logs{query}").json()

    assert (shown["total"], shown["items"]) == (0, [])
    assert shown["removed_at"] == api_time(removed.log_removed_at)


def test_following_a_removed_log_ends_and_says_since_when(as_viewer, removed):
    shown = as_viewer.call("GET", f"{run_path(removed)}/logs/follow?after=2", Prefer="wait=10").json()

    assert (shown["items"], shown["next"], shown["ended"]) == ([], 2, True)
    assert shown["removed_at"] == api_time(removed.log_removed_at)


@pytest.mark.parametrize("kind", ["text", "ndjson"])
def test_a_download_of_a_removed_log_is_410(as_viewer, removed, kind):
    answer = as_viewer.call("GET", f"{run_path(removed)}/logs/download?as={kind}")

    assert (answer.status_code, answer.json()["code"]) == (410, "removed")
    assert answer.json()["removed_at"] == api_time(removed.log_removed_at)


def test_removed_series_are_empty_and_say_since_when_beside_the_names(as_viewer, removed):
    shown = as_viewer.call("GET", f"{run_path(removed)}/metrics").json()

    assert (shown["keys"], shown["series"]["loss"]["total"], shown["series"]["loss"]["step"]) == (["loss"], 0, [])
    assert shown["removed_at"] == api_time(removed.metrics_removed_at)


def test_the_newest_values_are_shown_as_before(as_viewer, removed):
    assert as_viewer.call("GET", run_path(removed)).json()["metrics"] == {"loss": 3.0}


def test_what_was_not_removed_has_no_time_of_it(as_viewer, run):
    answers = [as_viewer.call("GET", f"{run_path(run)}/{place}").json() for place in ("logs", "logs/follow", "metrics")]

    assert [answer["removed_at"] for answer in answers] == [None] * 3


def test_the_timeline_shows_the_removal(as_viewer, removed):
    items = as_viewer.call("GET", f"{run_path(removed)}/events").json()["items"]

    assert [(item["kind"], item["actor"]) for item in items[-2:]] == [
        ("logs_removed", "retention"),
        ("metrics_removed", "retention"),
    ]
    assert kinds(removed)[-2:] == ["logs_removed", "metrics_removed"]
