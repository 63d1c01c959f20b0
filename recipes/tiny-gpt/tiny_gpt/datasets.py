"""Finds the text a run asked for, and reads nothing outside the folders the operator allows."""

import json
import os
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tiny_gpt.errors import UnusableInput
from tiny_gpt.reporting import log

STANDARD_LIBRARY = "python-stdlib"
# Left out: third-party code, tests (data files that are wrong on purpose), and tables that are not prose or program.
SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test", "encodings"}
SKIPPED_FOLDERS |= {"pydoc_data", "lib2to3", "ensurepip"}
STANDARD_LIBRARY_LIMIT_BYTES = 4 * 1024**2  # a default run draws about 1.5 million bytes
DATASET_LIMIT_BYTES = 64 * 1024**2  # held in memory; far more than this model can learn from
BINARY_PROBE_BYTES = 8192  # a NUL byte among the first ones marks a file as not text; git uses the same test


def read_dataset(name: str, roots: Sequence[Path]) -> bytes:
    """The bytes of a dataset: the standard library, a text file, a folder of text files or a .jsonl file.

    Args: name: `python-stdlib` (also when empty), or a path, absolute or relative to one of the roots, which are tried
    in order; roots: folders the operator allows. At most `DATASET_LIMIT_BYTES` are read.
    Raises: UnusableInput when the name leads outside every root or the content cannot be read as text.
    """
    if name in ("", STANDARD_LIBRARY):
        folder = Path(sysconfig.get_path("stdlib")).resolve()
        return _joined((path for path in _files_below(folder) if path.suffix == ".py"), STANDARD_LIBRARY_LIMIT_BYTES)
    real_roots = [root.resolve() for root in roots]
    path = _locate(name, real_roots)
    if path.is_file():
        return _joined([path], DATASET_LIMIT_BYTES)
    return _joined(_text_files_below(path, real_roots), DATASET_LIMIT_BYTES)


def _locate(name: str, real_roots: Sequence[Path]) -> Path:
    for root in real_roots:
        try:
            path = (root / name).resolve()  # an absolute name replaces the root; the check below holds for both
            if _is_inside(path, real_roots) and (path.is_file() or path.is_dir()):
                return path
        except (OSError, ValueError, RuntimeError):
            continue  # a name no file can have (too long, a NUL byte, a loop of links) is a name not found
    allowed = ", ".join(str(root) for root in real_roots) or "none so far"
    # The same words whether a file outside exists or not: the answer must not tell what lies on the server.
    raise UnusableInput(
        f"there is no dataset {name!r} that this run may read. Allowed are '{STANDARD_LIBRARY}' and text files, "
        f"folders of text files and .jsonl files inside the operator's dataset folders ({allowed}). An operator "
        "allows a further folder by adding its path to the environment variable TRAINHUB_DATASETS"
    )


def _is_inside(path: Path, real_roots: Sequence[Path]) -> bool:
    return any(os.path.commonpath([root, path]) == str(root) for root in real_roots)


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        yield from (Path(parent, name) for name in sorted(names))


def _text_files_below(folder: Path, real_roots: Sequence[Path]) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name).resolve()
            if not _is_inside(path, real_roots):
                log("WARNING", f"Skipping {name}: it is a link that leads outside the dataset folders")
            elif path.is_file():
                yield path


def _joined(paths: Iterator[Path] | list[Path], limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    remaining = limit_bytes
    for path in paths:
        text = _read_text(path, remaining)
        if text:
            parts.append(text)
            remaining -= len(text) + 1
        if remaining <= 0:
            log("INFO", f"Reading ends at {limit_bytes // 1024**2} MiB; what the dataset holds beyond is not used")
            break
    return b"\n".join(parts)


def _read_text(path: Path, limit_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes)
    except OSError as error:
        log("WARNING", f"Skipping {path.name}: {error.strerror}")
        return b""
    if b"\0" in content[:BINARY_PROBE_BYTES]:
        log("WARNING", f"Skipping {path.name}: it is not a text file")
        return b""
    if path.suffix == ".jsonl":
        return _jsonl_text(path.name, content, is_cut=len(content) == limit_bytes)
    return content


def _jsonl_text(name: str, content: bytes, *, is_cut: bool) -> bytes:
    lines = content.split(b"\n")
    if is_cut:
        lines.pop()  # the limit may have fallen into the middle of the last line
    texts: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            texts.append(_record_text(name, number, line))
    # A JSON string may hold half a surrogate pair, which has no encoding.
    return "\n".join(texts).encode("utf-8", errors="replace")


def _record_text(name: str, number: int, line: bytes) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"line {number} of {name} is not valid JSON: {error}") from error
    if isinstance(record, dict) and isinstance(record.get("text"), str):
        return str(record["text"])
    return "\n".join(_strings_in(record))


def _strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(inner)
