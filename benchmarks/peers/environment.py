"""The peers' virtual environments, outside the repository, made at their first use."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent
INSTALL_SECONDS = 1800


def home() -> Path:
    """Return the folder of all peers' environments: BENCH_PEERS, or one in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BENCH_PEERS") or cache / "trainhub-bench" / "peers")


def python_of(peer: str) -> Path:
    """Return the Python of a peer's environment; installs what `requirements-PEER.txt` pins when that is not there.

    Raises: CalledProcessError when the index does not have it.
    """
    requirements = REQUIREMENTS / f"requirements-{peer}.txt"
    folder = home() / peer
    mark, digest = folder / "installed", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text(encoding="utf-8") != digest:
        print(f"… installing {peer} in {folder}, once", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        # Every package is pinned, so that pip has nothing to choose.
        _run(str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "-r", str(requirements))
        mark.write_text(digest, encoding="utf-8")
    return folder / "bin" / "python"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL)
