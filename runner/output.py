"""The trainer's stdout and stderr: always read at once, parsed behind, thrown away (and counted) in a flood."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from typing import Final, NamedTuple, Protocol

from runner.lines import ERROR, INFO, WARNING, LineSplitter, decode_line, find_level, parse_metrics
from runner.protocol import STREAMS, ExitReport
from runner.telemetry import Telemetry
from runner.threads import start_thread

STDOUT: Final = STREAMS.index("stdout")
STDERR: Final = STREAMS.index("stderr")
DEFAULT_LEVELS: Final = {STDOUT: INFO, STDERR: WARNING}
READ_BYTES: Final = 256 * 1024
MAX_QUEUE_BYTES: Final = 32 * 1024**2  # read but not yet parsed; beyond it, output is counted and dropped


class Chunk(NamedTuple):
    """Bytes as read. `lost`: whole lines of this stream dropped right before them."""

    stream: int
    time_us: int
    data: bytes
    lost: int


class ChunkQueue:
    """Between the thread that reads and the one that parses. Putting never waits."""

    def __init__(self, max_bytes: int = MAX_QUEUE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._chunks: deque[Chunk] = deque()
        self._bytes = 0
        self._lost: dict[int, int] = {}  # by stream, while it is being dropped
        self._is_closed = False
        self._changed = threading.Condition()

    def put(self, stream: int, data: bytes) -> None:
        """Queue bytes, or count and drop them when the queue is full, always by whole lines."""
        with self._changed:
            is_dropping = stream in self._lost
            if self._bytes + len(data) > self._max_bytes or (is_dropping and b"\n" not in data):
                self._lost[stream] = self._lost.get(stream, 0) + data.count(b"\n")
                return
            lost = 0
            if is_dropping:  # what is left of a half-dropped line goes too
                data = data.partition(b"\n")[2]
                lost = self._lost.pop(stream) + 1
            self._append(Chunk(stream, time.time_ns() // 1000, data, lost))

    def _append(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)
        self._bytes += len(chunk.data)
        self._changed.notify()

    def close(self) -> None:
        """No more will come."""
        with self._changed:
            for stream, lost in self._lost.items():
                self._append(Chunk(stream, time.time_ns() // 1000, b"", max(lost, 1)))
            self._is_closed = True
            self._changed.notify()

    def get(self) -> Chunk | None:
        """Wait for the next chunk; None after the last one."""
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._is_closed)
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._bytes -= len(chunk.data)
            return chunk


class Sink(Protocol):
    """Where whole lines go; called by one thread."""

    def take(self, stream: int, time_us: int, line: bytes) -> None:
        """Handle one line, without its end."""

    def lines_left_out(self, count: int) -> None:
        """Note that lines were thrown away."""

    def flush(self) -> None:
        """That was the last line."""


class Parser:
    """Makes log lines and points of metrics of a trainer's lines."""

    def __init__(self, telemetry: Telemetry, origin: str = "") -> None:
        """`origin` stands before every line of the log, for a node other than the first."""
        self._telemetry, self._origin = telemetry, origin
        self.last_complaint = ""  # newest line of stderr, or of level ERROR and above; why the trainer failed
        self.lines_left_out = telemetry.lines_left_out
        self.flush = telemetry.flush

    def take(self, stream: int, time_us: int, line: bytes) -> None:
        """Add one line to the log, or its points to the metrics."""
        metrics = parse_metrics(line) if stream == STDOUT else None
        if metrics:
            self._telemetry.add_metric_line(time_us, metrics)
            return
        text = decode_line(line)
        level = find_level(text, DEFAULT_LEVELS[stream])
        if (stream == STDERR or level >= ERROR) and text.strip():
            self.last_complaint = text
        if self._origin:
            text = decode_line(self._origin.encode() + line)
        self._telemetry.add_line(time_us, level, stream, text)

    def complete(self, report: ExitReport) -> None:
        """Put into the report what the trainer said last of why it failed."""
        if report["exit_code"] != 0 and not report["was_stopped"]:
            report["message"] = self.last_complaint


class Output:
    """Reads both pipes until they end, or until the trainer's tree is gone and nothing is left in them."""

    def __init__(self, sink: Sink, stdout: int, stderr: int) -> None:
        self._sink = sink
        self._queue = ChunkQueue()
        self._streams = {stdout: STDOUT, stderr: STDERR}
        self._splitters = {STDOUT: LineSplitter(), STDERR: LineSplitter()}
        self._is_ending = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._parsed = threading.Event()

    def start(self) -> None:
        """Start the thread that reads and the one that parses."""
        for descriptor in self._streams:
            os.set_blocking(descriptor, False)
        start_thread("read output", self._read)
        start_thread("parse output", self._parse)

    def finish(self, seconds: float) -> bool:
        """The trainer's tree is gone: take what is there and stop. False when parsing takes longer."""
        self._is_ending = True
        os.eventfd_write(self._wake, 1)
        return self._parsed.wait(seconds)

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for descriptor in self._streams:
            poll.register(descriptor, select.POLLIN)
        while self._streams:
            ready = [descriptor for descriptor, _ in poll.poll() if descriptor in self._streams]
            for descriptor in ready:
                if not self._take(descriptor):
                    poll.unregister(descriptor)
                    os.close(descriptor)
                    del self._streams[descriptor]
            if self._is_ending and not ready:  # only a process that cannot be killed still holds a pipe
                break
        self._queue.close()

    def _take(self, descriptor: int) -> bool:
        """Read once. False at the end of the stream."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if data:
            self._queue.put(self._streams[descriptor], data)
        return bool(data)

    def _parse(self) -> None:
        while chunk := self._queue.get():
            with contextlib.suppress(MemoryError):
                self._add(chunk)
        for stream, splitter in self._splitters.items():
            for line in splitter.flush():
                self._sink.take(stream, time.time_ns() // 1000, line)
        self._sink.flush()
        self._parsed.set()

    def _add(self, chunk: Chunk) -> None:
        splitter = self._splitters[chunk.stream]
        if chunk.lost:
            splitter.flush()  # its end is among the lost; it was counted with them
            self._sink.lines_left_out(chunk.lost)
        for line in splitter.feed(chunk.data):
            self._sink.take(chunk.stream, chunk.time_us, line)
