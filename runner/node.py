"""`python -m runner.node COMMAND…`: started by srun once on each node of a run over several, runs the trainer there.

Orders come line by line on stdin, from the runner on the first node: "stop" is SIGTERM to the trainer, "kill" ends
everything at once. The end of stdin means that the runner is gone, and is "kill". What happens here goes to stdout, as
frames. Slurm's own signals reach the trainer without this process, so that it ignores them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runner import frames
from runner.control import Control
from runner.frames import Frame
from runner.gpus import GpuReader, visible_devices
from runner.launch import read_environment
from runner.memory import count_oom_kills
from runner.output import STDOUT, Output
from runner.processes import become_subreaper, kill_tree
from runner.protocol import MAX_LINE_CHARACTERS
from runner.sampler import Sampler
from runner.threads import start_thread
from runner.trainer import CannotStart, Trainer

NODE_MARKER: Final = "TRAINHUB_NODE"  # which of the attempt's processes are this node's
KILL_AGAIN_SECONDS: Final = 5.0
PARSE_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 60.0  # how long after a failure the runner is given to end the other nodes in order


class Relay:
    """Sends the lines of the trainer, and whatever else there is to tell, to the runner. For any thread."""

    def __init__(self, node: int) -> None:
        self._node = node
        self._sending = threading.Lock()

    def send(self, kind: str, data: bytes) -> None:
        """Write one frame; nothing when nobody reads any more."""
        view = memoryview(frames.encode(Frame(self._node, kind, data)))
        with self._sending, contextlib.suppress(OSError):
            while view:
                view = view[os.write(sys.stdout.fileno(), view) :]

    def send_record(self, kind: str, record: Mapping[str, Any]) -> None:
        """Write one frame with a JSON object."""
        self.send(kind, json.dumps(record).encode())

    def send_sample(self, step: int, values: dict[str, float]) -> None:
        """Send what is used on this node."""
        self.send_record(frames.SAMPLE, {"step": step, "values": values})

    def take(self, stream: int, _time_us: int, line: bytes) -> None:
        """Send a line of the trainer."""
        # The hub cuts lines that are longer, and a character has at most four bytes.
        self.send(frames.STDOUT if stream == STDOUT else frames.STDERR, line[: 4 * MAX_LINE_CHARACTERS])

    def lines_left_out(self, count: int) -> None:
        """Tell that lines came too fast to be kept."""
        self.send(frames.LOST, str(count).encode())

    def flush(self) -> None:
        """Nothing waits here."""


class Orders:
    """What the runner says on stdin."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.is_killing = threading.Event()

    def listen(self) -> None:
        """Read until the end of stdin."""
        for line in sys.stdin.buffer:
            if line == b"stop\n":
                self._control.stop()
            elif line == b"kill\n":
                break
        self.is_killing.set()
        self._control.wake()


def main(command: list[str]) -> int:
    """Run the trainer to its end. Returns its exit code, or 128 and the signal's number; 0 when it was to stop."""
    os.umask(0o077)
    control = Control()
    control.ignore_signals()
    become_subreaper()
    node = int(os.environ["SLURM_NODEID"])
    relay, orders = Relay(node), Orders(control)
    start_thread("orders", orders.listen)
    end = _Node(node, relay, control, orders).run(command)
    was_told = control.is_stopping or orders.is_killing.is_set()
    relay.send_record(frames.ENDED, end)
    code = end["exit_code"] if end["signal"] is None else 128 + end["signal"]
    if was_told or code == 0:
        return 0
    # A bad exit makes Slurm kill all other nodes, whose last words would be lost.
    orders.is_killing.wait(LEAVE_SECONDS)
    return 1 if code is None else code


class _Node:
    """The trainer on this node."""

    def __init__(self, node: int, relay: Relay, control: Control, orders: Orders) -> None:
        self._relay, self._control, self._orders = relay, control, orders
        self._environment = make_environment(read_environment(), node)

    def run(self, command: list[str]) -> dict[str, Any]:
        """Return how the trainer ended, as the runner reads it."""
        oom_kills = count_oom_kills()
        try:
            trainer = Trainer(command, self._environment, Path(self._environment["TRAINHUB_OUTPUT_DIR"]))
        except CannotStart as error:
            problem = "command_not_found" if error.is_missing else "workspace_failed"
            return self._make_end(problem=problem, why=str(error))
        trainer.watch(self._control)
        output = Output(self._relay, trainer.stdout, trainer.stderr)
        output.start()
        gpus = GpuReader(visible_devices(self._environment))
        sampler = Sampler(self._relay.send_sample, trainer.pid, gpus)
        start_thread("sample", sampler.run)
        self._supervise(trainer, sampler)
        exit_code, number = trainer.collect()
        sampler.end()
        self._kill_tree(trainer, sampler)
        output.finish(PARSE_SECONDS)
        was_killed_by_kernel = number == signal.SIGKILL and not self._orders.is_killing.is_set()
        is_oom = was_killed_by_kernel and (count_oom_kills() or 0) > (oom_kills or 0)
        return self._make_end(exit_code=exit_code, number=number, is_oom=is_oom)

    def _supervise(self, trainer: Trainer, sampler: Sampler) -> None:
        was_stopped, kill_at = False, 0.0
        while not trainer.has_ended:
            if self._control.is_stopping and not was_stopped:
                was_stopped = True
                trainer.terminate()
            if self._orders.is_killing.is_set() and time.monotonic() >= kill_at:
                self._kill_tree(trainer, sampler)
                kill_at = time.monotonic() + KILL_AGAIN_SECONDS
            if not trainer.has_ended:
                self._control.wait(KILL_AGAIN_SECONDS if self._orders.is_killing.is_set() else None)

    def _kill_tree(self, trainer: Trainer, sampler: Sampler) -> None:
        helpers = [pid for pid in sampler.spared if pid != trainer.pid]
        kill_tree(self._environment[NODE_MARKER], variable=NODE_MARKER, spared=helpers, unreaped=[trainer.pid])

    @staticmethod
    def _make_end(
        *,
        exit_code: int | None = None,
        number: int | None = None,
        is_oom: bool = False,
        problem: str | None = None,
        why: str = "",
    ) -> dict[str, Any]:
        return {
            "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
            "exit_code": exit_code,
            "signal": number,
            "out_of_memory": is_oom,
            "problem": problem,
            "message": why,
        }


def make_environment(given: Mapping[str, str], node: int) -> dict[str, str]:
    """Return the trainer's variables on this node: those of the run, and which node this is."""
    rank = str(node)
    marker = f"{given.get('TRAINHUB_ATTEMPT', '')}.{rank}"
    return {**given, "NODE_RANK": rank, "PET_NODE_RANK": rank, NODE_MARKER: marker}


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # a thread still reads orders
