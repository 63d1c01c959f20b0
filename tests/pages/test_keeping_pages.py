"""Pages of keeping: the preview of a rule, a removed checkpoint, and what takes room."""

import pytest
from django.urls import reverse
from django.utils import timezone

from artifacts.checking import begin_check, step_check
from artifacts.keeping import plan
from artifacts.keeping.removal import remove_all
from artifacts.models import Artifact, StoreCheck
from tests.artifacts.keeping.checkpointed import checkpoints, keep, trained_run
from tests.factories import everything, fresh, lose, new_artifact, new_project, new_run

pytestmark = pytest.mark.django_db
RULE = {
    "keep_last_checkpoints": "1",
    "keep_best_checkpoints": "1",
    "best_metric": "eval_loss",
    "best_metric_goal": "min",
}


FINDINGS = [("unknown", "ckpt_unknown"), ("leftover", "ckpt_leftover")]


@pytest.fixture
def run(project):
    return trained_run(project, 0.2, 0.1, 0.5, 0.4, 0.3)


@pytest.fixture
def path(project):
    return reverse("checkpoint-plan", args=[project.uid])


def text_of(answer):
    return " ".join(answer.content.decode().split())


def test_a_preview_says_how_much_would_go_and_changes_nothing(browse, path, run):
    before = everything()

    page = text_of(browse("admin").get(path, RULE))

    assert "Would go: 3 checkpoints of 1 run, 2.42 kB" in page
    assert "not among" not in page
    assert "older than the newest, nor the best (eval_loss 0.2)" in page
    assert "Keep by this rule, and remove the 3" in page
    assert everything() == before


def test_of_many_runs_the_oldest_are_judged_and_that_is_told(browse, project, path, run, monkeypatch):
    monkeypatch.setattr(plan, "MOST_RUNS", 1)
    trained_run(project, 0.2, 0.1, 0.5)

    page = text_of(browse("admin").get(path, RULE))

    assert "Would go: 3 checkpoints of 1 run, 2.42 kB" in page
    assert "1 other may lose checkpoints, too" in page
    assert "remove the 3 and more" in page


def test_a_metric_that_no_run_has_is_told(browse, path, run):
    page = text_of(browse("viewer").get(path, RULE | {"best_metric": "evalloss"}))

    assert "Nothing would go" in page
    assert "4 stay only because the runs have no value of <bdi>evalloss</bdi>" in page


def test_an_admin_saves_the_rule_from_the_preview(browse, path, project, run):
    answer = browse("admin").post(path, RULE)

    assert (answer.status_code, answer["Location"]) == (302, path)
    kept = fresh(project)
    assert (kept.keep_last_checkpoints, kept.keep_best_checkpoints, kept.best_metric) == (1, 1, "eval_loss")
    assert "Goes: 3 checkpoints of 1 run" in text_of(browse("admin").get(path))


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_others_may_look_and_not_save(browse, path, run, role):
    before = everything()
    browser = browse(role)

    assert "Keep by this rule" not in text_of(browser.get(path, RULE))
    assert browser.post(path, RULE).status_code == 403
    assert everything()["Project"] == before["Project"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"keep_last_checkpoints": "0"}, "greater than or equal to 1"),
        ({"keep_last_checkpoints": "many"}, "Enter a whole number"),
        ({"keep_best_checkpoints": "-1"}, "greater than or equal to 0"),
        ({"best_metric": ""}, "Name the metric that tells which checkpoints are the best"),
        ({"best_metric_goal": "up"}, "not one of the available choices"),
    ],
)
def test_a_bad_rule_is_refused_beside_its_field(browse, path, run, typed, said):
    before = everything()
    browser = browse("admin")

    for answer in (browser.get(path, RULE | typed), browser.post(path, RULE | typed)):
        assert (answer.status_code, said in text_of(answer)) == (400, True)
    assert everything()["Project"] == before["Project"]


def test_the_form_of_a_project_has_the_rule_and_leads_to_the_preview(browse, project, path):
    edit = reverse("project-edit", args=[project.uid])

    assert path in text_of(browse("admin").get(edit))
    browse("admin").post(edit, {"name": "x", **RULE})

    assert fresh(project).keep_last_checkpoints == 1
    assert "1 newest of an ended run, 1 best by" in text_of(browse("admin").get(reverse("project", args=[project.uid])))


def test_a_removed_checkpoint_says_when_and_offers_nothing(browse, project, run):
    keep(project, 1)
    remove_all()
    gone = checkpoints(run)[0]

    page = text_of(browse("editor").get(reverse("artifact", args=[gone.uid])))

    assert "Removed <time" in page
    for url in ("run-resume", "artifact-verify", "artifact-download"):
        assert reverse(url, args=[gone.uid]) not in page
    assert 'class="badge corrupt"' not in page
    listed = text_of(browse("editor").get(reverse("artifacts", args=[run.uid])))
    assert (listed.count("badge removed"), f"tag-{gone.uid}" in listed) == (4, False)
    assert "5 · 808 B" in listed


def test_a_removed_checkpoint_whose_bytes_are_still_there_offers_no_file(browse, run):
    gone = checkpoints(run)[0]
    Artifact.objects.filter(pk=gone.pk).update(state="removed", removed_at=timezone.now())

    page = text_of(browse("editor").get(reverse("artifact", args=[gone.uid])))

    assert reverse("artifact-file", args=[gone.uid, 0]) not in page
    assert "?file=0" not in page
    assert "No tag yet" not in page


@pytest.mark.parametrize(("url", "status"), [("artifact-download", 410), ("run-resume", 409)])
def test_what_needs_the_bytes_is_refused_with_a_page(browse, project, run, url, status):
    keep(project, 1)
    remove_all()

    answer = browse("editor").get(reverse(url, args=[checkpoints(run)[0].uid]))

    assert (answer.status_code, "removed by the project" in text_of(answer)) == (status, True)


# --- Storage --------------------------------------------------------------------------------------
def storage(browser, **query):
    return browser.get(reverse("storage"), query)


def test_storage_tells_projects_runs_and_artifacts_largest_first(browse, project, run, viewer):
    small = new_artifact(new_run(project), files={"a.bin": b"x"}, step=None)
    browser = browse("viewer")

    assert "4.04 kB in 6 artifacts" in text_of(storage(browser))
    runs = text_of(storage(browser, by="run"))
    assert runs.index(run.uid) < runs.index(small.run.uid)
    page = text_of(storage(browser, by="artifact", run=small.run.uid))
    assert (small.uid in page, checkpoints(run)[0].uid in page) == (True, False)


def test_storage_says_what_keeps_each_checkpoint(browse, project, run, admin):
    keep(project, 2, 1, "eval_loss")

    page = text_of(storage(browse("admin"), by="artifact"))

    assert page.count("it is among the 2 newest of its run") == 2
    assert page.count("it has the best eval_loss (0.1)") == 1
    assert page.count("badge cancelling") == 2


def test_strangers_see_nothing_of_it(browse, run, stranger):
    page = text_of(storage(browse("stranger"), by="artifact"))

    assert (run.uid in page, "Nothing is stored yet" in page, "free on the store" in page) == (False, True, False)


def test_a_wrong_filter_is_told(browse, run):
    answer = storage(browse("admin"), state="lost")

    assert (answer.status_code, "Select a valid choice" in text_of(answer)) == (400, True)


def test_operators_see_the_disk_and_the_last_check(browse, run):
    name = lose(checkpoints(run)[0])
    check = begin_check()
    while step_check(check) is not None:
        pass

    page = text_of(storage(browse("operator")))

    assert "free on the store's disk" in page or "free on the store&#x27;s disk" in page
    assert "1 file missing or damaged" in page
    assert f"<bdi>{name}</bdi>" in page
    assert "missing or damaged" not in text_of(storage(browse("admin")))


def test_only_what_has_a_page_is_linked(browse, run):
    writing, whole, gone = checkpoints(run)[:3]
    Artifact.objects.filter(pk=writing.pk).update(state="writing")
    findings = [{"kind": kind, "artifact": uid, "file": "a"} for kind, uid in FINDINGS]
    findings = [*findings, *({"kind": "missing", "artifact": one.uid, "file": "a"} for one in (writing, whole, gone))]
    gone.delete()
    StoreCheck.objects.create(finished_at=timezone.now(), findings=findings, missing=3, unknown=2)
    browser = browse("operator")

    pages = text_of(storage(browser)) + text_of(storage(browser, by="artifact"))

    links = {uid for uid in ("ckpt_unknown", "ckpt_leftover") if reverse("artifact", args=[uid]) in pages}
    linked = [reverse("artifact", args=[one.uid]) in pages for one in (writing, whole, gone)]
    assert (links, linked) == (set(), [False, True, False])


@pytest.mark.parametrize("role", ["operator", "admin"])
@pytest.mark.parametrize("by", ["project", "run", "artifact"])
def test_storage_takes_twelve_queries_at_most(browse, admin, role, by, django_assert_max_num_queries):
    for number in range(3):
        project = keep(new_project(by=admin, name=f"project {number}"), 1, 1, "eval_loss")
        for _ in range(2):
            trained_run(project, 0.3, 0.2, 0.1)
    browser = browse(role)
    storage(browser, by=by)

    with django_assert_max_num_queries(12):
        assert storage(browser, by=by).status_code == 200


def test_removed_checkpoints_take_no_room_and_can_be_listed(browse, project, run):
    keep(project, 1)
    remove_all()

    browser = browse("admin")

    assert "808 B in 1 artifact" in text_of(storage(browser))
    assert text_of(storage(browser, by="artifact", state="removed")).count("its bytes are gone") == 4
    assert Artifact.objects.filter(removed_at__lte=timezone.now()).count() == 4
