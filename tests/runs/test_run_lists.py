"""Lists of runs by conditions, by metric and by cursor, in each way that a list may be answered."""

import math

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from artifacts.models import ArtifactTag
from runs.api.run_lists import describe_runs
from runs.api.serializers import RunSummarySerializer
from runs.models import Run, RunMetric
from runs.ordering import Order, Position, write_cursor
from tests.factories import fresh, new_artifact, new_attempt, new_project, new_run
from trainhub.api.paging import encode_cursor
from trainhub.api.renderers import dump_json

pytestmark = pytest.mark.django_db

NAN = float("nan")
LOSSES = [3.0, 1.0, NAN, 2.0, 1.0, None, 0.5, None, 2.0]  # of the runs, oldest first; None: no such metric
RATES = [1e-3, 1e-4, 1e-5, 1e-3, 1e-4, 1e-5, 1e-3, 1e-4, 1e-5]
WAYS = {"few": (500, 500), "peek": (0, 500), "walk": (0, 0), "short peek": (0, 3)}


def set_metric(run, key, value):
    special = {"value": None, "special": "NaN"} if math.isnan(value) else {"value": value}
    RunMetric.objects.create(run=run, key=key, step=1, time=1, **special)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Make every list be answered in one way, whatever is quickest."""
    few, window = WAYS[request.param]
    monkeypatch.setattr("runs.listing.FEW", few)
    monkeypatch.setattr("runs.listing.WINDOW", window)
    monkeypatch.setattr("runs.parts.WINDOW", window)
    return request.param


@pytest.fixture
def nine(project):
    """Nine runs with ties and gaps in whatever a list may be ordered by; r0 is the oldest."""
    statuses = ["completed", "queued", "completed", "cancelled", "queued", "failed", "queued", "completed", "queued"]
    runs = [
        new_run(project, name=f"r{number}", status=status, priority=number % 3, hyperparameters={"rate": rate})
        for number, (status, rate) in enumerate(zip(statuses, RATES, strict=True))
    ]
    [set_metric(run, "loss", loss) for run, loss in zip(runs, LOSSES, strict=True) if loss is not None]
    return runs


def get(caller, path="/runs", **query):
    answer = caller.get(path, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def names(page):
    return " ".join(item["name"] for item in page["items"])


def all_by_cursor(caller, path="/runs", **query):
    """Return the names of all pages, a page a text."""
    pages, cursor = [], ""
    while cursor is not None:
        page = get(caller, path, cursor=cursor, **query)
        pages.append(names(page))
        cursor = page["next"]
    return pages


# --- Conditions -----------------------------------------------------------------------------------
CONDITIONS = [
    ("metrics.loss < 2", "r6 r4 r1"),
    ("metrics.loss <= 2", "r8 r6 r4 r3 r1"),
    ("metrics.loss > 2", "r0"),
    ("metrics.loss >= 2", "r8 r3 r0"),
    ("metrics.loss = 2", "r8 r3"),
    ("metrics.loss != 2", "r6 r4 r1 r0"),
    ("metrics.loss < 0", ""),
    ("metrics.none < 9", ""),
    ("hyperparameters.rate >= 1e-4", "r7 r6 r4 r3 r1 r0"),
    ("hyperparameters.rate = 1e-5", "r8 r5 r2"),
    ("hyperparameters.rate = '1e-5'", ""),
    ("model_parameters.rate = 1e-5", ""),
    ("metrics.loss <= 2 and hyperparameters.rate <= 1e-4", "r8 r4 r1"),
    ("metrics.loss <= 2 and metrics.loss >= 2", "r8 r3"),
    ("metrics.loss <= 2 and metrics.none = 0", ""),
]


@pytest.mark.parametrize(("where", "expected"), CONDITIONS)
def test_a_list_holds_the_runs_that_fulfil_the_conditions(as_viewer, way, nine, where, expected):
    page = get(as_viewer, where=where)

    assert (names(page), page["total"]) == (expected, len(expected.split()))


@pytest.mark.parametrize(("where", "expected"), CONDITIONS)
def test_operators_get_the_same_as_members(as_operator, way, nine, where, expected):
    page = get(as_operator, where=where)

    assert (names(page), page["total"]) == (expected, len(expected.split()))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("hyperparameters.optimizer = 'adam'", "adam"),
        ("hyperparameters.optimizer != 'adam'", "sgd"),
        ("hyperparameters.packing = true", "sgd"),
        ("hyperparameters.packing != true", "adam"),
        ('hyperparameters."lora.rank" = 8', "adam"),
    ],
)
def test_texts_flags_and_nested_parameters_can_be_asked_for(as_viewer, way, project, where, expected):
    new_run(project, name="adam", hyperparameters={"optimizer": "adam", "packing": False, "lora": {"rank": 8}})
    new_run(project, name="sgd", hyperparameters={"optimizer": "sgd", "packing": True, "lora": {"rank": 4}})
    new_run(project, name="neither")

    assert names(get(as_viewer, where=where)) == expected


def test_repeated_conditions_must_all_hold(as_viewer, way, nine):
    assert names(get(as_viewer, where=["metrics.loss <= 2", "hyperparameters.rate <= 1e-4"])) == "r8 r4 r1"


def test_conditions_and_filters_must_all_hold(as_viewer, way, nine):
    page = get(as_viewer, where="metrics.loss <= 2", status=["queued", "cancelled"], order="name")

    assert (names(page), page["total"]) == ("r1 r3 r4 r6 r8", 5)


@pytest.mark.parametrize("where", ["metrics.loss < 9", "hyperparameters.rate > 0"])
def test_conditions_show_nothing_of_strangers(as_stranger, way, nine, where):
    assert get(as_stranger, where=where)["total"] == 0


def test_a_name_is_a_value_and_never_a_column(as_viewer, project):
    set_metric(new_run(project), 'x" OR 1=1 --', 1.0)

    assert get(as_viewer, where='metrics."x"" OR 1=1 --" = 1')["total"] == 1
    assert get(as_viewer, where='metrics."run__project__name" = 1')["total"] == 0


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("where", "loss < 1"),
        ("where", "metrics.loss <"),
        ("where", " and ".join(["metrics.loss < 1"] * 11)),
        ("order", "metrics."),
        ("order", "hyperparameters.rate"),
        ("order", "metrics.loss desc"),
        ("order", "--name"),
        ("order", "name,created_at"),
        ("checkpoint_tag", "best"),
        ("name", "x" * 201),
        ("project_tag", "x" * 101),
    ],
)
def test_what_is_not_understood_is_400_under_its_name(as_viewer, nine, field, text):
    answer = as_viewer.get("/runs", {field: text})

    assert answer.status_code == 400
    assert set(answer.json()) == {"code", field}


# --- Filters --------------------------------------------------------------------------------------
def test_runs_are_found_by_a_part_of_their_name(as_viewer, nine):
    assert names(get(as_viewer, name="R3")) == "r3"


def test_runs_are_found_by_a_tag_of_their_project(as_admin, admin, nine):
    new_run(new_project(by=admin, tags=["vision", "nightly"]), name="tagged")

    assert names(get(as_admin, project_tag="nightly")) == "tagged"
    assert names(get(as_admin, project_tag="night")) == ""


def test_runs_are_found_by_a_tag_on_a_checkpoint(as_viewer, project, nine):
    run = new_run(project, name="released", status="completed")
    ArtifactTag.objects.create(artifact=new_artifact(run), value="release")

    assert names(get(as_viewer, checkpoint_tag="release")) == "released"
    assert names(get(as_viewer, checkpoint_tag="candidate")) == ""


# --- Orders and cursors ---------------------------------------------------------------------------
ORDERS = [
    ("", "r8 r7 r6 r5 r4 r3 r2 r1 r0"),
    ("created_at", "r0 r1 r2 r3 r4 r5 r6 r7 r8"),
    ("name", "r0 r1 r2 r3 r4 r5 r6 r7 r8"),
    ("-name", "r8 r7 r6 r5 r4 r3 r2 r1 r0"),
    ("priority", "r6 r3 r0 r7 r4 r1 r8 r5 r2"),
    ("-priority", "r8 r5 r2 r7 r4 r1 r6 r3 r0"),
    ("progress", "r8 r6 r5 r4 r3 r1 r7 r2 r0"),
    ("-progress", "r7 r2 r0 r8 r6 r5 r4 r3 r1"),
    ("completed_at", "r0 r2 r3 r5 r7 r8 r6 r4 r1"),
    ("-completed_at", "r7 r5 r3 r2 r0 r8 r6 r4 r1"),
    ("metrics.loss", "r6 r1 r4 r3 r8 r0 r7 r5 r2"),
    ("-metrics.loss", "r0 r8 r3 r4 r1 r6 r7 r5 r2"),
    ('metrics."loss"', "r6 r1 r4 r3 r8 r0 r7 r5 r2"),
    ("metrics.none", "r8 r7 r6 r5 r4 r3 r2 r1 r0"),
]
orders = pytest.mark.parametrize(("order", "expected"), ORDERS)


@orders
@pytest.mark.parametrize("size", [2, 9])
def test_following_the_cursor_gives_every_run_once_in_order(as_viewer, way, nine, order, expected, size):
    pages = all_by_cursor(as_viewer, order=order, page_size=size)

    assert " ".join(pages) == expected
    assert [len(page.split()) for page in pages[:-1]] == [size] * (len(pages) - 1)


@orders
def test_page_numbers_give_the_same_list_as_the_cursor(as_operator, way, nine, order, expected):
    pages = [get(as_operator, order=order, page_size=2, page=number) for number in range(1, 7)]

    assert " ".join(filter(None, map(names, pages))) == expected
    assert {page["total"] for page in pages} == {9}


@orders
def test_the_cursor_keeps_filters_and_conditions(as_viewer, way, nine, order, expected):
    wanted = {"where": "hyperparameters.rate <= 1e-4", "status": ["queued", "completed", "failed"]}
    kept = [name for name in expected.split() if name in {"r8", "r7", "r5", "r4", "r2", "r1"}]

    assert " ".join(all_by_cursor(as_viewer, order=order, page_size=2, **wanted)) == " ".join(kept)


@orders
def test_the_list_of_a_project_has_the_same_orders(as_viewer, way, project, nine, order, expected):
    set_metric(new_run(new_project()), "loss", 1.0)

    assert " ".join(all_by_cursor(as_viewer, f"/projects/{project.uid}/runs", order=order, page_size=4)) == expected


@pytest.mark.parametrize("order", ["", "name", "-metrics.loss", "metrics.loss", "-completed_at"])
def test_a_run_that_is_added_meanwhile_moves_no_other(as_viewer, way, project, nine, order):
    first = get(as_viewer, order=order, page_size=4, cursor="")
    set_metric(new_run(project, name="added"), "loss", 1.0)
    rest = get(as_viewer, order=order, page_size=20, cursor=first["next"])

    seen = [item["name"] for item in [*first["items"], *rest["items"]]]
    assert sorted(set(seen) - {"added"}) == sorted(name for name in seen if name != "added")
    assert {f"r{number}" for number in range(9)} <= set(seen)


def test_runs_of_several_projects_are_one_list(as_admin, way, admin, nine):
    elsewhere = new_run(new_project(by=admin), name="other")
    set_metric(elsewhere, "loss", 0.75)

    assert " ".join(all_by_cursor(as_admin, page_size=4)) == "other r8 r7 r6 r5 r4 r3 r2 r1 r0"
    assert " ".join(all_by_cursor(as_admin, page_size=4, order="metrics.loss")) == "r6 other r1 r4 r3 r8 r0 r7 r5 r2"


def test_a_cursor_page_says_its_size_and_where_it_goes_on(as_viewer, nine):
    page = get(as_viewer, cursor="", page_size=8)

    assert set(page) == {"page_size", "next", "items"}
    assert (page["page_size"], len(page["items"])) == (8, 8)
    assert get(as_viewer, cursor=page["next"], page_size=8)["next"] is None


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!!",
        "é",
        "A" * 5000,
        encode_cursor([]),
        encode_cursor(["-created_at", 1]),
        encode_cursor(["created_at", 1, 1]),
        encode_cursor(["-created_at", None, 1]),
        encode_cursor(["-created_at", "yesterday", 1]),
        encode_cursor(["-created_at", 10**18, 1]),
        encode_cursor(["-created_at", 1, 0]),
        encode_cursor(["-created_at", 1, True]),
        encode_cursor(["-created_at", 1, 2**63]),
        encode_cursor({"a": 1}),
    ],
)
def test_what_is_no_cursor_is_400(as_viewer, nine, cursor):
    answer = as_viewer.get("/runs", {"cursor": cursor})

    assert (answer.status_code, set(answer.json())) == (400, {"code", "cursor"})


@pytest.mark.parametrize(
    ("order", "value"),
    [
        ("name", 5),
        ("name", "a\0"),
        ("name", None),
        ("priority", 101),
        ("progress", "x"),
        ("metrics.loss", "x"),
        ("completed_at", 1.5),
    ],
)
def test_a_cursor_with_another_kind_of_value_is_400(as_viewer, nine, order, value):
    answer = as_viewer.get("/runs", {"order": order, "cursor": encode_cursor([order, value, 1])})

    assert (answer.status_code, set(answer.json())) == (400, {"code", "cursor"})


def test_a_cursor_of_another_order_is_400(as_viewer, nine):
    cursor = write_cursor(Order("name"), Position("r1", nine[1].pk))

    assert as_viewer.get("/runs", {"order": "name", "cursor": cursor}).status_code == 400


def test_a_cursor_and_a_page_number_are_400(as_viewer, nine):
    assert set(as_viewer.get("/runs", {"cursor": "", "page": 2}).json()) == {"code", "page"}


# --- What an item is, and what a list costs -------------------------------------------------------
def test_items_are_what_the_serializer_of_the_document_says(project, settings):
    settings.UNREACHABLE_AFTER_SECONDS = 0
    silent = new_attempt(project=project).run
    runs = [
        silent,
        new_run(project),
        new_run(project, status="failed", priority=-5),
        new_run(project, recipe="tiny-gpt"),
    ]
    set_metric(silent, "loss", NAN)
    set_metric(silent, "a b", 0.25)
    set_metric(silent, "system/cpu", 0.5)
    Run.objects.filter(pk=runs[1].pk).update(created_by=None, waiting_reason="no room")

    plain = describe_runs([run.pk for run in runs])

    declared = RunSummarySerializer([fresh(run) for run in runs], many=True).data
    assert [dump_json(dict(sorted(item.items()))) for item in plain] == [
        dump_json(dict(sorted(item.items()))) for item in declared
    ]
    assert plain[0]["is_unreachable"] is True


def test_a_run_that_is_gone_is_left_out(run):
    assert [item["id"] for item in describe_runs([run.pk, run.pk + 1])] == [run.uid]


def queries_of(caller, path, query):
    with CaptureQueriesContext(connection) as captured:
        assert caller.get(path, query).status_code == 200
    return len(captured)


# Always: the token, the keys of the page, its runs, their metrics, their live attempts. Page numbers: a count. Members:
# their projects. The rest is how many are few enough, and looking at some.
COSTS = [
    ("few", {}, 6, 7),
    ("few", {"cursor": ""}, 5, 6),
    ("few", {"status": "queued", "order": "name", "cursor": ""}, 5, 6),
    ("few", {"where": "metrics.loss > 0", "cursor": ""}, 8, 11),
    ("peek", {"where": "metrics.loss > 0", "cursor": ""}, 7, 10),
    ("walk", {"where": "metrics.loss > 0", "cursor": ""}, 6, 8),
    ("walk", {"where": "metrics.loss > 0"}, 7, 9),
    ("few", {"order": "metrics.loss", "cursor": ""}, 5, 9),
    ("peek", {"order": "metrics.loss", "cursor": ""}, 5, 8),
    ("walk", {"order": "metrics.loss"}, 6, 8),
]


@pytest.mark.parametrize(("way", "query", "operators", "members"), COSTS, indirect=["way"])
def test_a_page_takes_as_many_queries_however_many_runs_there_are(
    as_operator, as_viewer, project, way, query, operators, members
):
    few = [set_metric(new_run(project), "loss", number + 1) for number in range(4)]
    asked = {"page_size": 2, **query}
    before = [queries_of(caller, "/runs", asked) for caller in (as_operator, as_viewer)]
    more = [set_metric(new_run(project), "loss", number + 1) for number in range(20)]

    assert [queries_of(caller, "/runs", asked) for caller in (as_operator, as_viewer)] == before
    assert (before, len(few), len(more)) == ([operators, members], 4, 20)
