"""The life of a run, held against its table: every pair of statuses, every reason, every verdict."""

import itertools

import pytest
from django.utils import timezone

from runs.attempts import (
    attempt_token,
    claim_attempt,
    describe_exit,
    end_attempt_without_report,
    finish_attempt,
    is_unreachable,
    judge,
    may_restart,
    open_attempt,
    record_heartbeat,
    record_start,
    token_digest,
)
from runs.lifecycle import EXTERNAL_TRANSITIONS, LIVE, OUTCOMES, TERMINAL, TRANSITIONS, Reason, Status, transition
from runs.models import Attempt, Run
from runs.services import cancel_run
from tests.runs.builders import (
    at_once,
    ended,
    exit_report,
    kinds,
    new_attempt,
    new_checkpoint,
    new_live_run,
    new_run,
)
from trainhub.errors import AlreadyClaimed, Fenced, IllegalTransition, StatusChanged

PAIRS = list(itertools.product(Status, Status))
LEGAL = [(seen, to) for seen, to in PAIRS if to in TRANSITIONS[seen]]
ILLEGAL = [(seen, to) for seen, to in PAIRS if to not in TRANSITIONS[seen]]
WRONG_REASONS = [
    (to, reason)
    for to, reason in itertools.product(sorted(TERMINAL), [None, *Reason])
    if reason is None or OUTCOMES[reason].status != to
]
A_REASON = {outcome.status: reason for reason, outcome in OUTCOMES.items()}
RESTARTABLE = {reason for reason, outcome in OUTCOMES.items() if outcome.may_restart}


def row_of(run):
    return Run.objects.filter(pk=run.pk).values().get()


# --- The table ------------------------------------------------------------------------------------
def test_the_table_knows_every_status_and_nothing_else():
    assert set(TRANSITIONS) == set(Status)
    assert set().union(*TRANSITIONS.values()) <= set(Status)
    assert {status for status, following in TRANSITIONS.items() if not following} == TERMINAL
    assert LIVE.isdisjoint(TERMINAL)


@pytest.mark.parametrize("start", [status for status in Status if status not in TERMINAL])
def test_every_status_leads_to_an_end(start):
    reached, found = {start}, {start}
    while found:
        found = set().union(*(TRANSITIONS[status] for status in found)) - reached
        reached |= found
    assert {Status.FAILED, Status.CANCELLED} <= reached


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_leads_to_one_terminal_status_and_has_a_sentence(reason):
    outcome = OUTCOMES[reason]
    assert outcome.status in TERMINAL
    assert outcome.category in {"program", "infra", "user", "limit", "lost"}
    assert outcome.text.endswith(".")
    assert not (outcome.may_restart and outcome.status != Status.FAILED)


# --- transition -----------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize(("seen", "to"), LEGAL)
def test_a_legal_step_is_stored_with_its_event(seen, to):
    run = new_run(seen)
    reason = A_REASON[to] if to in TERMINAL else None

    returned = transition(run=run, to=to, actor="somebody", reason=reason, message="why", evidence={"pid": 7})

    event = run.events.get()
    assert returned is run
    assert (row_of(run)["status"], run.status) == (to, to)
    assert (event.kind, event.actor, event.message, event.reason) == (to, "somebody", "why", reason or "")
    assert event.evidence == {"from": seen, "pid": 7}


@pytest.mark.django_db
@pytest.mark.parametrize(("seen", "to"), ILLEGAL)
def test_an_illegal_step_is_refused_and_changes_nothing(seen, to):
    run = new_run(seen)
    before = row_of(run)

    with pytest.raises(IllegalTransition) as refusal:
        transition(run=run, to=to, actor="somebody", reason=A_REASON.get(to))

    assert refusal.value.extra == {"status": seen, "allowed": sorted(TRANSITIONS[seen])}
    assert row_of(run) == before
    assert kinds(run) == []


@pytest.mark.django_db
@pytest.mark.parametrize(("seen", "to"), PAIRS)
def test_an_external_run_is_running_or_ended_and_may_run_again(seen, to):
    run = new_run(seen, is_managed=False)
    before = row_of(run)
    allowed = EXTERNAL_TRANSITIONS.get(seen, frozenset())
    if to in allowed:
        transition(run=run, to=to, actor="somebody", reason=A_REASON.get(to))
        assert row_of(run)["status"] == to
        assert (row_of(run)["completed_at"] is None) == (to not in TERMINAL)
        assert (row_of(run)["reason"] == "") == (to not in TERMINAL)
    else:
        with pytest.raises(IllegalTransition) as refusal:
            transition(run=run, to=to, actor="somebody", reason=A_REASON.get(to))
        assert refusal.value.extra["allowed"] == sorted(allowed)
        assert row_of(run) == before


@pytest.mark.django_db
@pytest.mark.parametrize(("to", "reason"), WRONG_REASONS)
def test_an_end_needs_a_reason_that_leads_to_it(to, reason):
    run = new_run(Status.CANCELLING)

    with pytest.raises(ValueError, match="does not lead to"):
        transition(run=run, to=to, actor="somebody", reason=reason)

    assert row_of(run)["status"] == Status.CANCELLING
    assert kinds(run) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("seen", "to", "column"),
    [
        (Status.STARTING, Status.QUEUED, "queued_at"),
        (Status.STARTING, Status.RUNNING, "started_at"),
        (Status.RUNNING, Status.CANCELLING, "cancel_requested_at"),
        (Status.QUEUED, Status.CANCELLED, "completed_at"),
        (Status.QUEUED, Status.STARTING, "status_changed_at"),
    ],
)
def test_a_step_notes_its_moment(seen, to, column):
    run = new_run(seen, age_seconds=60)
    now = timezone.now()

    transition(run=run, to=to, actor="somebody", reason=A_REASON.get(to), at=now)

    assert row_of(run)[column] == now
    assert row_of(run)["status_changed_at"] == now


@pytest.mark.django_db
def test_a_restarted_run_keeps_the_moment_of_its_first_start():
    run = new_run(Status.RUNNING, age_seconds=60)
    first = run.started_at

    transition(run=run, to=Status.QUEUED, actor="runner")
    transition(run=run, to=Status.STARTING, actor="scheduler")
    transition(run=run, to=Status.RUNNING, actor="runner")

    assert row_of(run)["started_at"] == first


@pytest.mark.django_db
def test_a_completed_run_has_all_its_progress_and_a_failed_one_what_it_had():
    completed, failed = new_run(Status.RUNNING, progress=0.4), new_run(Status.RUNNING, progress=0.4)

    transition(run=completed, to=Status.COMPLETED, actor="runner", reason=Reason.FINISHED)
    transition(run=failed, to=Status.FAILED, actor="runner", reason=Reason.TRAINER_FAILED)

    assert (row_of(completed)["progress"], row_of(failed)["progress"]) == (1.0, 0.4)


@pytest.mark.django_db
@pytest.mark.parametrize("to", [Status.STARTING, Status.CANCELLED])
def test_a_run_that_no_longer_waits_shows_no_reason_for_waiting(to):
    run = new_run(waiting_reason="Waits for a free slot: 4 of 4 are in use.")

    transition(run=run, to=to, actor="somebody", reason=A_REASON.get(to))

    assert row_of(run)["waiting_reason"] == ""


@pytest.mark.django_db
def test_a_step_from_an_old_look_is_refused_and_changes_nothing():
    run = new_run()
    old = Run.objects.get(pk=run.pk)
    transition(run=run, to=Status.CANCELLED, actor="ann", reason=Reason.CANCELLED)
    before = row_of(run)

    with pytest.raises(StatusChanged):
        transition(run=old, to=Status.STARTING, actor="scheduler")

    assert row_of(run) == before
    assert kinds(run) == ["cancelled"]


@pytest.mark.django_db(transaction=True)
def test_of_many_that_move_a_run_at_once_one_wins():
    run = new_run(Status.RUNNING)
    steps = [(Status.CANCELLING, None), (Status.COMPLETED, Reason.FINISHED), (Status.FAILED, Reason.LOST)] * 3

    def move(to, reason):
        mine = Run.objects.get(pk=run.pk)
        return lambda: transition(run=mine, to=to, actor="somebody", reason=reason)

    answers = at_once(*(move(to, reason) for to, reason in steps))

    winners = [answer for answer in answers if isinstance(answer, Run)]
    assert len(winners) == 1
    assert [type(answer) for answer in answers if answer is not winners[0]] == [StatusChanged] * 8
    assert row_of(run)["status"] == winners[0].status
    assert kinds(run) == [winners[0].status]


@pytest.mark.django_db(transaction=True)
def test_cancel_finish_and_loss_at_once_leave_one_end_that_agrees_with_its_event(django_user_model):
    attempt = new_live_run()
    user = django_user_model.objects.create(username="ann")

    at_once(
        lambda: cancel_run(run=Run.objects.get(pk=attempt.run_id), by=user),
        lambda: finish_attempt(attempt=Attempt.objects.get(pk=attempt.pk), report=exit_report()),
        lambda: end_attempt_without_report(attempt=Attempt.objects.get(pk=attempt.pk), reason=Reason.LOST),
    )

    status, reason = ended(attempt.run)
    ends = attempt.run.events.filter(kind__in=TERMINAL)
    assert [(event.kind, event.reason) for event in ends] == [(status, reason)]
    attempt.refresh_from_db()
    assert attempt.reason == reason


# --- judge ----------------------------------------------------------------------------------------
VERDICTS = [
    # asked to cancel, what the runner reports, verdict
    (False, {}, Reason.FINISHED),
    (True, {}, Reason.FINISHED),  # it was faster than the order
    (True, {"was_stopped": True}, Reason.CANCELLED),
    (True, {"was_stopped": True, "exit_code": 3}, Reason.CANCELLED),
    (True, {"was_stopped": True, "exit_code": None, "signal": 9, "was_killed": True}, Reason.CANCELLED),
    (True, {"runner_died": True, "exit_code": None}, Reason.CANCELLED),
    (True, {"exit_code": 3}, Reason.TRAINER_FAILED),  # by itself, before the order came
    (True, {"problem": "workspace_failed", "exit_code": None}, Reason.START_FAILED),
    (False, {"exit_code": 3}, Reason.TRAINER_FAILED),
    (False, {"exit_code": None, "signal": 9}, Reason.TRAINER_KILLED),
    (False, {"exit_code": None, "signal": 11}, Reason.TRAINER_KILLED),
    (False, {"exit_code": None, "signal": 9, "out_of_memory": True}, Reason.OUT_OF_MEMORY),
    (False, {"was_stopped": True}, Reason.STOPPED_OUTSIDE),
    (False, {"was_stopped": True, "signal": 9, "was_killed": True}, Reason.STOPPED_OUTSIDE),
    (False, {"runner_died": True, "exit_code": None}, Reason.RUNNER_DIED),
    (False, {"runner_died": True, "was_stopped": True, "exit_code": None}, Reason.RUNNER_DIED),
    (False, {"problem": "resume_damaged", "exit_code": None}, Reason.CHECKPOINT_DAMAGED),
    (False, {"problem": "command_not_found", "exit_code": None}, Reason.START_FAILED),
    (False, {"problem": "workspace_failed", "exit_code": None}, Reason.START_FAILED),
]


@pytest.mark.parametrize(("is_asked", "changes", "verdict"), VERDICTS)
def test_verdict_follows_from_the_report_and_the_request(is_asked, changes, verdict):
    status = Status.CANCELLING if is_asked else Status.RUNNING
    assert judge(run_status=status, report=exit_report(**changes)) == verdict


def test_every_verdict_that_a_report_can_lead_to_is_in_the_table():
    by_scheduler = {Reason.LOST, Reason.CANCELLED_UNCONFIRMED, Reason.START_TIMEOUT, Reason.SUBMIT_REFUSED}
    by_client = {Reason.REPORTED_FAILED, Reason.REPORTED_KILLED}
    by_engine = {Reason.NODE_FAILED, Reason.TIME_LIMIT, Reason.PREEMPTED, Reason.CANCELLED_IN_ENGINE}
    assert {verdict for _, _, verdict in VERDICTS} == set(Reason) - by_scheduler - by_client - by_engine


@pytest.mark.parametrize(
    ("changes", "reason", "text"),
    [
        ({"exit_code": 3, "message": "ValueError: no"}, Reason.TRAINER_FAILED, "Exit code 3. ValueError: no"),
        ({"exit_code": None, "signal": 9}, Reason.TRAINER_KILLED, "Signal 9."),
        ({"message": "noise"}, Reason.FINISHED, ""),
        ({"exit_code": 1, "was_stopped": True, "message": "noise"}, Reason.CANCELLED, "Exit code 1."),
        (
            {"exit_code": None, "signal": 9, "was_killed": True},
            Reason.CANCELLED,
            "It did not stop within the grace period and was killed.",
        ),
    ],
)
def test_the_end_is_described_with_the_trainers_last_words(changes, reason, text):
    assert describe_exit(exit_report(**changes), reason) == text


def test_the_description_of_an_end_fits_its_column():
    report = exit_report(exit_code=1, message="x" * 1000)
    assert len(describe_exit(report, Reason.TRAINER_FAILED)) == 1000


# --- restarts -------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize("status", sorted(LIVE))
@pytest.mark.parametrize("reason", list(Reason))
def test_only_a_crash_that_nobody_asked_for_restarts(status, reason):
    attempt = new_live_run(status, max_restarts=1)
    expected = reason in RESTARTABLE and status != Status.CANCELLING
    assert may_restart(attempt.run, attempt, reason) == expected


@pytest.mark.django_db
@pytest.mark.parametrize(("max_restarts", "expected"), [(0, False), (1, False), (2, True)])
def test_restarts_are_counted(max_restarts, expected):
    run = new_run(Status.RUNNING, max_restarts=max_restarts)
    new_attempt(run, ended_at=timezone.now())
    assert may_restart(run, new_attempt(run), Reason.RUNNER_DIED) == expected


@pytest.mark.django_db
def test_a_crash_with_restarts_left_queues_the_run_again():
    attempt = new_live_run(max_restarts=1)

    finish_attempt(attempt=attempt, report=exit_report(exit_code=2, message="boom"))

    event = attempt.run.events.get()
    attempt.refresh_from_db()
    assert ended(attempt.run) == (Status.QUEUED, None)
    assert attempt.ended_at is not None
    assert event.message == "The trainer ended with an error. Restart 1 of 1. Exit code 2. boom"
    assert (event.kind, event.evidence["ended_by"], event.evidence["exit_code"]) == ("queued", "trainer_failed", 2)


@pytest.mark.django_db
def test_a_crash_without_restarts_left_fails_the_run():
    attempt = new_live_run()

    finish_attempt(attempt=attempt, report=exit_report(exit_code=2, message="boom"))

    assert ended(attempt.run) == (Status.FAILED, Reason.TRAINER_FAILED)
    assert attempt.run.reason_text == "The trainer ended with an error. Exit code 2. boom"
    assert kinds(attempt.run) == ["failed"]


# --- open_attempt ---------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_first_attempt_resumes_from_what_was_asked_for():
    source = new_checkpoint(new_run(Status.COMPLETED), 7)
    run = new_run(resumed_from=source)
    new_checkpoint(run, 9)

    attempt = open_attempt(run=run, gpu_indexes=[1])

    assert (attempt.number, attempt.resume_from, attempt.gpu_indexes) == (1, source, [1])
    assert (run.status, kinds(run)) == (Status.STARTING, ["starting"])


@pytest.mark.django_db
def test_a_restart_resumes_from_the_newest_verified_checkpoint():
    run = new_run()
    new_attempt(run, ended_at=timezone.now())
    newest = new_checkpoint(run, 20)
    new_checkpoint(run, 10)
    new_checkpoint(run, 30, state="corrupt")
    new_checkpoint(run, 40, state="writing")

    assert open_attempt(run=run, gpu_indexes=[]).resume_from == newest


@pytest.mark.django_db
def test_a_restart_without_a_checkpoint_of_its_own_resumes_from_what_was_asked_for():
    source = new_checkpoint(new_run(Status.COMPLETED), 7)
    run = new_run(resumed_from=source)
    new_attempt(run, ended_at=timezone.now())

    assert open_attempt(run=run, gpu_indexes=[]).resume_from == source


@pytest.mark.django_db
def test_an_attempt_of_a_run_that_is_not_queued_is_not_opened():
    run = new_run()
    old = Run.objects.get(pk=run.pk)
    transition(run=run, to=Status.CANCELLED, actor="ann", reason=Reason.CANCELLED)

    with pytest.raises(StatusChanged):
        open_attempt(run=old, gpu_indexes=[])

    assert not run.attempts.exists()


@pytest.mark.django_db
def test_attempts_keep_a_digest_of_their_token_and_never_share_one():
    run = new_run()
    first = open_attempt(run=run, gpu_indexes=[])

    assert first.token_digest == token_digest(attempt_token(first.uid))
    assert attempt_token(first.uid) not in str(Attempt.objects.filter(pk=first.pk).values().get())
    assert attempt_token(first.uid) != attempt_token(first.uid + "x")


# --- claim, start, heartbeat ----------------------------------------------------------------------
def claim_of(instance):
    return {"instance": instance, "host": "node7", "pid": 11, "boot_id": "b"}


def beat(phase="training", progress=None):
    return {"phase": phase, "progress": progress, "sent_at_ms": int(timezone.now().timestamp() * 1000)}


@pytest.mark.django_db
def test_the_runner_that_asks_first_gets_the_attempt_and_may_ask_again():
    attempt = new_live_run(Status.STARTING, attempt={"claimed_at": None, "claimed_by": ""})

    claim_attempt(attempt=attempt, claim=claim_of("first"))
    claimed_at = attempt.claimed_at
    claim_attempt(attempt=attempt, claim=claim_of("first"))

    assert (attempt.claimed_by, attempt.claimed_at, attempt.host) == ("first", claimed_at, "node7")


@pytest.mark.django_db
def test_a_second_runner_does_not_get_the_attempt():
    attempt = new_live_run(Status.STARTING, attempt={"claimed_by": "first"})

    with pytest.raises(AlreadyClaimed):
        claim_attempt(attempt=attempt, claim=claim_of("second"))

    assert Attempt.objects.get(pk=attempt.pk).claimed_by == "first"


@pytest.mark.django_db(transaction=True)
def test_of_many_runners_that_claim_at_once_one_gets_the_attempt():
    attempt = new_live_run(Status.STARTING, attempt={"claimed_at": None, "claimed_by": ""})

    def claimant(name):
        mine = Attempt.objects.get(pk=attempt.pk)
        return lambda: claim_attempt(attempt=mine, claim=claim_of(name))

    answers = at_once(*(claimant(f"runner {number}") for number in range(6)))

    assert [type(answer) for answer in answers].count(AlreadyClaimed) == 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    "call",
    [
        lambda attempt: claim_attempt(attempt=attempt, claim=claim_of("first")),
        lambda attempt: record_start(attempt=attempt, trainer_pid=1),
        lambda attempt: record_heartbeat(attempt=attempt, heartbeat=beat()),
    ],
)
def test_an_attempt_that_has_ended_is_fenced(call):
    attempt = new_live_run(Status.STARTING)
    old = Attempt.objects.select_related("run").get(pk=attempt.pk)
    end_attempt_without_report(attempt=attempt, reason=Reason.RUNNER_DIED)

    with pytest.raises(Fenced):
        call(old)

    assert ended(attempt.run) == (Status.FAILED, Reason.RUNNER_DIED)


@pytest.mark.django_db
def test_the_trainers_start_makes_the_run_running_once():
    attempt = new_live_run(Status.STARTING, attempt={"started_at": None})

    record_start(attempt=attempt, trainer_pid=4711)
    record_start(attempt=attempt, trainer_pid=4711)

    assert ended(attempt.run)[0] == Status.RUNNING
    assert kinds(attempt.run) == ["running"]
    assert attempt.run.events.get().evidence["trainer_pid"] == 4711


@pytest.mark.django_db
def test_a_late_start_does_not_undo_a_cancel():
    attempt = new_live_run(Status.CANCELLING)

    record_start(attempt=attempt, trainer_pid=4711)

    assert ended(attempt.run)[0] == Status.CANCELLING


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "order"), [(Status.RUNNING, None), (Status.CANCELLING, "cancel")])
def test_a_heartbeat_brings_back_the_order(status, order):
    attempt = new_live_run(status)
    assert record_heartbeat(attempt=attempt, heartbeat=beat(progress=0.5)) == order
    assert row_of(attempt.run)["progress"] == 0.5


@pytest.mark.django_db
@pytest.mark.parametrize(("phase", "is_forgotten"), [("training", True), ("stopping", True), ("finishing", False)])
def test_a_heartbeat_refutes_the_runners_death_unless_a_recovery_may_have_sent_it(phase, is_forgotten):
    attempt = new_live_run(attempt={"runner_gone_at": timezone.now()})

    record_heartbeat(attempt=attempt, heartbeat=beat(phase))

    assert (Attempt.objects.get(pk=attempt.pk).runner_gone_at is None) == is_forgotten


@pytest.mark.django_db
def test_stopping_is_noted_once_in_the_timeline():
    attempt = new_live_run(Status.CANCELLING)

    record_heartbeat(attempt=attempt, heartbeat=beat("stopping"))
    record_heartbeat(attempt=attempt, heartbeat=beat("stopping"))
    finish_attempt(attempt=attempt, report=exit_report(was_stopped=True))

    assert kinds(attempt.run) == ["signalled", "cancelled"]


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "expected"), [(29, False), (31, True)])
def test_silence_of_more_than_30_seconds_is_called_unreachable(age, expected):
    attempt = new_live_run(attempt={"age_seconds": age})
    assert is_unreachable(attempt) == expected


# --- ends -----------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_report_that_comes_again_changes_nothing():
    attempt = new_live_run()
    finish_attempt(attempt=attempt, report=exit_report())
    before = row_of(attempt.run)

    finish_attempt(attempt=attempt, report=exit_report(exit_code=1))

    assert row_of(attempt.run) == before
    assert kinds(attempt.run) == ["completed"]


@pytest.mark.django_db
def test_a_report_that_overtakes_the_start_still_ends_the_run():
    attempt = new_live_run(Status.STARTING, attempt={"started_at": None})

    finish_attempt(attempt=attempt, report=exit_report())

    assert ended(attempt.run) == (Status.COMPLETED, Reason.FINISHED)
    assert kinds(attempt.run) == ["running", "completed"]


@pytest.mark.django_db
def test_an_end_without_a_report_of_a_run_to_be_cancelled_is_a_cancel():
    attempt = new_live_run(Status.CANCELLING)

    end_attempt_without_report(attempt=attempt, reason=Reason.RUNNER_DIED)

    assert ended(attempt.run) == (Status.CANCELLED, Reason.CANCELLED)


@pytest.mark.django_db
def test_the_scheduler_does_not_end_an_attempt_that_has_reported():
    attempt = new_live_run()
    finish_attempt(attempt=attempt, report=exit_report())

    assert end_attempt_without_report(attempt=attempt, reason=Reason.LOST) is None

    assert ended(attempt.run) == (Status.COMPLETED, Reason.FINISHED)
    assert kinds(attempt.run) == ["completed"]


@pytest.mark.django_db
def test_an_engines_long_words_fit_their_columns():
    attempt = new_live_run(Status.STARTING)

    end_attempt_without_report(attempt=attempt, reason=Reason.SUBMIT_REFUSED, message="sbatch: " + "x" * 5000)

    assert ended(attempt.run) == (Status.FAILED, Reason.SUBMIT_REFUSED)
    assert len(attempt.run.reason_detail) == 1000


# --- cancel ---------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_queued_run_is_cancelled_at_once(admin_user):
    run = cancel_run(run=new_run(), by=admin_user)

    assert ended(run) == (Status.CANCELLED, Reason.CANCELLED)
    assert kinds(run) == ["cancelled"]


@pytest.mark.django_db
def test_cancel_twice_leaves_one_event(admin_user):
    attempt = new_live_run()

    cancel_run(run=attempt.run, by=admin_user)
    cancel_run(run=attempt.run, by=admin_user)

    assert ended(attempt.run)[0] == Status.CANCELLING
    assert kinds(attempt.run) == ["cancelling"]


@pytest.mark.django_db
@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_run_that_has_ended_cannot_be_cancelled(admin_user, status):
    run = new_run(status)
    before = row_of(run)

    with pytest.raises(IllegalTransition):
        cancel_run(run=run, by=admin_user)

    assert row_of(run) == before
    assert kinds(run) == []
