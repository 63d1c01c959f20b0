"""Everything that goes to the hub for one attempt, from the first heartbeat to the exit report."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

from runner.artifacts import UPLOAD_IDLE_SECONDS, ArtifactWatcher
from runner.client import GIVE_UP_SECONDS, Client, Fenced, NoAnswer, Refused, retry
from runner.control import Control
from runner.durable import note, write_record
from runner.folder import AttemptFolder
from runner.heartbeat import Heartbeat
from runner.protocol import ClaimAnswer, ExitReport, StartedRequest
from runner.sender import LogStream, MetricStream, Sender
from runner.spool import Spool
from runner.telemetry import Telemetry
from runner.threads import start_thread

UPLOAD_SECONDS: Final = 3600.0  # after the trainer's end
MAX_STEPS: Final = 2**63  # steps are int64
STEP_SECONDS: Final = 0.5  # how soon a wait notices that the attempt was fenced


class Delivery:
    """The threads that send, and the last steps in their order. Used by a runner and by a recovery."""

    def __init__(self, folder: AttemptFolder, job: dict[str, Any], claim: ClaimAnswer, control: Control) -> None:
        self._folder, self._job, self._control = folder, job, control
        logs = Spool(folder.spool / "logs", claim["log_sequence"])
        metrics = Spool(folder.spool / "metrics", claim["metric_sequence"])
        self.telemetry = Telemetry(logs, metrics, find_max_steps(claim["config"]))
        self._heartbeat = Heartbeat(self.make_client(), control, lambda: self.telemetry.progress)
        self._senders = {
            "logs": Sender(self.make_client(), logs, LogStream(), control),
            "metrics": Sender(self.make_client(), metrics, MetricStream(self.telemetry.remark), control),
        }
        self.artifacts = ArtifactWatcher(
            self.make_client(UPLOAD_IDLE_SECONDS),
            control,
            folder.output,
            folder.artifacts,
            claim["checkpoint_pattern"],
            claim["complete_marker"],
            self.telemetry.remark,
        )

    def make_client(self, timeout: float | None = None) -> Client:
        """Return a connection of its own for one more thread."""
        options = {} if timeout is None else {"timeout": timeout}
        return Client(self._job["hub_url"], self._job["token"], **options)

    def start(self) -> None:
        """Begin with heartbeats and with sending what the spool holds."""
        start_thread("heartbeat", self._heartbeat.run)
        start_thread("flush", self.telemetry.run)
        for name, sender in self._senders.items():
            start_thread(f"send {name}", sender.run)

    def trainer_started(self, pid: int) -> None:
        """Tell the hub, look for artifacts, and show the first lines quickly."""
        request: StartedRequest = {"trainer_pid": pid, "started_at_ms": time.time_ns() // 1_000_000}
        self.telemetry.trainer_started()
        start_thread("tell start", lambda: self._tell("started", dict(request)))
        start_thread("artifacts", self.artifacts.run)

    def finish(self, report: ExitReport) -> bool:
        """Deliver everything, then the report. False when something is left for a recovery.

        Takes as long as the hub is away, at most an hour for uploads and a day for the rest.
        """
        self._store_artifacts()
        self.telemetry.close_metrics()
        is_complete = self._drain(self.telemetry.metrics)
        self.telemetry.close_logs()
        is_complete = self._drain(self.telemetry.logs) and is_complete
        is_complete = is_complete and self._report(report)
        self._heartbeat.end()
        return is_complete

    def _store_artifacts(self) -> None:
        self.artifacts.trainer_ended()
        deadline = time.monotonic() + UPLOAD_SECONDS
        while not self.artifacts.done.wait(STEP_SECONDS):
            if self._control.fenced.is_set() or time.monotonic() >= deadline:
                break
        if not self.artifacts.done.is_set():
            self.artifacts.tell_leftovers(self.artifacts.leave())

    def _drain(self, spool: Spool) -> bool:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while not spool.wait_empty(STEP_SECONDS):
            if self._control.fenced.is_set() or time.monotonic() >= deadline:
                return False
        return True

    def _report(self, report: ExitReport) -> bool:
        how = self._tell("exit", dict(report))
        if how == "told":
            self.artifacts.delete_copies()
        if how in ("told", "refused"):  # refused: a recovery would only be refused again
            self._folder.mark_delivered(how)
        return how in ("told", "refused")

    def _tell(self, path: str, request: dict[str, Any]) -> str:
        """Repeat a call until the hub has taken it. Returns "told", "refused", "fenced" or "unanswered"."""
        try:
            with contextlib.closing(self.make_client()) as client:
                retry(lambda: client.post(path, request), leaving=self._control.fenced)
        except Fenced:
            self._control.fence()
            return "fenced"
        except Refused as refusal:
            note(f"the hub refused {path}: {refusal}")
            return "refused"
        except NoAnswer as problem:
            note(f"gave up on {path}: {problem}")
            return "unanswered"
        return "told"


def find_max_steps(config: dict[str, Any]) -> float | None:
    """Return the positive number of steps that the run's settings ask for, None without one."""
    for section in ("model_parameters", "hyperparameters"):
        values = config.get(section)
        steps = values.get("max_steps") if isinstance(values, dict) else None
        if isinstance(steps, int | float) and not isinstance(steps, bool) and 0 < steps < MAX_STEPS:
            return float(steps)
    return None


def write_exit(folder: AttemptFolder, report: ExitReport) -> None:
    """Keep the report on disk, also on a full one: the reserved space is released first."""
    with contextlib.suppress(OSError):
        folder.reserve.unlink()
    try:
        write_record(folder.exit, report)
    except OSError as error:
        note(f"exit.json could not be written: {error.strerror}; the report is {report}")
