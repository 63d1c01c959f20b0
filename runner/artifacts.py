"""Finds whole checkpoints and other results in the output folder and brings them to the hub."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from runner import manifest
from runner.client import Backoff, Client, Fenced, NoAnswer, Refused, StoreAway
from runner.control import Control
from runner.durable import note, read_record, write_record
from runner.lines import ERROR, INFO, WARNING
from runner.manifest import Candidate, Changed, Found, Unsuitable
from runner.parts import PartSender
from runner.protocol import ArtifactOffer
from runner.store import ObjectStore

SCAN_SECONDS: Final = 0.5
UPLOAD_IDLE_SECONDS: Final = 60.0  # an upload may take hours, but not stand still for longer
MAX_ROUNDS: Final = 3  # attempts that end neither stored nor refused, before it is an error
VERIFY_SECONDS: Final = 120.0  # how long the end of an attempt waits until what it brought is compared with its hashes

Remark = Callable[[int, str], None]


class ArtifactWatcher:
    """The loop that scans, hashes and uploads; one artifact after the other, on a connection of its own.

    A pass may stop anywhere and be repeated: the hub says which files it still lacks. What it has verified is
    kept in artifacts.json, so that neither a recovery nor a later pass does it again.
    """

    def __init__(
        self, client: Client, control: Control, output: Path, record: Path, pattern: str, marker: str, remark: Remark
    ) -> None:
        self._client, self._control, self._output, self._record = client, control, output, record
        self._pattern, self._marker, self._remark = pattern, marker, remark
        self._verified: dict[str, dict[str, Any]] = read_record(record) or {}
        self._given_up: set[str] = set()
        self._seen: dict[str, list[Found]] = {}  # as of the last pass
        self._offers: dict[str, tuple[list[Found], ArtifactOffer]] = {}
        self._rounds: dict[str, int] = {}
        self._waiting: dict[str, tuple[str, list[Found]]] = {}  # id and files of what the hub is verifying
        self._waits_until = float("inf")
        self._is_store_away = False
        self._quit = threading.Event()
        self._parts = PartSender(client, ObjectStore(UPLOAD_IDLE_SECONDS, self._quit), self._quit)
        self._has_ended = False
        self._wake = threading.Event()
        self.done = threading.Event()  # everything that the trainer left is stored or given up

    def run(self) -> None:
        """Scan until everything is done after the trainer's end, or the attempt is fenced."""
        backoff = Backoff()
        while not (self._control.fenced.is_set() or self._quit.is_set()):
            wait, has_ended = SCAN_SECONDS, self._has_ended
            self._wake.clear()
            try:
                is_done = self._pass(has_ended=has_ended)
                self._tell_store(None)
                if is_done and has_ended:
                    break
                backoff.reset()
            except NoAnswer as problem:
                wait = backoff.delay(problem)
                self._tell_store(problem)
            except Fenced:
                self._control.fence()
            if has_ended == self._has_ended:
                self._wake.wait(wait)
        self.done.set()

    def _tell_store(self, problem: NoAnswer | None) -> None:
        """Say in the log when the store of artifacts goes away, and when it is back."""
        if isinstance(problem, StoreAway) and not self._is_store_away:
            self._remark(WARNING, f"Artifacts cannot be stored now; the runner keeps trying: {problem}")
            self._is_store_away = True
        elif problem is None and self._is_store_away:
            self._remark(INFO, "Artifacts are stored again.")
            self._is_store_away = False

    def trainer_ended(self, *, verify_seconds: float = VERIFY_SECONDS) -> None:
        """Nothing will be written any more: scan at once, and take what is there as it is.

        `verify_seconds`: how long to wait, at most, until the hub has compared what it got with the hashes.
        """
        self._waits_until = min(self._waits_until, time.monotonic() + verify_seconds)
        self._has_ended = True
        self._wake.set()

    def leave(self) -> list[str]:
        """Stop; return the sources that are not stored and not given up."""
        self._quit.set()
        self._wake.set()
        return [candidate.source for candidate in self._find(has_ended=True)]

    def _find(self, *, has_ended: bool) -> list[Candidate]:
        found = manifest.find_candidates(self._output, self._pattern, self._marker, has_ended=has_ended)
        return [c for c in found if c.source not in self._verified and c.source not in self._given_up]

    def _pass(self, *, has_ended: bool) -> bool:
        """Handle every candidate once. True when none is left. Raises: NoAnswer, Fenced."""
        candidates = self._find(has_ended=has_ended)
        for candidate in candidates:
            try:
                self._handle(candidate, has_ended=has_ended)
            except Changed:
                self._seen.pop(candidate.source, None)
                if has_ended:
                    self._count_round(candidate, "not readable")
            except Unsuitable as problem:
                self._give_up(candidate, str(problem))
            except Refused as refusal:
                self._give_up(candidate, refusal.detail or refusal.code)
        return not self._find(has_ended=has_ended)

    def _handle(self, candidate: Candidate, *, has_ended: bool) -> None:
        found = manifest.list_files(self._output, candidate)
        is_steady = self._seen.get(candidate.source) == found
        self._seen[candidate.source] = found
        if not found:
            if has_ended:
                self._given_up.add(candidate.source)  # an empty directory is nothing
            return
        if candidate.source in self._waiting:
            uid, sent = self._waiting[candidate.source]
            self._settle(candidate, sent, self._client.post(f"artifacts/{uid}/complete", {}))
        elif is_steady or has_ended or candidate.is_whole:
            self._deliver(candidate, found, self._offer(candidate, found))

    def _offer(self, candidate: Candidate, found: list[Found]) -> ArtifactOffer:
        """Return the offer, hashed once for each state of the files."""
        known = self._offers.get(candidate.source)
        if known is None or known[0] != found:
            known = (found, manifest.make_offer(self._output, candidate, found))
            self._offers[candidate.source] = known
        return known[1]

    def _deliver(self, candidate: Candidate, found: list[Found], offer: ArtifactOffer) -> None:
        answer = self._client.post("artifacts", offer)
        if answer.get("state") not in ("complete", "verified"):
            for index in self._missing(answer, offer):
                self._send(f"artifacts/{answer['id']}/files/{index}", candidate, found[index], answer.get("part_size"))
            answer = self._client.post(f"artifacts/{answer['id']}/complete", {})
        self._settle(candidate, found, answer)

    def _send(self, place: str, candidate: Candidate, file: Found, part_size: Any) -> None:
        path = manifest.locate(self._output, candidate, file.name)
        if isinstance(part_size, int):
            self._parts.send(place, path, file.size_bytes, file.modified_ns, part_size)
        else:
            self._client.put(place, partial(manifest.read_blocks, path, file.size_bytes), file.size_bytes)

    def _settle(self, candidate: Candidate, found: list[Found], answer: dict[str, Any]) -> None:
        """Note what the hub says of an artifact of which it has all bytes."""
        uid, state = answer.get("id"), answer.get("state")
        if state == "complete" and isinstance(uid, str) and time.monotonic() < self._waits_until:
            self._waiting[candidate.source] = (uid, found)
            return
        self._waiting.pop(candidate.source, None)
        if state in ("complete", "verified"):
            self._keep_record(candidate, found, answer)
        else:
            self._count_round(candidate, str(state))

    @staticmethod
    def _missing(answer: dict[str, Any], offer: ArtifactOffer) -> list[int]:
        missing, count = answer.get("missing"), len(offer["files"])
        if not isinstance(answer.get("id"), str) or not isinstance(missing, list):
            raise NoAnswer("the answer to an offer is not one")
        if not all(isinstance(index, int) and 0 <= index < count for index in missing):
            raise NoAnswer("the hub misses files that were not offered")
        return missing

    def _keep_record(self, candidate: Candidate, found: list[Found], answer: dict[str, Any]) -> None:
        self._verified[candidate.source] = {
            "id": answer.get("id"),
            "is_verified": answer.get("state") == "verified",
            "is_directory": candidate.is_directory,
            "files": [list(file) for file in found],
        }
        self._offers.pop(candidate.source, None)
        self._seen.pop(candidate.source, None)
        with contextlib.suppress(OSError):
            write_record(self._record, self._verified)

    def _count_round(self, candidate: Candidate, state: str) -> None:
        self._offers.pop(candidate.source, None)  # hash again: the disk may have lied
        rounds = self._rounds[candidate.source] = self._rounds.get(candidate.source, 0) + 1
        if rounds >= MAX_ROUNDS:
            self._give_up(candidate, f"after {rounds} attempts it is still {state}")

    def _give_up(self, candidate: Candidate, why: str) -> None:
        self._given_up.add(candidate.source)
        note(f"gave up on {candidate.source}: {why}")
        self._remark(ERROR, f"{candidate.source} could not be stored: {why}")

    def delete_copies(self) -> None:
        """Delete the local files that the hub has verified and that were not changed since."""
        for source, record in self._verified.items():
            if record.get("is_verified"):
                _delete_copy(self._output / source, record)

    def tell_leftovers(self, sources: list[str]) -> None:
        """Say in the log what the hub does not have."""
        for source in sources:
            self._remark(WARNING, f"{source} was not stored in time; it lies only on the node.")


def _delete_copy(path: Path, record: dict[str, Any]) -> None:
    for name, size_bytes, modified_ns in record["files"]:
        file = path / name if record["is_directory"] else path
        with contextlib.suppress(OSError):
            status = file.lstat()
            if (status.st_size, status.st_mtime_ns) == (size_bytes, modified_ns):
                file.unlink()
    if record["is_directory"]:
        for folder, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
