"""What a rule says of the checkpoints of one run, as a table; nothing is read."""

from datetime import UTC, datetime, timedelta

import pytest

from artifacts.keeping.rule import Checkpoint, CheckpointRule, Holds, Reason, judge_run
from artifacts.models import ArtifactState
from projects.models import MetricGoal

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAN, INFINITE = float("nan"), float("inf")
TAGGED = Reason(Holds.TAG, "tagged release by ada")


def checkpoint(number, *, step=0, state=ArtifactState.VERIFIED, ended=timedelta(hours=2), has_history=True):
    """The checkpoint of one run that was made as the `number`th, at ten times that step."""
    made = NOW - timedelta(days=1) + timedelta(minutes=number)
    ended_at = None if ended is None else NOW - ended
    at = number * 10 if step == 0 else step
    return Checkpoint(
        number, f"ckpt_{number}", f"c{number}", at, 5, made, 1, 7, "run_7", "a run", state, ended_at, has_history
    )


def five(**changes):
    return [checkpoint(number, **changes) for number in range(1, 6)]


def best(last, count, goal=MetricGoal.MINIMUM):
    return CheckpointRule(last, count, "eval_loss", goal)


def kept(checkpoints, rule, *, ties=None, values=None):
    """The numbers of the checkpoints that stay, each with the kinds of what keeps it."""
    verdicts = judge_run(checkpoints, rule, ties=ties or {}, values=values or {}, now=NOW)
    return {
        one.checkpoint.artifact_id: [reason.kind.value for reason in one.kept_by] for one in verdicts if not one.goes
    }


@pytest.mark.parametrize(
    ("last", "left"), [(1, {5}), (2, {4, 5}), (4, {2, 3, 4, 5}), (5, {1, 2, 3, 4, 5}), (9, {1, 2, 3, 4, 5})]
)
def test_the_newest_stay(last, left):
    assert kept(five(), CheckpointRule(last)) == {number: ["newest"] for number in left}


def test_without_a_rule_all_stay():
    assert kept(five(), CheckpointRule(None, 2, "loss")) == {number: ["no_rule"] for number in range(1, 6)}


@pytest.mark.parametrize(
    ("values", "rule", "left"),
    [
        ({1: 0.1, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.2}, best(1, 1), {1, 5}),
        ({1: 0.1, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.2}, best(1, 1, MetricGoal.MAXIMUM), {2, 5}),
        ({1: 0.1, 2: 0.5, 3: 0.4, 4: 0.3, 5: 0.05}, best(1, 1), {5}),  # the best is the newest: it counts once
        ({1: 0.3, 2: 0.3, 3: 0.3, 4: 0.9, 5: 0.9}, best(1, 2), {2, 3, 5}),  # of equal ones the newer
        ({1: NAN, 2: -INFINITE, 3: 0.4, 4: 0.5, 5: 0.6}, best(1, 1), {3, 5}),
        ({1: NAN, 2: NAN, 3: NAN, 4: NAN, 5: NAN}, best(2, 1), {4, 5}),  # it was measured, and none is good
        ({2: 0.4}, best(1, 3), {2, 5}),  # what was not measured is not the best
    ],
)
def test_the_best_stay_besides_the_newest(values, rule, left):
    assert set(kept(five(), rule, values=values)) == left


@pytest.mark.parametrize(("changes", "values"), [({}, {}), ({"has_history": False}, {1: 0.1})])
def test_all_stay_where_nobody_can_tell_the_best(changes, values):
    found = kept(five(**changes), best(1, 1), values=values)

    assert set(found) == {1, 2, 3, 4, 5}
    assert found[3] == ["unknown_best"]


@pytest.mark.parametrize(
    ("ended", "kind"), [(None, "live"), (timedelta(minutes=59), "recent"), (timedelta(minutes=61), None)]
)
def test_a_run_is_left_alone_until_an_hour_after_its_end(ended, kind):
    assert kept(five(ended=ended), CheckpointRule(1)).get(1) == (kind and [kind])


def test_what_is_built_on_stays_and_counts_among_the_newest():
    found = kept(five(), CheckpointRule(2), ties={5: [TAGGED], 1: [TAGGED]})

    assert found == {5: ["tag", "newest"], 4: ["newest"], 1: ["tag"]}


def test_one_without_a_step_stays_and_does_not_count():
    last = checkpoint(6, step=None)

    assert kept([*five(), last], CheckpointRule(1)) == {6: ["no_step"], 5: ["newest"]}


def test_damaged_ones_never_take_the_place_of_good_ones():
    damaged = [checkpoint(number, state=ArtifactState.CORRUPT) for number in (3, 4, 6)]
    good = [checkpoint(number) for number in (1, 2, 5)]

    # 6 and 4 have fewer than two good ones after them, 3 as well; 1 has two.
    assert set(kept([*good, *damaged], CheckpointRule(2))) == {6, 5, 4, 3, 2}
    assert set(kept([*good, *damaged], CheckpointRule(1))) == {6, 5}


def test_a_damaged_one_is_never_the_best():
    checkpoints = [checkpoint(1, state=ArtifactState.CORRUPT), *five()[1:]]
    values = {1: 0.0, 2: 0.1, 3: 0.4, 4: 0.3, 5: 0.2}

    assert set(kept(checkpoints, best(1, 1), values=values)) == {2, 5}


@pytest.mark.parametrize("later", [ArtifactState.VERIFIED, ArtifactState.CORRUPT])
@pytest.mark.parametrize("rule", [CheckpointRule(1), CheckpointRule(2), best(1, 1), best(2, 2)])
def test_what_has_not_been_read_stays_and_nothing_goes_that_would_not_go_without_it(rule, later):
    values = {1: 0.3, 2: 0.2, 3: 0.1, 4: 0.4, 5: 0.5}

    def judged(state):
        return kept(
            [*five()[:2], checkpoint(3, state=state), five()[3], checkpoint(5, state=state)], rule, values=values
        )

    unread = judged(ArtifactState.COMPLETE)

    assert (unread[3], unread[5]) == (["unread"], ["unread"])
    assert set(judged(later)) <= set(unread)
    assert 4 in unread  # the newest that is known to be whole


@pytest.mark.parametrize(
    ("rule", "values", "why"),
    [
        (CheckpointRule(1), {}, "older than the newest"),
        (CheckpointRule(3), {}, "not among the 3 newest"),
        (best(2, 1), {1: 0.5, 2: 0.25}, "not among the 2 newest, nor the best (eval_loss 0.5)"),
        (best(2, 1), {2: 0.25}, "not among the 2 newest, nor the best (no eval_loss)"),
    ],
)
def test_what_goes_says_why(rule, values, why):
    oldest = judge_run(five(), rule, ties={}, values=values, now=NOW)[-1]

    assert (oldest.goes, oldest.why) == (True, why)


def test_what_stays_says_all_that_keeps_it():
    newest = judge_run(five(), best(1, 1), ties={5: [TAGGED]}, values={5: 0.5}, now=NOW)[0]

    assert newest.why == "tagged release by ada; it is the newest of its run; it has the best eval_loss (0.5)"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (CheckpointRule(None), "all checkpoints"),
        (CheckpointRule(1), "the newest checkpoint"),
        (best(3, 2), "the 3 newest checkpoints and the 2 with the lowest eval_loss"),
        (best(1, 1, MetricGoal.MAXIMUM), "the newest checkpoint and the one with the highest eval_loss"),
    ],
)
def test_a_rule_is_told_in_words(rule, words):
    assert str(rule) == words
