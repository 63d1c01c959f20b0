"""Starting: order, room, and the reason that every waiting run shows."""

from threading import Event

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from runs.attempts import attempt_token, token_digest
from runs.executors.base import Capacity, ClosedExecutor, ExecutorError, MissingExecutor, SubmitRefused
from runs.lifecycle import Reason, Status
from runs.models import Run
from runs.scheduler import start
from runs.scheduler.room import Room, Space
from runs.scheduler.start import BEHIND_OTHERS, start_waiting_runs
from runs.waiting import remedy_of
from tests.runs.builders import at_once, ended, kinds, new_live_run, new_run
from tests.runs.scheduler.conftest import BROKEN, seconds

pytestmark = pytest.mark.django_db


def waiting_reason(run):
    return Run.objects.get(pk=run.pk).waiting_reason


def started(*runs):
    """Names of those that have started, in the order of their attempts."""
    rows = Run.objects.filter(pk__in=[run.pk for run in runs], status=Status.STARTING)
    return list(rows.order_by("attempts__pk").values_list("name", flat=True))


def gpus_of(run):
    return run.attempts.get().gpu_indexes


# --- One run --------------------------------------------------------------------------------------
def test_a_waiting_run_is_recorded_before_it_is_submitted(engine, now):
    run = new_run()

    assert start_waiting_runs(now) == 1

    attempt = run.attempts.get()
    assert ended(run)[0] == Status.STARTING
    assert kinds(run) == ["starting"]
    assert (attempt.handle, attempt.submitted_at is not None) == (f"job-{attempt.uid}", True)


def test_the_runner_gets_the_attempts_name_folder_token_and_address(engine, now, settings):
    settings.NODE_URL = "http://hub:8000"
    run = new_run()

    start_waiting_runs(now)

    request, attempt = engine.requests[0], run.attempts.get()
    assert request.name == attempt.uid
    assert request.folder == settings.DATA_DIR / "attempts" / attempt.uid
    assert request.hub_url == "http://hub:8000"
    assert token_digest(request.token) == attempt.token_digest
    assert request.token == attempt_token(attempt.uid)


@pytest.mark.parametrize("status", [status for status in Status if status != Status.QUEUED])
def test_a_run_that_does_not_wait_is_left_alone(engine, now, status):
    run = new_run(status)

    assert start_waiting_runs(now) == 0

    assert ended(run)[0] == status
    assert engine.requests == []


def test_a_run_made_by_a_tracking_client_is_not_started(engine, now):
    run = new_run(is_managed=False)

    assert start_waiting_runs(now) == 0

    assert ended(run)[0] == Status.QUEUED


def test_a_run_cancelled_while_the_scheduler_looked_at_it_is_not_started(engine, now, admin_user):
    old = new_run()
    Run.objects.filter(pk=old.pk).update(status=Status.STARTING)

    assert start.start_run(run=old, space=Space({"local": Room(engine, [])}), digests={}) is False

    assert engine.requests == []
    assert not old.attempts.exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite locks no rows")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("problem", ["", "Nothing starts here now."])
def test_a_run_that_somebody_has_locked_does_not_keep_the_others_from_starting(engine, now, problem):
    locked, other = new_run(age_seconds=20), new_run(age_seconds=10)
    engine.problem = problem
    is_locked, is_over = Event(), Event()

    def hold():
        with transaction.atomic():
            Run.objects.select_for_update().get(pk=locked.pk)
            is_locked.set()
            is_over.wait(60)

    def look():
        is_locked.wait(60)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = 100")
            return start_waiting_runs(now)
        finally:
            is_over.set()

    assert at_once(hold, look)[1] == (0 if problem else 1)
    assert ended(other)[0] == (Status.QUEUED if problem else Status.STARTING)
    engine.problem = ""
    start_waiting_runs(now)
    assert ended(locked)[0] == Status.STARTING


def test_a_refused_run_fails_with_the_engines_words(engine, now):
    engine.failure = SubmitRefused("partition gpu is unknown")
    run = new_run()

    start_waiting_runs(now)

    assert ended(run) == (Status.FAILED, Reason.SUBMIT_REFUSED)
    assert run.reason_text == "The executor refused the run. partition gpu is unknown"


@pytest.mark.parametrize("failure", [BROKEN, RuntimeError("a mistake of ours")])
def test_an_engine_that_cannot_be_asked_leaves_the_run_for_later_and_the_others_their_turn(engine, now, failure):
    engine.failure = failure
    first, second = new_run(age_seconds=20), new_run(age_seconds=10)

    assert start_waiting_runs(now) == 2

    assert [ended(run)[0] for run in (first, second)] == [Status.STARTING, Status.STARTING]
    assert [run.attempts.get().submitted_at for run in (first, second)] == [None, None]


# --- Order ----------------------------------------------------------------------------------------
def test_higher_priority_starts_first_then_the_longest_wait(engine, now):
    engine.total = Capacity(slots=3, gpus=0)
    runs = [
        new_run(name="late", age_seconds=1),
        new_run(name="early", age_seconds=60),
        new_run(name="unimportant", age_seconds=600, priority=-5),
        new_run(name="important", age_seconds=0, priority=5),
    ]

    assert start_waiting_runs(now) == 3

    assert started(*runs) == ["important", "early", "late"]


def test_slots_are_counted_with_those_that_run_already(engine, now):
    engine.total = Capacity(slots=3, gpus=0)
    new_live_run()
    new_live_run(Status.CANCELLING)
    first, second = new_run(age_seconds=2), new_run(age_seconds=1)

    assert start_waiting_runs(now) == 1

    assert ended(first)[0] == Status.STARTING
    assert waiting_reason(second) == "Waits for a free slot: 3 of 3 are in use."


def test_runs_of_another_executor_take_no_slots_here(engine, engines, now):
    engine.total = Capacity(slots=1, gpus=0)
    new_live_run(executor="slurm")
    run = new_run()

    assert start_waiting_runs(now) == 1

    assert ended(run)[0] == Status.STARTING


# --- GPUs -----------------------------------------------------------------------------------------
def test_gpus_are_given_by_index_and_never_twice(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    new_live_run(gpus=2, attempt={"gpu_indexes": [0, 3]})
    first, second = new_run(gpus=4, age_seconds=2), new_run(gpus=2, age_seconds=1)

    assert start_waiting_runs(now) == 2

    assert (gpus_of(first), gpus_of(second)) == ([1, 2, 4, 5], [6, 7])
    assert [request.gpu_indexes for request in engine.requests] == [(1, 2, 4, 5), (6, 7)]


def test_a_run_without_gpus_is_told_to_use_none_where_there_are_some(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    new_run()
    start_waiting_runs(now)
    assert engine.requests[0].gpu_indexes == ()


def test_nobody_chooses_gpus_where_there_are_none(engine, now):
    new_run()
    start_waiting_runs(now)
    assert engine.requests[0].gpu_indexes is None


def test_a_recipe_that_reserves_nothing_starts_without_the_gpus_it_names(engine, now):
    run = new_run(gpus=8, nodes=2, recipe_snapshot={"reserves_compute": False})

    assert start_waiting_runs(now) == 1

    assert gpus_of(run) == []
    assert (engine.requests[0].nodes, engine.requests[0].gpus_per_node) == (1, 0)


# --- Reasons --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("total", "wanted", "text"),
    [
        (Capacity(slots=4, gpus=0), {"nodes": 2, "gpus": 8}, "Needs 2 × 8 GPUs, this executor has 0."),
        (Capacity(slots=4, gpus=8), {"nodes": 2, "gpus": 8}, "Needs 2 × 8 GPUs, this executor has 8."),
        (Capacity(slots=4, gpus=8), {"nodes": 2, "gpus": 4}, "Needs 2 nodes, this executor has 1."),
        (Capacity(slots=4, gpus=8), {"nodes": 2}, "Needs 2 nodes, this executor has 1."),
        (Capacity(slots=4, gpus=8), {"gpus": 8}, "Needs 1 × 8 GPUs, 6 of 8 are free."),
        (Capacity(slots=1, gpus=8), {"gpus": 1}, "Waits for a free slot: 1 of 1 are in use."),
    ],
)
def test_a_run_that_does_not_fit_says_why(engine, now, total, wanted, text):
    engine.total = total
    new_live_run(attempt={"gpu_indexes": [0, 1]})
    run = new_run(**wanted)

    assert start_waiting_runs(now) == 0

    assert waiting_reason(run) == text
    assert ended(run)[0] == Status.QUEUED


def test_the_executors_problem_is_the_reason(engine, now):
    engine.problem = "Less than 256 MiB are free on the disk of the attempts folder."
    run = new_run()
    assert start_waiting_runs(now) == 0
    assert waiting_reason(run) == engine.problem


def test_a_very_long_problem_is_cut_to_its_column(engine, now):
    engine.problem = "x" * 2000
    run = new_run()
    start_waiting_runs(now)
    assert len(waiting_reason(run)) == 500


def test_an_executor_that_cannot_tell_its_size_is_the_reason_and_disturbs_no_other(engine, engines, now, monkeypatch):
    def fail():
        raise ExecutorError("sinfo timed out")

    monkeypatch.setattr(engine, "capacity", fail)
    engines["other"] = type(engine)()
    here, there = new_run(), new_run(executor="other")

    assert start_waiting_runs(now) == 1

    assert waiting_reason(here) == "The executor cannot be asked: sinfo timed out."
    assert ended(there)[0] == Status.STARTING


def test_a_missing_executor_is_the_reason(engine, now):
    run, other = new_run(executor="slurm", age_seconds=5), new_run()

    assert start_waiting_runs(now) == 1

    assert waiting_reason(run) == "There is no executor slurm any more."
    assert ended(other)[0] == Status.STARTING


@pytest.mark.parametrize(
    "closed",
    [lambda _, problem: MissingExecutor("local", problem), ClosedExecutor],
    ids=["from the start", "while the hub runs"],
)
def test_what_is_wrong_with_a_declaration_is_for_operators(engines, now, closed):
    engines["local"].kind = "local"
    engines["local"] = closed(engines["local"], "/etc/executors.toml: slotz is not known.")
    run = new_run()

    assert start_waiting_runs(now) == 0

    assert waiting_reason(run) == "The executor local is declared wrongly."
    assert "operator" in remedy_of(waiting_reason(run))


def test_gpus_given_away_under_another_name_of_the_executor_are_not_given_twice(engine, now):
    engine.total = Capacity(slots=9, gpus=2)
    new_live_run(executor="before", attempt={"gpu_indexes": [0]})
    first, second = new_run(gpus=1, age_seconds=9), new_run(gpus=1, age_seconds=8)

    assert start_waiting_runs(now) == 1

    assert first.attempts.get().gpu_indexes == [1]
    assert waiting_reason(second) == "Needs 1 × 1 GPUs, 0 of 2 are free."


def test_small_runs_do_not_overtake_a_large_one_that_waits_for_gpus(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    new_live_run(attempt={"gpu_indexes": [0]})
    large = new_run(name="large", gpus=8, age_seconds=60)
    small, without_gpus = new_run(gpus=1, age_seconds=5), new_run(age_seconds=4)

    assert start_waiting_runs(now) == 1

    assert waiting_reason(large) == "Needs 1 × 8 GPUs, 7 of 8 are free."
    assert waiting_reason(small) == "Waits behind a run that came first and waits for GPUs."
    assert ended(without_gpus)[0] == Status.STARTING


def test_a_run_that_can_never_start_holds_up_nobody(engine, now):
    engine.total = Capacity(slots=9, gpus=8)
    new_run(gpus=9, age_seconds=60)
    new_run(gpus=2, nodes=2, age_seconds=50)
    small = new_run(gpus=1, age_seconds=5)

    assert start_waiting_runs(now) == 1

    assert ended(small)[0] == Status.STARTING


def test_many_runs_that_can_never_start_hold_up_nobody_either(engine, now, monkeypatch):
    monkeypatch.setattr(start, "LOOKED_AT_ONCE", 3)
    impossible = [new_run(gpus=8, age_seconds=60) for _ in range(7)]
    run = new_run()

    assert start_waiting_runs(now) == 1

    assert ended(run)[0] == Status.STARTING
    assert {waiting_reason(one) for one in impossible} == {"Needs 1 × 8 GPUs, this executor has 0."}


def test_runs_that_were_not_looked_at_show_a_reason_too(engine, now, monkeypatch):
    monkeypatch.setattr(start, "LOOKED_AT_ONCE", 2)
    engine.total = Capacity(slots=1, gpus=0)
    runs = [new_run(age_seconds=60 - number) for number in range(5)]

    assert start_waiting_runs(now) == 1

    texts = [waiting_reason(run) for run in runs]
    assert texts == ["", "Waits for a free slot: 1 of 1 are in use.", *[BEHIND_OTHERS] * 3]


@pytest.mark.parametrize(("later", "is_checked"), [(5, False), (25, True)])
def test_a_reason_is_checked_again_before_it_is_a_minute_old(engine, now, later, is_checked):
    run = new_run(gpus=8)
    start_waiting_runs(now)

    start_waiting_runs(now + seconds(later))

    checked_at = Run.objects.get(pk=run.pk).waiting_checked_at
    assert checked_at == (now + seconds(later) if is_checked else now)


def test_a_new_reason_shows_at_once(engine, now):
    run = new_run(gpus=8)
    start_waiting_runs(now)
    engine.total = Capacity(slots=1, gpus=8)
    new_live_run(attempt={"gpu_indexes": [7]})

    start_waiting_runs(now + seconds(1))

    assert waiting_reason(run) == "Waits for a free slot: 1 of 1 are in use."


# --- Many -----------------------------------------------------------------------------------------
def queue_many(count, **values):
    template = new_run(**values)
    first = Run.objects.get(pk=template.pk)
    copies = []
    for number in range(count - 1):
        first.pk, first.uid = None, f"run_{number:06d}"
        copies.append(Run(**{field.attname: getattr(first, field.attname) for field in Run._meta.concrete_fields}))
    Run.objects.bulk_create(copies)


@pytest.mark.parametrize(("wanted", "most"), [({}, 8), ({"gpus": 8}, 20)])
def test_a_thousand_waiting_runs_cost_few_queries(engine, now, wanted, most):
    engine.total = Capacity(slots=1, gpus=0)
    new_live_run()
    queue_many(1000, **wanted)
    start_waiting_runs(now)

    with CaptureQueriesContext(connection) as queries:
        start_waiting_runs(now + seconds(1))

    assert len(queries) <= most
    assert not Run.objects.filter(status=Status.QUEUED, waiting_reason="").exists()


def test_a_pass_without_waiting_runs_is_one_query(engine, now, django_assert_num_queries):
    new_live_run()
    with django_assert_num_queries(1):
        start_waiting_runs(now)


def test_a_recipe_changed_since_the_run_was_queued_is_noted_in_the_timeline(engine, now):
    run = new_run()
    Run.objects.filter(pk=run.pk).update(recipe="simulate", recipe_digest="0" * 64)

    start_waiting_runs(now)

    event = run.events.get(kind="recipe_changed")
    assert event.evidence["recorded"] == "0" * 64
    assert event.message == "The recipe's files were changed since the run was queued."
