"""When a silent runner's time is over. Time is passed in."""

import pytest

from runs.scheduler import hearing
from tests.runs.scheduler.conftest import seconds

DAY = seconds(24 * 3600)


@pytest.fixture(autouse=True)
def heard(web, monkeypatch):
    """Runners need 45 s to be heard, as they do."""
    monkeypatch.setattr(hearing, "HEARD", seconds(45))


def answers(now, deadline, *moments):
    """Return at each moment, in seconds from `now`, whether the time that ends at `deadline` is over."""
    one = hearing.Hearing()
    return [one.is_over(now + seconds(moment), now + seconds(deadline), longest=DAY) for moment in moments]


def test_who_is_silent_while_web_answers_is_given_up_at_the_deadline(now):
    assert answers(now, 100, *range(50, 102)) == [False] * 51 + [True]


def test_nobody_asks_long_before_a_deadline(now, web):
    answers(now, 100, 0, 20, 55)
    assert web.asked == 0

    answers(now, 100, 56)
    assert web.asked == 1


def test_web_is_asked_every_few_seconds(now, web):
    answers(now, 100, *[60 + tick / 5 for tick in range(60)])

    assert web.asked == 4


def test_a_scheduler_that_was_away_gives_everybody_time_to_be_heard(now):
    assert answers(now, 100, 5000, 5009, 5018, 5027, 5036, 5044, 5046) == [False] * 6 + [True]


def test_answers_with_a_gap_are_no_proof_of_the_time_between(now):
    assert answers(now, 100, 200, 240, 280, 320, 329, 338, 347, 356, 365) == [False] * 8 + [True]


def test_the_time_begins_again_when_web_is_back(now, web):
    one, deadline = hearing.Hearing(), now + seconds(100)
    for moment in range(60, 201, 4):
        web.is_up = moment < 90 or moment >= 150
        assert not one.is_over(now + seconds(moment), deadline, longest=DAY) or moment >= 152 + 45


def test_nobody_is_waited_for_longer_than_he_tries(now, web):
    web.is_up = False

    assert answers(now, 100, 100 + DAY.total_seconds(), 101 + DAY.total_seconds()) == [False, True]


def test_a_return_that_runners_may_not_have_noticed_counts_as_away(now, web):
    one = hearing.Hearing()
    assert not one.was_away(now)
    web.is_up = False
    assert one.was_away(now + seconds(3))
    web.is_up = True
    assert one.was_away(now + seconds(6))
    assert one.was_away(now + seconds(47))
    assert not one.was_away(now + seconds(51))
