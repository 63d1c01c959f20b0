"""MLflow's server with two workers, everything else at its defaults, telemetry off."""

from __future__ import annotations

from typing import Any

from benchmarks.bodies import FIRST_CALL
from benchmarks.ingest import SINGLE, THOUSAND, Case, cases_of
from benchmarks.load import Figures, Load, Sender
from benchmarks.peers.environment import python_of
from benchmarks.peers.server import PeerServer

API = "/api/2.0/mlflow"
AT_ONCE = ", client acknowledging at once"
CASES = [
    *cases_of("mlflow_batch", THOUSAND),
    *cases_of("mlflow_metric", SINGLE),
    *cases_of("mlflow_metric", SINGLE, AT_ONCE, at_once=True),
]


class Mlflow(PeerServer):
    """`mlflow server --workers 2`."""

    name = "MLflow"
    ready_path = "/health"

    def command(self) -> list[str]:
        """Return what starts the server."""
        url = self.database.url.replace("postgresql://", "postgresql+psycopg2://", 1)
        return [
            str(python_of("mlflow").with_name("mlflow")),
            *("server", "--workers", "2", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", url, "--default-artifact-root", str(self.data / "artifacts")),
        ]

    def settings(self) -> dict[str, str]:
        """Return that it is to report to nobody."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}

    def must(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request below MLflow's API that has to succeed; return the parsed answer. Raises: RuntimeError."""
        return super().must(method, API + path, body)

    def load(self, case: Case, seconds: float) -> Load:
        """Send to new runs of the default experiment."""
        path = "/runs/log-batch" if case.shape == "mlflow_batch" else "/runs/log-metric"
        senders = [Sender(run=self._new_run()) for _ in range(case.connections)]
        return Load(
            self.port,
            API + path,
            senders,
            seconds,
            shape=case.shape,
            size=case.size,
            expect="{",
            at_once=case.at_once,
        )

    def _new_run(self) -> str:
        run = self.must("POST", "/runs/create", {"experiment_id": "0", "start_time": 0})["run"]
        return str(run["info"]["run_id"])

    def finish(self, load: Load, case: Case, figures: Figures) -> None:
        """Check that every run has its last step; MLflow defers nothing."""
        for sender, calls in zip(load.senders, figures.calls, strict=True):
            metrics = self.must("GET", f"/runs/get?run_id={sender.run}")["run"]["data"]["metrics"]
            found = {int(metric["step"]) for metric in metrics}
            if len(metrics) != case.size.keys or found != {(FIRST_CALL + calls) * case.size.steps - 1}:
                raise RuntimeError(f"MLflow holds {found}, not the last of {calls} calls")
