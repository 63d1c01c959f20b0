"""What retention takes away, from whom, when, and what stays."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from projects.models import Project
from projects.services import archive_project, update_project
from runs import retention
from runs.models import RunMetric
from runs.retention import RetentionRule, add_up, carry_out, next_removal, would_go
from runs.telemetry.log_pages import follow
from runs.telemetry.log_ranges import count_lines
from runs.telemetry.removal import remove_leftovers
from runs.telemetry.series import read_series
from tests.factories import at_once, everything, fresh, kinds, new_artifact, new_project
from tests.runs.retained import ended_run, keep_for, live_run, rows_of
from tests.runs.telemetry.model import Crash

pytestmark = pytest.mark.django_db


def seen(run):
    """Lines and points that a reader gets."""
    return count_lines(run.pk), read_series(run_id=run.pk, keys=["loss"])["loss"].total


def finish():
    """Carry out everything."""
    counts = [carry_out(limit=100), carry_out(limit=100)]
    remove_leftovers(seconds=60)
    return counts


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({}, (3, 4)),
        ({"log": 5}, (0, 4)),
        ({"metrics": 5}, (3, 0)),
        ({"log": 5, "metrics": 5}, (0, 0)),
        ({"log": 7, "metrics": 5}, (3, 0)),
        ({"log": 36_500}, (3, 4)),
    ],
)
def test_what_is_older_than_the_project_keeps_goes(project, rule, left):
    run = ended_run(project, days=6)
    keep_for(project, **rule)

    finish()

    assert seen(run) == left


def test_retention_that_is_off_writes_nothing_at_all(project):
    ended_run(project, days=30_000)
    before = everything()

    assert finish() == [0, 0]

    assert everything() == before


@pytest.mark.parametrize(("days", "left"), [(4.999, (3, 4)), (5.001, (0, 0))])
def test_the_days_count_from_the_end_of_the_run(project, days, left):
    run = ended_run(project, days=days)
    keep_for(project, log=5, metrics=5)

    finish()

    assert seen(run) == left


def test_a_live_run_keeps_everything_however_old_it_is(project):
    run = live_run(project)
    type(run).objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(days=1000))
    keep_for(project, log=1, metrics=1)

    finish()

    assert seen(run) == (3, 4)


def test_other_projects_keep_theirs(project):
    keep_for(project, log=5)
    other = ended_run(keep_for(new_project(), log=7), days=6)

    finish()

    assert seen(other) == (3, 4)


def test_everything_else_of_the_run_stays(project):
    run = ended_run(project, days=6)
    new_artifact(run)
    before = [list(rows) for rows in (run.attempts.values(), run.artifacts.values(), run.events.values())]
    keep_for(project, log=5, metrics=5)

    finish()

    after = [list(rows) for rows in (run.attempts.values(), run.artifacts.values(), run.events.all()[:4].values())]
    assert (after[:2], after[2][: len(before[2])]) == (before[:2], before[2])
    assert RunMetric.objects.get(run=run).value == 3.0


def test_the_newest_values_are_complete_though_the_inbox_was_never_folded(project):
    run = ended_run(project, days=6)
    RunMetric.objects.filter(run=run).delete()
    run.telemetry.__class__.objects.filter(run=run).update(newest_batch=0)
    keep_for(project, metrics=5)

    finish()

    assert (RunMetric.objects.get(run=run).value, rows_of(run)) == (3.0, 1)


def test_the_timeline_tells_once_what_was_removed(project):
    run = ended_run(project, days=6)
    keep_for(project, log=5, metrics=5)

    finish()
    finish()

    told = run.events.filter(actor="retention").values_list("kind", "evidence")
    assert list(told) == [
        ("logs_removed", {"lines": 3, "text_bytes": 18, "days": 5}),
        ("metrics_removed", {"points": 4, "point_bytes": 96, "days": 5}),
    ]


def test_a_run_without_a_log_gets_no_event(project):
    run = ended_run(project, days=6, lines=0, points=0)
    keep_for(project, log=5, metrics=5)

    assert finish() == [0, 0]

    assert (fresh(run).log_removed_at, "logs_removed" in kinds(run)) == (None, False)


def test_retention_goes_on_in_an_archived_project(project, admin):
    run = ended_run(project, days=6)
    archive_project(project=keep_for(project, log=5))

    finish()

    assert seen(run) == (0, 4)


def test_no_more_than_the_limit_is_marked_at_once_oldest_end_first(project):
    runs = [ended_run(project, days=days) for days in (6, 8, 7)]
    keep_for(project, log=5, metrics=5)

    counts = [carry_out(limit=2), carry_out(limit=2), carry_out(limit=2), carry_out(limit=2)]

    assert counts == [2, 2, 2, 0]
    assert fresh(runs[1]).log_removed_at < fresh(runs[0]).log_removed_at


def test_one_project_alone_can_be_asked_for(project):
    run, other = ended_run(project, days=6), ended_run(new_project(), days=6)
    keep_for(project, log=5)
    keep_for(other.project, log=5)

    assert carry_out(limit=10, project=project) == 1

    assert (seen(run), seen(other)) == ((0, 4), (3, 4))


@pytest.mark.parametrize("days", [None, 7])
def test_a_change_between_the_look_and_the_removal_saves_the_log(project, monkeypatch, days):
    run = ended_run(project, days=6)
    keep_for(project, log=5)
    real = retention._lock_project

    def changed(found):
        update_project(project=project, values={"log_retention_days": days})
        return real(found)

    monkeypatch.setattr(retention, "_lock_project", changed)

    assert carry_out(limit=10) == 0
    assert (seen(run), fresh(run).log_removed_at) == ((3, 4), None)


@pytest.mark.parametrize("step", ["_lock_project", "_lock_run", "mark_removed"])
def test_a_crash_in_the_removal_leaves_the_log_and_the_next_pass_removes_it(project, monkeypatch, step):
    run = ended_run(project, days=6)
    keep_for(project, log=5)
    with monkeypatch.context() as broken:
        broken.setattr(retention, step, lambda *_, **__: (_ for _ in ()).throw(Crash()))
        assert carry_out(limit=10) == 0
    kept = seen(run)

    finish()

    assert (kept, seen(run), kinds(run).count("logs_removed")) == ((3, 4), (0, 4), 1)


def test_an_event_that_cannot_be_written_leaves_the_log(project, monkeypatch):
    run = ended_run(project, days=6)
    keep_for(project, log=5)
    monkeypatch.setattr("runs.models.RunEvent.save", lambda *_, **__: (_ for _ in ()).throw(Crash()))

    assert carry_out(limit=10) == 0

    assert (seen(run), len(follow(run_id=run.pk, after=0, limit=10))) == ((3, 4), 3)


def test_one_run_that_cannot_be_removed_does_not_keep_the_others(project, monkeypatch):
    broken, fine = ended_run(project, days=7), ended_run(project, days=6)
    keep_for(project, log=5)
    real = retention.mark_removed

    def mark(*, run_id, **values):
        return broken.nothing if run_id == broken.pk else real(run_id=run_id, **values)

    monkeypatch.setattr(retention, "mark_removed", mark)

    assert carry_out(limit=10) == 1
    assert (seen(broken), seen(fine)) == ((3, 4), (0, 4))


@pytest.mark.django_db(transaction=True)
def test_schedulers_at_once_remove_once(project):
    runs = [ended_run(project, days=6) for _ in range(5)]
    keep_for(project, log=5, metrics=5)

    counts = at_once(*[lambda: carry_out(limit=100)] * 3)
    at_once(*[lambda: remove_leftovers(seconds=60)] * 3)

    assert sum(counts) == 10
    assert {kinds(run).count("logs_removed") + kinds(run).count("metrics_removed") for run in runs} == {2}
    assert {rows_of(run) for run in runs} == {0}


# --- Looking ahead --------------------------------------------------------------------------------
def losses(project, rule, **shift):
    rows = would_go(project=project, rule=rule, now=timezone.now() + timedelta(**shift))
    return [(run.name, run.lost_lines, run.lost_text_bytes, run.lost_points) for run in rows], add_up(rows)


def test_the_look_ahead_names_what_each_run_loses_and_the_totals(project):
    for name, days in (("old", 9), ("older", 12), ("young", 1)):
        ended_run(project, days=days, name=name)
    live_run(project)

    named, totals = losses(project, RetentionRule(log_days=5, metric_days=10))

    assert named == [("older", 3, 18, 4), ("old", 3, 18, 0)]
    assert totals == {"runs": 2, "log_lines": 6, "log_bytes": 36, "metric_points": 4, "metric_bytes": 96}


def test_the_look_ahead_of_a_rule_that_is_off_is_empty(project):
    ended_run(project, days=9)

    named, totals = losses(project, RetentionRule(None, None))

    assert (named, set(totals.values())) == ([], {0})


def test_the_look_ahead_names_what_is_then_removed(project):
    for days in (1, 6, 9):
        ended_run(project, days=days)
    rule = RetentionRule.of(keep_for(project, log=5, metrics=8))
    _, totals = losses(project, rule)

    counts = finish()

    assert (counts, totals["log_lines"], totals["metric_points"]) == ([3, 0], 6, 4)
    assert losses(project, rule)[0] == []


def test_the_next_removal_is_the_first_that_comes(project):
    ended_run(project, days=9)
    run = ended_run(project, days=3)
    ended_run(project, days=1)
    now = timezone.now()

    moments = [
        next_removal(project=project, rule=RetentionRule(*days), now=now) for days in [(5, None), (None, 5), (8, 5)]
    ]

    assert moments == [run.completed_at + timedelta(days=5)] * 3
    assert next_removal(project=project, rule=RetentionRule(None, None), now=now) is None


@pytest.mark.parametrize("what", ["with_log", "with_metrics"])
def test_looking_for_what_is_too_old_uses_the_index_of_what_is_left(project, what):
    rows = getattr(project.runs, what)().ended_before(timezone.now())

    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL scans small tables whatever indexes there are")

    assert f"INDEX run_{what} " in rows.explain()


def test_days_outside_their_range_are_refused_by_the_database(project):
    from django.db import IntegrityError, transaction

    for_ever, too_long = Project.objects.filter(pk=project.pk), {"log_retention_days": 36_501}

    with pytest.raises(IntegrityError), transaction.atomic():
        for_ever.update(**too_long)
