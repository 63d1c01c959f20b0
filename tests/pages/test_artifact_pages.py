"""Pages of artifacts: tags, downloads, verifying."""

import pytest
from django.urls import reverse

from artifacts import comparing
from artifacts.models import Artifact, ArtifactState, TagValue
from artifacts.services import tag_artifact, untag_artifact
from artifacts.storage import choice
from runs.models import Run
from tests.factories import damage, everything, fresh, kinds, lose, new_artifact, new_project, new_run
from tests.pages.reading import flashes, read, text_of
from tests.runs.telemetry.builders import columns, show_metrics


@pytest.fixture
def checkpoint(project):
    return new_artifact(new_run(project, status="completed", name="parent", model_parameters={"max_steps": 10}))


@pytest.fixture
def evaluation(checkpoint):
    return new_artifact(
        checkpoint.run, type="evaluation", name="eval.json", files={"eval.json": b"{}"}, is_directory=False
    )


def page_of(artifact, name="artifact"):
    return reverse(name, args=[artifact.uid])


def test_checkpoint_is_tagged_with_notes(browse, checkpoint, editor):
    answer = browse().post(page_of(checkpoint), {"tag": "release", "notes": "best so far"}, follow=True)

    tag = checkpoint.tags.get()
    assert flashes(answer) == ["checkpoint-10 is tagged release."]
    assert (tag.value, tag.notes, tag.applied_by) == ("release", "best so far", editor)
    assert kinds(checkpoint.run)[-1] == "tagged"


def test_tag_form_of_the_run_page_leads_back_there(browse, checkpoint, editor):
    answer = browse().post(page_of(checkpoint), {"tag": "candidate", "notes": "", "back": "run"})

    assert answer["Location"] == reverse("run", args=[checkpoint.run.uid]) + "#artifacts"


def test_tag_form_of_the_run_page_offers_every_tag(browse, checkpoint, editor):
    text = text_of(browse().get(reverse("run", args=[checkpoint.run.uid])))

    offered = "".join(f"<option>{value}</option>" for value in TagValue.values)
    assert offered in text


@pytest.mark.parametrize(
    "typed", [{"tag": "gold"}, {}, {"tag": "release", "notes": "x" * 10_001}, {"tag": "release", "notes": "\0"}]
)
def test_bad_tag_is_refused_and_nothing_is_kept(browse, checkpoint, editor, typed):
    browser = browse()
    before = everything()

    assert browser.post(page_of(checkpoint), typed).status_code == 400
    assert everything() == before


def test_evaluation_carries_no_tag(browse, evaluation, editor):
    answer = browse().post(page_of(evaluation), {"tag": "candidate"})

    assert answer.status_code == 409
    assert not evaluation.tags.exists()


def test_tag_is_taken_off(browse, checkpoint, editor):
    browser = browse()
    browser.post(page_of(checkpoint), {"tag": "release", "notes": "why"})

    browser.post(reverse("artifact-untag", args=[checkpoint.uid, "release"]))

    assert not checkpoint.tags.exists()
    assert kinds(checkpoint.run)[-1] == "untagged"


@pytest.mark.parametrize("tag", ["release", "gold"])
def test_tag_that_is_not_there_is_not_found(browse, checkpoint, editor, tag):
    assert browse().post(reverse("artifact-untag", args=[checkpoint.uid, tag])).status_code == 404


def test_verifying_whole_bytes_says_so(browse, checkpoint, editor):
    answer = browse().post(page_of(checkpoint, "artifact-verify"), follow=True)

    assert flashes(answer) == ["All files match their SHA-256."]


def test_what_is_still_to_be_compared_says_so_and_a_large_one_is_not_resumed_from(
    browse, checkpoint, editor, monkeypatch
):
    monkeypatch.setattr(comparing, "READ_AT_ONCE_BYTES", 10)
    monkeypatch.setitem(choice._KINDS, "s3", choice.file_store)
    Artifact.objects.filter(pk=checkpoint.pk).update(store="s3")

    answer = browse().post(page_of(checkpoint, "artifact-verify"), follow=True)

    assert flashes(answer) == ["The scheduler compares it; how that ended will be told here."]
    assert "still to be compared" in text_of(answer)
    assert page_of(checkpoint, "run-resume") not in text_of(answer)


def test_verifying_damaged_bytes_names_the_file(browse, checkpoint, editor):
    name = damage(checkpoint)

    answer = browse().post(page_of(checkpoint, "artifact-verify"), follow=True)

    assert name in flashes(answer)[0]
    assert fresh(checkpoint).state == ArtifactState.CORRUPT
    assert f"Damaged: {name}" in text_of(answer)


def test_file_is_sent_as_an_attachment(browse, checkpoint, viewer):
    answer = browse("viewer").get(reverse("artifact-file", args=[checkpoint.uid, 1]))

    assert b"".join(answer.streaming_content) == b"momentum"
    assert answer["Content-Disposition"].startswith("attachment")


def test_file_that_is_not_there_is_not_found(browse, checkpoint, viewer):
    assert browse("viewer").get(reverse("artifact-file", args=[checkpoint.uid, 9])).status_code == 404


def test_lost_file_is_a_page_that_names_it(browse, checkpoint, viewer):
    name = lose(checkpoint)

    answer = browse("viewer").get(reverse("artifact-file", args=[checkpoint.uid, 0]))

    assert answer.status_code == 409
    assert name in text_of(answer)


def test_whole_checkpoint_is_a_tar(browse, checkpoint, viewer):
    answer = browse("viewer").get(page_of(checkpoint, "artifact-download"))

    assert answer["Content-Type"] == "application/x-tar"


def test_artifact_that_is_still_written_is_not_there(browse, checkpoint, viewer):
    writing = new_artifact(checkpoint.run, state=ArtifactState.WRITING)

    assert browse("viewer").get(page_of(writing)).status_code == 404


def test_viewer_is_told_who_tags_and_whom_to_ask(browse, checkpoint, viewer):
    page = browse("viewer").get(page_of(checkpoint))

    assert "Editors of the project tag checkpoints. Ask <bdi>ada</bdi>, an admin of the project" in text_of(page)
    assert [form for form in read(page).forms if "notes" in form["names"]] == []


# --- Tags -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("notes", ["", "   "])
def test_a_release_is_not_tagged_without_saying_why(browse, checkpoint, editor, notes):
    answer = browse().post(page_of(checkpoint), {"tag": "release", "notes": notes})

    assert answer.status_code == 400
    assert "Say why this checkpoint is released." in text_of(answer)
    assert not checkpoint.tags.exists()


def test_history_tells_every_application_and_removal_newest_first(browse, checkpoint, editor, viewer):
    tag_artifact(artifact=checkpoint, value=TagValue.CANDIDATE, notes="good", by=editor)
    tag_artifact(artifact=checkpoint, value=TagValue.CANDIDATE, notes="better", by=editor)
    untag_artifact(artifact=checkpoint, value=TagValue.CANDIDATE, by=editor)
    other = new_artifact(checkpoint.run, name="other")
    tag_artifact(artifact=other, value=TagValue.RELEASE, notes="of another", by=editor)

    history = browse("viewer").get(page_of(checkpoint)).context["history"]

    assert [(entry.value, entry.is_applied, entry.actor, entry.notes) for entry in history] == [
        ("candidate", False, "edith", ""),
        ("candidate", True, "edith", "better"),
        ("candidate", True, "edith", "good"),
    ]


def test_notes_that_are_to_be_replaced_stand_in_the_form(browse, checkpoint, editor):
    tag_artifact(artifact=checkpoint, value=TagValue.RELEASE, notes="first words", by=editor)

    page = browse().get(page_of(checkpoint) + "?tag=release")

    assert page.context["form"].initial == {"tag": "release", "notes": "first words"}
    assert "again replaces its notes" in text_of(page)


@pytest.mark.parametrize("tag", ["gold", "candidate", "%00"])
def test_a_tag_in_the_address_that_is_not_there_changes_nothing(browse, checkpoint, editor, tag):
    assert browse().get(page_of(checkpoint) + f"?tag={tag}").context["form"].initial == {}


# --- The list -------------------------------------------------------------------------------------
def list_of(run, query=""):
    return reverse("artifacts", args=[run.uid]) + query


def groups_of(page):
    return {group.type: group for group in page.context["groups"]}


def test_list_is_grouped_by_type_with_counts_and_sizes(browse, checkpoint, evaluation, viewer):
    new_artifact(checkpoint.run, type="config", name="c.json", files={"c.json": b"{}"})
    new_artifact(checkpoint.run, name="half", state=ArtifactState.WRITING)

    page = browse("viewer").get(list_of(checkpoint.run))

    assert list(groups_of(page)) == ["checkpoint", "evaluation", "config"]
    assert groups_of(page)["checkpoint"].count == 1
    assert groups_of(page)["checkpoint"].size_bytes == checkpoint.size_bytes
    assert page.context["total_count"] == 3
    assert page.context["total_bytes"] == checkpoint.size_bytes + 4


def test_checkpoints_show_the_metrics_at_their_step_and_say_when_it_is_an_earlier_one(browse, project, viewer):
    run = new_run(project, status="running")
    for step in (399, 401):
        new_artifact(run, name=f"at {step}", step=step)
    values = {"loss": columns((399, 1, 1.25), (400, 2, 0.5)), "system/gpu": columns((1, 1, 1.0))}
    show_metrics(attempt=run.attempts.get(), columns=values)

    page = browse("viewer").get(list_of(run))

    group = groups_of(page)["checkpoint"]
    assert group.metrics == ["loss"]
    assert [(row.artifact.name, row.values[0][1].value, row.values[0][1].step) for row in group.rows] == [
        ("at 401", 0.5, 400),
        ("at 399", 1.25, 399),
    ]
    assert '<small class="near">at 400</small>' in text_of(page)
    assert "1.25 at step 399" in text_of(page)


def test_of_each_type_the_newest_are_shown_and_a_page_has_the_rest(browse, project, viewer):
    run = new_run(project, status="completed")
    for step in range(23):
        new_artifact(run, name=f"number {step}", step=step, files={"x": b"x"})

    overview = browse("viewer").get(list_of(run))
    page = browse("viewer").get(list_of(run, "?type=checkpoint&page=2&page_size=20"))

    assert len(groups_of(overview)["checkpoint"].rows) == 20
    assert '<a href="?type=checkpoint">All 23</a>' in text_of(overview)
    assert [row.artifact.name for row in groups_of(page)["checkpoint"].rows] == ["number 2", "number 1", "number 0"]
    assert page.context["paging"].total == 23


@pytest.mark.parametrize("query", ["?type=gold", "?type=checkpoint&page=0", "?page=x", "?type=%00"])
def test_bad_query_of_the_list_is_a_page_that_says_so(browse, checkpoint, viewer, query):
    assert browse("viewer").get(list_of(checkpoint.run, query)).status_code == 400


@pytest.mark.parametrize("query", ["", "?type=config", "?type=checkpoint&page=99"])
def test_list_without_rows_says_so(browse, project, viewer, query):
    page = browse("viewer").get(list_of(new_run(project), query))

    assert page.status_code == 200
    assert "Nothing yet" in text_of(page) or "The run has none of this type." in text_of(page)


def test_only_editors_get_the_tag_form_in_the_list(browse, checkpoint, editor, viewer):
    assert "popovertarget" in text_of(browse("editor").get(list_of(checkpoint.run)))
    assert "popovertarget" not in text_of(browse("viewer").get(list_of(checkpoint.run)))


def test_tag_form_of_the_list_leads_back_there(browse, checkpoint, editor):
    answer = browse().post(page_of(checkpoint), {"tag": "candidate", "notes": "", "back": "list"})

    assert answer["Location"] == list_of(checkpoint.run)


# --- Previews, files, damage ----------------------------------------------------------------------
def test_evaluation_is_shown_as_a_table_and_markup_in_it_as_text(browse, checkpoint, viewer):
    content = b'{"metrics": {"bleu": 32.456789}, "cases": [{"prompt": "<script>alert(1)</script>", "ok": true}]}'
    evaluation = new_artifact(checkpoint.run, type="evaluation", name="e.json", files={"e.json": content})

    text = text_of(browse("viewer").get(page_of(evaluation)))

    assert "metrics.bleu" in text
    assert 'title="32.456789">32.457<' in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text


@pytest.mark.parametrize("query", ["?file=9", "?file=0"])
def test_preview_of_what_cannot_be_shown_is_not_found(browse, checkpoint, viewer, query):
    assert browse("viewer").get(page_of(checkpoint) + query).status_code == 404


def test_bad_number_of_a_file_is_a_page_that_says_so(browse, checkpoint, viewer):
    assert browse("viewer").get(page_of(checkpoint) + "?file=x").status_code == 400


def test_configuration_of_another_project_is_not_compared(browse, checkpoint, viewer):
    config = new_artifact(checkpoint.run, type="config", name="c.json", files={"c.json": b"{}"})
    foreign = new_artifact(new_run(new_project()), type="config", name="c.json", files={"c.json": b'{"secret": 1}'})

    answer = browse("viewer").get(page_of(config) + f"?against={foreign.uid}")

    assert answer.status_code == 404
    assert "secret" not in text_of(answer)


def test_configuration_is_compared_with_a_chosen_one(browse, checkpoint, viewer):
    one, other = (
        new_artifact(checkpoint.run, type="config", name=name, files={name: content})
        for name, content in (("a.json", b'{"lr": 1}'), ("b.json", b'{"lr": 2}'))
    )

    page = browse("viewer").get(page_of(one) + f"?against={other.uid}")

    assert [(change.there, change.here) for change in page.context["config"].differing] == [("2", "1")]


def test_bytes_that_are_gone_are_told_with_what_to_do(browse, checkpoint, editor):
    lose(checkpoint)

    text = text_of(browse().get(page_of(checkpoint)))

    assert "The bytes of 1 file are not in the store any more." in text
    assert reverse("artifact-download", args=[checkpoint.uid]) not in text


def test_damaged_checkpoint_offers_neither_download_nor_resume(browse, checkpoint, editor):
    damage(checkpoint)
    browse().post(page_of(checkpoint, "artifact-verify"))

    for path in (page_of(checkpoint), list_of(checkpoint.run)):
        text = text_of(browse().get(path))
        assert reverse("artifact-download", args=[checkpoint.uid]) not in text
        assert reverse("run-resume", args=[checkpoint.uid]) not in text
    assert browse().get(page_of(checkpoint)).context["form"].initial == {"tag": "archived"}


def test_tensorboard_says_how_to_open_it(browse, checkpoint, viewer):
    events = new_artifact(checkpoint.run, type="tensorboard", name="tb", files={"events.out": b"x"})

    assert f"tensorboard --logdir {events.uid}" in text_of(browse("viewer").get(page_of(events)))


# --- Lineage --------------------------------------------------------------------------------------
def test_lineage_of_a_run_links_what_was_resumed(browse, checkpoint, viewer, editor):
    browse("editor").post(page_of(checkpoint, "run-resume"), {"name": "<b>child</b> \u202e"})
    child = Run.objects.get(resumed_from=checkpoint)

    page = browse("viewer").get(reverse("lineage", args=[checkpoint.run.uid]))

    assert f'href="{reverse("run", args=[child.uid])}"' in text_of(page)
    assert "&lt;b&gt;child&lt;/b&gt;" in text_of(page)
    assert read(page).inline == []


# --- Budgets --------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["viewer", "editor", "operator"])
def test_pages_of_artifacts_stay_within_twelve_queries(browse, project, editor, role, django_assert_max_num_queries):
    run = new_run(project, status="running")
    for step in range(1, 15):
        tag_artifact(artifact=new_artifact(run, step=step), value=TagValue.CANDIDATE, notes="x", by=editor)
    config = new_artifact(run, type="config", name="c.json", files={"c.json": b"{}"})
    new_artifact(new_run(project), type="config", name="c.json", files={"c.json": b"{}"})
    show_metrics(attempt=run.attempts.get(), columns={"loss": columns((1, 1, 1.0), (14, 2, 0.5))})
    checkpoint = run.artifacts.order_by("step").first()
    browser = browse(role)

    for path in (
        list_of(run), list_of(run, "?type=checkpoint"), page_of(checkpoint), page_of(config),
        reverse("lineage", args=[run.uid]),
    ):  # fmt: skip
        with django_assert_max_num_queries(12):
            assert browser.get(path).status_code == 200
