"""A real S3 server for tests: one for a session, started by whichever test process comes first."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("s3-up.sh")
INNER_PORTS = 5  # beside each other: the proxy's and four behind it


def need_s3() -> None:
    """Skip the test where OpenStack Swift is not installed; fail it in CI."""
    if shutil.which("swift-proxy-server") and shutil.which("memcached"):
        return
    reason = (
        "OpenStack Swift is not installed: apt install swift-proxy swift-object swift-container swift-account memcached"
    )
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


class S3Server:
    """A server in a folder. `variables` are what programs need to use it."""

    def __init__(self, folder: Path, port: str = "") -> None:
        self.folder = folder
        ports = folder / "port"
        folder.mkdir(parents=True, exist_ok=True)
        if not ports.exists():
            ports.write_text(port or str(_free_ports()))
        self.port = int(ports.read_text())
        self.variables: dict[str, str] = {}

    def _call(self, *arguments: str) -> str:
        own = {**os.environ, "S3_DEV_DIR": str(self.folder), "S3_PORT": str(self.port)}
        done = subprocess.run(
            [SCRIPT, *arguments],
            env=own,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> S3Server:
        """Start it, or find it running. What was stored is still there."""
        words = shlex.split(self._call())
        self.variables = dict(word.split("=", 1) for word in words if "=" in word)
        return self

    def stop(self) -> None:
        """Stop it; what is stored stays."""
        self._call("--stop")

    def settings(self) -> dict[str, str]:
        """Return the variables of a hub whose artifacts go to a prefix of its own."""
        kept = {name: value for name, value in self.variables.items() if name.startswith("AWS_")}
        return {**kept, "TRAINHUB_STORE": f"s3://{self.variables['S3_BUCKET']}/{secrets.token_hex(6)}"}


def _free_ports() -> int:
    """Return the first of INNER_PORTS ports in a row that nobody listens on."""
    for first in range(21000 + secrets.randbelow(3000) * INNER_PORTS, 40000, INNER_PORTS):
        probes = [socket.socket() for _ in range(INNER_PORTS)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        else:
            return first
        finally:
            for probe in probes:
                probe.close()
    raise AssertionError("no free ports")


class SharedServer:
    """The server of a session: the last test process that leaves stops it.

    Where S3_DEV_DIR and S3_PORT name one, as s3-up.sh reads them, that is used, and goes on afterwards.
    """

    def __init__(self, place: Path) -> None:
        self._lock, self._users = place / "s3-lock", place / "s3-users"
        self.server: S3Server | None = None
        self._is_kept = "S3_DEV_DIR" in os.environ
        self._folder = Path(os.environ.get("S3_DEV_DIR", place / "s3"))

    def __enter__(self) -> S3Server:
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = S3Server(self._folder, os.environ.get("S3_PORT", "")).start()
            self._users.write_text(str(self._count() + 1))
        self.server = server
        return server

    def __exit__(self, *_: object) -> None:
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            left = self._count() - 1
            self._users.write_text(str(left))
            if not left and self.server and not self._is_kept:
                self.server.stop()

    def _count(self) -> int:
        return int(self._users.read_text()) if self._users.exists() else 0
