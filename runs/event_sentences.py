"""The timeline in sentences: what each kind of entry means to people, and the drawing beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runs.lifecycle import OUTCOMES, Reason, Status
from runs.models import RunEvent

# What a page can show of a timeline: statuses, or what people and trainers did to artifacts.
SHOWN_KINDS = {
    "status": [*Status.values, "signalled"],
    "artifacts": [
        *[f"{kind}_recorded" for kind in ("checkpoint", "tensorboard", "evaluation", "config", "other")],
        "artifact_damaged",
        "tagged",
        "untagged",
        "registered",
        "checkpoints_removed",
    ],
}
_SAID = frozenset({"notes", "resumed_from"})  # evidence that the entry itself shows


@dataclass(frozen=True)
class Told:
    """An entry in words. `tone` colours its mark: good, bad, warn, busy or plain. `artifact` is the id to lead to."""

    event: RunEvent
    icon: str
    tone: str
    text: str
    detail: str = ""
    artifact: str = ""

    @property
    def facts(self) -> list[tuple[str, Any]]:
        """The evidence as names and values, without what the sentence says already."""
        return [(name.replace("_", " "), value) for name, value in self.event.evidence.items() if name not in _SAID]


def tell_all(events: Iterable[RunEvent]) -> list[Told]:
    """Tell entries of a timeline; their runs and attempts are loaded."""
    return [tell(event) for event in events]


def tell(event: RunEvent) -> Told:
    """Return an entry in words; a kind that is not known is told by its name."""
    if event.kind.endswith("_recorded"):
        return _recorded(event)
    teller = _TELLERS.get(event.kind)
    if teller is None:
        return Told(event, "clock", "plain", f"{event.kind.replace('_', ' ').capitalize()}.", event.message)
    return teller(event)


def _number(event: RunEvent) -> int | None:
    return event.attempt.number if event.attempt else event.evidence.get("attempt")


def _queued(event: RunEvent) -> Told:
    if "ended_by" in event.evidence:
        return Told(event, "repeat", "warn", f"Attempt {_number(event)} ended early; queued again.", event.message)
    if "resumed_from" in event.evidence:
        return Told(event, "clock", "plain", "Queued.", event.message, event.evidence["resumed_from"])
    return Told(event, "clock", "plain", "Queued.", event.message)


def _starting(event: RunEvent) -> Told:
    return Told(event, "play", "busy", "Given room; the runner is being started.", event.message)


def _running(event: RunEvent) -> Told:
    if not event.run.is_managed:
        text = "A tracking client began it." if event.evidence.get("from") == Status.QUEUED else "It goes on."
        return Told(event, "runs", "busy", text, event.message)
    host = event.evidence.get("host")
    return Told(event, "runs", "busy", f"The trainer started{f' on {host}' if host else ''}.", event.message)


def _cancelling(event: RunEvent) -> Told:
    return Told(event, "stop", "warn", "Asked to stop, and to save first.", event.message)


def _signalled(event: RunEvent) -> Told:
    return Told(event, "stop", "warn", "The trainer was told to stop.", event.message)


def _ended(event: RunEvent) -> Told:
    icon, tone = {"completed": ("check", "good"), "failed": ("warning", "bad")}.get(event.kind, ("stop", "warn"))
    known = event.reason in Reason.values
    text = OUTCOMES[Reason(event.reason)].text if known else f"{event.kind.capitalize()}."
    if event.reason == Reason.CANCELLED and not event.run.is_managed:
        text = "Ended here on request."
    return Told(event, icon, tone, text, event.message)


def _recorded(event: RunEvent) -> Told:
    kind = event.kind.removesuffix("_recorded")
    what = {"tensorboard": "TensorBoard file", "config": "Configuration", "other": "File"}.get(kind, kind.capitalize())
    icon = "checkpoint" if kind == "checkpoint" else "file"
    tone = "good" if kind == "checkpoint" else "plain"
    return Told(event, icon, tone, f"{what} saved:", event.message, event.evidence.get("artifact", ""))


def _damaged(event: RunEvent) -> Told:
    return Told(event, "warning", "bad", "Damage found:", event.message, event.evidence.get("artifact", ""))


def _tagged(event: RunEvent) -> Told:
    verb = "Tagged" if event.kind == "tagged" else "Tag taken off:"
    return Told(event, "tag", "plain", verb, event.message, event.evidence.get("artifact", ""))


def _registered(event: RunEvent) -> Told:
    return Told(event, "tag", "good", "Registered as", event.message, event.evidence.get("artifact", ""))


def _recipe_changed(event: RunEvent) -> Told:
    return Told(event, "warning", "warn", "Not the recipe that was recorded.", event.message)


def _removed(event: RunEvent) -> Told:
    return Told(event, "archive", "plain", "Removed to save space.", event.message)


_TELLERS: dict[str, Callable[[RunEvent], Told]] = {
    Status.QUEUED: _queued,
    Status.STARTING: _starting,
    Status.RUNNING: _running,
    Status.CANCELLING: _cancelling,
    "signalled": _signalled,
    **dict.fromkeys([Status.COMPLETED, Status.FAILED, Status.CANCELLED], _ended),
    "artifact_damaged": _damaged,
    **dict.fromkeys(["tagged", "untagged"], _tagged),
    "registered": _registered,
    "recipe_changed": _recipe_changed,
    **dict.fromkeys(["logs_removed", "metrics_removed", "checkpoints_removed"], _removed),
}
