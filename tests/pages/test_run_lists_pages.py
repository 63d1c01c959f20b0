"""Tables of runs: chosen columns, order, filters as chips, and what is done to several runs at once."""

import pytest
from django.urls import reverse

from projects.models import Role
from projects.services import archive_project
from runs.archiving import archive_run
from runs.columns import choose_columns
from runs.models import ChosenColumns
from tests.factories import everything, fresh, kinds, new_attempt, new_project, new_run
from tests.pages.reading import flashes, text_of
from tests.runs.lists.reading import NAN, set_metric

pytestmark = pytest.mark.django_db


@pytest.fixture
def runs_url(project):
    return reverse("project-runs", args=[project.uid])


@pytest.fixture
def two(project):
    """Two runs with values to show; the second is the newer one."""
    runs = [new_run(project, name=name, hyperparameters={"rate": rate}) for name, rate in [("a", 0.001), ("b", 32)]]
    set_metric(runs[0], "loss", 1.25)
    set_metric(runs[1], "loss", NAN)
    set_metric(runs[1], "eval/accuracy", 0.5)
    return runs


def cells(answer):
    """Return the texts of the table by run's name and column."""
    table = answer.context["table"]
    titles = [head.title for head in table.heads]
    return {row.run.name: dict(zip(titles, (cell.text for cell in row.cells), strict=True)) for row in table.rows}


def order_of(answer):
    return [row.run.name for row in answer.context["table"].rows]


# --- Columns --------------------------------------------------------------------------------------
def test_parameters_and_newest_metrics_are_shown_in_their_columns(browse, project, editor, two, runs_url):
    keys = ["hyperparameters.rate", "metrics.loss", "metrics.eval/accuracy", "model_parameters.none"]
    choose_columns(user=editor, project=project, keys=keys)

    shown = cells(browse().get(runs_url))

    assert shown == {
        "a": {"rate": "0.001", "loss": "1.25", "eval/accuracy": "–", "none": "–"},
        "b": {"rate": "32", "loss": "NaN", "eval/accuracy": "0.5", "none": "–"},
    }


def test_columns_are_chosen_on_the_page_and_remembered_for_the_person_and_the_project(
    browse, project, editor, viewer, two, runs_url
):
    path = reverse("project-columns", args=[project.uid])

    answer = browse().post(
        path, {"column": ["recipe", "metrics.loss"], "back": f"{runs_url}?status=queued"}, follow=True
    )

    assert answer.redirect_chain == [(f"{runs_url}?status=queued", 302)]
    assert flashes(answer) == ["The table shows 2 columns beside the run."]
    assert [head.title for head in answer.context["table"].heads] == ["Recipe", "loss"]
    assert len(browse("viewer").get(runs_url).context["table"].heads) == 7
    assert len(browse().get(reverse("runs")).context["table"].heads) == 7


def test_the_table_of_all_runs_has_columns_of_its_own(browse, project, editor, two):
    browser = browse()
    browser.post(reverse("run-columns"), {"column": ["priority"]})
    browser.post(reverse("run-columns"), {"column": ["executor"]})

    assert [head.title for head in browser.get(reverse("runs")).context["table"].heads] == ["Executor"]
    assert ChosenColumns.objects.count() == 1


def test_no_column_is_a_choice_too_and_the_usual_ones_come_back(browse, project, editor, two):
    browser = browse()

    browser.post(reverse("run-columns"), {})
    none = browser.get(reverse("runs")).context["table"].heads
    browser.post(reverse("run-columns"), {"reset": "1"})

    assert (none, ChosenColumns.objects.exists()) == ([], False)
    assert len(browser.get(reverse("runs")).context["table"].heads) == 7


@pytest.mark.parametrize(
    "columns", [["nonsense"], ["metrics."], ["hyperparameters.a b"], [f"metrics.m{n}" for n in range(21)]]
)
def test_what_cannot_be_a_column_is_told_and_not_kept(browse, run, editor, columns):
    answer = browse().post(reverse("run-columns"), {"column": columns}, follow=True)

    assert [message.level_tag for message in answer.context["messages"]] == ["error"]
    assert not ChosenColumns.objects.exists()


def test_the_chooser_offers_what_the_listed_runs_have(browse, project, editor, two, runs_url):
    set_metric(new_run(new_project(), name="elsewhere"), "secret", 1.0)

    offered = {
        title: [column.title for column in columns] for title, columns in browse().get(runs_url).context["groups"]
    }

    assert "rate" in offered["Hyperparameters"]
    assert "max_steps" in offered["Model parameters"]
    assert offered["Metrics, newest value"] == ["eval/accuracy", "loss"]


def test_a_stranger_chooses_no_columns_of_a_project(browse, project, stranger):
    assert (
        browse("stranger").post(reverse("project-columns", args=[project.uid]), {"column": "recipe"}).status_code == 404
    )
    assert not ChosenColumns.objects.exists()


# --- Order ----------------------------------------------------------------------------------------
def test_a_click_on_a_head_orders_and_the_next_one_turns_the_order(browse, project, editor, two, runs_url):
    choose_columns(user=editor, project=project, keys=["metrics.loss", "created"])
    browser = browse()

    first = browser.get(runs_url)
    by_loss = browser.get(runs_url, {"order": "metrics.loss"})

    assert [(head.next, head.sort) for head in first.context["table"].heads] == [
        ("metrics.loss", ""),
        ("created_at", "descending"),
    ]
    assert order_of(by_loss) == ["a", "b"]
    assert by_loss.context["table"].heads[0].next == "-metrics.loss"
    assert '<th scope="col" class="number" aria-sort="ascending"><a href="?order=-metrics.loss">' in text_of(by_loss)


def test_the_newest_loss_is_ordered_by_the_metric_that_most_runs_call_so(browse, project, editor, runs_url):
    [set_metric(new_run(project), "train/loss", value) for value in (3.0, 1.0)]
    choose_columns(user=editor, project=project, keys=["loss"])

    assert browse().get(runs_url).context["table"].heads[0].next == "metrics.train/loss"


# --- Filters --------------------------------------------------------------------------------------
def test_each_filter_in_use_is_a_chip_that_can_be_taken_off(browse, project, editor, two, runs_url):
    answer = browse().get(runs_url, {"status": ["queued", "failed"], "where": "metrics.loss < 2", "q": "", "page": "1"})

    chips = [(chip.name, chip.value, chip.without) for chip in answer.context["chips"]]
    assert chips == [
        ("status", "queued", "?status=failed&where=metrics.loss+%3C+2&q="),
        ("status", "failed", "?status=queued&where=metrics.loss+%3C+2&q="),
        ("where", "metrics.loss < 2", "?status=queued&status=failed&q="),
    ]
    assert order_of(answer) == ["a"]


def test_a_list_without_a_match_leads_on(browse, project, editor, two, runs_url):
    text = text_of(browse().get(runs_url, {"q": "nowhere"}))

    assert "No run fits these filters." in text
    assert f'<a href="{runs_url}">Show all</a>' in text


def test_the_runs_of_a_project_are_of_that_project(browse, project, admin, two, runs_url):
    new_run(new_project(by=admin), name="elsewhere")

    assert order_of(browse("admin").get(runs_url)) == ["b", "a"]
    assert order_of(browse("admin").get(reverse("runs"))) == ["elsewhere", "b", "a"]


def test_archived_runs_are_out_of_the_list_until_asked_for(browse, project, editor, admin, runs_url):
    archive_run(run=new_run(project, name="old", status="completed"), by=admin)
    new_run(project, name="new")
    browser = browse()

    assert order_of(browser.get(runs_url)) == ["new"]
    assert order_of(browser.get(runs_url, {"archived": "all"})) == ["new", "old"]
    assert "Restore</button>" in text_of(browser.get(runs_url, {"archived": "true"}))


# --- Several at once ------------------------------------------------------------------------------
@pytest.fixture
def mixed(project):
    """A queued, a running and a completed run."""
    return [new_run(project, name=status, status=status) for status in ("queued", "running", "completed")]


def uids(runs):
    return {"run": [run.uid for run in runs]}


def test_cancelling_several_asks_first_and_says_what_will_happen_to_each(browse, editor, mixed):
    before = everything()

    answer = browse().get(reverse("runs-cancel"), uids(mixed))

    told = {one.run.name: (one.is_possible, one.text) for one in answer.context["prospects"]}
    assert told == {
        "queued": (True, "It has not started: it ends at once, and there is nothing to save."),
        "running": (True, "Its trainer is asked to save a checkpoint and stop, and has 10 s for that."),
        "completed": (False, "It is completed already; there is nothing to cancel."),
    }
    assert [run.name for run in answer.context["possible"]] == ["running", "queued"]
    assert {name: rows for name, rows in everything().items() if rows != before[name]} == {}


def test_cancelling_several_counts_what_was_done_and_names_what_was_not(browse, editor, mixed, runs_url):
    answer = browse().post(reverse("runs-cancel"), {**uids(mixed), "back": runs_url}, follow=True)

    assert answer.redirect_chain == [(runs_url, 302)]
    assert sorted(flashes(answer)) == [
        "1 run was asked to save a checkpoint and stop.",
        "1 run was cancelled.",
        "completed: It is completed already; there is nothing to cancel.",
    ]
    assert [fresh(run).status for run in mixed] == ["cancelled", "cancelling", "completed"]


def test_archiving_several_leaves_out_what_goes_on(browse, editor, mixed):
    answer = browse().post(reverse("runs-archive"), uids(mixed), follow=True)

    assert "1 run was archived." in flashes(answer)
    assert [fresh(run).archived_at is None for run in mixed] == [True, True, False]
    browse().post(reverse("runs-restore"), uids(mixed))
    assert kinds(mixed[2])[-2:] == ["archived", "restored"]


@pytest.mark.parametrize("name", ["runs-archive", "runs-restore"])
def test_in_an_archived_project_no_run_can_be_archived_or_restored_and_the_question_says_so(
    browse, editor, admin, project, name
):
    runs = [new_run(project, status="completed"), new_run(project, status="completed")]
    archive_run(run=runs[1], by=admin)
    archive_project(project=project)
    browser, before = browse(), everything()

    answer = browser.get(reverse(name), uids(runs))
    browser.post(reverse(name), uids(runs))

    told = [(one.is_possible, one.text) for one in answer.context["prospects"]]
    assert told == [(False, "Its project is archived; restore that first.")] * 2
    assert answer.context["possible"] == []
    assert everything() == before


@pytest.mark.parametrize("name", ["runs-cancel", "runs-archive", "runs-restore"])
def test_a_viewer_changes_nothing_and_reads_why(browse, viewer, mixed, name):
    browser, before = browse("viewer"), everything()

    answer = browser.post(reverse(name), uids(mixed), follow=True)

    assert everything() == before
    assert flashes(answer)[0].endswith("This needs the role editor; yours is viewer.")
    assert "Cancel</button>" not in text_of(browser.get(reverse("runs")))


@pytest.mark.parametrize("name", ["runs-cancel", "runs-archive", "runs-restore"])
def test_runs_of_others_are_not_there(browse, stranger, mixed, name):
    browser, before = browse("stranger"), everything()

    asked = browser.get(reverse(name), uids(mixed), follow=True)
    done = browser.post(reverse(name), uids(mixed), follow=True)

    assert (flashes(asked), flashes(done)) == (
        ["No run is selected. Tick some in the table first."],
        ["3 runs were not found."],
    )
    assert everything() == before


def test_a_role_counts_in_its_own_project_alone(browse, admin, editor, mixed):
    other = new_project(by=admin)
    theirs = new_run(other, name="theirs")
    other.memberships.create(user=editor, role=Role.VIEWER)

    browse().post(reverse("runs-cancel"), uids([mixed[0], theirs]))

    assert (fresh(mixed[0]).status, fresh(theirs).status) == ("cancelled", "queued")


def test_an_operator_may_cancel_everywhere(browse, operator, mixed):
    browse("operator").post(reverse("runs-cancel"), uids(mixed[:1]))

    assert fresh(mixed[0]).status == "cancelled"


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example", "/ui/runs?" + "x" * 600, ""])
def test_afterwards_the_way_leads_to_this_hub_alone(browse, editor, mixed, back):
    answer = browse().post(reverse("runs-cancel"), {**uids(mixed), "back": back})

    assert answer["Location"] == reverse("runs")


def test_more_runs_than_an_address_can_name_are_refused(browse, editor):
    answer = browse().get(reverse("runs-cancel"), {"run": [f"run_{number}" for number in range(101)]})

    assert answer.status_code == 400
    assert "At most 100 runs are taken at once" in text_of(answer)


def test_ids_that_are_none_are_not_found(browse, editor, run):
    answer = browse().get(reverse("runs-cancel"), {"run": [run.uid, "\0", "'; drop", "run_none"]})

    assert [one.run.pk for one in answer.context["prospects"]] == [run.pk]
    assert answer.context["missing"] == 2


# --- What it costs --------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("count", [2, 12])
def test_a_page_with_chosen_columns_asks_the_database_twelve_times_at_most(
    browse, request, project, runs_url, role, count, django_assert_max_num_queries
):
    user = request.getfixturevalue(role)
    keys = ["status", "loss", "hyperparameters.rate", "model_parameters.max_steps", "metrics.loss", "launched_by"]
    for number in range(count):
        set_metric(new_attempt(project=project).run, "loss", number + 1)
    for place in (project, None):
        choose_columns(user=user, project=place, keys=keys)
    browser = browse(role)

    for path in (runs_url, reverse("runs")):
        with django_assert_max_num_queries(12):
            assert browser.get(path).status_code == 200
