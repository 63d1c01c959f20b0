"""`python -s -S -m runner [--recover] ATTEMPT_FOLDER`: started by an executor, one per attempt."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from runner.durable import note
from runner.folder import AttemptFolder


def main(arguments: list[str]) -> int:
    """Run or recover one attempt. Exit code 0 when nothing is left to do, 1 when a recovery is needed, 2 for misuse."""
    is_recovery = arguments[:1] == ["--recover"]
    paths = arguments[1:] if is_recovery else arguments
    if len(paths) != 1:
        note("usage: python -m runner [--recover] ATTEMPT_FOLDER")
        return 2
    os.umask(0o077)
    folder = AttemptFolder(Path(paths[0]).absolute())
    if folder.take_lock() is None:  # held until this process ends, however it ends
        note("another runner holds this attempt")
        return 0
    folder.write_runner(is_recovery=is_recovery)
    try:
        return _run(folder, is_recovery=is_recovery)
    except Exception:  # noqa: BLE001  its last words belong in the log
        note(f"the runner failed:\n{traceback.format_exc()}")
        return 1


def _run(folder: AttemptFolder, *, is_recovery: bool) -> int:
    if is_recovery:
        from runner.recover import recover

        return recover(folder)
    from runner.supervise import supervise

    return supervise(folder)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # threads that still wait for the network must not hold the process
