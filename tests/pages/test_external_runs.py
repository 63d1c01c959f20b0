"""Runs that a tracking client made: every page and endpoint, what they say, and what cannot be done with them."""

import re
import threading
from datetime import timedelta

import pytest
from django.urls import URLPattern, reverse
from django.utils import timezone

from projects.models import Role
from runs.models import Run, RunDataset, RunParameter, RunTag, TelemetryCounter
from runs.telemetry.newest import refresh_newest
from runs.tracking.external import update_tracked
from tests.external import ODD, SCHEMA, log_external_run
from tests.factories import Caller, add_member, everything, fresh, kinds, new_artifact, new_run, run_path
from tests.mlflow_api.conftest import Tracker
from tests.pages.reading import flashes, read, text_of
from tests.trainhub.endpoints import patterns

HTMX = {"HX-Request": "true"}


def page_of(run, name="run"):
    return reverse(name, args=[run.uid])


@pytest.fixture
def tracker(editor):
    return Tracker(editor)


@pytest.fixture
def external(project, tracker) -> Run:
    """A running external run with everything that a client logs."""
    began = int((timezone.now() - timedelta(seconds=120)).timestamp() * 1000)
    uid = log_external_run(
        lambda route, body: tracker.post(route, **body), project.uid, began_ms=began, steps=50, nested=6
    )
    run = Run.objects.get(uid=uid)
    refresh_newest(run_ids=[run.pk])
    RunDataset.objects.create(
        run=run, name="articles", digest="abc123", context="train", source_type="local", source="/data/a.parquet",
        schema=SCHEMA, profile='{"num_rows": 12}', tags={"mlflow.data.context": "train", "split": "first"},
    )  # fmt: skip
    return run


@pytest.fixture
def plain(project, tracker) -> Run:
    """A running external run of which nothing is known but its name."""
    return Run.objects.get(uid=tracker.new_run(project, run_name="plain"))


# --- Every page and every endpoint ----------------------------------------------------------------
def addresses(run: Run, checkpoint) -> dict[str, str]:
    """Return the path of every URL that a run, its project or its artifacts are shown at, by name."""
    known = {
        "project_id": run.project.uid, "run_id": run.uid, "artifact_id": checkpoint.uid, "index": 0, "tag": "release",
    }  # fmt: skip
    return {
        pattern.name: reverse(pattern.name, kwargs={name: known[name] for name in names(pattern)})
        for _, pattern in patterns()
        if pattern.name and not pattern.name.startswith("admin") and names(pattern) and names(pattern) <= set(known)
    }


def names(pattern: URLPattern) -> set[str]:
    return set(pattern.pattern.converters)


IN_QUERY = {
    "/ui/runs", "/ui/compare", "/ui/compare.csv", "/ui/compare.json", "/ui/compare.svg", "/ui/runs/cancel",
    "/ui/runs/archive", "/runs", "/metrics",
}  # fmt: skip
REFUSED = {  # what is no page, and a search for nothing
    "api-run-logs-search": 400,
    "project-columns": 405, "project-restore": 405, "artifact-untag": 405, "artifact-verify": 405,
    "api-run-cancel": 405, "api-run-archive": 405, "api-run-restore": 405, "api-run-repeat": 405,
    "api-run-resume": 405, "api-artifact-verify": 405, "api-artifact-tag": 405, "api-artifact-untag": 405,
    "api-project-archive": 405, "api-project-restore": 405,
}  # fmt: skip


WORDS = {"running": "RUNNING", "completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


@pytest.mark.parametrize("state", WORDS)
@pytest.mark.parametrize("name", ["run", "run-status", "run-cancel", "run-delete", "run-log"])
def test_the_pages_of_a_bare_run_answer_in_every_state(browse, plain, tracker, operator, state, name):
    tracker.post("runs/update", run_id=plain.uid, status=WORDS[state])

    assert fresh(plain).status == state
    assert browse("operator").get(page_of(plain, name)).status_code == 200


@pytest.mark.parametrize("state", ["running", "failed"])
def test_every_page_and_endpoint_of_an_external_run_answers(browse, external, tracker, operator, monkeypatch, state):
    monkeypatch.setattr("trainhub.transfers._downloads", threading.BoundedSemaphore(10))  # nothing closes the answers
    tracker.post("runs/update", run_id=external.uid, status=WORDS[state])
    checkpoint = new_artifact(external)
    browser = browse("operator")

    answers = {name: browser.get(path).status_code for name, path in addresses(external, checkpoint).items()}

    assert fresh(external).status == state
    assert len(answers) > 50
    assert {name: code for name, code in answers.items() if code != 200} == REFUSED


@pytest.mark.parametrize("path", sorted(IN_QUERY))
def test_every_list_and_comparison_takes_an_external_run(browse, external, operator, path):
    managed = new_run(external.project, status="completed")
    query = {"/ui/compare.svg": {"metric": "loss"}, "/metrics": {"key": "loss"}}.get(path, {})
    runs = {} if path in {"/ui/runs", "/runs"} else {"run": [external.uid, managed.uid]}

    assert browse("operator").get(path, {**runs, **query}).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/admin/runs/run/", "/admin/runs/runevent/", "/admin/runs/attempt/", "/admin/installation/", "/ui/projects"],
)
def test_pages_of_all_runs_show_an_external_one(browse, external, operator, path):
    assert browse("operator").get(path, follow=True).status_code in {200, 404}


def test_the_admin_shows_it(browse, external, operator):
    assert browse("operator").get(f"/admin/runs/run/{external.pk}/change/").status_code == 200


@pytest.mark.parametrize("name", ["run", "run-status", "run-log", "run-cancel", "project-runs", "project", "compare"])
def test_pages_hold_nothing_inline_and_no_markup_of_clients(browse, external, editor, name):
    path = {
        "project": reverse("project", args=[external.project.uid]),
        "project-runs": reverse("project-runs", args=[external.project.uid]),
        "compare": f"{reverse('compare')}?run={external.uid}&differences=0",
    }.get(name) or page_of(external, name)

    answer = browse().get(path)

    assert read(answer).inline == []
    assert "<script>alert" not in text_of(answer)


# --- The page -------------------------------------------------------------------------------------
def test_the_page_says_who_reports_and_what_cannot_be_there(browse, plain, editor):
    text = text_of(browse().get(page_of(plain)))

    assert "as its tracking client reported, last heard" in text
    assert "There is no log: the run is executed elsewhere" in text
    assert "mlflow.log_metric(" in text
    assert "mlflow.log_params(" in text
    assert 'id="run-repeat"' not in text
    assert "Download the log" not in text
    assert 'aria-label="Progress">0.0%' not in text
    assert "End here" in text


def test_progress_speed_and_time_left_come_from_what_its_client_told(browse, external, editor):
    vitals = browse().get(page_of(external)).context["vitals"]

    assert (vitals.step, vitals.total_steps, vitals.progress) == (50, 1000, 0.05)
    assert vitals.steps_per_second == pytest.approx(50 / 45, rel=0.01)
    assert vitals.seconds_left == pytest.approx(950 * 45 / 50, rel=0.01)


def test_duration_is_that_of_the_clients_clock(browse, project, tracker, editor):
    run = tracker.new_run(project, start_time=1_700_000_000_000)
    tracker.post("runs/update", run_id=run, status="FINISHED", end_time=1_700_000_300_000)

    text = text_of(browse().get(reverse("run", args=[run])))

    assert "5 min" in text
    assert "100.0%" in text


def group_of(answer, title):
    (group,) = [group for group in answer.context["config"] if group.title == title]
    return {entry.name: entry for entry in group.entries}


def test_logged_parameters_are_shown_whatever_their_text(browse, external, editor):
    answer = browse().get(page_of(external))

    logged = group_of(answer, "Logged by the client")
    text = text_of(answer)
    assert len(logged) == 150
    assert str(logged["right to left"].value) == ODD["right to left"]
    assert str(logged["long"].value).endswith("… (5,750 characters in all)")
    assert "&lt;script&gt;alert(1)" in text
    assert text.count('<details class="long-text">') == 4  # lines, long, one word, and a tag


def test_a_logged_parameter_that_differs_from_the_launch_says_so(browse, project, editor):
    run = new_run(project, hyperparameters={"learning_rate": 0.5, "batch_size": 4})
    for name, value in {"learning_rate": "0.25", "batch_size": "4.0", "other": "x"}.items():
        RunParameter.objects.create(run=run, group="params", name=name, text="", value=value)

    answer = browse().get(page_of(run))

    others = {name: entry.others for name, entry in group_of(answer, "Logged by the client").items()}
    assert [(other.source, other.value) for other in others["learning_rate"]] == [("launch", 0.5)]
    assert (others["batch_size"], others["other"]) == ([], [])
    assert "launch <bdi>0.5</bdi>" in text_of(answer)


def test_more_parameters_than_shown_are_told(browse, plain, editor, monkeypatch):
    monkeypatch.setattr("runs.tracking.reading.MAX_PARAMETERS", 2)
    for number in range(3):
        RunParameter.objects.create(run=plain, group="params", name=f"p{number}", text="x", value="x")

    answer = browse().get(page_of(plain))

    assert list(group_of(answer, "Logged by the client")) == ["p0", "p1"]
    assert "The first 2 logged parameters are shown" in text_of(answer)


def test_tags_are_shown_and_those_of_the_library_folded(browse, external, editor):
    answer = browse().get(page_of(external))

    account = answer.context["account"]
    assert set(account.tags) == {"team", "note/markup", "note/long"}
    assert (account.user, account.source, account.commit[:4]) == ("mara", "train/finetune.py", "0123")
    assert "mlflow.source.type" in account.system_tags
    assert "A first baseline." in text_of(answer)


def test_a_tag_named_items_is_shown_as_any_other(browse, plain, tracker, editor):
    for key, value in {"items": "twelve", "team": "nlp"}.items():
        tracker.post("runs/set-tag", run_id=plain.uid, key=key, value=value)

    text = " ".join(text_of(browse().get(page_of(plain))).split())

    assert re.search(r"<dt><code><bdi>items</bdi></code></dt><dd>.{0,60}twelve", text)
    assert re.search(r"<dt><code><bdi>team</bdi></code></dt><dd>.{0,60}nlp", text)


def test_nested_runs_and_their_parent_lead_to_each_other(browse, external, editor):
    text = text_of(browse().get(page_of(external)))
    child = Run.objects.get(name="fold 0")

    assert text.count('<li><a href="/ui/runs/run_') == 5
    assert f'?parent={external.uid}">All in a list; these are the newest' in text
    assert f'<dt>Nested in</dt><dd><a href="{page_of(external)}">' in text_of(browse().get(page_of(child)))


def test_a_deleted_parent_is_not_told(browse, external, editor):
    child = Run.objects.get(name="fold 0")
    Run.objects.filter(pk=external.pk).update(deleted_at=timezone.now())

    pages = [browse().get(page_of(child)), browse().get(reverse("runs"))]

    assert all("baseline of mara" not in text_of(answer) for answer in pages)


def test_datasets_are_shown_with_what_they_hold(browse, external, editor):
    text = text_of(browse().get(page_of(external)))

    for shown in ("articles", "abc123", "/data/a.parquet", "mlflow_colspec", "num_rows", "split"):
        assert shown in text


def test_a_datasets_tag_named_items_is_shown_as_any_other(browse, plain, editor):
    RunDataset.objects.create(run=plain, name="articles", digest="1", tags={"items": "twelve"})

    assert "<code><bdi>items</bdi></code> <bdi>twelve</bdi>" in text_of(browse().get(page_of(plain)))


@pytest.mark.parametrize(
    "schema", ["[" * 1020 + "]" * 1020, "[" * 15_000, "no JSON", '{"a": 1e999}', "\ud7ff" * 30_000]
)
def test_a_schema_of_any_text_breaks_no_page(browse, plain, editor, schema):
    RunDataset.objects.create(run=plain, name="odd", digest="1", schema=schema, profile=schema)

    assert browse().get(page_of(plain)).status_code == 200


def test_the_page_takes_as_many_queries_however_much_was_logged(
    browse, external, plain, editor, django_assert_max_num_queries
):
    client = browse()
    with django_assert_max_num_queries(14):
        client.get(page_of(plain))
    with django_assert_max_num_queries(19):  # there are losses to draw
        client.get(page_of(external))


def test_the_timeline_tells_a_clients_word_as_such(browse, plain, tracker, editor):
    tracker.post("runs/update", run_id=plain.uid, status="FINISHED")
    tracker.post("runs/update", run_id=plain.uid, status="RUNNING")

    text = text_of(browse().get(page_of(plain, "run-timeline")))

    assert "A tracking client began it." in text
    assert "The client goes on with it." in text
    assert "The trainer started" not in text


# --- Silence --------------------------------------------------------------------------------------
def be_silent(run, **ago):
    then = timezone.now() - timedelta(**ago)
    Run.objects.filter(pk=run.pk).update(created_at=then, status_changed_at=then)
    TelemetryCounter.objects.filter(run=run).update(newest_at=None)


@pytest.mark.parametrize(("days", "is_told"), [(1, False), (3, True)])
def test_a_run_that_was_not_heard_of_for_days_is_shown_as_silent_and_stays(browse, plain, editor, days, is_told):
    be_silent(plain, days=days)

    page, home = text_of(browse().get(page_of(plain))), text_of(browse().get("/"))

    assert ("Its client has not reported for" in page) is is_told
    assert ('<span class="badge unreachable">silent</span>' in home) is is_told
    assert fresh(plain).status == "running"


def test_metrics_are_a_sign_of_life(browse, plain, tracker, editor):
    be_silent(plain, days=3)
    tracker.post("runs/log-metric", run_id=plain.uid, key="loss", value=1, timestamp=1)
    refresh_newest(run_ids=[plain.pk])

    assert "Its client has not reported for" not in text_of(browse().get(page_of(plain)))


def test_home_counts_external_runs_among_the_running_and_tells_them_apart(browse, plain, project, editor):
    new_run(project, status="running")

    answer = browse().get("/")

    running = answer.context["overview"].running
    assert (running.total, running.external) == (2, 1)
    assert "<small>1 external</small>" in text_of(answer)


# --- Ending, repeating, resuming ------------------------------------------------------------------
def test_ending_asks_first_and_says_that_nothing_is_stopped(browse, plain, editor):
    text = text_of(browse().get(page_of(plain, "run-cancel")))

    assert "End this run here?" in text
    assert "trainhub cannot stop it" in text
    assert fresh(plain).status == "running"


def test_ending_from_the_page_ends_at_once_with_an_honest_receipt(browse, plain, editor):
    answer = browse().post(page_of(plain, "run-cancel"), {"seen": 0}, headers=HTMX)

    text = text_of(answer)
    assert fresh(plain).status == "cancelled"
    assert "The run ended here. Nothing was stopped where it is executed." in text
    assert "Receipt of the end" in text
    assert "Nothing was stopped: the run is executed elsewhere" in text
    assert "Ended here on request." in text


def test_the_api_ends_it_at_once_and_says_so(as_editor, plain):
    answer = as_editor.call("POST", f"{run_path(plain)}/cancel")

    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["allowed"]) == (200, "cancelled", ["running"])
    assert shown["receipt"]["note"].startswith("Nothing was stopped")
    assert shown["receipt"]["signalled_at"] is None
    assert shown["reason_text"] == "Cancelled on request. It is executed elsewhere, and was not stopped there."
    assert as_editor.call("POST", f"{run_path(plain)}/cancel").status_code == 409


def test_the_receipt_is_that_of_the_last_end(as_editor, plain, tracker, editor):
    tracker.post("runs/update", run_id=plain.uid, status="KILLED")
    assert as_editor.get(run_path(plain)).json()["receipt"] is None
    tracker.post("runs/update", run_id=plain.uid, status="RUNNING")
    as_editor.call("POST", f"{run_path(plain)}/cancel")

    assert as_editor.get(run_path(plain)).json()["receipt"]["requested_by"] == "edith"


def test_a_run_that_was_ended_here_goes_on_by_its_clients_word(as_editor, plain, tracker):
    as_editor.call("POST", f"{run_path(plain)}/cancel")
    tracker.post("runs/update", run_id=plain.uid, status="RUNNING")

    shown = as_editor.get(run_path(plain)).json()
    assert (shown["status"], shown["receipt"], kinds(plain)) == ("running", None, ["running", "cancelled", "running"])


def test_several_runs_are_ended_each_in_its_way(browse, plain, project, editor):
    managed = new_run(project, status="running")
    browser = browse()
    runs = {"run": [plain.uid, managed.uid]}

    asked = text_of(browser.get(reverse("runs-cancel"), runs))
    answer = browser.post(reverse("runs-cancel"), runs, follow=True)

    assert "It ends here at once. It is executed elsewhere: trainhub cannot stop it there." in asked
    assert "1 run was ended here, and not stopped where it is executed." in flashes(answer)
    assert (fresh(plain).status, fresh(managed).status) == ("cancelled", "cancelling")


def test_it_cannot_be_repeated_and_why(browse, as_editor, plain, operator):
    before = everything()

    repeated = as_editor.call("POST", f"{run_path(plain)}/repeat", {"recipe": "simulate"})
    page = browse("operator").get(reverse("run-launch", args=[plain.project.uid]), {"repeat": plain.uid})
    action = browse("operator").post(
        "/admin/runs/run/", {"action": "repeat", "_selected_action": [plain.pk]}, follow=True
    )

    assert (repeated.status_code, repeated.json()["detail"][:32]) == (409, "A tracking client made this run:")
    assert page.status_code == 409
    assert "there is no recipe here to execute again" in text_of(page)
    assert "there is no recipe here to execute again" in text_of(action)
    assert everything() == before


def test_resuming_from_its_checkpoint_needs_a_recipe(as_editor, plain):
    path = f"{run_path(plain)}/resume?source_artifact_id={new_artifact(plain).uid}"
    before = everything()["Run"]

    refused = as_editor.call("POST", path, {})
    assert (refused.status_code, list(refused.json())) == (400, ["code", "recipe"])
    assert everything()["Run"] == before

    made = as_editor.call("POST", path, {"recipe": "simulate", "model_parameters": {"max_steps": 20}})
    assert (made.status_code, made.json()["recipe"], made.json()["resumed_from_run"]) == (201, "simulate", plain.uid)
    assert made.json()["managed"] is True


def test_the_form_to_resume_it_lets_choose_a_recipe(browse, plain, editor):
    path = reverse("run-resume", args=[new_artifact(plain).uid])
    browser = browse()

    shown = text_of(browser.get(path))
    other = browser.post(path, {"choose": "yes", "recipe": "tiny-gpt", "name": "typed"}, headers=HTMX)
    answer = browser.post(path, {"recipe": "tiny-gpt", "hyperparameters.learning_rate": "0.25"})

    assert "choose the one that can read its checkpoint" in shown
    assert 'value="tiny-gpt" checked' in text_of(other)
    assert 'value="typed"' in text_of(other)
    made = Run.objects.get(resumed_from__run=plain)
    assert (answer.status_code, made.recipe, made.hyperparameters) == (302, "tiny-gpt", {"learning_rate": 0.25})
    assert browser.get(page_of(made)).status_code == 200


# --- Lists ----------------------------------------------------------------------------------------
def test_a_list_shows_what_is_external_and_nested(browse, external, editor):
    text = text_of(browse().get(reverse("project-runs", args=[external.project.uid])))

    assert text.count('<span class="badge">external</span>') == 7
    assert text.count(f'nested in <a href="{page_of(external)}">') == 6


def test_a_list_of_nested_runs_says_below_which(browse, external, plain, editor):
    path = reverse("project-runs", args=[external.project.uid])

    answer = browse().get(path, {"parent": external.uid})

    assert {row.run.name for row in answer.context["table"].rows} == {f"fold {number}" for number in range(6)}
    assert [(chip.name, chip.value) for chip in answer.context["chips"]] == [("nested in", external.uid)]
    assert f'<input type="hidden" name="parent" value="{external.uid}">' in text_of(answer)


def test_columns_of_logged_parameters_and_tags_can_be_chosen(browse, external, editor):
    path = reverse("project-runs", args=[external.project.uid])
    chosen = ["status", "params.learning_rate", 'params."right to left"', "tags.team", "tags.note/long"]
    browser = browse()
    browser.post(reverse("project-columns", args=[external.project.uid]), {"column": chosen})

    answer = browser.get(path)

    cells = {row.run.pk: [cell.text for cell in row.cells] for row in answer.context["table"].rows}[external.pk]
    assert cells[1:4] == ["0.0003", ODD["right to left"], "nlp"]
    assert cells[4].startswith("why why")
    assert len(cells[4]) < 130
    titles = dict(answer.context["groups"])
    assert "learning_rate" in [column.title for column in titles["Logged parameters"]]
    assert [column.title for column in titles["Tags"]][:3] == ["note/long", "note/markup", "team"]


def test_a_comparison_has_logged_parameters_and_marks_what_differs(browse, external, plain, editor):
    RunParameter.objects.create(run=plain, group="params", name="learning_rate", number=3e-4, value="3e-4")
    query = {"run": [external.uid, plain.uid], "differences": "0"}
    browser = browse()

    page = browser.get(reverse("compare"), query)
    table = browser.get(reverse("compare-json"), query).json()

    (section,) = [section for section in page.context["sections"] if section.title == "Logged parameters"]
    rates = next(row for row in section.rows if row.name == "learning_rate")
    assert [cell.value for cell in rates.cells] == ["0.0003", "3e-4"]
    assert rates.differs
    assert len([row for row in table["rows"] if row["group"] == "params"]) == 150
    assert b"params,learning_rate" in browser.get(reverse("compare-csv"), query).content


# --- The API --------------------------------------------------------------------------------------
def test_a_runs_answer_has_what_its_client_told(as_editor, external, plain):
    shown = as_editor.get(run_path(external)).json()
    child = as_editor.get(run_path(Run.objects.get(name="fold 0"))).json()
    bare = as_editor.get(run_path(plain)).json()

    assert (shown["managed"], shown["recipe"], shown["executor"], shown["allowed"]) == (
        False, "", "", ["cancelled", "completed", "failed"]
    )  # fmt: skip
    assert shown["logged_parameters"] == {**shown["logged_parameters"], **ODD}
    assert len(shown["logged_parameters"]) == 150
    assert shown["tags"]["team"] == "nlp"
    assert shown["datasets"] == [
        {
            "name": "articles",
            "digest": "abc123",
            "context": "train",
            "source_type": "local",
            "source": "/data/a.parquet",
        }
    ]
    assert (shown["parent"], shown["nested_runs"]) == (None, 6)
    assert (child["parent"], child["nested_runs"]) == (external.uid, 0)
    assert (bare["logged_parameters"], bare["datasets"], bare["parent"]) == ({}, [], None)
    assert shown["evidence"]["age_seconds"] < 60


def test_a_managed_run_has_the_same_fields(as_editor, project):
    shown = as_editor.get(run_path(new_run(project))).json()

    told = {name: shown[name] for name in ("logged_parameters", "tags", "datasets", "parent", "nested_runs")}
    assert told == {"logged_parameters": {}, "tags": {}, "datasets": [], "parent": None, "nested_runs": 0}


def test_a_stranger_learns_nothing_of_nested_runs(external, stranger):
    assert Caller(stranger).get("/runs", {"parent": external.uid}).json()["total"] == 0
    assert Caller(stranger).get("/runs", {"where": "tags.team = 'nlp'"}).json()["total"] == 0


# --- Connecting -----------------------------------------------------------------------------------
def test_the_pages_of_project_and_tokens_say_how_to_connect(browse, project, editor):
    browser = browse()

    shown = text_of(browser.get(reverse("project", args=[project.uid])))
    tokens = text_of(browser.get(reverse("tokens")))
    made = text_of(browser.post(reverse("tokens"), {"name": "x", "days": 1}))

    assert "MLFLOW_TRACKING_URI=http://testserver/mlflow" in shown
    assert f"MLFLOW_EXPERIMENT_ID={project.uid}" in shown
    assert "MLFLOW_TRACKING_URI=http://testserver/mlflow" in tokens
    assert made.count("MLFLOW_TRACKING_TOKEN=…") == 0


def test_a_viewer_is_not_told_how_to_write(browse, project, viewer):
    assert "MLFLOW_TRACKING_URI" not in text_of(browse("viewer").get(reverse("project", args=[project.uid])))


@pytest.mark.parametrize("path", ["/mlflow", "/mlflow/"])
@pytest.mark.django_db
def test_the_mount_point_is_a_page_for_everybody(browse, path):
    answer = browse("anonymous").get(path)

    assert answer.status_code == 200
    assert "MLflow clients report here" in text_of(answer)
    assert read(answer).inline == []
    assert browse("anonymous").post(path).status_code == 405


def test_a_tag_of_a_deleted_run_is_gone_with_it(external):
    external.delete()

    assert not RunTag.objects.filter(key="team").exists()


def test_an_end_by_the_client_is_no_cancel(plain, editor):
    update_tracked(run=plain, by=editor, actor="edith", status="FINISHED")

    assert fresh(plain).status == "completed"


def test_an_editor_of_another_project_cannot_end_it(plain, stranger):
    assert Caller(stranger).call("POST", f"{run_path(plain)}/cancel").status_code == 404
    viewer = add_member(plain.project, "vic", Role.VIEWER)
    assert Caller(viewer).call("POST", f"{run_path(plain)}/cancel").status_code == 403
