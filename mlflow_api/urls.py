"""Every path below the mount point. Each module that is named here declares the endpoints in it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path, register_converter
from django.urls.converters import PathConverter

from mlflow_api import (  # noqa: F401 - they declare endpoints
    artifacts,
    datasets,
    experiments,
    history,
    logging,
    model_versions,
    probing,
    registry,
    runs,
    search,
)
from mlflow_api.callers import caller_of
from mlflow_api.endpoint import routes, tracking_view
from mlflow_api.errors import answer_error
from mlflow_api.landing import landing


class AnyPathConverter(PathConverter):
    """Everything that follows, also with line ends: a hostile path gets an answer that clients can read."""

    regex = "(?s:.+)"


register_converter(AnyPathConverter, "anypath")


@tracking_view
def unknown(request: HttpRequest, rest: str) -> HttpResponse:  # noqa: ARG001
    """Answer for every path that nothing is served at."""
    caller_of(request)
    return answer_error("ENDPOINT_NOT_FOUND", "There is no such endpoint here.")


_PREFIXES = ("api/2.0/", "ajax-api/2.0/")  # the second is what MLflow's own pages call

urlpatterns = [
    *(path(prefix + route, view) for prefix in _PREFIXES for route, view in routes().items()),
    *(path(f"{prefix}mlflow-artifacts/artifacts/<anypath:location>", artifacts.proxy) for prefix in _PREFIXES),
    path("get-artifact", artifacts.get_artifact, name="mlflow-get-artifact"),
    path("", landing, name="mlflow"),
    path("health", probing.health, name="mlflow-health"),
    path("version", probing.version, name="mlflow-version"),
    path("api/3.0/mlflow/server-info", probing.server_info, name="mlflow-server-info"),
    path("api/<anypath:rest>", unknown),
    path("ajax-api/<anypath:rest>", unknown),
]
