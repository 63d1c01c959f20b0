"""Turns the name of a dataset or model into a path inside the operator's folders, or a name on the hub."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hf_sft.errors import UnusableInput

HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def find_place(name: str, folders: Sequence[Path], what: str) -> Path | str:
    """A path, links followed, that lies inside one of `folders`; otherwise `name` itself, when the hub may have it.

    Args: name: a path, absolute or relative to one of the folders, which are tried in order, or owner/name.
    Raises: UnusableInput naming `what` (dataset, base model) when it is neither.
    """
    real_folders = [folder.resolve() for folder in folders]
    for folder in real_folders:
        try:
            path = (folder / name).resolve()  # an absolute name replaces the folder; the check below holds for both
            if is_inside(path, real_folders) and path.exists():
                return path
        except (OSError, ValueError, RuntimeError):
            continue  # a name no file can have (too long, a NUL byte, a loop of links) is a name not found
    if HUB_NAME.fullmatch(name):
        return name
    allowed = ", ".join(str(folder) for folder in real_folders) or "none so far"
    # The same words whether a file outside exists or not: the answer must not tell what lies on the server.
    raise UnusableInput(
        f"there is no {what} {name!r} that this run may read. Allowed are names on the hub (owner/name) and what lies "
        f"inside the operator's dataset folders ({allowed}). An operator allows a further folder by adding its path to "
        "the environment variable TRAINHUB_DATASETS"
    )


def is_inside(path: Path, real_folders: Sequence[Path]) -> bool:
    """Whether a path without links lies in one of the folders, or is one of them."""
    return any(os.path.commonpath([folder, path]) == str(folder) for folder in real_folders)
