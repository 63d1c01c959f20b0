"""Pages of projects: create, look, edit, archive."""

import pytest
from django.urls import reverse

from projects.models import Project, ProjectStatus
from tests.factories import everything, fresh, new_project, new_run
from tests.pages.reading import flashes, text_of

SETTINGS = {
    "name": "Support", "objective": "Answers tickets", "tags": "sft, q4 ,", "default_hyperparameters": '{"lr": 0.1}',
}  # fmt: skip


def test_project_is_created_and_shown(browse, stranger):
    answer = browse("stranger").post(reverse("project-new"), SETTINGS, follow=True)

    project = Project.objects.get(name="Support")
    assert answer.redirect_chain == [(reverse("project", args=[project.uid]), 302)]
    assert flashes(answer) == ["The project Support was created."]
    assert (project.tags, project.default_hyperparameters) == (["sft", "q4"], {"lr": 0.1})
    assert project.role_of(stranger) == "admin"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 201}, "at most 200 characters"),
        ({"name": "a\0b"}, "Null characters are not allowed."),
        ({"default_hyperparameters": "{"}, "This is not valid JSON"),
        ({"default_hyperparameters": "[1]"}, "This must be a JSON object"),
        ({"default_hyperparameters": '{"x": NaN}'}, "This is not valid JSON"),
        ({"default_hyperparameters": '{"x": 1e999}'}, "This is not valid JSON"),
        ({"default_hyperparameters": '{"x": "\\u0000"}'}, "NUL character"),
        ({"default_hyperparameters": '{"x":' * 40 + "1" + "}" * 40}, "nested too deeply"),
        ({"default_recipe": "../../etc"}, "Select a valid choice."),
        ({"tags": "x" * 101}, "no more than 100 characters"),
    ],
)
def test_bad_setting_is_told_and_nothing_is_kept(browse, stranger, changes, sentence):
    browser = browse("stranger")
    before = everything()

    answer = browser.post(reverse("project-new"), {**SETTINGS, **changes})

    assert answer.status_code == 400
    assert sentence in text_of(answer)
    assert everything() == before


def test_refused_form_keeps_what_was_typed(browse, stranger):
    answer = browse("stranger").post(reverse("project-new"), {**SETTINGS, "default_hyperparameters": "{broken"})

    assert "{broken" in text_of(answer)
    assert "Answers tickets" in text_of(answer)


def test_settings_are_changed_and_the_version_shown(browse, project, admin):
    browse("admin").post(reverse("project-edit", args=[project.uid]), {**SETTINGS, "name": "Renamed"})

    assert fresh(project).name == "Renamed"
    assert "<del><bdi>Summaries</bdi></del>" in text_of(
        browse("admin").get(reverse("project-versions", args=[project.uid]))
    )


def test_emptied_setting_is_emptied(browse, admin):
    project = new_project(by=admin, objective="Old", tags=["old"])

    browse("admin").post(reverse("project-edit", args=[project.uid]), {"name": project.name})

    assert (fresh(project).objective, fresh(project).tags) == ("", [])


def test_archived_project_cannot_be_edited(browse, project, admin):
    browse("admin").post(reverse("project-archive", args=[project.uid]))

    answer = browse("admin").post(reverse("project-edit", args=[project.uid]), SETTINGS)

    assert answer.status_code == 409
    assert "The project is archived; restore it first." in text_of(answer)
    assert fresh(project).name == "Summaries"


def test_project_is_archived_and_restored(browse, project, admin):
    browser = browse("admin")

    browser.post(reverse("project-archive", args=[project.uid]))
    archived = fresh(project).status
    browser.post(reverse("project-restore", args=[project.uid]))

    assert (archived, fresh(project).status) == (ProjectStatus.ARCHIVED, ProjectStatus.DRAFT)


def test_project_with_a_run_going_on_is_not_archived(browse, project, admin, run):
    answer = browse("admin").post(reverse("project-archive", args=[project.uid]), follow=True)

    assert flashes(answer) == ["1 runs have not ended; cancel them first."]
    assert fresh(project).status == ProjectStatus.ACTIVE


def test_viewer_sees_no_button_that_is_not_for_viewers(browse, project, viewer):
    text = text_of(browse("viewer").get(reverse("project", args=[project.uid])))

    assert "Launch a run" not in text
    assert ">Edit<" not in text
    assert ">Archive<" not in text


def test_list_finds_by_text(browse, project, admin):
    new_project(by=admin, name="Other")

    text = text_of(browse("admin").get(reverse("projects"), {"q": "summ"}))

    assert "Summaries" in text
    assert "Other" not in text


@pytest.mark.parametrize("query", [{"status": "nonsense"}, {"order": "owner; drop"}, {"page": "0"}, {"page": "x"}])
def test_list_refuses_what_it_does_not_know(browse, project, admin, query):
    assert browse("admin").get(reverse("projects"), query).status_code == 400


def test_list_counts_runs_by_status_with_a_way_to_each(browse, project, admin):
    new_run(project)
    new_run(project, status="failed")
    new_run(project, status="failed")

    text = text_of(browse("admin").get(reverse("projects")))

    assert f'href="/ui/runs?project={project.uid}&amp;status=failed">2 failed</a>' in text
    assert "1 queued</a>" in text


def test_list_counts_no_run_twice_for_a_project_with_members(browse, project, admin, editor, viewer):
    new_run(project)

    assert "1 queued</a>" in text_of(browse("viewer").get(reverse("projects")))


def test_list_begins_with_the_project_that_was_active_last(browse, project, admin):
    new_project(by=admin, name="Newer")
    new_run(project)

    text = text_of(browse("admin").get(reverse("projects")))

    assert text.index("Summaries") < text.index("Newer")


@pytest.mark.parametrize(("order", "first"), [("name", "Alpha"), ("-name", "Summaries"), ("activity", "Summaries")])
def test_list_is_ordered_as_chosen(browse, project, admin, order, first):
    new_project(by=admin, name="Alpha")

    rows = browse("admin").get(reverse("projects"), {"order": order}).context["rows"]

    assert rows[0].project.name == first


def test_empty_list_leads_to_the_first_project_and_to_the_team(browse, operator):
    text = text_of(browse("operator").get(reverse("projects")))

    assert "Create a project" in text
    assert "add you as <bdi>olga</bdi>" in text


def test_list_that_fits_nothing_leads_back_to_all(browse, project, admin):
    assert "show all projects" in text_of(browse("admin").get(reverse("projects"), {"q": "nothing like it"}))


def test_form_offers_the_recipes_of_the_hub(browse, admin):
    text = text_of(browse("admin").get(reverse("project-new")))

    assert '<option value="tiny-gpt">' in text
    assert "The hub&#x27;s own default" in text


def test_form_keeps_a_default_recipe_that_the_hub_lost(browse, admin):
    project = new_project(by=admin, default_recipe="long-gone")
    browser = browse("admin")

    text = text_of(browser.get(reverse("project-edit", args=[project.uid])))
    answer = browser.post(reverse("project-edit", args=[project.uid]), {"name": "x", "default_recipe": "long-gone"})

    assert "long-gone (not on this hub any more)" in text
    assert (answer.status_code, fresh(project).default_recipe) == (302, "long-gone")


def test_refused_form_names_the_fields_and_leads_to_them(browse, admin):
    text = text_of(browse("admin").post(reverse("project-new"), {"name": "", "default_hyperparameters": "{"}))

    assert '<a href="#id_name">Name</a> <a href="#id_default_hyperparameters">Default hyperparameters</a>' in text
    assert 'aria-invalid="true"' in text


@pytest.mark.parametrize("count", [2, 12])
def test_list_asks_the_database_equally_often_for_many_projects(browse, admin, django_assert_max_num_queries, count):
    for _ in range(count):
        new_run(new_project(by=admin))
    browser = browse("admin")

    with django_assert_max_num_queries(7):
        browser.get(reverse("projects"))


@pytest.mark.parametrize("count", [2, 12])
def test_project_page_asks_the_database_equally_often_for_many_runs(
    browse, project, admin, django_assert_max_num_queries, count
):
    for _ in range(count):
        new_run(project)
    browser = browse("admin")

    with django_assert_max_num_queries(12):
        browser.get(reverse("project", args=[project.uid]))
