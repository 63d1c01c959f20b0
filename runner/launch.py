"""Becomes the trainer: `python -I -S launch.py RUNNER_PID STATUS_FD COMMAND…` tightens itself, then execs.

With 0 for the runner's pid it does not die with the runner, and memory is not taken from it first.

Its own process, because code between fork and exec in a program with threads may deadlock. It writes "ready"
to the status pipe right before the exec, which closes the pipe; when the exec fails, the errno follows.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_NO_NEW_PRIVS = 38
OOM_SCORE_ADJUSTMENT = 500  # of 1,000: under memory pressure the kernel takes the trainer before the runner


def main(arguments: list[str]) -> int:
    """Exec the command; returns only when that failed."""
    runner, status = int(arguments[0]), int(arguments[1])
    command = arguments[2:]
    os.set_inheritable(status, False)  # noqa: FBT003
    if runner:
        _die_with(runner)
        _give_way()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _reset_signals()
    os.write(status, b"ready ")
    try:
        os.execvpe(command[0], command, _environment_bytes())  # noqa: S606  the recipe's argument list
    except OSError as error:
        os.write(status, str(error.errno).encode())
    return 127


def read_environment() -> dict[str, str]:
    """Return the variables of this process as it was given them."""
    return {os.fsdecode(name): os.fsdecode(value) for name, value in _environment_bytes().items()}


def _environment_bytes() -> dict[bytes, bytes]:
    """Return the variables as they were given: the interpreter adds LC_CTYPE to its own in a C locale."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
        return {name: value for name, _, value in pairs}


def _die_with(runner: int) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != runner:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _give_way() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OOM_SCORE_ADJUSTMENT))
    except OSError:
        pass  # a comfort; some containers forbid it


def _reset_signals() -> None:
    """An ignored SIGTERM would survive the exec and make the trainer deaf to a cancel."""
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
