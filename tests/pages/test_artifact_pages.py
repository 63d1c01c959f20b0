"""Pages of artifacts: tags, downloads, verifying, resuming."""

import pytest
from django.urls import reverse

from artifacts.models import ArtifactState, TagValue
from runs.models import Run
from tests.factories import damage, everything, fresh, kinds, lose, new_artifact, new_run
from tests.pages.reading import flashes, text_of


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
    answer = browse().post(page_of(evaluation), {"tag": "release"})

    assert answer.status_code == 409
    assert not evaluation.tags.exists()


def test_tag_is_taken_off(browse, checkpoint, editor):
    browser = browse()
    browser.post(page_of(checkpoint), {"tag": "release"})

    browser.post(reverse("artifact-untag", args=[checkpoint.uid, "release"]))

    assert not checkpoint.tags.exists()
    assert kinds(checkpoint.run)[-1] == "untagged"


@pytest.mark.parametrize("tag", ["release", "gold"])
def test_tag_that_is_not_there_is_not_found(browse, checkpoint, editor, tag):
    assert browse().post(reverse("artifact-untag", args=[checkpoint.uid, tag])).status_code == 404


def test_verifying_whole_bytes_says_so(browse, checkpoint, editor):
    answer = browse().post(page_of(checkpoint, "artifact-verify"), follow=True)

    assert flashes(answer) == ["All files match their SHA-256."]


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


def test_run_is_resumed_from_a_checkpoint(browse, checkpoint, editor):
    answer = browse().post(page_of(checkpoint, "run-resume"), {"model_parameters": '{"max_steps": 50}'})

    run = Run.objects.get(resumed_from=checkpoint)
    assert answer["Location"] == reverse("run", args=[run.uid])
    assert (run.name, run.model_parameters["max_steps"], run.created_by) == ("parent resumed", 50, editor)


def test_damaged_checkpoint_is_not_resumed(browse, checkpoint, editor):
    name = damage(checkpoint)

    answer = browse().post(page_of(checkpoint, "run-resume"), {})

    assert answer.status_code == 409
    assert name in text_of(answer)
    assert not Run.objects.filter(resumed_from=checkpoint).exists()


def test_evaluation_is_not_resumed(browse, evaluation, editor):
    answer = browse().post(page_of(evaluation, "run-resume"), {})

    assert answer.status_code == 400
    assert "Only a checkpoint can be resumed from." in text_of(answer)


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"model_parameters": '{"max_steps": 0}'}, "model_parameters"),
        ({"hyperparameters": "[]"}, "hyperparameters"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_bad_change_is_told_beside_its_field(browse, checkpoint, editor, typed, field):
    answer = browse().post(page_of(checkpoint, "run-resume"), typed)

    assert answer.status_code == 400
    assert field in answer.context["form"].errors
    assert Run.objects.count() == 1


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("stranger", 404), ("anonymous", 302)])
def test_resuming_is_for_editors(browse, checkpoint, role, status):
    assert browse(role).post(page_of(checkpoint, "run-resume"), {}).status_code == status
    assert Run.objects.count() == 1


def test_viewer_is_told_who_tags(browse, checkpoint, viewer):
    assert "Editors of the project tag checkpoints." in text_of(browse("viewer").get(page_of(checkpoint)))
