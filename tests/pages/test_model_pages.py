"""Pages of the model registry, and what a checkpoint's page says of it."""

import pytest
from django.urls import reverse

from artifacts.models import ModelVersion, RegisteredModel, Stage
from artifacts.registry.changing import create_model
from artifacts.registry.versions import create_version, delete_version, move_to_stage, set_alias
from tests.factories import new_artifact, new_project, new_run, new_user
from tests.pages.reading import read, text_of


@pytest.fixture
def checkpoint(project):
    return new_artifact(new_run(project, status="completed", name="trained"), name="step-10")


@pytest.fixture
def model(project, admin):
    return create_model(name="summaries", project=project, by=admin, description="For <b>news</b>")


def version_of(model, checkpoint, **values):
    return create_version(
        model=model, artifact=checkpoint, source="runs:/", by=checkpoint.run.created_by, actor="ada", **values
    )


def test_list_shows_project_newest_version_aliases_and_release(browse, model, checkpoint, viewer, admin):
    first, second = version_of(model, checkpoint), version_of(model, new_artifact(checkpoint.run, name="step-20"))
    set_alias(version=first, alias="release", by=admin, actor="ada")
    set_alias(version=second, alias="challenger", by=admin, actor="ada")

    page = browse("viewer").get(reverse("models"))

    (row,) = page.context["rows"]
    assert (row.newest.number, row.newest.artifact.name) == (2, "step-20")
    assert (row.aliases, row.releases) == ([("challenger", 2), ("release", 1)], [1])
    text = text_of(page)
    assert f'href="{reverse("model", args=[model.pk])}"' in text
    assert "For &lt;b&gt;news&lt;/b&gt;" in text
    assert read(page).inline == []


def test_list_shows_nothing_of_others_but_ones_own_models_without_a_version(browse, model, stranger, admin):
    create_model(name="mine alone", project=None, by=stranger)
    create_model(name="not hers", project=None, by=admin)

    assert [row.model.name for row in browse("stranger").get(reverse("models")).context["rows"]] == ["mine alone"]


def test_list_without_models_says_how_one_is_registered(browse, viewer):
    assert "No model is registered yet" in text_of(browse("viewer").get(reverse("models")))


def test_page_of_a_model_tells_each_version(browse, model, checkpoint, viewer, admin):
    version = version_of(model, checkpoint, description="Better <i>words</i>")
    set_alias(version=version, alias="champion", by=admin, actor="ada")
    move_to_stage(version=version, stage=Stage.PRODUCTION, by=admin, actor="ada")
    gone = version_of(model, checkpoint)
    delete_version(version=gone, by=admin, actor="ada")

    page = browse("viewer").get(reverse("model", args=[model.pk]))

    assert [shown.number for shown in page.context["versions"]] == [1]
    text = text_of(page)
    for part in (
        reverse("artifact", args=[checkpoint.uid]), reverse("run", args=[checkpoint.run.uid]), "@champion",
        "Production",
        '<span class="badge release">release</span>', "Better &lt;i&gt;words&lt;/i&gt;", "<bdi>ada</bdi>",
    ):  # fmt: skip
        assert part in text


def test_tag_of_a_model_named_items_is_shown_as_any_other(browse, project, viewer, admin):
    tagged = create_model(name="tagged", project=project, by=admin, tags={"items": "twelve", "team": ""})

    text = text_of(browse("viewer").get(reverse("model", args=[tagged.pk])))

    assert '<span class="badge"><bdi>items: twelve</bdi></span>' in text
    assert '<span class="badge"><bdi>team</bdi></span>' in text


def test_page_of_a_model_without_versions_says_so(browse, model, viewer):
    assert "No version yet" in text_of(browse("viewer").get(reverse("model", args=[model.pk])))


@pytest.mark.parametrize("number", [0, 10**30])
def test_page_of_a_model_that_is_not_there(browse, viewer, number):
    assert browse("viewer").get(f"/ui/models/{number}").status_code == 404


@pytest.mark.parametrize("query", ["?page=0", "?page=x", "?page_size=9999"])
def test_bad_page_of_the_list_is_told(browse, model, viewer, query):
    assert browse("viewer").get(reverse("models") + query).status_code == 400


def test_page_of_a_checkpoint_says_as_what_it_is_registered(browse, model, checkpoint, viewer, admin):
    version = version_of(model, checkpoint)
    set_alias(version=version, alias="champion", by=admin, actor="ada")

    text = text_of(browse("viewer").get(reverse("artifact", args=[checkpoint.uid])))

    assert f'<a href="{reverse("model", args=[model.pk])}"><bdi>summaries</bdi></a> version 1' in text
    assert "@champion" in text


def test_timeline_of_the_run_tells_the_registration(browse, model, checkpoint, viewer):
    version_of(model, checkpoint)

    text = text_of(browse("viewer").get(reverse("run-timeline", args=[checkpoint.run.uid])))

    assert "Registered as" in text
    assert "summaries version 1: step-10" in text


def test_taking_the_tag_off_on_the_page_takes_the_alias_off(browse, model, checkpoint, editor, admin):
    version = version_of(model, checkpoint)
    set_alias(version=version, alias="release", by=admin, actor="ada")

    browse().post(reverse("artifact-untag", args=[checkpoint.uid, "release"]))

    assert not version.aliases.exists()


def test_run_with_a_registered_checkpoint_is_not_deleted(as_admin, model, checkpoint, admin):
    version = version_of(model, checkpoint)
    path = f"/projects/{checkpoint.run.project.uid}/runs/{checkpoint.run.uid}"

    refused = as_admin.call("DELETE", path)

    assert (refused.status_code, refused.json()["reason"]) == (409, "registered")
    assert refused.json()["artifacts"] == [checkpoint.uid]
    delete_version(version=version, by=admin, actor="ada")
    assert as_admin.call("DELETE", path).status_code == 204


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_pages_of_models_stay_within_twelve_queries(
    browse, project, admin, role, django_assert_max_num_queries, viewer
):
    run = new_run(project, status="completed")
    for number in range(12):
        model = create_model(name=f"model {number}", project=project, by=admin)
        version = version_of(model, new_artifact(run, name=f"step-{number}"))
        set_alias(version=version, alias="release", by=admin, actor="ada")
    new_project(by=new_user())
    assert (RegisteredModel.objects.count(), ModelVersion.objects.count()) == (12, 12)
    browser = browse(role)

    for path in (
        reverse("models"),
        reverse("model", args=[model.pk]),
        reverse("artifact", args=[version.artifact.uid]),
    ):
        with django_assert_max_num_queries(12):
            assert browser.get(path).status_code == 200
