"""What PostgreSQL undoes is done again, and nothing else."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError, connection, transaction

from projects.models import Project
from tests.factories import at_once, new_project
from trainhub.retrying import MAX_TIMES, retry_undone


def undone(sqlstate: str) -> OperationalError:
    cause = Exception()
    cause.sqlstate = sqlstate
    error = OperationalError("undone")
    error.__cause__ = cause
    return error


def failing(*errors):
    """A function that raises the errors one after the other, and then returns how often it was called."""
    left = list(errors)

    @retry_undone
    def work() -> int:
        if left:
            raise left.pop(0)
        return len(errors) + 1

    return work


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_what_was_undone_is_done_again(sqlstate):
    assert failing(*[undone(sqlstate)] * (MAX_TIMES - 1))() == MAX_TIMES


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "errors",
    [[undone("40P01")] * MAX_TIMES, [undone("57P01")], [OperationalError("database is locked")], [ValueError()]],
    ids=["again and again", "the server stops", "locked", "a defect"],
)
def test_what_another_time_does_not_mend_is_raised(errors):
    with pytest.raises((OperationalError, ValueError)):
        failing(*errors)()


@pytest.mark.django_db
def test_within_a_transaction_of_the_caller_nothing_is_repeated():
    with pytest.raises(OperationalError), transaction.atomic():
        failing(undone("40P01"))()


@pytest.mark.django_db(transaction=True)
def test_two_that_wait_for_each_other_both_come_to_an_end():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time: nothing to wait for in a ring")
    first, second = (new_project(name=name) for name in "ab")
    both_hold_one = threading.Barrier(2)
    met = threading.local()

    @retry_undone
    def rename(*projects: Project) -> None:
        with transaction.atomic():
            for project in projects:
                Project.objects.filter(pk=project.pk).update(objective=f"{projects[0].name} first")
                if not getattr(met, "is_over", False):
                    met.is_over = True
                    both_hold_one.wait(timeout=30)

    at_once(lambda: rename(first, second), lambda: rename(second, first))

    assert len(set(Project.objects.values_list("objective", flat=True))) == 1
