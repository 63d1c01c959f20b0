"""The API of keeping: the rule, its dry run, what a removed checkpoint answers, and what takes room."""

import pytest
from django.utils import timezone

from artifacts.keeping.removal import remove_all
from artifacts.models import Artifact, LoggedModel
from artifacts.tracking.tree import artifacts_of_run, list_folder
from projects.models import Project
from tests.artifacts.keeping.checkpointed import checkpoints, keep, trained_run
from tests.factories import artifact_path, everything, fresh, new_artifact, new_project, new_run, run_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    return trained_run(project, 0.2, 0.1, 0.5, 0.4, 0.3)


def plan(caller, project, query=""):
    return caller.call("GET", f"/projects/{project.uid}/checkpoint-plan{query}")


# --- The rule -------------------------------------------------------------------------------------
def test_a_project_shows_and_takes_its_rule(as_admin, project):
    path = f"/projects/{project.uid}"
    rule = {
        "keep_last_checkpoints": 3,
        "keep_best_checkpoints": 2,
        "best_metric": "eval_loss",
        "best_metric_goal": "max",
    }

    assert as_admin.call("GET", path).json()["keep_last_checkpoints"] is None
    answer = as_admin.call("PATCH", path, rule)

    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in rule} == rule
    changes = as_admin.call("GET", f"{path}/versions").json()[0]["changes"]
    assert changes["keep_last_checkpoints"] == {"from": None, "to": 3}
    assert as_admin.call("PATCH", path, {"keep_last_checkpoints": None}).json()["keep_last_checkpoints"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"keep_last_checkpoints": 0}, "keep_last_checkpoints"),
        ({"keep_last_checkpoints": 10_001}, "keep_last_checkpoints"),
        ({"keep_last_checkpoints": "all"}, "keep_last_checkpoints"),
        ({"keep_best_checkpoints": -1}, "keep_best_checkpoints"),
        ({"keep_best_checkpoints": None}, "keep_best_checkpoints"),
        ({"keep_best_checkpoints": 1}, "best_metric"),
        ({"best_metric": "x" * 251}, "best_metric"),
        ({"best_metric_goal": "best"}, "best_metric_goal"),
    ],
)
def test_a_bad_rule_is_refused_and_nothing_changes(as_admin, project, body, field):
    before = everything()

    patched = as_admin.call("PATCH", f"/projects/{project.uid}", body)
    created = as_admin.call("POST", "/projects", {"name": "new", **body})

    assert [(answer.status_code, list(answer.json())) for answer in (patched, created)] == [(400, ["code", field])] * 2
    assert everything() == before


def test_the_metric_cannot_be_taken_from_a_rule_that_needs_it(as_admin, project):
    keep(project, 1, 1, "eval_loss")

    answer = as_admin.call("PATCH", f"/projects/{project.uid}", {"best_metric": ""})

    assert (answer.status_code, fresh(project).best_metric) == (400, "eval_loss")


# --- The dry run ----------------------------------------------------------------------------------
def test_the_plan_goes_by_the_projects_rule_and_changes_nothing(as_viewer, project, run):
    keep(project, 1, 1, "eval_loss")
    before = everything()

    answer = plan(as_viewer, project).json()

    assert everything() == before
    assert answer["totals"] == {
        "checkpoints": 3,
        "size_bytes": 3 * 808,
        "runs": 1,
        "runs_seen": 1,
        "runs_left": 0,
        "untold": 0,
    }
    assert (answer["keep_last_checkpoints"], answer["best_metric"], answer["total"]) == (1, "eval_loss", 3)
    assert [item["step"] for item in answer["items"]] == [400, 300, 100]
    assert answer["items"][0]["run_id"] == run.uid
    assert answer["items"][0]["why"] == "older than the newest, nor the best (eval_loss 0.4)"


def test_the_plan_counts_what_stays_only_as_nobody_can_tell_the_best(as_viewer, project, run):
    totals = plan(as_viewer, project, "?keep_last_checkpoints=2&keep_best_checkpoints=1&best_metric=evalloss").json()[
        "totals"
    ]

    assert (totals["checkpoints"], totals["runs_seen"], totals["untold"]) == (0, 1, 3)


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("", []),
        ("?keep_last_checkpoints=4", [100]),
        ("?keep_last_checkpoints=1&keep_best_checkpoints=2&best_metric=eval_loss", [400, 300]),
        (
            "?keep_last_checkpoints=1&keep_best_checkpoints=1&best_metric=eval_loss&best_metric_goal=max",
            [400, 200, 100],
        ),
        ("?keep_last_checkpoints=1&page_size=2&page=2", [200, 100]),
        ("?keep_last_checkpoints=1&page_size=2&page=3", []),
        ("?keep_last_checkpoints=1&keep_best_checkpoints=1&best_metric=no_such_metric", []),
    ],
)
def test_another_rule_can_be_tried(as_viewer, project, run, query, steps):
    assert [item["step"] for item in plan(as_viewer, project, query).json()["items"]] == steps


@pytest.mark.parametrize(
    "query",
    [
        "keep_last_checkpoints=0", "keep_last_checkpoints=x", "keep_best_checkpoints=1", "best_metric_goal=up",
        "page=0", "keep_last_checkpoints=", "best_metric=%00",
    ],
)  # fmt: skip
def test_a_bad_question_is_400(as_viewer, project, query):
    assert plan(as_viewer, project, f"?{query}").status_code == 400


# --- A removed checkpoint -------------------------------------------------------------------------
@pytest.fixture
def removed(project, run):
    keep(project, 1)
    remove_all()
    return checkpoints(run)[0]


def test_it_stays_in_lists_with_its_state_and_time(as_viewer, removed):
    shown = as_viewer.call("GET", artifact_path(removed)).json()

    assert (shown["state"], shown["removed_at"] is not None, len(shown["files"])) == ("removed", True, 2)
    listed = as_viewer.call("GET", f"{run_path(removed.run)}/artifacts?state=removed").json()["items"]
    assert [item["id"] for item in listed] == [one.uid for one in checkpoints(removed.run)[:4]]
    newest = as_viewer.call("GET", run_path(removed.run)).json()["artifacts"][-1]
    assert (newest["state"], newest["removed_at"]) == ("verified", None)


@pytest.mark.parametrize("place", ["download", "files/0"])
def test_its_bytes_are_410(as_viewer, removed, place):
    answer = as_viewer.call("GET", f"{artifact_path(removed)}/{place}")

    assert (answer.status_code, answer.json()["code"]) == (410, "removed")
    assert answer.json()["removed_at"] is not None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("{artifact}/verify", None),
        ("{artifact}/tag", {"tag": "release"}),
        ("{run}/resume?source_artifact_id={uid}", {}),
    ],
)
def test_what_uses_it_is_409_and_nothing_changes(as_editor, removed, path, body):
    before = everything()
    place = path.format(artifact=artifact_path(removed), run=run_path(removed.run), uid=removed.uid)

    answer = as_editor.call("POST", place, body)

    assert (answer.status_code, answer.json()["state"]) == (409, "removed")
    assert "removed by the project's rule" in answer.json()["detail"]
    assert everything() == before


def test_the_tree_that_tracking_clients_see_does_not_list_it(removed):
    for one in checkpoints(removed.run):
        Artifact.objects.filter(pk=one.pk).update(source=f"checkpoints/{one.name}")

    assert [entry.path for entry in list_folder(artifacts_of_run(removed.run), "checkpoints")] == [
        "checkpoints/checkpoint-500"
    ]


# --- Storage --------------------------------------------------------------------------------------
def storage(caller, query=""):
    return caller.call("GET", f"/storage{query}").json()


def test_bytes_are_summed_by_project_run_and_artifact(as_admin, admin, project, run):
    other = new_artifact(new_run(new_project(by=admin, name="Other")), files={"a.bin": b"abc"}, type="other", step=None)

    by_project, by_run, by_artifact = (storage(as_admin, f"?by={level}") for level in ("project", "run", "artifact"))

    assert [(row["project_id"], row["size_bytes"], row["artifacts"]) for row in by_project["items"]] == [
        (project.uid, 4040, 5),
        (other.run.project.uid, 3, 1),
    ]
    assert [(row["run_id"], row["checkpoint_bytes"]) for row in by_run["items"]] == [
        (run.uid, 4040),
        (other.run.uid, 0),
    ]
    assert [row["artifact_id"] for row in by_artifact["items"]][-1] == other.uid
    assert {(answer["size_bytes"], answer["artifacts"]) for answer in (by_project, by_run, by_artifact)} == {(4043, 6)}
    assert [answer["total"] for answer in (by_project, by_run, by_artifact)] == [2, 2, 6]


def test_each_checkpoint_tells_what_keeps_it(as_editor, project, run):
    keep(project, 1)
    first, second, *_, last = checkpoints(run)
    as_editor.call("POST", f"{artifact_path(first)}/tag", {"tag": "release"})
    as_editor.call("POST", f"{run_path(run)}/resume?source_artifact_id={second.uid}", {"name": "on"})

    rows = {row["artifact_id"]: row for row in storage(as_editor, "?by=artifact")["items"]}

    assert rows[first.uid]["kept_by"] == [{"kind": "tag", "text": "tagged release by edith"}]
    assert [reason["kind"] for reason in rows[second.uid]["kept_by"]] == ["resumed"]
    assert [reason["kind"] for reason in rows[last.uid]["kept_by"]] == ["newest"]
    assert sorted(row["goes"] for row in rows.values()) == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("held_by=tag", 1), ("held_by=logged", 1), ("held_by=resumed", 0), ("held_by=registered", 0),
        ("held_by=nothing", 4), ("type=evaluation", 1), ("state=verified", 6), ("state=removed", 0),
        ("state=complete", 0),
        ("q=POINT-1", 1), ("project=proj_0", 0), ("run=run_0", 0),
    ],
)  # fmt: skip
def test_filters(as_editor, project, run, query, count):
    first, second, *_ = checkpoints(run)
    as_editor.call("POST", f"{artifact_path(first)}/tag", {"tag": "archived"})
    LoggedModel.objects.create(project=project, run=run, artifact=second, name="m")
    new_artifact(run, type="evaluation", name="scores.json", step=None)

    assert storage(as_editor, f"?by=artifact&{query}")["total"] == count


@pytest.mark.parametrize("query", ["by=tag", "type=x", "state=whole", "held_by=me", "page=0", "q=%00", "sort=1"])
def test_a_bad_filter_is_400(as_editor, query):
    assert as_editor.call("GET", f"/storage?{query}").status_code == 400


def test_the_disk_is_for_operators_alone(as_operator, as_admin, run):
    assert storage(as_operator)["disk_free_bytes"] > 0
    assert storage(as_admin)["disk_free_bytes"] is None


def test_a_person_sees_the_projects_of_hers(as_stranger, as_operator, run):
    assert storage(as_stranger)["total"] == 0
    assert storage(as_operator)["total"] == 1


def test_deleted_runs_and_removed_checkpoints_take_no_room(as_admin, project, removed):
    assert storage(as_admin)["size_bytes"] == 808
    type(removed.run).objects.filter(pk=removed.run_id).update(deleted_at=timezone.now())

    assert storage(as_admin)["total"] == 0
    assert Project.objects.filter(pk=project.pk).exists()
