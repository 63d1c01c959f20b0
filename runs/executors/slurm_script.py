"""The batch script of an attempt: a pure function of what the operator set, numbers and the attempt's uid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runs.executors.base import SubmitRefused, SubmitRequest
from runs.executors.slurm_rules import SlurmRules

# Slurm sends the warning up to a minute early, and what was saved must reach the hub before the end.
WARNING_SLACK_SECONDS = 60
_PATH = re.compile(r"/[\w./+@:=,-]*", re.ASCII)  # needs no quoting, in a directive or in the shell
_UID = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True)
class Places:
    """What lies where on the nodes: attempts' folders, the runner's interpreter, and the folder with its package.

    Raises: ValueError for a path that would need quoting.
    """

    attempts: Path
    python: str
    runner_root: Path

    def __post_init__(self) -> None:
        for path in (self.attempts, self.python, self.runner_root):
            if not _PATH.fullmatch(str(path)):
                raise ValueError(f"{path} must be an absolute path of letters, digits and ./+@:=,_- alone.")


def write_script(request: SubmitRequest, *, rules: SlurmRules, places: Places) -> str:
    """Return the text of the batch script. Nothing that a user wrote is in it: choices are among the allowed ones.

    The shell becomes the runner: it is the job's batch step on the first node, and `scancel --batch` reaches it and
    nothing else. Not in a step of srun: making one needs the controller, and a job whose start that misses would fail.
    The batch step counts no resources, so that the runner can give all nodes and GPUs of the job to steps of its own.

    Raises: SubmitRefused for a choice or a time limit that is not allowed.
    """
    if not _UID.fullmatch(request.name):
        raise SubmitRefused("an attempt's name holds letters, digits and _ alone")
    folder = places.attempts / request.name
    options = [
        f"--job-name={request.name}",
        f"--chdir={folder}",
        f"--output={folder}/slurm.log",
        "--open-mode=append",
        "--no-requeue",
        "--export=NONE",
        "--propagate=NONE",
        f"--nodes={int(request.nodes)}",
        "--ntasks-per-node=1",
        *_resources(request, rules),
        *_time_limit(request, rules),
        *_chosen(request, rules),
        *rules.extra,
    ]
    directives = "\n".join(f"#SBATCH {option}" for option in options)
    return f"""#!/bin/bash
{directives}

# The environment is the service account's on the node. Steps that the runner starts shall have the runner's.
export SLURM_EXPORT_ENV=ALL
export PYTHONPATH={places.runner_root}
exec {places.python} -P -s -S -m runner {folder}
"""


def _resources(request: SubmitRequest, rules: SlurmRules) -> list[str]:
    options = []
    if request.gpus_per_node:
        options.append(f"--gpus-per-node={int(request.gpus_per_node)}")
    if rules.cpus_per_node:
        options.append(f"--cpus-per-task={rules.cpus_per_node}")
    if rules.memory_mb_per_node:
        options.append(f"--mem={rules.memory_mb_per_node}M")
    elif rules.memory_mb_per_gpu and request.gpus_per_node:
        options.append(f"--mem-per-gpu={rules.memory_mb_per_gpu}M")
    return options


def _time_limit(request: SubmitRequest, rules: SlurmRules) -> list[str]:
    """Return the limit and the warning; the warning also where the limit is the partition's own."""
    minutes = request.time_limit_minutes or rules.time_limit_minutes
    longest = rules.max_time_limit_minutes
    if minutes is not None and not 1 <= minutes <= (longest or minutes):
        raise SubmitRefused(f"A run may take 1 to {longest or 'any number of'} minutes here.")
    minutes = minutes or longest
    limit = [] if minutes is None else [f"--time={int(minutes)}"]
    return [*limit, f"--signal=B:TERM@{warning_seconds(request.grace_seconds)}"]


def warning_seconds(grace_seconds: float) -> int:
    """Return how long before the end Slurm shall warn; it knows at most 65,535 s (sbatch(1), --signal)."""
    return min(int(grace_seconds) + WARNING_SLACK_SECONDS, 65_535)


def _chosen(request: SubmitRequest, rules: SlurmRules) -> list[str]:
    allowed = rules.allowed()
    if unknown := sorted(set(request.choices) - set(allowed)):
        raise SubmitRefused(f"There is no {unknown[0]} to choose.")
    options = []
    for name, values in allowed.items():
        value = request.choices.get(name) or next(iter(values), "")
        if value and value not in values:
            raise SubmitRefused(f"The {name} that was chosen is not allowed.")
        if value:
            options.append(f"--{name}={value}")
    return options
