"""API of a run's log as a file: streamed, filtered, compressed on request."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

import orjson
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from runs.api.logs import LOG_FILTER_NAMES, LOG_FILTERS, read_line_filter, read_words, show_line, show_time
from runs.api.views import RunScopedView
from runs.telemetry.log_blocks import LogLine, Matcher, read_blocks
from runs.telemetry.log_filter import LineFilter
from runs.telemetry.log_ranges import find_spans
from runs.telemetry.removed import log_removed_at, unbroken
from trainhub.api.renderers import FileNegotiation, api_time
from trainhub.api.schema import errors
from trainhub.errors import InvalidInput, Removed
from trainhub.transfers import as_download


class LogDownloadView(RunScopedView):
    """The log as a file."""

    content_negotiation_class = FileNegotiation
    query_parameters = LOG_FILTER_NAMES | {"as"}

    @extend_schema(
        operation_id="runs_logs_download",
        parameters=[
            OpenApiParameter("as", str, enum=["text", "ndjson"], default="text"),
            OpenApiParameter("Accept-Encoding", str, OpenApiParameter.HEADER, description="`gzip` compresses."),
            *LOG_FILTERS,
        ],
        responses={
            (200, "text/plain"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            **errors(400, 401, 404, 410, 503),
        },
    )
    def get(self, request: Request, project_id: str, run_id: str) -> StreamingHttpResponse:  # noqa: ARG002
        """Download a run's log as text or as one JSON object a line; 410 when it was removed.

        A client that takes gzip gets it compressed. A log that is removed meanwhile breaks the download off, so that
        nobody takes a part of it for the whole.
        """
        kind = request.query_params.get("as", "text")
        if kind not in {"text", "ndjson"}:
            raise InvalidInput({"as": ["Must be text or ndjson."]})
        wanted, words = read_line_filter(request), read_words(request.query_params)
        run = self.find_run()
        removed_at = log_removed_at(run.pk)
        if removed_at is not None:
            raise Removed("The log of this run was removed.", removed_at=api_time(removed_at))
        blocks = _stream(run.pk, wanted, words, _as_text if kind == "text" else _as_ndjson)
        is_gzip = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        response = as_download(
            lambda: StreamingHttpResponse(
                _compressed(blocks) if is_gzip else blocks,
                content_type="text/plain; charset=utf-8" if kind == "text" else "application/x-ndjson",
            )
        )
        if is_gzip:
            response["Content-Encoding"] = "gzip"
        response["Vary"] = "Accept-Encoding"
        response["Content-Disposition"] = f'attachment; filename="{run.uid}.{"log" if kind == "text" else "ndjson"}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for a gzip header and end


def accepts_gzip(header: str) -> bool:
    """Tell whether an Accept-Encoding header takes gzip by name (RFC 9110, 12.5.3)."""
    for entry in header.split(","):
        name, _, parameters = entry.partition(";")
        if name.strip().lower() == "gzip":
            return parameters.replace(" ", "").lower() not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _stream(
    run_id: int, wanted: LineFilter, words: Matcher | None, write: Callable[[LogLine], bytes]
) -> Iterator[bytes]:
    """Yield the lines a chunk at a time; what comes after the start is left out."""
    for block in unbroken(run_id, read_blocks(run_id, find_spans(run_id, wanted.times), wanted, words)):
        yield b"".join(map(write, block.lines))


def _compressed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one gzip stream of one member, as readers of HTTP want it; without its end when reading breaks off."""
    packer = zlib.compressobj(level=1, wbits=_GZIP)
    for block in blocks:
        yield packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _as_text(line: LogLine) -> bytes:
    return f"{show_time(line.time_us)} {line.message}\n".encode()


def _as_ndjson(line: LogLine) -> bytes:
    return orjson.dumps(show_line(line), option=orjson.OPT_APPEND_NEWLINE)
