"""Starts the processes of a distributed training with torchrun, and passes the request to stop on to them."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_sft.errors import UnusableInput
from hf_sft.reporting import log
from hf_sft.settings import Settings
from hf_sft.stopping import StopRequest

LOOK_SECONDS = 0.2  # how soon a request to stop is passed on


@dataclass(frozen=True)
class Node:
    """This node among those of the run: its number from 0, and the first node's address and port."""

    count: int
    index: int
    address: str
    port: int


def find_node(settings: Settings, environment: Mapping[str, str]) -> Node | None:
    """Where this process stands among several nodes, by the runner's variables; None when the run has one node.

    Raises: UnusableInput when several nodes are asked for and this program was not started on each of them.
    """
    if settings.node_count <= 1:
        return None
    try:
        count, index, port = (int(environment[name]) for name in ("NNODES", "NODE_RANK", "MASTER_PORT"))
        address = environment["MASTER_ADDR"]
    except (KeyError, ValueError):
        raise UnusableInput(
            "several nodes work under Slurm alone, where this program is started on each of them"
        ) from None
    if count != settings.node_count:
        raise UnusableInput(f"the run asks for {settings.node_count} nodes, and was given {count}")
    return Node(count=count, index=index, address=address, port=port)


def torchrun_command(script: str, processes: int, node: Node | None) -> list[str]:
    """The argument list that starts `processes` processes of `script` on this node."""
    if node is None:
        meeting = ["--standalone"]
    else:
        meeting = ["--nnodes", str(node.count), "--node-rank", str(node.index)]
        meeting += ["--master-addr", node.address, "--master-port", str(node.port)]
    # Without SIGTERM: torchrun would give its processes 30 s after it, too little to save a large model.
    torchrun = [sys.executable, "-u", "-m", "torch.distributed.run", "--signals-to-handle", "SIGINT,SIGHUP,SIGQUIT"]
    marked = ["--tee", marked_ranks(processes, is_first_node=node is None or node.index == 0)]
    return [*torchrun, *meeting, "--nproc-per-node", str(processes), *marked, script]


def marked_ranks(processes: int, *, is_first_node: bool) -> str:
    """Which local ranks have their lines marked, as torchrun's --tee takes it: all but the first of the first node."""
    return ",".join(f"{rank}:3" for rank in range(int(is_first_node), processes)) or "0"


def run_processes(command: list[str], processes: int, stop: StopRequest) -> int:
    """Run torchrun to its end; returns the exit code. On a request to stop, all processes find the stop file.

    What its `processes` said counts before how torchrun ends: when all were done, nothing was left that could fail.
    """
    shared = Path(tempfile.mkdtemp(prefix="hf-sft-"))
    variables = {
        "HF_SFT_STOP_FILE": str(shared / "stop"),
        "HF_SFT_FAILURE_FILE": str(shared / "failure"),
        "HF_SFT_DONE_FILE": str(shared / "done"),
        "PET_LOG_DIR": str(shared / "logs"),  # torchrun marks lines on their way through files
        "TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[rank ${rank}] ",
    }
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            # Slurm signals every process of a job; torchrun must outlive that until its own have saved.
            preexec_fn=_ignore_sigterm,  # noqa: PLW1509 - this process has one thread
        )
        while process.poll() is None:
            if stop.requested:
                (shared / "stop").touch()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
        if process.returncode and len(list(shared.glob("done-*"))) == processes:
            log("WARNING", f"Training was done when torchrun ended with code {process.returncode}")
            return 0
        return _explained(process.returncode, shared / "failure")
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _explained(exit_code: int, failure_file: Path) -> int:
    """Say why a process failed, after everything that torchrun said; returns that process's own exit code."""
    if exit_code == 0:
        return 0
    try:
        failure = json.loads(failure_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        log("ERROR", "A training process was killed, perhaps for lack of memory")
        return 1
    log("ERROR", failure["message"])
    return int(failure["exit_code"])
