"""Series over time, relative time and chains of resumed runs, against a plain list and one by one."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runs.models import Run
from runs.telemetry import lineage
from runs.telemetry.lineage import read_stories
from runs.telemetry.series import SeriesRequest, read_metrics
from runs.telemetry.window import Window
from tests.runs.telemetry.builders import new_attempt, new_checkpoint, new_run
from tests.runs.telemetry.model import points_of, small_chunks
from tests.runs.telemetry.test_series import (
    KEYS,
    actions,
    batches,
    extremes,
    filled,
    is_subsequence,
    points,
    send,
    send_and_fold,
)

pytestmark = pytest.mark.django_db

histories = st.lists(st.tuples(actions | st.just("resume"), batches), max_size=14)
full_batches = st.lists(points.map(lambda point: ("loss", *point[1:])), min_size=5, max_size=15)
long_histories = st.lists(
    st.tuples(
        st.sampled_from([*["append"] * 8, *["fold_everything"] * 4, "crash_in_section", "restart", "resume"]),
        full_batches,
    ),
    min_size=5,
    max_size=20,
)
spans = st.just((None, None)) | st.just((None, None)) | st.tuples(st.integers(-2, 26), st.integers(-2, 26))
wishes = st.fixed_dictionaries(
    {
        "axis": st.sampled_from(["step", "time", "relative"]),
        "steps": spans,
        "times": spans,
        "relatives": spans,
        "hidden": st.booleans(),
        "stitched": st.booleans(),
        "began": st.none() | st.integers(0, 25),
    }
)
often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_wish(model, wish, **wanted):
    began = None if wish["began"] is None else datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=wish["began"])
    Run.objects.update(started_at=began)
    ancestors = Run.objects.all() if wish["stitched"] else None
    stories = read_stories(Run.objects.filter(pk=model.run.pk), hidden=wish["hidden"], ancestors=ancestors)
    request = SeriesRequest(
        axis=wish["axis"],
        window=Window.between(*wish["steps"], *wish["times"]),
        first_relative=wish["relatives"][0],
        last_relative=wish["relatives"][1],
        **wanted,
    )
    return read_metrics(stories, request)[0].series


def began_of(model, wish):
    times = [point.time for point in model.story(stitched=wish["stitched"])]
    return min(times, default=0) if wish["began"] is None else wish["began"]


def bounds(span, start=0):
    first, last = span
    return (-math.inf, math.inf) if first is None else (start + first, start + last)


def expected_of(model, key, wish):
    relative, times = bounds(wish["relatives"], began_of(model, wish)), bounds(wish["times"])
    return model.visible(
        key,
        hidden=wish["hidden"],
        steps=bounds(wish["steps"]),
        times=(max(relative[0], times[0]), min(relative[1], times[1])),
        axis=wish["axis"],
        stitched=wish["stitched"],
    )


def generations(model, wish, expected):
    """Places of the points' runs in the chain: the run alone is the first of its own."""
    first = 0 if wish["stitched"] else model.generation
    return [point.generation - first for point in expected]


@often
@given(histories, wishes)
def test_whole_series_is_what_the_list_gives(db, history, wish):
    with small_chunks():
        model = filled(history)

        found = read_wish(model, wish, keys=KEYS)

    expected = {key: expected_of(model, key, wish) for key in found}
    assert {key: points_of(key, series) for key, series in found.items()} == {
        key: [point.text for point in some] for key, some in expected.items()
    }
    assert {key: series.run for key, series in found.items()} == {
        key: generations(model, wish, some) for key, some in expected.items()
    }
    assert set(found) == set(KEYS) & {point.key for point in model.story(stitched=wish["stitched"])}


@often
@given(long_histories, wishes, st.integers(5, 25), st.sampled_from([0, 0, 1, 30]))
def test_thinned_series_keeps_ends_and_extremes(db, history, wish, limit, unpacked):
    with small_chunks(points=3, unpacked_per_point=unpacked):
        model = filled([*history, ("append", [("loss", 3, 3, 1.0)])])

        found = read_wish(model, wish, keys=["loss"], limit=limit)["loss"]

    expected = expected_of(model, "loss", wish)
    whole, part = [point.text for point in expected], points_of("loss", found)
    assert (found.total, found.thinned, len(part) <= limit) == (len(whole), len(part) < len(whole), True)
    assert is_subsequence(part, whole)
    assert (part[:1], part[-1:]) == (whole[:1], whole[-1:])
    assert extremes(found.value) == extremes([point.value for point in expected])


@often
@given(histories, wishes)
def test_relative_time_is_counted_from_the_beginning(db, history, wish):
    with small_chunks():
        model = filled([*history, ("append", [("loss", 3, 3, 1.0)])])

        found = read_wish(model, {**wish, "axis": "relative"}, keys=["loss"])["loss"]

    assert found.relative == [time - began_of(model, wish) for time in found.time]


@pytest.fixture
def child():
    """A run resumed at step 2 from one whose second attempt went back to step 1."""
    first = new_attempt()
    send(first, *[(step, step, 1.0) for step in range(5)])
    checkpoint = new_checkpoint(first.run, 2, attempt=first)
    second = new_attempt(first.run, number=2, resume_from=new_checkpoint(first.run, 1, attempt=first))
    send(second, (2, 20, 2.0), (3, 30, 2.0))
    run = new_run(first.run.project, resumed_from=checkpoint)
    send(new_attempt(run, resume_from=checkpoint), (3, 300, 3.0))
    return run


def steps_of(run, *, hidden=False, key="loss"):
    stories = read_stories(Run.objects.filter(pk=run.pk), hidden=hidden, ancestors=Run.objects.all())
    found = read_metrics(stories, SeriesRequest(keys=[key]))[0].series[key]
    return list(zip(found.run, found.attempt, found.step, strict=True))


def test_attempts_after_the_one_that_made_the_checkpoint_are_no_part_of_the_story(child):
    assert steps_of(child) == [(0, 1, 0), (0, 1, 1), (0, 1, 2), (1, 1, 3)]


def test_hidden_shows_all_of_every_ancestor(child):
    assert len(steps_of(child, hidden=True)) == 8


def test_run_that_has_not_begun_shows_what_it_will_go_on_from(child):
    waiting = new_run(child.project, resumed_from=new_checkpoint(child, 3, attempt=child.attempts.get()))

    assert steps_of(waiting) == [(0, 1, 0), (0, 1, 1), (0, 1, 2), (1, 1, 3)]


def test_attempt_that_began_anew_shows_no_ancestor(child):
    send(new_attempt(child, number=2), (0, 400, 4.0))

    assert steps_of(child) == [(1, 2, 0)]


def test_measurements_of_the_nodes_of_all_runs_are_shown(child):
    parent = child.resumed_from.run
    send(parent.attempts.get(number=2), (9, 1, 0.5), key="system/cpu", sequence=2)
    send(child.attempts.get(), (1, 2, 0.5), key="system/cpu", sequence=2)

    assert steps_of(child, key="system/cpu") == [(0, 2, 9), (1, 1, 1)]


def test_story_begins_after_an_ancestor_that_the_caller_may_not_see(child):
    story = read_stories(Run.objects.filter(pk=child.pk), hidden=False, ancestors=Run.objects.none())

    assert [part.uid for part in story[0].parts] == [child.uid]


def test_story_of_one_run_leaves_out_ancestors_that_are_asked_for_beside_it(child):
    stories = read_stories(Run.objects.filter(project=child.project), hidden=False)

    assert [len(story.parts) for story in stories] == [1, 1]


def test_runs_resumed_from_each_other_end_the_story(child):
    parent = child.resumed_from.run
    Run.objects.filter(pk=parent.pk).update(resumed_from=new_checkpoint(child, 1))

    (story,) = read_stories(Run.objects.filter(pk=child.pk), hidden=False, ancestors=Run.objects.all())

    assert [part.uid for part in story.parts] == [parent.uid, child.uid]


def test_story_has_a_bounded_number_of_generations(child, monkeypatch):
    monkeypatch.setattr(lineage, "MAX_GENERATIONS", 3)
    run = child
    run = new_run(child.project, resumed_from=new_checkpoint(run, 4))
    run = new_run(child.project, resumed_from=new_checkpoint(run, 5))

    (story,) = read_stories(Run.objects.filter(pk=run.pk), hidden=False, ancestors=Run.objects.all())

    assert [part.run_id for part in story.parts] == [child.pk, run.resumed_from.run_id, run.pk]


@pytest.mark.parametrize(("runs", "keys"), [(1, ["loss"]), (6, ["loss"]), (6, KEYS)])
def test_queries_do_not_grow_with_the_number_of_runs_and_metrics(runs, keys):
    attempts = [new_attempt() for _ in range(runs)]
    with small_chunks(points=50, unpacked_per_point=1, in_list=500):
        [send_and_fold(attempt, 3) for attempt in attempts]
        [send(attempt, (5000, 1, 1.0), sequence=4) for attempt in attempts]

        with CaptureQueriesContext(connection) as counted:
            stories = read_stories(Run.objects.all(), hidden=False)
            read_metrics(stories, SeriesRequest(keys=keys, limit=30, window=Window.between(120, None, None, None)))

    assert len(counted) == 9
