"""A claimed attempt: prepare, train, stop when told to, and report the end."""

from __future__ import annotations

import os
import signal
import time
import traceback
from pathlib import Path
from typing import Any, Final

from runner.client import Fenced, NoAnswer
from runner.cluster import Allocation, ClusterOutput, ClusterTrainer, find_allocation
from runner.control import Control
from runner.delivery import Delivery, write_exit
from runner.durable import note, printable
from runner.folder import AttemptFolder
from runner.gpus import GpuReader, visible_devices
from runner.lines import ERROR, INFO
from runner.memory import count_oom_kills
from runner.output import Output, Parser
from runner.processes import become_subreaper, kill_tree
from runner.protocol import ClaimAnswer, ExitReport
from runner.sampler import Sampler
from runner.threads import start_thread
from runner.trainer import CannotStart, Trainer, make_environment
from runner.workspace import CannotPrepare, Problem, prepare

MAX_MESSAGE_CHARACTERS: Final = 500
PARSE_SECONDS: Final = 60.0  # for what was read but not yet parsed when the trainer ended
KILL_AGAIN_SECONDS: Final = 5.0
MAX_GRACE_SECONDS: Final = 7 * 24 * 3600.0


class Attempt:
    """Lives on the main thread: the trainer dies with the thread that started it."""

    def __init__(self, folder: AttemptFolder, job: dict[str, Any], claim: ClaimAnswer, control: Control) -> None:
        self._folder, self._job, self._claim, self._control = folder, job, claim, control
        self._delivery = Delivery(folder, job, claim, control)
        self._telemetry = self._delivery.telemetry
        self._resume_from: Path | None = None
        self._allocation: Allocation | None = None
        self._sampler: Sampler | None = None
        self._sink: Parser | ClusterOutput
        self._obstacle: CannotPrepare | None = None
        self._is_ready = False
        self._was_stopped = self._was_killed = False

    def run(self) -> bool:
        """Run to the end. False when something is left for a recovery."""
        self._delivery.start()
        self._prepare()
        if self._control.fenced.is_set():
            return self._leave_fenced()
        if self._control.is_stopping:
            self._was_stopped = True
            return self._finish_without_trainer(None, "")
        if self._obstacle:
            return self._finish_without_trainer(self._obstacle.problem, str(self._obstacle))
        try:
            trainer = self._start()
        except CannotStart as error:
            return self._finish_without_trainer(
                "command_not_found" if error.is_missing else "workspace_failed", str(error)
            )
        return self._supervise(trainer)

    def _prepare(self) -> None:
        """Prepare on another thread, so that a stop does not wait for a download."""
        start_thread("prepare", self._prepare_workspace)
        while not (self._is_ready or self._control.is_stopping or self._control.fenced.is_set()):
            self._control.wait()

    def _prepare_workspace(self) -> None:
        client = self._delivery.make_client()
        try:
            self._allocation = find_allocation(os.environ, self._claim.get("nodes", 1))
            self._resume_from = prepare(self._folder, self._claim, client, self._control.fenced)
        except CannotPrepare as problem:
            self._obstacle = problem
        except Fenced:
            self._control.fence()
        except NoAnswer as problem:
            self._obstacle = CannotPrepare("workspace_failed", f"The checkpoint could not be fetched: {problem}.")
        except Exception as error:  # noqa: BLE001  whatever it is, the trainer must not start half prepared
            note(f"preparing failed:\n{traceback.format_exc()}")
            self._obstacle = CannotPrepare("workspace_failed", f"Preparing failed: {type(error).__name__}.")
        finally:
            self._is_ready = True
            self._control.wake()

    def _start(self) -> Trainer:
        become_subreaper()
        environment = make_environment(os.environ, self._claim, self._folder, self._resume_from, self._job["hub_url"])
        self._oom_kills = count_oom_kills()
        nodes = self._allocation
        trainer = self._start_on_nodes(environment, nodes) if nodes else self._start_here(environment)
        trainer.watch(self._control)
        self._output.start()
        self._control.phase = "training"
        self._delivery.trainer_started(trainer.pid)
        return trainer

    def _start_here(self, environment: dict[str, str]) -> Trainer:
        trainer = Trainer(self._claim["command"], environment, self._folder.output)
        self._sink = Parser(self._telemetry)
        self._output = Output(self._sink, trainer.stdout, trainer.stderr)
        gpus = GpuReader(visible_devices(environment))
        self._sampler = Sampler(self._telemetry.add_sample, trainer.pid, gpus, self._folder.processes)
        start_thread("sample", self._sampler.run)
        return trainer

    def _start_on_nodes(self, environment: dict[str, str], allocation: Allocation) -> Trainer:
        """Start it on every node; those take samples of themselves."""
        trainer = ClusterTrainer(allocation, self._claim["command"], environment, self._folder.output)
        self._sink = ClusterOutput(self._telemetry, trainer, allocation.nodes, self._control)
        self._output = Output(self._sink, trainer.stdout, trainer.stderr)
        return trainer

    def _supervise(self, trainer: Trainer) -> bool:
        kill_at: float | None = None
        while not (trainer.has_ended or self._control.fenced.is_set()):
            if self._control.is_stopping and not self._was_stopped:
                kill_at = time.monotonic() + self._stop(trainer)
            if kill_at is not None and time.monotonic() >= kill_at:
                self._kill(trainer)
                kill_at = time.monotonic() + KILL_AGAIN_SECONDS
            if not trainer.has_ended:
                self._control.wait(None if kill_at is None else max(0.0, kill_at - time.monotonic()))
        if self._control.fenced.is_set():
            self._kill_tree(trainer)
            return self._leave_fenced()
        return self._end(trainer)

    def _stop(self, trainer: Trainer) -> float:
        """SIGTERM to the trainer; returns the seconds it has to save."""
        trainer.terminate()
        self._was_stopped = True
        self._control.enter("stopping")
        grace = self._control.grace_seconds
        grace = max(0.0, self._claim["grace_seconds"] if grace is None else grace)
        self._telemetry.remark(INFO, f"Stop requested: SIGTERM sent, {grace:g} s to save.")
        return min(grace, MAX_GRACE_SECONDS)

    def _kill(self, trainer: Trainer) -> None:
        if not self._was_killed:
            self._was_killed = True
            self._telemetry.remark(ERROR, "The grace period is over: the trainer and all its processes are killed.")
        if left := self._kill_tree(trainer):
            note(f"{left} processes could not be killed yet")

    def _kill_tree(self, trainer: Trainer) -> int:
        trainer.kill_elsewhere()
        spared = self._sampler.spared if self._sampler else ()
        helpers = [pid for pid in spared if pid != trainer.pid]
        return kill_tree(self._claim["attempt"], spared=helpers, unreaped=[trainer.pid])

    def _end(self, trainer: Trainer) -> bool:
        """The trainer process is gone: keep how, kill what it left, deliver everything."""
        exit_code, number = trainer.collect()
        was_killed_by_kernel = number == signal.SIGKILL and not self._was_killed
        report = self._make_report(exit_code=exit_code, signal=number)
        report["out_of_memory"] = was_killed_by_kernel and (count_oom_kills() or 0) > (self._oom_kills or 0)
        write_exit(self._folder, report)
        self._control.enter("finishing")
        if self._sampler:
            self._sampler.end()
        if left := self._kill_tree(trainer):
            self._telemetry.remark(ERROR, f"{left} processes of the trainer could not be killed.")
        self._delivery.artifacts.trainer_ended()
        self._output.finish(PARSE_SECONDS)
        report["progress"] = self._telemetry.progress
        self._sink.complete(report)
        report["message"] = printable(report["message"])[:MAX_MESSAGE_CHARACTERS]
        write_exit(self._folder, report)
        return self._deliver(report)

    def _finish_without_trainer(self, problem: Problem | None, message: str) -> bool:
        report = self._make_report(exit_code=None, signal=None)
        report["problem"] = problem
        report["message"] = printable(message)[:MAX_MESSAGE_CHARACTERS]
        if message:
            self._telemetry.remark(ERROR, message)
        write_exit(self._folder, report)
        self._control.enter("finishing")
        self._delivery.artifacts.done.set()
        return self._deliver(report)

    def _make_report(self, *, exit_code: int | None, signal: int | None) -> ExitReport:
        return {
            "exit_code": exit_code,
            "signal": signal,
            "was_stopped": self._was_stopped,
            "was_killed": self._was_killed,
            "out_of_memory": False,
            "runner_died": False,
            "problem": None,
            "message": "",
            "ended_at_ms": time.time_ns() // 1_000_000,
        }

    def _deliver(self, report: ExitReport) -> bool:
        is_delivered = self._delivery.finish(report)
        return self._leave_fenced() if self._control.fenced.is_set() else is_delivered

    def _leave_fenced(self) -> bool:
        note("another attempt took over, or the run has ended: nothing more is sent")
        self._folder.mark_delivered("fenced")
        return True
