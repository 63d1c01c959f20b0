"""Everything that must lie on the node before the trainer starts: folders, configuration, checkpoint to resume."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

from runner.client import Client, NoAnswer, Refused, retry
from runner.durable import write_through
from runner.folder import AttemptFolder
from runner.protocol import ClaimAnswer, FileEntry, ResumeSource
from runner.store import ObjectStore

RESERVE_BYTES: Final = 64 * 1024  # released before the exit record is written
DOWNLOAD_SECONDS: Final = 3600.0  # how long one file may be tried while the hub is away

STORE_SECONDS: Final = 60.0  # that a download from the object store may stand still

Problem = Literal["resume_damaged", "command_not_found", "workspace_failed"]


class CannotPrepare(Exception):
    """The workspace is not usable; `problem` is the word for the exit report."""

    def __init__(self, problem: Problem, why: str) -> None:
        super().__init__(why)
        self.problem = problem


def prepare(folder: AttemptFolder, claim: ClaimAnswer, client: Client, leaving: threading.Event) -> Path | None:
    """Make the workspace; return what to resume from, None when the run starts afresh.

    Raises: CannotPrepare; Fenced; NoAnswer when the hub stays away.
    """
    try:
        folder.output.mkdir(exist_ok=True)
        _reserve(folder.reserve)
        resume_from = None
        if claim["resume"]:
            resume_from = Download(folder.resume, claim["resume"], client, leaving).run()
        config = {**claim["config"]}
        if resume_from:
            config["resume_from"] = str(resume_from)
        write_through(folder.config, json.dumps(config, indent=1).encode())
    except OSError as error:
        raise CannotPrepare("workspace_failed", f"The node's disk: {error.strerror}.") from error
    return resume_from


def _reserve(path: Path) -> None:
    with contextlib.suppress(OSError), open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)


class Download:
    """Fetches the files of one checkpoint and checks every one of them."""

    def __init__(self, root: Path, source: ResumeSource, client: Client, leaving: threading.Event) -> None:
        self._root, self._source = root, source
        self._client, self._leaving = client, leaving
        self._store = ObjectStore(STORE_SECONDS, leaving)

    def run(self) -> Path:
        """Return the restored file or directory. Raises: CannotPrepare, Fenced, NoAnswer, OSError."""
        target = self._root / check_name(self._source["name"])
        is_directory, files = self._source["is_directory"], self._source["files"]
        if not is_directory and len(files) != 1:
            raise CannotPrepare("resume_damaged", "The checkpoint to resume from should be one file.")
        for index, entry in enumerate(files):
            path = target / check_name(entry["name"]) if is_directory else target
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(index, entry, path)
        return target

    def _fetch(self, index: int, entry: FileEntry, path: Path) -> None:
        with open(path, "wb") as file:
            got = _Got(file, entry)

            def fetch() -> dict[str, Any]:
                self._fetch_on(index, got)
                return {}

            try:
                retry(fetch, leaving=self._leaving, seconds=DOWNLOAD_SECONDS)
            except Refused as refusal:
                text = f"The hub does not give {entry['name']} of the checkpoint: {refusal.detail}"
                raise CannotPrepare("workspace_failed", text) from refusal
            got.check()

    def _fetch_on(self, index: int, got: _Got) -> None:
        """Fetch what is still missing, from the object store where that has it, else all from the hub."""
        if got.is_all:
            return
        url = self._find_url(index)
        if url is None:
            got.begin_again()
        blocks = self._client.download(f"resume/files/{index}") if url is None else self._store.get(url, got.size)
        for block in blocks:
            if self._leaving.is_set():
                raise NoAnswer("leaving")
            got.add(block)
            if got.is_all:
                break

    def _find_url(self, index: int) -> str | None:
        """Return where the object store has a file, None when the hub sends it."""
        if not self._source.get("is_direct"):
            return None
        url = self._client.post(f"resume/files/{index}/link", {}).get("url")
        return url if isinstance(url, str) else None


class _Got:
    """What has come of a file, hashed as it came."""

    def __init__(self, file: BinaryIO, entry: FileEntry) -> None:
        self._file, self._entry = file, entry
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what has come."""
        self._file.seek(0)
        self._file.truncate()
        self._digest, self.size = hashlib.sha256(), 0

    @property
    def is_all(self) -> bool:
        """Tell whether nothing more is expected: all bytes came, or too many; an empty file has to be asked for."""
        return self.size > 0 and self.size >= self._entry["size_bytes"]

    def add(self, block: bytes) -> None:
        """Take the next bytes. Raises OSError when the disk is full."""
        self.size += len(block)
        self._digest.update(block)
        self._file.write(block)

    def check(self) -> None:
        """Raise CannotPrepare when it is not what the manifest says."""
        if self.size != self._entry["size_bytes"] or self._digest.hexdigest() != self._entry["sha256"]:
            text = f"{self._entry['name']} of the checkpoint to resume from is damaged (size or sha256 differs)."
            raise CannotPrepare("resume_damaged", text)


def check_name(name: str) -> str:
    """Return a relative name that stays below its folder. Raises CannotPrepare for any other."""
    segments = name.split("/")
    if any(segment in ("", ".", "..") for segment in segments) or "\\" in name or not name.isprintable():
        raise CannotPrepare("resume_damaged", f"A file name of the checkpoint is not acceptable: {name!r}.")
    return name
