"""Every page: who may see it, and that it is clean of inline code."""

import pytest
from django.urls import reverse

from artifacts.registry.changing import create_model
from artifacts.registry.versions import create_version
from tests.factories import everything, new_artifact, new_run
from tests.pages.reading import read


@pytest.fixture
def place(project, viewer):
    """Return the path of a named page; a finished run with a registered checkpoint stands behind it."""
    run = new_run(project, status="completed", name="the run")
    checkpoint = new_artifact(run)
    model = create_model(name="model of the run", project=project, by=project.created_by)
    create_version(model=model, artifact=checkpoint, source="runs:/", by=project.created_by, actor="ada")

    def path(name):
        arguments = {
            "project": [project.uid], "run": [run.uid], "artifact": [checkpoint.uid],
            "member": [project.uid, "vera"], "tag": [checkpoint.uid, "release"], "file": [checkpoint.uid, 0],
            "model": [model.pk], "": [],
        }  # fmt: skip
        url_name, kind = name.split(":")
        return reverse(url_name, args=arguments[kind])

    return path


FOR_ALL = ["home:", "projects:", "project-new:", "runs:", "models:", "storage:", "tokens:", "password:"]
FOR_VIEWERS = [
    "project:project", "project-runs:project", "releases:project", "project-versions:project", "members:project",
    "checkpoint-plan:project",
    "run:run", "run-status:run", "run-log:run", "run-log-rows:run", "run-log-tail:run", "run-timeline:run",
    "artifacts:run", "lineage:run", "artifact:artifact", "artifact-download:artifact", "artifact-file:file",
    "model:model",
]  # fmt: skip
FOR_EDITORS = ["run-launch:project", "run-cancel:run", "run-resume:artifact"]
FOR_ADMINS = ["project-edit:project", "project-archive:project", "member-remove:member", "run-delete:run"]
BUTTONS_FOR_EDITORS = ["run-cancel:run", "artifact-untag:tag", "artifact-verify:artifact", "artifact:artifact"]
BUTTONS_FOR_ADMINS = [
    "checkpoint-plan:project",
    "project-archive:project", "project-restore:project", "member-remove:member", "members:project", "run-delete:run",
]  # fmt: skip
DOWNLOADS = ["artifact-download:artifact", "artifact-file:file"]
PAGES = sorted({*FOR_ALL, *FOR_VIEWERS, *FOR_EDITORS, *FOR_ADMINS} - set(DOWNLOADS))


@pytest.mark.parametrize("name", [*FOR_ALL, *FOR_VIEWERS, *FOR_EDITORS, *FOR_ADMINS])
def test_page_works_for_an_admin(browse, place, name):
    assert browse("admin").get(place(name)).status_code == 200


@pytest.mark.parametrize("name", [*FOR_ALL, *FOR_VIEWERS])
def test_page_works_for_a_viewer(browse, place, name):
    assert browse("viewer").get(place(name)).status_code == 200


@pytest.mark.parametrize("name", [*FOR_ALL, *FOR_VIEWERS, *FOR_EDITORS, *FOR_ADMINS])
def test_page_works_for_an_operator_who_is_no_member(browse, place, name):
    assert browse("operator").get(place(name)).status_code == 200


@pytest.mark.parametrize("name", [*FOR_ALL, *FOR_VIEWERS, *FOR_EDITORS, *FOR_ADMINS])
def test_page_leads_the_anonymous_to_sign_in(browse, place, name):
    answer = browse("anonymous").get(place(name))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/ui/sign-in?next=/")


@pytest.mark.parametrize("name", [*FOR_VIEWERS, *FOR_EDITORS, *FOR_ADMINS])
def test_page_of_a_project_does_not_exist_for_a_stranger(browse, place, name):
    answer = browse("stranger").get(place(name))

    assert answer.status_code == 404
    assert "the run" not in answer.content.decode()


@pytest.mark.parametrize("name", [*FOR_EDITORS, *FOR_ADMINS])
def test_page_that_changes_something_is_not_for_a_viewer(browse, place, name):
    assert browse("viewer").get(place(name)).status_code == 403


@pytest.mark.parametrize("name", FOR_ADMINS)
def test_page_of_the_settings_is_not_for_an_editor(browse, place, name):
    assert browse("editor").get(place(name)).status_code == 403


@pytest.mark.parametrize("name", [*BUTTONS_FOR_EDITORS, *BUTTONS_FOR_ADMINS])
@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("stranger", 404), ("anonymous", 302)])
def test_button_changes_nothing_for_whom_it_is_not(browse, place, name, role, status):
    path, browser = place(name), browse(role)
    before = everything()

    answer = browser.post(path, {"tag": "release", "username": "vera", "role": "admin"})

    assert answer.status_code == status
    assert everything() == before


@pytest.mark.parametrize("name", BUTTONS_FOR_ADMINS)
def test_button_for_admins_changes_nothing_for_an_editor(browse, place, name, viewer):
    path, browser = place(name), browse("editor")
    before = everything()

    answer = browser.post(path, {"username": "vera", "role": "admin"})

    assert answer.status_code == 403
    assert everything() == before


@pytest.mark.parametrize("name", ["project-restore:project", "artifact-untag:tag", "artifact-verify:artifact"])
def test_button_without_a_question_takes_post_alone(browse, place, name):
    assert browse("admin").get(place(name)).status_code == 405


@pytest.mark.parametrize("name", PAGES)
def test_page_has_no_inline_script_or_style(browse, place, name):
    page = read(browse("operator").get(place(name)))

    assert page.inline == []


@pytest.mark.parametrize("name", PAGES)
def test_page_names_no_other_host(browse, place, name):
    assert read(browse("operator").get(place(name))).foreign == []


@pytest.mark.parametrize("name", PAGES)
def test_every_form_that_posts_carries_a_token_against_forgery(browse, place, name):
    assert read(browse("operator").get(place(name))).unprotected == []


def test_a_poll_of_someone_signed_out_leads_the_whole_page_to_sign_in(browse, place):
    answer = browse("anonymous").get(
        place("run-status:run"), headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/ui/runs"}
    )

    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "/ui/sign-in?next=/ui/runs"
