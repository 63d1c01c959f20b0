"""A hub in memory that speaks the node protocol, keeps what it is told, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "canary-5f1d6c0b9e"


class Hub:
    """Start with `start`; everything that came in is in the public attributes, `moments` has when (monotonic)."""

    def __init__(self, claim: dict[str, Any]) -> None:
        self.claim = claim
        self.condition = threading.Condition()
        self.instance: str | None = None
        self.calls: list[str] = []  # "POST logs", in order of arrival, also those not answered
        self.moments: dict[str, float] = {}  # first time of each call, and "exit answered"
        self.started: list[dict[str, Any]] = []
        self.beats: list[dict[str, Any]] = []
        self.batches: dict[str, dict[int, dict[str, Any]]] = {"logs": {}, "metrics": {}}
        self.stored = {"logs": claim["log_sequence"], "metrics": claim["metric_sequence"]}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.bytes: dict[tuple[str, int], bytes] = {}
        self.resume_files: list[bytes] = []
        self.exits: list[dict[str, Any]] = []
        # how to misbehave
        self.is_down = False  # every connection is closed without an answer
        self.order: str | None = None
        self.order_grace = 5.0
        self.is_fenced = False
        self.failures: list[tuple[str, int, dict[str, Any]]] = []  # (call pattern, status, body), each used once
        self.refuse: dict[str, tuple[int, dict[str, Any]]] = {}  # call pattern: answered so always
        self.lost_answers: dict[str, int] = {}  # call pattern: so many answers are lost after storing
        self.handlers = 0
        self._server: ThreadingHTTPServer | None = None

    # --- running

    def start(self) -> None:
        """Listen on a free port of the loopback."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                hub._handle(self)

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815  names that the library calls

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        assert self._server
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        assert self._server
        self._server.shutdown()
        self._server.server_close()

    # --- what tests ask

    def wait(self, condition: Any, seconds: float = 120.0, what: str = "") -> None:
        """Wait until `condition()` holds; fails after `seconds`."""
        with self.condition:
            assert self.condition.wait_for(condition, seconds), what or f"not in {seconds} s; calls: {self.calls[-20:]}"

    def lines(self, stream: int | None = None) -> list[str]:
        """Return the text of all log lines in order (stream 0 stdout, 1 stderr, 2 trainhub)."""
        return [line[3] for line in self.log_lines() if stream is None or line[2] == stream]

    def log_lines(self) -> list[list[Any]]:
        """Return all log lines [time, level, stream, text] in order of their batches."""
        batches = self.batches["logs"]
        columns = [batches[number]["lines"] for number in sorted(batches)]
        names = ("time", "level", "stream", "text")
        return [list(line) for one in columns for line in zip(*(one[name] for name in names), strict=True)]

    def points(self, key: str) -> list[tuple[int, Any]]:
        """Return (step, value) of one metric, in order."""
        found: list[tuple[int, Any]] = []
        for number in sorted(self.batches["metrics"]):
            columns = self.batches["metrics"][number]["metrics"].get(key)
            if columns:
                assert len(columns["step"]) == len(columns["time"]) == len(columns["value"])
                found += zip(columns["step"], columns["value"], strict=True)
        return found

    def artifact(self, source: str) -> dict[str, Any]:
        """Return one artifact's offer with its state."""
        return self.artifacts[source]

    # --- answering

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        if self.is_down:
            self._hang_up(request)
            return
        body = self._read(request)
        call = f"{request.command} {request.path.removeprefix('/node/')}"
        if body is None or self.is_down:
            self._hang_up(request)
            return
        with self.condition:
            self.calls.append(call)
            self.moments.setdefault(call, time.monotonic())
            status, answer = self._answer(request, call, body)
            self.condition.notify_all()
            lost = next(
                (pattern for pattern, n in self.lost_answers.items() if n > 0 and re.fullmatch(pattern, call)), ""
            )
            if lost:
                self.lost_answers[lost] -= 1
        if lost:
            self._hang_up(request)
        else:
            self._send(request, status, answer)

    @staticmethod
    def _hang_up(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _read(request: BaseHTTPRequestHandler) -> bytes | None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        return body if len(body) == length else None

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, answer: dict[str, Any] | bytes) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _answer(self, request: BaseHTTPRequestHandler, call: str, body: bytes) -> tuple[int, dict[str, Any] | bytes]:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"code": "authentication_failed", "detail": "Unknown token."}
        if self.is_fenced:
            return 409, {"code": "fenced", "detail": "Another attempt took over."}
        return self._misbehave(call) or self._behave(call, body)

    def _misbehave(self, call: str) -> tuple[int, dict[str, Any] | bytes] | None:
        for position, (pattern, status, answer) in enumerate(self.failures):
            if re.fullmatch(pattern, call):
                del self.failures[position]
                return status, answer
        return next((answer for pattern, answer in self.refuse.items() if re.fullmatch(pattern, call)), None)

    def _behave(self, call: str, body: bytes) -> tuple[int, dict[str, Any] | bytes]:
        if match := re.fullmatch(r"PUT artifacts/(\w+)/files/(\d+)", call):
            self.bytes[match[1], int(match[2])] = body
            return 200, {}
        if match := re.fullmatch(r"GET resume/files/(\d+)", call):
            return 200, self.resume_files[int(match[1])]
        if match := re.fullmatch(r"POST artifacts/(\w+)/complete", call):
            return self._complete(match[1])
        return getattr(self, "_" + call.partition(" ")[2])(json.loads(body))

    def _claim(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.instance not in (None, body["instance"]):
            return 409, {"code": "already_claimed", "detail": "Another runner holds this attempt."}
        self.instance = body["instance"]
        return 200, self.claim

    def _started(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.started.append(body)
        return 200, {}

    def _heartbeat(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.beats.append(body)
        return 200, {"order": self.order, "grace_seconds": self.order_grace}

    def _logs(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self._batch("logs", body)

    def _metrics(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self._batch("metrics", body)

    def _batch(self, stream: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        number, stored = body["sequence"], self.stored[stream]
        if number > stored + 1:
            return 409, {"code": "sequence_gap", "detail": "A batch is missing.", "expected": stored + 1}
        if number == stored + 1:
            self.batches[stream][number] = body
            self.stored[stream] = number
        return 200, {"sequence": self.stored[stream]}

    def _artifacts(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        known = self.artifacts.setdefault(
            body["source"], {**body, "id": f"art{len(self.artifacts)}", "state": "writing"}
        )
        return self._describe(known)

    def _describe(self, artifact: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        missing = [i for i in range(len(artifact["files"])) if (artifact["id"], i) not in self.bytes]
        return 200, {"id": artifact["id"], "state": artifact["state"], "missing": missing}

    def _complete(self, uid: str) -> tuple[int, dict[str, Any]]:
        artifact = next(a for a in self.artifacts.values() if a["id"] == uid)
        for index, entry in enumerate(artifact["files"]):
            data = self.bytes.get((uid, index))
            if data is None or hashlib.sha256(data).hexdigest() != entry["sha256"] or len(data) != entry["size_bytes"]:
                self.bytes.pop((uid, index), None)
                return self._describe(artifact)
        artifact["state"] = "verified"
        return self._describe(artifact)

    def _exit(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.exits.append(body)
        self.moments.setdefault("exit answered", time.monotonic())
        return 200, {"status": "completed"}
