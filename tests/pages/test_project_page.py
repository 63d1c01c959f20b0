"""The pages of a project: at a glance, its releases with their lineage, and its versions."""

import pytest
from django.urls import reverse

from artifacts.models import Artifact, ArtifactState, TagValue
from artifacts.services import tag_artifact
from projects.services import update_project
from projects.versions import MAX_LINES, Line, compare_lines
from runs.archiving import archive_run
from runs.deletion import delete_run
from runs.models import Run
from tests.factories import fresh, new_artifact, new_run, resume_run
from tests.pages.reading import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(browse, project):
    """Return the text of a page of the project, as a role sees it."""
    return lambda name="project", role="admin", **query: browse(role).get(reverse(name, args=[project.uid]), query)


@pytest.fixture
def released(project, admin):
    """A checkpoint tagged release."""
    checkpoint = new_artifact(new_run(project, name="parent", status="completed"), name="best", step=400)
    return tag_artifact(artifact=checkpoint, value=TagValue.RELEASE, notes="BLEU 33.1", by=admin)


# --- At a glance ----------------------------------------------------------------------------------
def test_the_page_counts_runs_by_status_without_archived_ones(page, project, admin):
    archive_run(run=new_run(project, name="old", status="completed"), by=admin)
    new_run(project, status="completed")
    new_run(project, name="waits")

    answer = page()

    assert answer.context["statuses"] == [("queued", 1), ("completed", 1)]
    assert [row.run.name for row in answer.context["table"].rows] == ["waits", "a run"]


def test_the_page_shows_what_was_released_last(page, released):
    text = text_of(page())

    assert "BLEU 33.1" in text
    assert reverse("artifact", args=[released.uid]) in text


def test_an_empty_project_leads_to_its_first_run_and_a_viewer_nowhere(page, project, viewer):
    launch = reverse("run-launch", args=[project.uid])

    assert f'<a href="{launch}">Launch the first one</a>' in text_of(page())
    assert launch not in text_of(page(role="viewer"))


def test_settings_and_members_are_linked_for_admins_alone(page, project, editor):
    links = [reverse(name, args=[project.uid]) for name in ("project-edit", "members", "project-archive")]

    assert [link in text_of(page()) for link in links] == [True, True, True]
    assert [link in text_of(page(role="editor")) for link in links] == [False, False, False]


@pytest.mark.parametrize("name", ["project", "project-runs", "releases", "project-versions"])
@pytest.mark.parametrize("count", [1, 9])
def test_no_page_of_a_project_asks_the_database_more_than_twelve_times(
    browse, project, admin, name, count, django_assert_max_num_queries
):
    for number in range(count):
        checkpoint = new_artifact(new_run(project, status="completed"))
        tag_artifact(artifact=checkpoint, value=TagValue.RELEASE, notes="", by=admin)
        update_project(project=project, values={"owner": f"owner {number}"})
    new_run(project, status="running")
    browser = browse("admin")

    with django_assert_max_num_queries(12):
        assert browser.get(reverse(name, args=[project.uid])).status_code == 200


def test_a_default_named_items_is_shown_as_any_other(page, project):
    update_project(project=project, values={"default_hyperparameters": {"items": 3, "rate": 0.5}})

    text = text_of(page())

    assert "<dt><code><bdi>items</bdi></code></dt><dd><bdi>3</bdi></dd>" in text
    assert "<dt><code><bdi>rate</bdi></code></dt><dd><bdi>0.5</bdi></dd>" in text


# --- Releases -------------------------------------------------------------------------------------
def test_releases_come_before_candidates_and_say_who_and_why(page, project, admin, released):
    checkpoint = new_artifact(new_run(project, status="completed"), name="hopeful")
    tag_artifact(artifact=checkpoint, value=TagValue.CANDIDATE, notes="to be tried", by=admin)

    answer = page("releases")

    assert [(tag.value, tag.artifact.name) for tag, _ in answer.context["releases"]] == [
        ("release", "best"),
        ("candidate", "hopeful"),
    ]
    assert "by <bdi>ada</bdi>" in text_of(answer)
    assert "BLEU 33.1" in text_of(answer)


def test_a_release_shows_what_its_run_was_resumed_from(page, project, admin, released):
    child = resume_run(checkpoint=released, by=admin, values={"name": "child"})
    grandchild = resume_run(checkpoint=new_artifact(child, name="middle"), by=admin, values={"name": "grandchild"})
    tag_artifact(artifact=new_artifact(grandchild, name="final"), value=TagValue.RELEASE, notes="", by=admin)

    lineages = {tag.artifact.name: [one.name for one in found] for tag, found in page("releases").context["releases"]}

    assert lineages == {"final": ["middle", "best"], "best": []}


@pytest.mark.parametrize(("state", "is_offered"), [(ArtifactState.VERIFIED, True), (ArtifactState.CORRUPT, False)])
def test_a_release_is_offered_for_download_unless_it_is_corrupt(page, released, state, is_offered):
    Artifact.objects.filter(pk=released.pk).update(state=state)

    assert (reverse("artifact-download", args=[released.uid]) in text_of(page("releases"))) is is_offered


def test_archived_checkpoints_and_those_of_deleted_runs_are_no_releases(page, project, admin):
    run = new_run(project, status="completed")
    tag_artifact(artifact=new_artifact(run), value=TagValue.ARCHIVED, notes="", by=admin)
    gone = new_run(project, status="completed")
    checkpoint = tag_artifact(artifact=new_artifact(gone), value=TagValue.RELEASE, notes="", by=admin)
    Run.objects.filter(pk=gone.pk).update(deleted_at=gone.completed_at)

    assert page("releases").context["releases"] == []
    assert checkpoint.uid not in text_of(page())


def test_a_release_survives_the_archive_but_its_run_cannot_be_deleted(page, admin, released):
    archive_run(run=released.run, by=admin)

    with pytest.raises(Exception, match="take the tags off first"):
        delete_run(run=fresh(released.run), by=admin)

    assert released.uid in text_of(page("releases"))


# --- Versions -------------------------------------------------------------------------------------
@pytest.fixture
def history(project):
    """Four versions: created, another goal, other defaults, another owner."""
    update_project(project=project, values={"objective": "One\nTwo\nThree"})
    update_project(
        project=project,
        values={"objective": "One\n2\nThree", "default_hyperparameters": {"rate": 0.1, "lora": {"rank": 8}}},
    )
    update_project(project=project, values={"owner": "NLP", "default_hyperparameters": {"rate": 0.2, "seed": None}})


def changes(answer):
    return {change.label: change for change in answer.context["changes"]}


def test_the_last_two_versions_are_compared_unless_said(page, history):
    answer = page("project-versions")

    assert (answer.context["before"].number, answer.context["after"].number) == (3, 4)
    assert set(changes(answer)) == {"Owner", "Default hyperparameters"}


def test_any_two_versions_are_compared_field_by_field(page, history):
    found = changes(page("project-versions", **{"from": "2", "to": "4"}))

    assert (found["Owner"].before, found["Owner"].after) == ("", "NLP")
    assert found["Objective"].lines == [Line(" ", "One"), Line("-", "Two"), Line("+", "2"), Line(" ", "Three")]
    assert [(one.key, one.before, one.after) for one in found["Default hyperparameters"].keys] == [
        ("rate", None, 0.2),
        ("seed", None, None),
    ]


def test_two_versions_can_be_compared_backwards(page, history):
    found = changes(page("project-versions", **{"from": "4", "to": "1"}))

    assert [line.sign for line in found["Objective"].lines] == ["-", "-", "-"]
    assert found["Owner"].after == ""


def test_the_list_says_what_each_version_changed(page, history):
    answer = page("project-versions", page_size="2")

    assert [(one.number, one.changed) for one in answer.context["versions"]] == [
        (4, ["Owner", "Default hyperparameters"]),
        (3, ["Objective", "Default hyperparameters"]),
    ]


def test_the_only_version_has_nothing_to_compare_with(page, project):
    assert "There is nothing to compare with" in text_of(page("project-versions"))


@pytest.mark.parametrize("query", [{"from": "0"}, {"to": "5"}, {"from": "x"}, {"to": ""}, {"page": "0"}])
def test_versions_that_there_are_not_are_refused(page, history, query):
    assert page("project-versions", **query).status_code == 400


def test_texts_with_very_many_lines_are_shown_whole():
    before = [f"line {number}" for number in range(MAX_LINES + 1)]

    lines = list(compare_lines(before, before[::-1]))

    assert [line.sign for line in lines] == ["-"] * len(before) + ["+"] * len(before)
