"""trackio's server: one process, SQLite, and one row a step."""

from __future__ import annotations

import secrets

from benchmarks.bodies import FIRST_CALL
from benchmarks.ingest import SINGLE, TEN_THOUSAND, THOUSAND, Case, cases_of
from benchmarks.load import Figures, Load, Sender
from benchmarks.peers.environment import python_of
from benchmarks.peers.server import PeerServer

CASES = [
    *cases_of("trackio_bulk", THOUSAND),
    *cases_of("trackio_bulk", TEN_THOUSAND),
    *cases_of("trackio_bulk", SINGLE),
]


class Trackio(PeerServer):
    """`trackio show`, as its users start it; nothing of it leaves this machine."""

    name = "trackio"
    ready_path = "/version"
    _TOKEN = "benchmark"

    def command(self) -> list[str]:
        """Return what starts the server."""
        return [str(python_of("trackio").with_name("trackio")), "show", "--host", "127.0.0.1"]

    def settings(self) -> dict[str, str]:
        """Return its folder, its port, and that it is to stay offline and open no browser."""
        return {
            "TRACKIO_DIR": str(self.data / "trackio"),
            "TRACKIO_WRITE_TOKEN": self._TOKEN,
            "GRADIO_SERVER_PORT": str(self.port),
            "GRADIO_NUM_PORTS": "1",
            "HF_HOME": str(self.data / "hf"),
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "BROWSER": "true",
        }

    def headers(self) -> dict[str, str]:
        """Return the token for writing."""
        return {"X-Trackio-Write-Token": self._TOKEN}

    def load(self, case: Case, seconds: float) -> Load:
        """Send to runs with new names; trackio makes them at the first call."""
        senders = [Sender(run=secrets.token_hex(16)) for _ in range(case.connections)]
        return Load(
            self.port,
            "/api/bulk_log",
            senders,
            seconds,
            shape=case.shape,
            size=case.size,
            headers=self.headers(),
            expect='{"data":null}',
        )

    def finish(self, load: Load, case: Case, figures: Figures) -> None:
        """Check that every run has all its steps; trackio defers nothing."""
        for sender, calls in zip(load.senders, figures.calls, strict=True):
            asked = {"project": "bench", "run": sender.run, "run_id": sender.run}
            summary = self.must("POST", "/api/get_run_summary", asked)["data"]
            last = (FIRST_CALL + calls) * case.size.steps - 1
            if (summary["num_logs"], summary["last_step"]) != (calls * case.size.steps, last):
                raise RuntimeError(f"trackio holds {summary['num_logs']} steps of {calls * case.size.steps}")
