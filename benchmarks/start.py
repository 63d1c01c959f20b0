"""Start and memory of a server that has nothing to do."""

from __future__ import annotations

import time

from benchmarks.hub import Hub
from benchmarks.ingest import wait_until_idle
from benchmarks.peers.server import PeerServer
from benchmarks.report import Report

START, MEMORY = "start to first 200", "memory idle (PSS)"
START_LIMIT_SECONDS, MEMORY_LIMIT_MB = 1.5, 200
IDLE_SECONDS = 5.0


def measure_hub_start(report: Report, hub: Hub, starts: int) -> None:
    """Start an installation that is set up again and again, then look at its memory."""
    hub.start()
    hub.make_token()
    hub.cancel_all()
    seconds = []
    for _ in range(starts):
        hub.stop()
        seconds.append(hub.start())
    report.add(START, "s", seconds, at_most=START_LIMIT_SECONDS)
    time.sleep(IDLE_SECONDS)
    parts = hub.memory_mb()
    report.add(MEMORY, "MB", [parts["web"] + parts["scheduler"]], at_most=MEMORY_LIMIT_MB)
    for name in ("web", "scheduler", "keeper"):
        report.add_part(name, "MB", [parts[name]])


def measure_peer_start(report: Report, server: PeerServer, starts: int) -> None:
    """Start a peer that has its database already again and again, then look at its memory."""
    report.server = server.server
    server.start()
    seconds = []
    for _ in range(starts):
        server.stop()
        seconds.append(server.start())
    report.add(START, "s", seconds)
    wait_until_idle(server)
    report.add(MEMORY, "MB", [server.memory_mb()])
