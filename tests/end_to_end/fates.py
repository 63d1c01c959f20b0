"""The runs of the exercise: what each is asked to do, how it must end, and what its journal says that it did."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.end_to_end.hub import Hub

# A controller that dies writes nothing more down: what it started in the last seconds it kills when it is back, as it
# does not know of it (see docs/executors.md).
FORGOTTEN = timedelta(seconds=10)
# What a runner that is killed may not have sent of its trainer's output: a second (docs/trainers.md), and a step begun.
LOST_SECONDS = 1.0


@dataclass(frozen=True)
class Fate:
    """`values` are those of the run's request, of the steps that fill the exercise.

    `deaths`: how often its trainer kills itself; `is_cancelled`: somebody cancels it in the middle.
    """

    name: str
    values: Callable[[int], dict[str, Any]]
    status: str
    reason: str
    deaths: int = 0
    is_cancelled: bool = False


FATES = (
    Fate("finishes", lambda steps: {"steps": steps}, "completed", "finished"),
    Fate("fails", lambda steps: {"steps": steps, "fail_at": steps // 2}, "failed", "trainer_failed"),
    Fate("is cancelled", lambda steps: {"steps": 50 * steps}, "cancelled", "cancelled", is_cancelled=True),
    Fate("dies once", lambda steps: {"steps": steps, "die_at": steps // 3}, "completed", "finished", deaths=1),
)


def read_journal(hub: Hub, run: str) -> list[dict[str, Any]]:
    """Return what the trainers of a run wrote down."""
    place = hub.data / "journals" / f"{run}.jsonl"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


@dataclass
class Story:
    """A run as the hub tells it, beside the journal of its trainers. `kills`: when Slurm's controller was killed."""

    hub: Hub
    path: str
    fate: Fate
    kills: Sequence[datetime]
    pace: float

    def __post_init__(self) -> None:
        self.run = self.hub.run(self.path)
        self.journal = read_journal(self.hub, self.path.rpartition("/")[2])
        self.attempts = self.hub.call("GET", f"{self.path}/attempts").body
        self.told = f"{self.fate.name}: {self.path} {self.run['status']} {self.run['reason']} {self.attempts}"

    def check(self) -> None:
        """The run ended as it should, each attempt began once, and every line and point is there once, in order."""
        assert (self.run["status"], self.run["reason"]) == (self.fate.status, self.fate.reason), self.told
        assert not [entry for entry in self.journal if "is_second" in entry], self.told
        *earlier, last = self.attempts
        assert len(self._of(last, "started")) == 1, self.told
        lost = [attempt for attempt in earlier if not self._of(attempt, "dying")]
        assert all(self._was_lost_by_slurm(attempt) for attempt in lost), self.told
        assert len(earlier) - len(lost) == self.fate.deaths or self.attempts[0] in lost, self.told
        for attempt in self.attempts:
            assert len(self._of(attempt, "started")) <= 1, self.told
            if attempt in earlier and attempt not in lost:
                assert (attempt["reason"], attempt["signal"]) == ("trainer_killed", 9), self.told
        self._check_output(lost)
        self._check_checkpoints()

    def _of(self, attempt: dict[str, Any], key: str) -> list[Any]:
        return [entry[key] for entry in self.journal if key in entry and entry["attempt"] == attempt["number"]]

    def _was_lost_by_slurm(self, attempt: dict[str, Any]) -> bool:
        """Tell whether Slurm killed the job, as its controller died right after the start, and the hub says so."""
        began = datetime.fromisoformat(attempt["created_at"])
        known = datetime.fromisoformat(attempt["started_at"] or attempt["ended_at"]) + FORGOTTEN
        is_told = attempt["reason"] in {"runner_died", "start_failed"}
        return attempt["executor"] == "cluster" and is_told and any(began <= kill <= known for kill in self.kills)

    def _check_output(self, lost: list[dict[str, Any]]) -> None:
        lines = self.hub.all_log_lines(self.path)
        assert [line["line"] for line in lines] == list(range(len(lines))), self.told
        shown = self.hub.series(self.path, "loss", hidden="true")  # also what a restart went back over
        points = list(zip(shown["step"], shown["attempt"], strict=True))
        for attempt in self.attempts:
            said = [line["message"] for line in lines if line["attempt"] == attempt["number"]]
            written = self._of(attempt, "step")
            # Lines and points travel apart: a runner that was killed may have sent the one, and not the other.
            for steps in (
                [int(text.removeprefix("INFO step ")) for text in said if text.startswith("INFO step ")],
                sorted(step for step, number in points if number == attempt["number"]),
            ):
                missing = len(written) - len(steps)
                assert steps == written[: len(steps)], self.told
                bound = LOST_SECONDS / self.pace + 1 if attempt in lost else 0
                assert missing <= bound, (self.told, missing)

    def _check_checkpoints(self) -> None:
        """All are there and verified, and a later attempt began with the newest, which may lie before the last step."""
        newest = 0
        for entry in self.journal:
            assert entry.get("after", newest) == newest, (self.told, entry)
            newest = entry.get("saved", newest)
        saved = {entry["saved"] for entry in self.journal if "saved" in entry}
        checkpoints = self.hub.call("GET", f"{self.path}/artifacts?type=checkpoint").body["items"]
        assert {item["step"] for item in checkpoints} == saved, (self.told, checkpoints)
        assert {item["state"] for item in checkpoints} <= {"verified"}, self.told
