"""What lies in the output folder: which files and directories are artifacts, and what exactly is in them."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from runner.lines import INT64
from runner.protocol import MAX_ARTIFACT_FILES, MAX_FILE_NAME_CHARACTERS, ArtifactOffer, ArtifactType, FileEntry

BLOCK_BYTES: Final = 1024 * 1024
TEMPORARY_STARTS: Final = (".", "tmp-", "tmp_", "_tmp")  # names that writers use before the rename
TEMPORARY_ENDS: Final = ("~", ".tmp", ".temp", ".part", ".partial", ".incomplete")
OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Changed(Exception):
    """A file was changed or removed while it was read."""


class Unsuitable(Exception):
    """This can never become an artifact; the text says why."""


class Candidate(NamedTuple):
    """A file or directory that may be an artifact. `is_whole`: its marker file says so."""

    type: ArtifactType
    source: str
    is_directory: bool
    is_whole: bool = False


class Found(NamedTuple):
    """One regular file of a candidate, as the file system has it."""

    name: str
    size_bytes: int
    modified_ns: int


def find_candidates(output: Path, pattern: str, marker: str, *, has_ended: bool) -> Iterator[Candidate]:
    """Yield what lies in the output folder now. TensorBoard's files count only after the trainer's end."""
    for source, is_directory in _glob(output, pattern.split("/")):
        has_marker = is_directory and bool(marker)
        if not has_marker or (output / source / marker).is_file():
            yield Candidate("checkpoint", source, is_directory, is_whole=has_marker)
    for source, is_directory in _glob(output, ["evaluations", "*.json"]):
        if not is_directory:
            yield Candidate("evaluation", source, is_directory)
    for source, is_directory in _glob(output, ["config", "*"]):
        yield Candidate("config", source, is_directory)
    if has_ended:
        for source, is_directory in _glob(output, ["tensorboard"]):
            yield Candidate("tensorboard", source, is_directory)


def _glob(folder: Path, segments: list[str], above: str = "") -> Iterator[tuple[str, bool]]:
    """Yield (path below the output folder, is a directory) of all matches, sorted; links are not followed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if not fnmatch.fnmatchcase(entry.name, segments[0]) or _is_temporary(entry.name):
            continue
        is_directory = entry.is_dir(follow_symlinks=False)
        if len(segments) > 1:
            if is_directory:
                yield from _glob(folder / entry.name, segments[1:], f"{above}{entry.name}/")
        elif is_directory or entry.is_file(follow_symlinks=False):
            yield above + entry.name, is_directory


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_STARTS) or name.endswith(TEMPORARY_ENDS)


def list_files(output: Path, candidate: Candidate) -> list[Found]:
    """Return the regular files of a candidate, sorted by name. Raises: Changed, Unsuitable."""
    path = output / candidate.source
    try:
        found = sorted(_walk(path, "") if candidate.is_directory else [_describe(path, path.name)])
    except OSError as error:
        raise Changed(candidate.source) from error
    if len(found) > MAX_ARTIFACT_FILES:
        raise Unsuitable(f"it has more than {MAX_ARTIFACT_FILES} files")
    for name in (candidate.source, *(file.name for file in found)):
        if len(name) > MAX_FILE_NAME_CHARACTERS or not name.isprintable() or "\\" in name:
            raise Unsuitable("a file name in it is too long or has characters that cannot be stored")
    return found


def _walk(folder: Path, above: str) -> Iterator[Found]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{above}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield _describe(folder / entry.name, above + entry.name)


def _describe(path: Path, name: str) -> Found:
    status = path.lstat()
    return Found(name, status.st_size, status.st_mtime_ns)


def make_offer(output: Path, candidate: Candidate, found: list[Found]) -> ArtifactOffer:
    """Hash the files and return the offer. Raises Changed when they are not what was found any more."""
    files: list[FileEntry] = []
    for file in found:
        digest = hashlib.sha256()
        for block in read_blocks(locate(output, candidate, file.name), file.size_bytes):
            digest.update(block)
        files.append({"name": file.name, "size_bytes": file.size_bytes, "sha256": digest.hexdigest()})
    if list_files(output, candidate) != found:
        raise Changed(candidate.source)
    name = candidate.source.rpartition("/")[2]
    step = find_step(name) if candidate.type in ("checkpoint", "evaluation") else None
    return {
        "type": candidate.type,
        "source": candidate.source,
        "name": f"Checkpoint @ step {step}" if candidate.type == "checkpoint" and step is not None else name,
        "step": step,
        "is_directory": candidate.is_directory,
        "files": files,
    }


def locate(output: Path, candidate: Candidate, name: str) -> Path:
    """Return where a file of the candidate lies."""
    return output / candidate.source / name if candidate.is_directory else output / candidate.source


def find_step(name: str) -> int | None:
    """Return the last run of digits in a name, None without one. "epoch=3-step=500.ckpt" gives 500."""
    digits = re.findall(r"[0-9]+", name)
    step = int(digits[-1]) if digits and len(digits[-1]) <= 19 else None
    return step if step is not None and step in INT64 else None


def read_blocks(path: Path, size_bytes: int, start: int = 0) -> Iterator[bytes]:
    """Yield exactly `size_bytes` bytes of a file from `start` on, in blocks of 1 MiB. Raises Changed for fewer."""
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except OSError as error:
        raise Changed(path.name) from error
    try:
        os.lseek(descriptor, start, os.SEEK_SET)
        while size_bytes > 0:
            block = os.read(descriptor, min(BLOCK_BYTES, size_bytes))
            if not block:
                raise Changed(path.name)
            size_bytes -= len(block)
            yield block
    except OSError as error:
        raise Changed(path.name) from error
    finally:
        os.close(descriptor)
