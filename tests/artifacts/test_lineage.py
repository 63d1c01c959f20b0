"""Lineage: the tree around a run, and its picture."""

import pytest
from django.utils import timezone

from artifacts.lineage.layout import HEIGHT, WIDTH, lay_out, shorten
from artifacts.lineage.links import SHOWN_RUNS
from artifacts.lineage.picture import draw_lineage
from artifacts.lineage.tree import SHOWN_NODES, read_lineage
from artifacts.models import Artifact, ArtifactState, ArtifactTag, ArtifactType
from artifacts.uids import new_artifact_uid
from projects.models import Project
from runs.models import Run


# --- Geometry -------------------------------------------------------------------------------------
def test_a_chain_is_a_straight_line_to_the_right():
    layout = lay_out([None, 0, 1, 2])

    assert len({place.y for place in layout.places}) == 1
    assert [place.x for place in layout.places] == sorted({place.x for place in layout.places})
    assert all("C" not in line for line in layout.lines)


def test_siblings_lie_below_each_other_and_the_first_beside_its_parent():
    places = lay_out([None, 0, 0, 0]).places

    assert places[1].y == places[0].y
    assert places[1].y < places[2].y < places[3].y
    assert places[1].x == places[2].x == places[3].x


@pytest.mark.parametrize(
    "parents",
    [[None], [None, 0, 0, 1, 1, 2, 2], [None, 0, 1, 1, 0, 4, 4, 3, 2, 2], [None, None, 0, 1], [None, 0, 0, 2, 1, 3, 1]],
)
def test_no_two_nodes_overlap_and_all_lie_inside(parents):
    layout = lay_out(parents)

    assert len(set(layout.places)) == len(parents)
    assert max(place.x for place in layout.places) + WIDTH <= layout.width
    assert max(place.y for place in layout.places) + HEIGHT <= layout.height
    assert len(layout.lines) == sum(parent is not None for parent in parents)


def test_a_chain_of_ten_thousand_is_laid_out_without_recursion():
    assert len(lay_out([None, *range(9_999)]).places) == 10_000


def test_a_parent_behind_its_child_is_refused():
    with pytest.raises(ValueError, match="before"):
        lay_out([1, None])


def test_nothing_is_laid_out_as_nothing():
    assert lay_out([]).places == []


@pytest.mark.parametrize(
    ("text", "short"),
    [("short", "short"), ("a  b\nc", "a b c"), ("x" * 30, "x" * 9 + "…"), ("漢" * 30, "漢" * 4 + "…"), ("", "")],
)
def test_a_title_is_shortened_by_how_wide_it_is(text, short):
    assert shorten(text, 10) == short


# --- The tree -------------------------------------------------------------------------------------
@pytest.fixture
def forest(db):
    """Makes runs and checkpoints of one project directly."""

    class Forest:
        project = Project.objects.create(name="the project")

        def run(self, name="run", resumed_from=None, **values):
            return Run.objects.create(
                project=self.project,
                name=name,
                recipe="simulate",
                executor="local",
                resumed_from=resumed_from,
                **values,
            )

        def checkpoint(self, run, step, *tags, **values):
            values = {"uid": new_artifact_uid("checkpoint"), "type": ArtifactType.CHECKPOINT, **values}
            one = Artifact.objects.create(
                run=run, name=f"step-{step}", source=values["uid"], step=step, **{"state": "verified", **values}
            )
            for tag in tags:
                ArtifactTag.objects.create(artifact=one, value=tag)
            return one

        def chain(self, length):
            runs = [self.run("run 0")]
            for number in range(1, length):
                runs.append(self.run(f"run {number}", resumed_from=self.checkpoint(runs[-1], number)))
            return runs

    return Forest()


def titles(lineage):
    return [node.title for node in lineage.nodes]


def way_to(lineage, title):
    """Return the titles from the project to a node."""
    index, way = titles(lineage).index(title), []
    while index is not None:
        way.append(lineage.nodes[index].title)
        index = lineage.nodes[index].parent
    return way[::-1]


def test_it_leads_from_the_project_over_runs_and_checkpoints_to_the_release(forest):
    first = forest.run("first")
    second = forest.run("second", resumed_from=forest.checkpoint(first, 100))
    released = forest.checkpoint(second, 200, "candidate", "release")

    lineage = read_lineage(first, current=released)

    assert way_to(lineage, "step-200") == ["the project", "first", "step-100", "second", "step-200"]
    assert lineage.nodes[-1].state == "release"
    assert lineage.nodes[-1].detail == "step 200 · candidate · release"
    assert [node.title for node in lineage.nodes if node.is_current] == ["step-200"]


def test_what_is_not_telling_is_counted_alone(forest):
    run = forest.run("only")
    for step in range(5):
        forest.checkpoint(run, step)
    forest.checkpoint(run, 9, state=ArtifactState.WRITING)

    lineage = read_lineage(run)

    assert titles(lineage) == ["the project", "only"]
    assert lineage.nodes[1].more == "5 more checkpoints"
    assert lineage.nodes[1].is_current


def test_a_damaged_checkpoint_says_so_before_its_tag(forest):
    run = forest.run()
    damaged = forest.checkpoint(run, 5, "release", state=ArtifactState.CORRUPT)

    node = read_lineage(run, current=damaged).nodes[-1]

    assert (node.state, node.detail) == ("corrupt", "step 5 · damaged · release")


def test_every_way_that_goes_on_from_a_checkpoint_is_shown(forest):
    first = forest.run("first")
    shared = forest.checkpoint(first, 10)
    for name in ("left", "right"):
        forest.run(name, resumed_from=shared)

    lineage = read_lineage(Run.objects.get(name="left"))

    assert way_to(lineage, "right") == ["the project", "first", "step-10", "right"]


@pytest.mark.parametrize("place", [0, 250, 499])
def test_of_a_chain_of_five_hundred_what_is_near_is_shown_and_the_rest_counted(
    forest, place, django_assert_max_num_queries
):
    run = forest.chain(500)[place]

    with django_assert_max_num_queries(3):
        lineage = read_lineage(run)

    shown = [node.title for node in lineage.nodes if node.kind == "run"]
    first = max(0, place - 4)
    assert shown == [f"run {number}" for number in range(first, min(500, place + 5))]
    assert lineage.earlier == first
    assert lineage.left_out == 500 - len(shown)


def test_of_a_hundred_siblings_some_are_shown_and_the_rest_counted(forest):
    first = forest.run("first")
    shared = forest.checkpoint(first, 10)
    for number in range(100):
        forest.run(f"child {number}", resumed_from=shared)

    lineage = read_lineage(first)

    assert sum(node.kind == "run" for node in lineage.nodes) == SHOWN_RUNS
    assert lineage.left_out == 101 - SHOWN_RUNS
    assert next(node for node in lineage.nodes if node.title == "step-10").more == f"{101 - SHOWN_RUNS} more runs"


def test_the_number_of_nodes_is_bounded_and_the_marked_one_is_always_there(forest):
    runs = forest.chain(30)
    for run in runs:
        for step in range(100, 110):
            forest.checkpoint(run, step, "candidate")
    marked = forest.checkpoint(runs[10], 999)

    lineage = read_lineage(runs[10], current=marked)

    assert len(lineage.nodes) <= SHOWN_NODES
    assert way_to(lineage, "step-999")[-2:] == ["run 10", "step-999"]
    assert all(node.parent is None or node.parent < place for place, node in enumerate(lineage.nodes))


def test_a_deleted_run_is_not_there(forest):
    first = forest.run("first")
    forest.run("gone", resumed_from=forest.checkpoint(first, 10), deleted_at=timezone.now())

    assert titles(read_lineage(first)) == ["the project", "first"]


def test_the_list_goes_from_each_node_to_what_follows_it(forest):
    first = forest.run("first")
    early, late = forest.checkpoint(first, 10), forest.checkpoint(first, 20)
    forest.run("from early", resumed_from=early)
    forest.run("from late", resumed_from=late)

    picture = draw_lineage(first)

    names = [(one.node.title, one.depth) for one in picture.indented]
    assert names == [
        ("the project", 0), ("first", 1), ("step-10", 2), ("from early", 3), ("step-20", 2), ("from late", 3),
    ]  # fmt: skip
