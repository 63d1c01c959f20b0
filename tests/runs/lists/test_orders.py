"""Lists of runs in every order, by page number and by cursor, in each way that a list may be answered."""

import pytest

from runs.ordering import Order, Position, write_cursor
from tests.factories import new_project, new_run
from tests.runs.lists.reading import all_by_cursor, get, names, set_metric
from trainhub.api.paging import encode_cursor

pytestmark = pytest.mark.django_db

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
