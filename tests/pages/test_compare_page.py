"""Runs side by side: who sees which, what is refused, the table, the files and the drawing."""

import csv
import io
import re

import orjson
import pytest
from django.urls import reverse

from runs.services import create_run
from runs.views.compare import MAX_COMPARED
from tests.factories import new_artifact, new_attempt, new_project, new_run
from tests.pages.reading import read, text_of
from tests.pages.test_hostile_text import HOSTILE, MARKUP
from tests.runs.telemetry.builders import columns, show_metrics

PAGES = ["compare", "compare-csv", "compare-json"]


def address(*runs, page="compare", **more):
    """The path of a comparison of runs or ids."""
    uids = [getattr(run, "uid", run) for run in runs]
    return reverse(page) + "?" + "&".join([*(f"run={uid}" for uid in uids), *(f"{key}={more[key]}" for key in more)])


def trained(project, losses, **values):
    """A run with a loss."""
    attempt = new_attempt(new_run(project, **values))
    show_metrics(attempt=attempt, columns={"loss": columns(*[(step, step, loss) for step, loss in enumerate(losses)])})
    return attempt.run


@pytest.fixture
def pair(project, editor):
    """Two runs that differ in learning rate and loss."""
    return [
        trained(project, [3.0, 2.0 - rate], name=f"rate {rate}", hyperparameters={"learning_rate": rate})
        for rate in (0.1, 0.2)
    ]


def names(answer):
    return [row.name for section in answer.context["sections"] for row in section.rows]


# --- Which runs -----------------------------------------------------------------------------------
def test_runs_stand_in_the_order_of_the_address_each_once(browse, pair):
    answer = browse().get(address(pair[1], pair[0], pair[1]))

    assert [column.run for column in answer.context["columns"]] == [pair[1], pair[0]]


def test_runs_of_several_projects_can_be_compared(browse, pair, editor):
    other = new_run(new_project(by=editor, name="Another"))

    text = text_of(browse().get(address(pair[0], other)))

    assert "Another" in text
    assert other.uid in text


def test_without_runs_the_page_says_how_to_choose_them(browse, pair):
    answer = browse().get(reverse("compare"))

    assert "Tick runs in any" in text_of(answer)
    assert {run.uid for run in answer.context["others"]} == {run.uid for run in pair}


def test_a_strangers_run_looks_as_if_it_were_not_there(browse, pair, stranger):
    hidden = new_run(new_project(name="Secret project"), name="secret run")

    answer = browse().get(address(pair[0], hidden, "run_nothere"))

    text = text_of(answer)
    assert answer.status_code == 200
    assert "2 runs are left out" in text
    assert "secret run" not in text
    assert "Secret project" not in text


@pytest.mark.parametrize("page", PAGES)
def test_only_runs_that_one_may_not_see_are_not_found(browse, pair, stranger, page):
    assert browse("stranger").get(address(*pair, page=page)).status_code == 404


def test_a_deleted_run_is_not_there(browse, pair):
    pair[0].deleted_at = pair[0].created_at
    pair[0].save(update_fields=["deleted_at"])

    assert browse().get(address(pair[0])).status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_as_many_runs_as_colours_and_no_more(browse, pair, page):
    uids = [f"run_{index}" for index in range(MAX_COMPARED)]

    fitting = browse().get(address(pair[0], *uids[1:], page=page))
    too_many = browse().get(address(pair[0], *uids, page=page))

    assert fitting.status_code == 200
    assert too_many.status_code == 400
    assert "At most 20 runs" in text_of(too_many)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "query",
    ["run=%00", "run=<script>", "run=run_1%27", "run=run_", "run=run_1&differences=2", "run=run_1&differences="],
)
def test_what_is_no_comparison_is_refused(browse, pair, page, query):
    assert browse().get(f"{reverse(page)}?{query}").status_code == 400


@pytest.mark.parametrize("page", PAGES[1:])
def test_a_file_of_nothing_is_refused(browse, pair, page):
    assert browse().get(reverse(page)).status_code == 400


def test_an_empty_id_is_nothing(browse, pair):
    assert browse().get(reverse("compare") + "?run=&run=").status_code == 200


# --- Adding and removing --------------------------------------------------------------------------
def test_search_finds_by_name_and_id_what_is_not_there_yet(browse, pair):
    by_name = browse().get(address(pair[0], q="rate"))
    by_id = browse().get(address(pair[0], q=pair[1].uid))

    assert [run.uid for run in by_name.context["others"]] == [pair[1].uid]
    assert [run.uid for run in by_id.context["others"]] == [pair[1].uid]


def test_search_finds_nothing_of_strangers(browse, pair, stranger):
    assert browse("stranger").get(reverse("compare") + "?q=rate").context["others"] == []


def test_adding_keeps_the_runs_and_the_choice_of_rows(browse, pair):
    form = next(one for one in read(browse().get(address(*pair, differences=0))).forms if "q" in one["names"])

    assert form["names"].count("run") == 2
    assert "differences" in form["names"]


@pytest.mark.parametrize("text", ["%00", "x" * 201])
def test_search_refuses_what_is_no_text_to_look_for(browse, pair, text):
    assert browse().get(reverse("compare") + f"?q={text}").status_code == 400


def test_links_remove_a_run_and_put_one_first(browse, pair):
    text = text_of(browse().get(address(*pair)))

    assert f'href="?run={pair[1].uid}">Remove' in text
    assert f'href="?run={pair[1].uid}&amp;run={pair[0].uid}#table">Put first' in text


# --- The table ------------------------------------------------------------------------------------
def test_differences_alone_are_shown_at_first(browse, pair):
    cut, whole = browse().get(address(*pair)), browse().get(address(*pair, differences=0))

    assert names(cut) == ["loss", "learning_rate"]
    assert {"recipe", "max_steps", "loss", "learning_rate"} <= set(names(whole))


def test_a_single_run_shows_everything(browse, pair):
    assert "recipe" in names(browse().get(address(pair[0])))


def test_equal_runs_are_said_to_agree(browse, project, editor):
    answer = browse().get(address(new_run(project), new_run(project)))

    assert "No difference: the runs agree" in text_of(answer)


def test_the_lower_loss_is_marked_and_what_is_missing_is_said(browse, pair, project):
    text = text_of(browse().get(address(*pair, new_run(project))))

    cells = re.search(r'"row"><bdi>loss</bdi>.*?</tr>', text, re.DOTALL).group().split("<td")[1:]
    assert ["best" in cell for cell in cells] == [False, True, False]
    assert "1.9" in cells[0]
    assert "step 1" in cells[0]
    assert "not set" in cells[2]


def test_a_resumed_run_says_from_where(browse, project, editor):
    checkpoint = new_artifact(new_run(project, name="the parent"), name="checkpoint-7")
    resumed = create_run(project=project, by=editor, values={"name": "resumed"}, resumed_from=checkpoint)

    text = text_of(browse().get(address(resumed, new_run(project))))

    assert f"checkpoint-7 of the parent ({checkpoint.uid})" in text


def test_a_simulated_run_is_marked(browse, pair):
    assert text_of(browse().get(address(*pair))).count("badge simulated") >= 2


def test_every_metric_of_any_run_has_a_panel_losses_first(browse, pair, project):
    attempt = new_attempt(project=project)
    points = columns((1, 1, 1.0))
    show_metrics(attempt=attempt, columns={"acc": points, "val_loss": points, "system/cpu_utilization": points})

    panels = browse().get(address(*pair, attempt.run)).context["panels"]

    assert [(panel.names, panel.is_system) for panel in panels] == [
        (["loss", "val_loss", "acc"], False), (["system/cpu_utilization"], True)
    ]  # fmt: skip


def test_a_page_takes_as_many_queries_however_many_runs_there_are(
    browse, project, editor, django_assert_max_num_queries
):
    runs = [trained(project, [1.0 + index]) for index in range(6)]
    client = browse()
    with django_assert_max_num_queries(12) as few:
        client.get(address(*runs[:1]))

    with django_assert_max_num_queries(len(few)):
        assert client.get(address(*runs)).status_code == 200


@pytest.mark.parametrize("page", ["compare", "compare-svg"])
def test_a_drawing_takes_at_most_twelve_queries(browse, project, editor, page, django_assert_max_num_queries):
    runs = [trained(project, [1.0 + index]) for index in range(6)]
    client = browse()

    with django_assert_max_num_queries(12):
        assert client.get(address(*runs, page=page, metric="loss")).status_code == 200


# --- Text of users --------------------------------------------------------------------------------
@pytest.fixture
def hostile(project, editor):
    """A run with hostile text in every field, beside one without."""
    run = new_run(
        project, name=HOSTILE[:200], dataset=HOSTILE, hyperparameters={MARKUP: HOSTILE, "=1+1": "=HYPERLINK(1)"}
    )
    show_metrics(attempt=new_attempt(run), columns={f"loss{MARKUP}": columns((1, 1, 1.0)), "@m": columns((1, 1, 1.0))})
    return [run, new_run(project)]


def test_markup_is_shown_and_never_becomes_part_of_the_page(browse, hostile):
    text = text_of(browse().get(address(*hostile)))

    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert read(browse().get(address(*hostile))).inline == []


def test_searched_markup_is_text(browse, pair):
    text = text_of(browse().get(reverse("compare"), {"q": MARKUP}))

    assert "<script>alert" not in text
    assert "<img src=x" not in text


def test_no_cell_of_the_csv_begins_a_formula(browse, hostile):
    cells = [cell for line in csv_of(browse().get(address(*hostile, page="compare-csv"))) for cell in line]

    assert "'=1+1" in cells
    assert "'=HYPERLINK(1)" in cells
    assert "'@m" in cells
    assert [cell for cell in cells if cell[:1] in {"=", "+", "-", "@"}] == []


# --- Files ----------------------------------------------------------------------------------------
def csv_of(answer):
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.parametrize(
    ("page", "kind"), [("compare-csv", "text/csv; charset=utf-8"), ("compare-json", "application/json")]
)
def test_a_file_is_downloaded_and_never_guessed_at(browse, pair, page, kind):
    answer = browse().get(address(*pair, page=page))

    assert answer["Content-Type"] == kind
    assert answer["Content-Disposition"] == f'attachment; filename="comparison.{page[8:]}"'
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_csv_has_the_rows_that_are_shown(browse, pair):
    cut = csv_of(browse().get(address(*pair, page="compare-csv")))
    whole = csv_of(browse().get(address(*pair, page="compare-csv", differences=0)))

    assert cut[0] == ["group", "name", "measure", *(run.uid for run in pair)]
    assert ["metrics", "loss", "final", "1.9", "1.8"] in cut
    assert ["hyperparameters", "learning_rate", "", "0.1", "0.2"] in cut
    assert "recipe" not in {line[1] for line in cut}
    assert ["run", "recipe", "", "simulate", "simulate"] in whole


def test_json_has_the_runs_and_the_rows(browse, pair):
    content = orjson.loads(browse().get(address(*pair, page="compare-json")).content)

    assert [run["id"] for run in content["runs"]] == [run.uid for run in pair]
    assert content["only_differences"] is True
    assert content["rows"][1]["values"] == {pair[0].uid: 0.1, pair[1].uid: 0.2}


def test_a_viewer_may_compare(browse, pair, viewer):
    assert browse("viewer").get(address(*pair)).status_code == 200


def test_a_file_holds_no_run_of_strangers(browse, pair):
    hidden = new_run(new_project(name="Elsewhere"), name="secret run")

    text = text_of(browse().get(address(pair[0], hidden, page="compare-json")))

    assert pair[0].uid in text
    assert hidden.uid not in text
    assert "secret run" not in text


# --- Without JavaScript ---------------------------------------------------------------------------
def test_the_drawing_has_a_line_for_each_run_in_its_colour(browse, pair, project):
    answer = browse().get(address(pair[0], new_run(project), pair[1], page="compare-svg", metric="loss"))

    text = text_of(answer)
    assert answer["Content-Type"] == "image/svg+xml"
    assert re.findall(r'polyline stroke="(#\w+)"', text) == ["#3b7ddd", "#2e9e5b"]


def test_the_page_names_the_drawing_of_its_losses(browse, pair):
    text = text_of(browse().get(address(*pair)))

    noscript = re.search(r"<noscript>.*?</noscript>", text, re.DOTALL).group()
    assert f"/ui/compare.svg?run={pair[0].uid}&amp;run={pair[1].uid}&amp;metric=loss" in noscript


def test_a_drawing_of_nothing_is_a_picture_that_says_so(browse, pair):
    assert "No points" in text_of(browse().get(address(*pair, page="compare-svg", metric="unheard/of")))


@pytest.mark.parametrize("query", [{}, {"metric": "%00"}])
def test_a_drawing_without_a_metric_is_refused(browse, pair, query):
    assert browse().get(address(*pair, page="compare-svg", **query)).status_code == 400
