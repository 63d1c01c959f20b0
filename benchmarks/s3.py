"""A large checkpoint to an S3 server and back: killed in the middle, continued, resumed from, compared byte for byte.

Uses the server that AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and S3_BUCKET name; without them it
starts OpenStack Swift on this machine, whose load is in the figures then.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from benchmarks import processes
from benchmarks.databases import SQLITE
from benchmarks.hub import ROOT, Hub, wait_for
from tests.engines.object_store import S3Server

LIMIT_MB = 150.0  # of every process
LIMIT_SECONDS = 3600.0
SAMPLE_SECONDS = 0.1
MIB = 1024 * 1024


class Server:
    """An S3 server as environment variables; leaving the `with` block stops it if it was started here."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        self.bucket = os.environ.get("S3_BUCKET", "")

    def __enter__(self) -> Self:
        if not self.bucket:
            self.folder = Path(tempfile.mkdtemp(prefix="trainhub-bench-s3-"))
            self._own = S3Server(self.folder).start()
            self.variables = dict(self._own.variables)
            self.bucket = self.variables.pop("S3_BUCKET")
        return self

    def __exit__(self, *_: object) -> None:
        if self.folder is not None:
            self._own.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


class Peaks:
    """The largest proportional set sizes seen, in MB (10^6 bytes)."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.mb = dict.fromkeys(("runner", "web process", "scheduler", "web as a whole"), 0.0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._note("runner", max((processes.pss_bytes(pid) for pid in runners(self._hub)), default=0) / 1e6)
            web = [processes.pss_bytes(pid) / 1e6 for pid in self._hub.web_processes()]
            self._note("web process", max(web, default=0.0))
            self._note("web as a whole", sum(web))
            self._note("scheduler", self._hub.memory_mb().get("scheduler", 0.0))

    def _note(self, name: str, mb: float) -> None:
        self.mb[name] = max(self.mb[name], mb)


def runners(hub: Hub) -> list[int]:
    """Return the pids of the hub's runners."""
    return [pid for pid in processes.naming(f"{hub.data}/attempts/") if "\0-m\0runner\0" in processes.command_line(pid)]


class Parts:
    """What of the upload is in the bucket."""

    def __init__(self, server: Server, prefix: str) -> None:
        import botocore.session  # an extra of the hub

        self._client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=server.variables.get("AWS_ENDPOINT_URL"),
            region_name=server.variables.get("AWS_DEFAULT_REGION", "us-east-1"),
            aws_access_key_id=server.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=server.variables["AWS_SECRET_ACCESS_KEY"],
        )
        self._bucket, self._prefix = server.bucket, prefix

    def count(self) -> int:
        """Return how many parts of the upload that is under way are there."""
        found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=self._prefix).get("Uploads", [])
        names = [{"Bucket": self._bucket, "Key": one["Key"], "UploadId": one["UploadId"]} for one in found]
        return sum(len(self._client.list_parts(**one).get("Parts", [])) for one in names)


def measure(hub: Hub, parts: Parts, mib: int, part_mib: int) -> dict[str, Any]:
    """Send and fetch a checkpoint of so many MiB; return the figures."""
    project = hub.must("POST", "/projects", {"name": "S3"})["id"]
    path = hub.launch(project, recipe="heavy", model_parameters={"mib": mib})
    saved = wait_for_line(hub, path, "saved")
    began = time.perf_counter()
    wanted = max(1, mib // part_mib // 4)
    there = wait_for(lambda: (n := parts.count()) >= wanted and n, "a quarter of the parts", LIMIT_SECONDS, 0.05)
    processes.kill(runners(hub))
    complete = wait_for(lambda: checkpoint_of(hub, path), "all parts", LIMIT_SECONDS, 0.2)
    complete_at = time.perf_counter()
    wait_for(lambda: checkpoint_of(hub, path)["state"] == "verified", "the verification", LIMIT_SECONDS, 0.2)
    verified_at = time.perf_counter()
    resumed = hub.must(
        "POST",
        f"{path}/resume?source_artifact_id={complete['id']}",
        {"model_parameters": {"mib": 0, "then": "finish"}},
    )
    fetched = wait_for_line(hub, f"{path.rpartition('/')[0]}/{resumed['id']}", "resumed from")
    return {
        "sent": complete_at - began,
        "verified": verified_at - complete_at,
        "fetched": time.perf_counter() - verified_at,
        "parts": (there, -(-mib // part_mib)),
        "is_same": saved == fetched,
    }


def checkpoint_of(hub: Hub, path: str) -> dict[str, Any]:
    """Return the run's checkpoint, empty before it has one."""
    items = hub.must("GET", f"{path}/artifacts?type=checkpoint")["items"]
    return items[0] if items else {}


def wait_for_line(hub: Hub, path: str, what: str) -> str:
    """Return the last word of the log line that holds `what`."""

    def find() -> str:
        items = hub.must("GET", f"{path}/logs?contains={what.replace(' ', '+')}")["items"]
        return items[0]["message"].rsplit(" ", 1)[-1] if items else ""

    return wait_for(find, what, LIMIT_SECONDS, 0.1)


def main() -> int:
    """Print the figures; 1 when the bytes differ or a process took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench-s3 ARGS=…")
    parser.add_argument("--mb", type=int, default=2048, help="MiB of the checkpoint")
    parser.add_argument("--part-mib", type=int, default=64, help="MiB of a part")
    given = parser.parse_args()
    prefix = f"bench-{os.getpid()}"
    with Server() as server:
        settings = server.variables | {
            "TRAINHUB_STORE": f"s3://{server.bucket}/{prefix}",
            "TRAINHUB_S3_PART_MIB": str(given.part_mib),
            "TRAINHUB_RECIPES": str(ROOT / "tests" / "end_to_end" / "recipes"),
        }
        with Hub(SQLITE, settings=settings) as hub:
            hub.start()
            hub.make_token()
            with Peaks(hub) as peaks:
                figures = measure(hub, Parts(server, f"{prefix}/"), given.mb, given.part_mib)
    return tell(figures, peaks.mb, given.mb * MIB / 1e6)


def tell(figures: dict[str, Any], peaks: dict[str, float], mb: float) -> int:
    """Print what was measured; return the exit code."""
    there, parts = figures["parts"]
    print(f"checkpoint of {mb:.0f} MB; its runner was killed when {there} of {parts} parts were there")
    for name, what in (("sent", "to the bucket"), ("verified", "read and compared"), ("fetched", "back on the node")):
        print(f"{what:>20}: {figures[name]:7.1f} s {mb / figures[name]:7.0f} MB/s")
    for name, peak in peaks.items():
        print(f"{'peak, ' + name:>20}: {peak:7.1f} MB")
    print(f"{'the same bytes':>20}: {'yes' if figures['is_same'] else 'NO'}")
    each = max(peaks[name] for name in ("runner", "web process", "scheduler"))
    return 0 if figures["is_same"] and each < LIMIT_MB else 1


if __name__ == "__main__":
    raise SystemExit(main())
