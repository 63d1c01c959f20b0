"""Clears up after a runner that died: kills what it left running, sends what it left unsent, reports."""

from __future__ import annotations

import time
from typing import Any, Final, cast

from runner.control import Control
from runner.delivery import Delivery, write_exit
from runner.durable import note, read_record
from runner.folder import AttemptFolder
from runner.lines import WARNING
from runner.processes import kill_tree
from runner.protocol import ClaimAnswer, ExitReport
from runner.sampler import read_tree
from runner.supervise import read_claim
from runner.threads import start_thread

KILL_SECONDS: Final = 60.0
NOTHING_CLAIMED: Final[ClaimAnswer] = {
    "attempt": "",
    "command": [],
    "environment": {},
    "config": {},
    "datasets": [],
    "checkpoint_pattern": "checkpoints/*",
    "complete_marker": "",
    "grace_seconds": 0.0,
    "resume": None,
    "log_sequence": 0,
    "metric_sequence": 0,
}


def recover(folder: AttemptFolder) -> int:
    """Finish the attempt; may be killed and started again at any point. Returns the process's exit code."""
    if folder.delivered.exists():
        return 0
    left = read_record(folder.left)
    claim_record = read_record(folder.claim)
    if left and left.get("is_final") and claim_record is None:
        note("the hub did not let the runner start; nothing to recover")
        return 0
    if claim_record is not None:
        left = None  # a second runner left, because the one that claimed the attempt was there before it
    job = folder.read_job()
    control = Control()
    control.phase = "finishing"
    if still_alive := kill_tree(job["attempt"], known=read_tree(folder.processes), seconds=KILL_SECONDS):
        note(f"{still_alive} processes could not be killed")
        return 1
    claim = read_claim(folder, claim_record, job["attempt"]) or NOTHING_CLAIMED
    return 0 if _deliver(folder, job, claim, control, left) else 1


def _deliver(
    folder: AttemptFolder, job: dict[str, Any], claim: ClaimAnswer, control: Control, left: dict[str, Any] | None
) -> bool:
    delivery = Delivery(folder, job, claim, control)
    report = cast("ExitReport | None", read_record(folder.exit))
    if report is None:
        report = _report_death(left)
        write_exit(folder, report)
        if claim is not NOTHING_CLAIMED:
            delivery.telemetry.remark(WARNING, "The runner died; up to the last second of output may be missing.")
    delivery.start()
    # The hub waits for a recovery less long than verification may take; it goes on with that by itself.
    delivery.artifacts.trainer_ended(verify_seconds=0)
    start_thread("artifacts", delivery.artifacts.run)
    is_delivered = delivery.finish(report)
    if control.fenced.is_set():
        folder.mark_delivered("fenced")
        return True
    return is_delivered


def _report_death(left: dict[str, Any] | None) -> ExitReport:
    """Return the report for a trainer that nobody saw end."""
    return {
        "exit_code": None,
        "signal": None,
        "was_stopped": bool(left and left.get("was_stopped")),
        "was_killed": False,
        "out_of_memory": False,
        "runner_died": True,
        "problem": None,
        "message": "The runner could not reach the hub." if left else "The runner died.",
        "ended_at_ms": time.time_ns() // 1_000_000,
    }
