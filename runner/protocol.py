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
| POST artifacts/ID/files/INDEX/part | PartRequest | Ticket |
| POST artifacts/ID/files/INDEX/join | {} | JoinAnswer |
| POST artifacts/ID/complete | {} | ArtifactAnswer |
| GET resume/files/INDEX | | the bytes of one file of the checkpoint to resume from |
| POST resume/files/INDEX/link | {} | Ticket |
| POST exit | ExitReport | {"status": …} |

Errors are JSON objects with `code` and `detail`:

- 409 `fenced`: another attempt took over, or the run has ended. The runner kills its trainer and stops sending.
- 409 `already_claimed`: another runner holds this attempt. This runner leaves without starting a trainer.
- 409 `sequence_gap`: `expected` is the sequence the hub wants next.
- 401: the token is not known (any more). As `fenced`.
- other 4xx: sending the same again will not help. 5xx, 429 and no answer: send the same again later.

Where the hub keeps artifacts in an object store, its ArtifactAnswer has `part_size`. Then the runner sends files
straight to that store, part after part: it asks for a ticket, PUTs the part to the ticket's URL, and joins the parts of
files that have several. A file may also go through the hub as ever.

Batches of one stream are numbered 1, 2, 3, … A number the hub has already stored is answered 200 and
changes nothing, so every call may be repeated after a lost answer.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired, TypedDict

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
MAX_PARTS: Final = 10_000  # of a file in an object store
MIN_PART_BYTES: Final = 5 * 1024 * 1024  # of every part but the last, as object stores have it

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

    `is_directory` is false when the checkpoint is one file: then `files` has one entry. `is_direct`: an object store
    has them, and the hub gives links to it; older hubs leave it out.
    """

    artifact: str
    name: str
    step: int | None
    is_directory: bool
    is_direct: NotRequired[bool]
    files: list[FileEntry]


class Tracking(TypedDict):
    """What the trainer's MLflow client needs: ids of its run and project, and a token that may track the run."""

    run: str
    experiment: str
    token: str


class ClaimAnswer(TypedDict):
    """Everything the runner needs to start the trainer.

    `command` is the argument list; `environment` what the recipe adds to the trainer's variables; `config`
    the object written to TRAINHUB_CONFIG (its `resume_from` is filled in by the runner).
    `checkpoint_pattern` is a glob below the output folder; `complete_marker`, when not empty, a file name
    that must exist inside a matching directory before it counts as whole. `datasets` are the folders
    that trainers may read data from. `log_sequence` and `metric_sequence` are the numbers already stored.
    Hubs of before `tracking` leave it out, and so does one for an attempt that it made without a token.
    `nodes` is on how many the trainer is started; 1 where it is left out.
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
    tracking: NotRequired[Tracking]
    nodes: NotRequired[int]


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
    """`missing`: indexes of files whose bytes the hub does not hold yet; empty once complete.

    `state` "complete": all bytes are there, and are being compared with their hashes; asking for completion again tells
    how that ended. `part_size`: how many bytes a part has that goes straight to the object store; absent where files go
    through the hub.
    """

    id: str
    state: Literal["writing", "complete", "verified", "corrupt"]
    missing: list[int]
    part_size: NotRequired[int]


class PartRequest(TypedDict):
    """Part `number` (from 1) of a file that is cut into parts of `part_size` bytes; `md5` is its MD5 in base64.

    A file of at most `part_size` bytes is one part, and needs no joining.
    """

    number: int
    part_size: int
    md5: str


class Ticket(TypedDict):
    """A URL that allows one request at the object store for some minutes, with exactly these headers.

    `url` is None when there is nothing to do: the part is there, or (for a download) the file comes from the hub alone.
    """

    url: str | None
    headers: dict[str, str]


class JoinAnswer(TypedDict):
    """Which parts are still missing; the file is whole when there are none."""

    missing: list[int]


class ExitReport(TypedDict):
    """How the trainer ended. The runner sends it last, after everything it had spooled.

    `exit_code` is None when a signal ended the trainer or when it never started; `signal` is the number of
    that signal. `was_stopped`: the runner had sent SIGTERM before the trainer ended. `was_killed`: the grace
    period was over. `out_of_memory`: the kernel's counter says so. `message` is one line for people, empty
    when there is nothing to add. `runner_died`: a recovery run reports for a runner that is gone.
    `problem`: why the trainer could not be started at all, None when it was. `progress`: how far the trainer came by
    its last word, 0 to 1, None when unknown; heartbeats may have missed it. Runners of before this key leave it out.
    """

    exit_code: int | None
    signal: int | None
    was_stopped: bool
    was_killed: bool
    out_of_memory: bool
    runner_died: bool
    problem: Literal["resume_damaged", "command_not_found", "workspace_failed"] | None
    message: str
    progress: NotRequired[float | None]
    ended_at_ms: int


def part_size_for(size_bytes: int, part_size: int) -> int:
    """Return how many bytes the parts of a file have: `part_size`, or whole MiB more when it would have too many."""
    least = -(-size_bytes // MAX_PARTS)
    return max(part_size, -(-least // 2**20) * 2**20)
