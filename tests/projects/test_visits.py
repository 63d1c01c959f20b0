"""When people looked last: a visit goes on while somebody looks now and then."""

from datetime import timedelta

import pytest
from django.utils import timezone

from projects.models import Visit
from projects.visits import last_visit, note_look

NOON = timezone.now()


def look(user, minutes):
    return note_look(user=user, now=NOON + timedelta(minutes=minutes))


def test_the_first_visit_has_none_before_it(viewer):
    assert [look(viewer, 0), look(viewer, 10)] == [None, None]


def test_looks_in_short_order_are_one_visit(viewer):
    assert [look(viewer, minutes) for minutes in (0, 20, 40, 60)] == [None] * 4


def test_a_visit_after_a_pause_begins_where_the_one_before_ended(viewer):
    look(viewer, 0)
    look(viewer, 20)

    assert look(viewer, 51) == NOON + timedelta(minutes=20)


def test_a_visit_keeps_its_news_while_it_goes_on(viewer):
    look(viewer, 0)

    assert [look(viewer, minutes) for minutes in (31, 32, 50, 75)] == [NOON] * 4
    assert last_visit(viewer) == NOON


def test_people_have_visits_of_their_own(viewer, editor):
    look(viewer, 0)

    assert look(editor, 60) is None


@pytest.mark.parametrize(("minutes", "queries"), [(0.5, 1), (2, 2), (60, 2)])
def test_a_look_writes_seldom(viewer, minutes, queries, django_assert_num_queries):
    look(viewer, 0)

    with django_assert_num_queries(queries):
        look(viewer, minutes)


def test_a_clock_that_steps_back_changes_nothing(viewer):
    look(viewer, 0)
    look(viewer, -600)

    assert Visit.objects.get().looked_at == NOON


def test_nobody_who_never_looked_has_a_visit(viewer):
    assert last_visit(viewer) is None
