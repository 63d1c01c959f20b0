"""What the runner and the hub say to each other: paths, shapes, limits and the version.

Both sides import this file and nothing else of each other. All calls go to `<hub>/node/…` with the
attempt's own token as `Authorization: Bearer`. Bodies are JSON unless said otherwise.

| call | request | answer 200 |
| --- | --- | --- |
| POST claim | ClaimRequest | ClaimAnswer |
| POST started | StartedRequest | {} |
| POST heartbeat | HeartbeatRequest | HeartbeatAnswer |
| POST logs | LogBatch | SequenceAnswer |
| POST metrics | MetricBatch | SequenceAnswer |
| POST artifacts | ArtifactOffer | ArtifactAnswer |
| PUT artifacts/ID/files/INDEX | the bytes of one file of the offer | {} |
| POST artifacts/ID/complete | {} | ArtifactAnswer |
| GET resume/files/INDEX | | the bytes of one file of the checkpoint to resume from |
| POST exit | ExitReport | {"status": …} |

Errors are JSON objects with `code` and `detail`:

- 409 `fenced`: another attempt took over, or the run has ended. The runner kills its trainer and stops sending.
- 409 `already_claimed`: another runner holds this attempt. This runner leaves without starting a trainer.
- 409 `sequence_gap`: `expected` is the sequence the hub wants next.
- 401: the token is not known (any more). As `fenced`.
- other 4xx: sending the same again will not help. 5xx, 429 and no answer: send the same again later.

Batches of one stream are numbered 1, 2, 3, … A number the hub has already stored is answered 200 and
changes nothing, so every call may be repeated after a lost answer.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict

VERSION: Final = 1
VERSION_HEADER: Final = "X-Trainhub-Protocol"

HEARTBEAT_SECONDS: Final = 5.0  # the hub shows "unreachable" after six missed ones (30 s)
REQUEST_TIMEOUT_SECONDS: Final = 10.0  # a hub that hangs must not hold the runner longer
MAX_BATCH_LINES: Final = 10_000  # log lines a call
MAX_BATCH_POINTS: Final = 10_000  # metric points a call
MAX_BODY_BYTES: Final = 8 * 1024 * 1024  # of a log or metric call
MAX_LINE_CHARACTERS: Final = 16_384  # longer log lines are cut by the runner, with a mark
MAX_METRIC_KEY_CHARACTERS: Final = 250  # as the MLflow protocol has it
MAX_ARTIFACT_FILES: Final = 10_000
MAX_FILE_NAME_CHARACTERS: Final = 400

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
STREAMS: Final = ("stdout", "stderr", "trainhub")  # the third holds the runner's own remarks

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Stream = Literal["stdout", "stderr", "trainhub"]
ArtifactType = Literal["checkpoint", "tensorboard", "evaluation", "config", "other"]

# An exact float64 in JSON: a number, or one of the three strings for what JSON has no number for.
JsonFloat = float | Literal["NaN", "Infinity", "-Infinity"]


class ClaimRequest(TypedDict):
    """`instance` is a random word of this runner process: the same one may claim again, another may not."""

    instance: str
    host: str
    pid: int
    boot_id: str


class FileEntry(TypedDict):
    """One file of an artifact. `name` is relative, with `/`; `sha256` is lower-case hex."""

    name: str
    size_bytes: int
    sha256: str


class ResumeSource(TypedDict):
    """The checkpoint to restore; its files are fetched by their index in `files`.

    `is_directory` is false when the checkpoint is one file: then `files` has one entry.
    """

    artifact: str
    name: str
    step: int | None
    is_directory: bool
    files: list[FileEntry]


class ClaimAnswer(TypedDict):
    """Everything the runner needs to start the trainer.

    `command` is the argument list; `environment` what the recipe adds to the trainer's variables; `config`
    the object written to TRAINHUB_CONFIG (its `resume_from` is filled in by the runner).
    `checkpoint_pattern` is a glob below the output folder; `complete_marker`, when not empty, a file name
    that must exist inside a matching directory before it counts as whole. `datasets` are the folders
    that trainers may read data from. `log_sequence` and `metric_sequence` are the numbers already stored.
    """

    attempt: str
    command: list[str]
    environment: dict[str, str]
    config: dict[str, Any]
    datasets: list[str]
    checkpoint_pattern: str
    complete_marker: str
    grace_seconds: float
    resume: ResumeSource | None
    log_sequence: int
    metric_sequence: int


class StartedRequest(TypedDict):
    """The trainer process exists. `started_at_ms` is the node's clock, ms since 1970 UTC."""

    trainer_pid: int
    started_at_ms: int


class HeartbeatRequest(TypedDict):
    """`progress` is 0 to 1, or None when unknown; `sent_at_ms` the node's clock, ms since 1970 UTC."""

    phase: Literal["preparing", "training", "stopping", "finishing"]
    progress: float | None
    sent_at_ms: int


class HeartbeatAnswer(TypedDict):
    """`order` "cancel": SIGTERM to the trainer, `grace_seconds` to save, then SIGKILL to its whole tree."""

    order: Literal["cancel"] | None
    grace_seconds: float


class LineColumns(TypedDict):
    """Four lists of equal length: time (µs since 1970 UTC), index into LEVELS, into STREAMS, text without line end."""

    time: list[int]
    level: list[int]
    stream: list[int]
    text: list[str]


class LineObject(TypedDict):
    """One line, as in LineColumns."""

    time: int
    level: int
    stream: int
    text: str


class LogBatch(TypedDict):
    """At most MAX_BATCH_LINES lines, as columns (less work to read) or as objects.

    The hub also takes rows [time, level, stream, text], which runners sent before there were columns.
    """

    sequence: int
    lines: LineColumns | list[LineObject]


class MetricColumns(TypedDict):
    """Three lists of equal length: step (int64), time (ms since 1970 UTC), value (float64)."""

    step: list[int]
    time: list[int]
    value: list[JsonFloat]


class PointObject(TypedDict):
    """One point of one metric, as in MetricColumns."""

    key: str
    step: int
    time: int
    value: JsonFloat


class MetricBatch(TypedDict):
    """At most MAX_BATCH_POINTS points of any keys, as columns for each key or as objects."""

    sequence: int
    metrics: dict[str, MetricColumns] | list[PointObject]


class SequenceAnswer(TypedDict):
    """The highest sequence stored without a gap."""

    sequence: int


class ArtifactOffer(TypedDict):
    """A whole file or directory found in the output folder.

    `source` is its path relative to the output folder and the idempotency key within the attempt.
    `step` is None when the name holds no number.
    """

    type: ArtifactType
    source: str
    name: str
    step: int | None
    is_directory: bool
    files: list[FileEntry]


class ArtifactAnswer(TypedDict):
    """`missing`: indexes of files whose bytes the hub does not hold yet; empty once complete."""

    id: str
    state: Literal["writing", "complete", "verified", "corrupt"]
    missing: list[int]


class ExitReport(TypedDict):
    """How the trainer ended. The runner sends it last, after everything it had spooled.

    `exit_code` is None when a signal ended the trainer or when it never started; `signal` is the number of
    that signal. `was_stopped`: the runner had sent SIGTERM before the trainer ended. `was_killed`: the grace
    period was over. `out_of_memory`: the kernel's counter says so. `message` is one line for people, empty
    when there is nothing to add. `runner_died`: a recovery run reports for a runner that is gone.
    `problem`: why the trainer could not be started at all, None when it was.
    """

    exit_code: int | None
    signal: int | None
    was_stopped: bool
    was_killed: bool
    out_of_memory: bool
    runner_died: bool
    problem: Literal["resume_damaged", "command_not_found", "workspace_failed"] | None
    message: str
    ended_at_ms: int
