"""What clients and tools ask before they begin; open to everybody, and the same for everybody."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from trainhub.health import probe

PROTOCOL_VERSION = "3.18.0"  # of MLflow, whose protocol is spoken; clients do not compare it with their own


@probe
def health(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Answer OK."""
    return HttpResponse("OK", content_type="text/plain")


@probe
def version(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Answer with the version of the protocol."""
    return HttpResponse(PROTOCOL_VERSION, content_type="text/plain")


@probe
def server_info(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Tell what is served: artifacts through the hub, each file in one request."""
    return JsonResponse(
        {
            "store_type": None,
            "workspaces_enabled": False,
            "trace_archival_enabled": False,
            "multipart_uploads_enabled": False,
            "multipart_downloads_enabled": False,
            "artifact_serving_enabled": True,
            "artifacts_presigned_only": False,
        }
    )
