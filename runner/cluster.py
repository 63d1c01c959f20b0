"""A trainer on several nodes: one srun starts `runner.node` on each of them; this is the side of the runner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from runner import frames
from runner.control import Control
from runner.frames import Assembler, Frame
from runner.lines import WARNING
from runner.output import STDERR, STDOUT, Parser
from runner.protocol import ExitReport
from runner.telemetry import Telemetry
from runner.trainer import CannotStart, Trainer
from runner.workspace import CannotPrepare

ROOT: Final = Path(__file__).resolve().parents[1]
SCONTROL_SECONDS: Final = 30.0
FIRST_PORT, PORT_COUNT = 20000, 10000  # below the ports that Linux gives out by itself, from 32768
OBEY_SECONDS: Final = 3.0  # for the nodes to kill their processes, before Slurm does
FORCE_SECONDS: Final = 5.0  # for Slurm to do it
OTHERS_SECONDS: Final = 10.0  # after one node failed, for the others to end by themselves
SRUN: Final = (
    "--overlap",  # shares the nodes with the step of the runner
    "--ntasks-per-node=1",
    "--mem=0",  # all that the job has on each node
    "--cpu-bind=none",  # or the one task of a node gets one processor of many
    "--kill-on-bad-exit=1",
    "--wait=0",  # a node that is done does not limit the time of the others
    "--export=ALL",
    "--input=all",  # orders go to every node
    "--output=all",
    "--error=all",
)
MEANS: Final = {
    "system/cpu_utilization": re.compile(r"system/cpu_utilization"),
    "gpu_utilization": re.compile(r"system/gpu\.\d+\.utilization"),
}
UNBOUND: Final = b"srun: cluster configuration lacks support for cpu binding"  # said every time, and wanted


class Allocation(NamedTuple):
    """The nodes of the job, and where their processes meet: an address of the first node and a port free there."""

    nodes: int
    address: str
    port: int


def find_allocation(own: Mapping[str, str], wanted: int) -> Allocation | None:
    """Return the nodes that Slurm gave, None when there is one.

    Raises: CannotPrepare when `wanted` is another number.
    """
    given = int(own.get("SLURM_JOB_NUM_NODES", "1"))
    if given != wanted:
        raise CannotPrepare("workspace_failed", f"The run asks for {wanted} nodes, and its job has {given}.")
    if given == 1:
        return None
    try:
        address = _first_address(own["SLURM_JOB_NODELIST"])
        return Allocation(given, address, _find_port(FIRST_PORT + int(own["SLURM_JOB_ID"]) % PORT_COUNT))
    except (KeyError, ValueError, OSError, subprocess.SubprocessError) as error:
        raise CannotPrepare("workspace_failed", f"Slurm does not tell where the nodes meet: {error}") from error


def _first_address(hosts: str) -> str:
    """Return how the first node is reached; its name in Slurm need not be one that resolves."""
    host = _scontrol("hostnames", hosts).split()[0]
    match = re.search(r"\bNodeAddr=(\S+)", _scontrol("node", host))
    return match[1] if match else host


def _scontrol(*arguments: str) -> str:
    listing = subprocess.run(
        [shutil.which("scontrol") or "scontrol", "show", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SCONTROL_SECONDS,
        check=True,
    )
    if not listing.stdout.strip():
        raise ValueError("scontrol answers with nothing")
    return listing.stdout


def _find_port(first: int) -> int:
    """Return the first port from `first` on that is free here, on the first node."""
    for port in range(first, first + 100):
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(("", port))
            return port
    raise ValueError(f"no port from {first} on is free")


def meeting_variables(allocation: Allocation) -> dict[str, str]:
    """Return what every node is told of the others; those with PET_ are read by torchrun itself."""
    meeting = {"MASTER_ADDR": allocation.address, "MASTER_PORT": str(allocation.port), "NNODES": str(allocation.nodes)}
    return meeting | {f"PET_{name}": value for name, value in meeting.items()}


class ClusterTrainer(Trainer):
    """srun and, below it, the trainer on every node. Orders go through srun's stdin, as a signal to srun kills all."""

    def __init__(self, allocation: Allocation, command: list[str], environment: Mapping[str, str], cwd: Path) -> None:
        """Start srun; must run on the main thread. Raises CannotStart."""
        program = shutil.which("srun")
        if program is None:
            raise CannotStart("srun cannot be found.", is_missing=False)
        nodes = [f"--nodes={allocation.nodes}", f"--ntasks={allocation.nodes}", f"--chdir={ROOT}"]
        on_each = [sys.executable, "-E", "-s", "-S", "-m", "runner.node", *command]
        orders, self._orders = os.pipe2(os.O_CLOEXEC)
        self._ordering = threading.Lock()
        self._is_closed = False
        try:
            super().__init__(
                [program, *SRUN, *nodes, *on_each],
                {**environment, **meeting_variables(allocation)},
                cwd,
                stdin=orders,
                is_bound=False,  # its death would be a kill without last words; the end of its stdin is none
            )
        except CannotStart:
            self.release()
            raise
        finally:
            os.close(orders)

    def _order(self, word: bytes) -> None:
        with self._ordering, contextlib.suppress(OSError):
            if not self._is_closed:
                os.write(self._orders, word + b"\n")

    def release(self) -> None:
        """Let nodes go that wait for the others."""
        with self._ordering:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._orders)

    def terminate(self) -> None:
        """Have SIGTERM sent to the trainer's process on every node."""
        self._order(b"stop")

    def order_kill(self) -> None:
        """Have everything killed on every node; returns at once."""
        self._order(b"kill")

    def kill_elsewhere(self) -> None:
        """Have everything killed on every node, by Slurm where a node does not obey. Takes up to 8 seconds."""
        self.order_kill()
        if not self.ended.wait(OBEY_SECONDS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)  # which srun takes as: kill all tasks at once
            self.ended.wait(FORCE_SECONDS)


class ClusterOutput:
    """What the nodes send: lines, samples, and how their trainers ended. The first that fails ends the others."""

    def __init__(self, telemetry: Telemetry, trainer: ClusterTrainer, nodes: int, control: Control) -> None:
        self._telemetry, self._trainer, self._nodes, self._control = telemetry, trainer, nodes, control
        self._assembler = Assembler()
        self._engine = Parser(telemetry)  # what srun says
        self._fault = ""  # its first error, of which the others follow
        self._parsers: dict[int, Parser] = {}
        self._samples: dict[int, dict[str, float]] = {}  # the last one of each node that still trains
        self._ends: dict[int, dict[str, Any]] = {}  # by node, in the order of arrival

    def take(self, stream: int, time_us: int, line: bytes) -> None:
        """Handle a line of srun's output."""
        try:
            if stream == STDOUT and (frame := self._assembler.feed(line)):
                self._handle(frame, time_us)
        except (ValueError, KeyError, TypeError):
            stream = STDERR
        if stream == STDERR and line != UNBOUND:
            self._engine.take(STDERR, time_us, line)
            if b"error:" in line and not self._fault:
                self._fault = self._engine.last_complaint

    def _handle(self, frame: Frame, time_us: int) -> None:
        if frame.kind in (frames.STDOUT, frames.STDERR):
            stream = STDOUT if frame.kind == frames.STDOUT else STDERR
            self._parser_of(frame.node).take(stream, time_us, frame.data)
        elif frame.kind == frames.LOST:
            self._telemetry.lines_left_out(int(frame.data))
        elif frame.kind == frames.SAMPLE:
            self._add_sample(frame.node, **json.loads(frame.data))
        else:
            self._note_end(frame.node, json.loads(frame.data))

    def _parser_of(self, node: int) -> Parser:
        origin = f"[node {node}] " if node else ""
        return self._parsers.setdefault(node, Parser(self._telemetry, origin))

    def _add_sample(self, node: int, step: int, values: dict[str, float]) -> None:
        """Add what is used on a node; with the first node's, the means over all processors and all GPUs."""
        values.pop("gpu_utilization", None)
        named = {key.replace("system/", f"system/node.{node}.", 1): value for key, value in values.items()}
        self._samples[node] = values
        if node == min(self._samples):
            known = [item for sample in self._samples.values() for item in sample.items()]
            for mean, pattern in MEANS.items():
                if parts := [value for key, value in known if pattern.fullmatch(key)]:
                    named[mean] = sum(parts) / len(parts)
        self._telemetry.add_sample(step, named)

    def _note_end(self, node: int, end: dict[str, Any]) -> None:
        is_failure = _has_failed(end) and not self._control.is_stopping
        is_first_failure = is_failure and not any(map(_has_failed, self._ends.values()))
        self._ends[node] = end
        self._samples.pop(node, None)
        if len(self._ends) == self._nodes:
            self._trainer.release()
        elif is_first_failure:
            self._telemetry.remark(WARNING, f"{_describe(node, end)} The other nodes are stopped.")
            self._trainer.terminate()
            kill = threading.Timer(OTHERS_SECONDS, self._trainer.order_kill)
            kill.daemon = True
            kill.start()

    def lines_left_out(self, count: int) -> None:
        """Count lines that were thrown away."""
        self._telemetry.lines_left_out(count)

    def flush(self) -> None:
        """Write what was collected."""
        self._telemetry.flush()

    def complete(self, report: ExitReport) -> None:
        """Put into the report how the first node failed; where none says so, what Slurm says of a bad end."""
        failed = [(node, end) for node, end in self._ends.items() if _has_failed(end)]
        if not failed:
            self._engine.complete(report)  # a node is gone, or Slurm ended the step
            if report["message"]:
                report["message"] = self._fault or report["message"]
            return
        node, end = failed[0]
        report["exit_code"], report["signal"], report["problem"] = end["exit_code"], end["signal"], end["problem"]
        report["out_of_memory"] = any(one["out_of_memory"] for one in self._ends.values())
        if not report["was_stopped"]:
            said = self._parser_of(node).last_complaint or end["message"]
            report["message"] = f"{_describe(node, end)} {said}".strip()


def _has_failed(end: Mapping[str, Any]) -> bool:
    return bool(end["exit_code"] != 0)


def _describe(node: int, end: Mapping[str, Any]) -> str:
    if end["problem"]:
        how = "could not start the trainer"
    elif end["signal"] is not None:
        how = f"was ended by signal {end['signal']}"
    else:
        how = f"ended with exit code {end['exit_code']}"
    return f"Node {node} ({end['host']}) was the first to fail: it {how}."
