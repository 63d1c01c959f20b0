"""A proxy before an S3 server that counts what passes, and misbehaves as it is told."""

from __future__ import annotations

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

FAULTS = ("slow down", "internal error", "cut off", "other bytes", "wrong etag", "no answer")


class S3Proxy:
    """Forwards to `target` as it is, signatures included. `faults` are used up by uploads, one each, in their order."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.faults: list[str] = []
        self.stored: list[tuple[str, int]] = []  # (path, part number; 0 for a whole file) of uploads that went well
        self.gate = threading.Event()  # uploads wait until it is set
        self.gate.set()
        self.cuts = 0  # so many downloads break off half-way
        self.fetched: list[str] = []  # the ranges of downloads; empty for a whole file
        self.let_through = 0  # so many uploads pass a closed gate
        self.lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.handle(self)

            do_GET = do_PUT = do_HEAD = handle_any  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        if len(body) < length:
            request.close_connection = True
            return
        fault = ""
        if request.command == "PUT":
            with self.lock:
                is_free, self.let_through = self.let_through > 0, max(0, self.let_through - 1)
                fault = self.faults.pop(0) if self.faults else ""
            if not is_free:
                self.gate.wait(120)
        if fault in {"slow down", "internal error"}:
            status, code = (503, "SlowDown") if fault == "slow down" else (500, "InternalError")
            self.answer(request, status, {}, f"<Error><Code>{code}</Code></Error>".encode())
        elif fault == "no answer":
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.forward(request, body, fault)

    def forward(self, request: BaseHTTPRequestHandler, body: bytes, fault: str) -> None:
        sent = {"cut off": body[: len(body) // 2], "other bytes": bytes(len(body))}.get(fault, body)
        upstream = http.client.HTTPConnection(self.target.hostname or "", self.target.port, timeout=60)
        headers = dict(request.headers.items())
        if fault == "cut off":
            upstream.timeout = 2
        try:
            upstream.request(request.command, request.path, body=sent, headers=headers)
            response = upstream.getresponse()
            answer, status = response.read(), response.status
            told = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        except OSError:
            answer, status, told = b"", 504, {}
        finally:
            upstream.close()
        if fault == "wrong etag":
            told["Etag"] = f'"{"0" * 32}"'
        elif status == 200 and request.command == "PUT":
            with self.lock:
                parts = urlsplit(request.path)
                self.stored.append((parts.path, int(parse_qs(parts.query).get("partNumber", ["0"])[0])))
        is_cut = request.command == "GET" and self.cuts > 0
        if request.command == "GET":
            self.fetched.append(request.headers.get("Range", ""))
            self.cuts -= is_cut
        self.answer(request, status, told, answer, is_cut=is_cut)

    def answer(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        body: bytes,
        *,
        is_cut: bool = False,
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2] if is_cut else body)
        if is_cut:
            request.wfile.flush()
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)


HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
