"""`manage.py retention`: a table of what would go, or its removal to the end."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from artifacts.storage import store
from tests.artifacts.keeping.checkpointed import checkpoints, keep, steps_left, trained_run
from tests.factories import everything, new_project
from tests.runs.retained import ended_run, keep_for, rows_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project):
    keep_for(project, log=5, metrics=5)
    return ended_run(project, days=6)


@pytest.fixture
def other(db):
    """An old run of another project."""
    return ended_run(keep_for(new_project(), log=5), days=6)


def say(*arguments):
    out = StringIO()
    call_command("retention", *arguments, stdout=out)
    return [line.split() for line in out.getvalue().splitlines()]


def test_the_dry_run_prints_runs_and_totals_and_changes_nothing(project, run):
    before = everything()

    table = say("--dry-run")

    assert table[0][:2] == ["project", "run"]
    assert table[1] == [project.uid, run.uid, *f"{run.completed_at:%Y-%m-%d %H:%M:%S}".split(), "3", "18", "4", "96"]
    assert table[2] == [project.uid, "1", "runs", "in", "all", "3", "18", "4", "96"]
    assert everything() == before


def test_without_dry_run_it_removes_to_the_end(run, other):
    none = ["0", "checkpoints", "were", "removed."]
    assert say() == [["3", "logs", "and", "metric", "histories", "were", "removed."], none]

    assert (rows_of(run), rows_of(other)) == (0, 1)
    assert say() == [["0", "logs", "and", "metric", "histories", "were", "removed."], none]


def test_checkpoints_are_listed_with_the_reason_and_then_removed(project):
    run = trained_run(keep(project, 2), 0.3, 0.2, 0.1)
    first = checkpoints(run)[0]
    before = everything()

    table = say("--dry-run")[-3:]

    assert table[0] == ["project", "run", "checkpoint", "step", "bytes", "why"]
    assert table[1] == [project.uid, run.uid, first.uid, "100", "808", "not", "among", "the", "2", "newest"]
    assert table[2] == [project.uid, "1", "runs", "in", "all", "1", "checkpoints", "808"]
    assert everything() == before
    assert say("--project", project.uid)[-1] == ["1", "checkpoints", "were", "removed."]
    assert (steps_left(run), store().holds(first.uid)) == ([200, 300], False)


@pytest.mark.parametrize("arguments", [["--dry-run"], []])
def test_one_project_alone(project, run, other, arguments):
    said = say("--project", project.uid, *arguments)

    assert other.project.uid not in str(said)
    assert rows_of(other) == 2


def test_an_unknown_project_is_an_error_and_nothing_changes(run):
    before = everything()

    with pytest.raises(CommandError, match="There is no project proj_0"):
        say("--project", "proj_0")

    assert everything() == before
