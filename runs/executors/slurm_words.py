"""Slurm's words: what its lines say of jobs and nodes, and what its states and reasons mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest

from runs.executors.base import Ending, ExecutorError, JobState, State

SQUEUE_FORMAT = "%A|%j|%T|%r|%e|%N"
SACCT_FORMAT = "JobIDRaw,JobName,State,Reason,End,NodeList"  # the same columns
_LINE = re.compile(r"(\d+)\|(\w+)\|([A-Z_]+)[^|]*\|([^|]*)\|([^|]*)\|([^|]*)", re.ASCII)

QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"})
RUNNING = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT"})
# How a job ended; a state that is in none of the three sets says nothing. COMPLETING is among those: the runner may be
# alive or not, and on a node that does not answer it lasts for ever.
ENDINGS: dict[str, Ending] = {
    "COMPLETED": "",
    "FAILED": "",
    "OUT_OF_MEMORY": "out_of_memory",
    "NODE_FAIL": "node_failed",
    "BOOT_FAIL": "node_failed",
    "TIMEOUT": "time_limit",
    "DEADLINE": "time_limit",
    "PREEMPTED": "preempted",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
}
# Reasons of a job that Slurm itself made fail.
_ENDINGS_BY_REASON: dict[str, Ending] = {
    "BadConstraints": "refused",
    "NodeDown": "node_failed",
    "TimeLimit": "time_limit",
    "OutOfMemory": "out_of_memory",
}
UNUSABLE_NODES = frozenset({"down", "drained", "draining", "fail", "failing", "inval", "unknown", "powered_down"})
TAKING_PARTITIONS = frozenset({"up", "down"})  # jobs for one that is down wait in Slurm, with the reason PartitionDown

# Why a job waits; the words are those of squeue(1), "JOB REASON CODES".
REASONS = {
    "Resources": "It waits for nodes to become free.",
    "Priority": "Jobs with a higher priority come first.",
    "None": "Slurm has not looked at it yet.",
    "Prolog": "The site's prolog prepares its nodes.",
    "BeginTime": "It may not start before a set time.",
    "Cleaning": "It was requeued and is still being cleaned up after.",
    "Dependency": "It waits for another job.",
    "DependencyNeverSatisfied": "It waits for a job that failed: it never starts.",
    "JobHeldUser": "Somebody holds the job: it starts after `scontrol release`.",
    "JobHeldAdmin": "An administrator holds the job: it starts after `scontrol release`.",
    "JobHoldMaxRequeue": "It was requeued too often and is held.",
    "PartitionConfig": "The partition does not have what it asks for: it never starts unless the partition is changed.",
    "PartitionDown": "The partition is down.",
    "PartitionInactive": "The partition is not active.",
    "PartitionNodeLimit": "It asks for more nodes than the partition gives, or some of them are down.",
    "PartitionTimeLimit": "It asks for more time than the partition gives.",
    "ReqNodeNotAvail": "A node that it needs is down, drained or reserved.",
    "NodeDown": "A node that it needs is down.",
    "Reservation": "It waits for its reservation.",
    "ReservationDeleted": "Its reservation is gone: it never starts.",
    "Licenses": "It waits for a license.",
    "BadConstraints": "No node has what it asks for: it never starts.",
    "InvalidAccount": "Slurm does not know the account, or it may not be used here.",
    "InvalidQOS": "Slurm does not know the quality of service, or it may not be used here.",
    "AccountNotAllowed": "The account may not use the partition.",
    "QOSNotAllowed": "The quality of service may not be used with this account or partition.",
    "JobArrayTaskLimit": "Too many jobs of its array run.",
    "QOSMaxJobsPerUserLimit": "The service's user runs as many jobs as the quality of service allows.",
    "QOSMaxGRESPerUser": "The service's user has as many GPUs as the quality of service allows.",
    "QOSMaxCpuPerUserLimit": "The service's user has as many CPUs as the quality of service allows.",
    "QOSMaxNodePerUserLimit": "The service's user has as many nodes as the quality of service allows.",
    "QOSMaxWallDurationPerJobLimit": "It asks for more time than the quality of service gives.",
    "QOSGrpGRES": "All GPUs of the quality of service are in use.",
    "QOSGrpCpuLimit": "All CPUs of the quality of service are in use.",
    "QOSGrpNodeLimit": "All nodes of the quality of service are in use.",
    "QOSGrpJobsLimit": "As many jobs run as the quality of service allows.",
    "AssocGrpGRES": "All GPUs of the account are in use.",
    "AssocGrpCpuLimit": "All CPUs of the account are in use.",
    "AssocGrpNodeLimit": "All nodes of the account are in use.",
    "AssocGrpJobsLimit": "As many jobs run as the account allows.",
    "AssocGrpGRESMinutes": "The account has used up its GPU time.",
    "AssocGrpCPUMinutesLimit": "The account has used up its CPU time.",
    "AssocMaxJobsLimit": "The account runs as many jobs as it may.",
    "AssocMaxWallDurationPerJobLimit": "It asks for more time than the account gives.",
    "MaxMemPerLimit": "It asks for more memory than the partition gives.",
}


@dataclass(frozen=True)
class JobLine:
    """A job as squeue or sacct tell it in a line. `ends_at` is when its time is over, where it has one."""

    job: int
    name: str
    word: str
    reason: str
    ends_at: datetime | None
    nodes: str

    @property
    def state(self) -> State:
        """What the word means for the contract."""
        if self.word in ENDINGS:
            return "ended"
        return "queued" if self.word in QUEUED else "running" if self.word in RUNNING else "unknown"

    def describe(self) -> JobState:
        """Return what the contract says of the job."""
        has_ended = self.state == "ended"
        return JobState(
            state=self.state,
            detail=f"Slurm calls job {self.job} {self.word}" + (f" ({self.reason})" if _says(self.reason) else ""),
            ending=(ENDINGS[self.word] or _ENDINGS_BY_REASON.get(self.reason, "")) if has_ended else "",
            engine=self.word,
            reason=explain(self.reason) if self.state == "queued" else "",
            nodes=tuple(expand_nodes(self.nodes)),
            ends_at=self.ends_at if self.state == "running" else None,
        )


def read_jobs(answer: str) -> dict[str, JobLine]:
    """Return the jobs in an answer of squeue or sacct by name.

    Slurm may know several jobs of a name; the one that is most alive counts, and of ended ones the newest.
    Raises: ExecutorError when the answer is none.
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    found = [job for line in lines if (job := _read_line(line))]
    if lines and not found:
        raise ExecutorError("Slurm's answer is not understood")
    order = ("ended", "unknown", "queued", "running")
    return {job.name: job for job in sorted(found, key=lambda one: (order.index(one.state), one.job))}


def _read_line(line: str) -> JobLine | None:
    match = _LINE.fullmatch(line)
    if not match:
        return None
    job, name, word, reason, end, nodes = match.groups()
    return JobLine(int(job), name, word, reason, _moment(end), nodes)


def _moment(text: str) -> datetime | None:
    """Return a time that Slurm printed with TZ=UTC; None for N/A, NONE and Unknown."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def explain(reason: str) -> str:
    """Return Slurm's word for why a job waits, with what it means; empty where it gives none."""
    word = reason.partition(",")[0].strip("() ")
    meaning = REASONS.get(word, "")
    if not _says(word):
        return meaning
    return f"{word}: {meaning}" if meaning else reason[:300]


def _says(reason: str) -> bool:
    return reason not in {"", "None"}


def expand_nodes(text: str) -> Iterator[str]:
    """Yield the names in a list of nodes such as `login,gpu[01-03,7]`, in its order."""
    if text in {"", "(null)", "None assigned"}:
        return
    for item in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        fixed, choices = re.split(r"\[[^\]]*\]", item), re.findall(r"\[([^\]]*)\]", item)
        names = [""]
        for part, numbers in zip_longest(fixed, choices, fillvalue=None):
            names = [name + (part or "") + number for name in names for number in _expand_numbers(numbers)]
        yield from names


def _expand_numbers(numbers: str | None) -> Iterable[str]:
    if numbers is None:
        return [""]
    found = []
    for item in numbers.split(","):
        first, _, last = item.partition("-")
        if first.isdigit() and last.isdigit() and int(last) - int(first) < 100_000:  # more is no list of nodes
            found += [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
        else:
            found.append(item)
    return found


def usable_partitions(answer: str) -> dict[str, bool]:
    """Return for each partition in the answer of `sinfo -o %R|%a|%T` whether it takes jobs and has a node to use."""
    found: dict[str, bool] = {}
    for line in answer.splitlines():
        partition, availability, state = [*line.strip().split("|"), "", ""][:3]
        usable = availability in TAKING_PARTITIONS and re.split(r"[^a-z_]", state.lower())[0] not in UNUSABLE_NODES
        found[partition] = found.get(partition, False) or usable
    return found
