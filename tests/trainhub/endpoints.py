"""Every endpoint of the REST API with the least role that it asks for, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

PROJECT = "/projects/{project}"
RUN = f"{PROJECT}/runs/{{run}}"
ARTIFACT = f"{RUN}/artifacts/{{artifact}}"
RUN_BODY = {"name": "again"}


@dataclass(frozen=True)
class Endpoint:
    """`role` is the least one inside the project; empty where the path belongs to no project."""

    name: str
    method: str
    path: str
    role: str
    body: Any = None
    status: int = 200

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


ENDPOINTS = [
    Endpoint("api-projects", "GET", "/projects", ""),
    Endpoint("api-projects", "POST", "/projects", "", {"name": "new"}, 201),
    Endpoint("api-project", "GET", PROJECT, "viewer"),
    Endpoint("api-project", "PATCH", PROJECT, "admin", {"name": "other"}),
    Endpoint("api-project-archive", "POST", f"{PROJECT}/archive", "admin", status=409),
    Endpoint("api-project-restore", "POST", f"{PROJECT}/restore", "admin", status=409),
    Endpoint("api-project-versions", "GET", f"{PROJECT}/versions", "viewer"),
    Endpoint("api-retention", "GET", f"{PROJECT}/retention", "viewer"),
    Endpoint("api-checkpoint-plan", "GET", f"{PROJECT}/checkpoint-plan", "viewer"),
    Endpoint("api-storage", "GET", "/storage", ""),
    Endpoint("api-members", "GET", f"{PROJECT}/members", "viewer"),
    Endpoint("api-members", "POST", f"{PROJECT}/members", "admin", {"username": "vera", "role": "editor"}),
    Endpoint("api-member", "DELETE", f"{PROJECT}/members/vera", "admin", status=204),
    Endpoint("api-tokens", "GET", "/tokens", ""),
    Endpoint("api-tokens", "POST", "/tokens", "", {"name": "new"}, 201),
    Endpoint("api-token", "DELETE", "/tokens/nosuchtoken", "", status=404),
    Endpoint("api-all-runs", "GET", "/runs", ""),
    Endpoint("api-runs", "GET", f"{PROJECT}/runs", "viewer"),
    Endpoint("api-runs", "POST", f"{PROJECT}/runs", "editor", RUN_BODY, 201),
    Endpoint("api-run", "GET", RUN, "viewer"),
    Endpoint("api-run", "DELETE", RUN, "admin", status=409),
    Endpoint("api-run-cancel", "POST", f"{RUN}/cancel", "editor"),
    Endpoint("api-run-archive", "POST", f"{RUN}/archive", "editor", status=409),
    Endpoint("api-run-restore", "POST", f"{RUN}/restore", "editor", status=409),
    Endpoint("api-run-repeat", "POST", f"{RUN}/repeat", "editor", {}, 201),
    Endpoint("api-run-resume", "POST", f"{RUN}/resume?source_artifact_id={{artifact}}", "editor", {}, 201),
    Endpoint("api-run-events", "GET", f"{RUN}/events", "viewer"),
    Endpoint("api-run-attempts", "GET", f"{RUN}/attempts", "viewer"),
    Endpoint("api-run-logs", "GET", f"{RUN}/logs", "viewer"),
    Endpoint("api-run-logs-search", "GET", f"{RUN}/logs/search?contains=step", "viewer"),
    Endpoint("api-run-logs-follow", "GET", f"{RUN}/logs/follow", "viewer"),
    Endpoint("api-run-logs-download", "GET", f"{RUN}/logs/download", "viewer"),
    Endpoint("api-run-metrics", "GET", f"{RUN}/metrics", "viewer"),
    Endpoint("api-metrics", "GET", "/metrics?run={run}&key=loss", "viewer"),
    Endpoint("api-artifacts", "GET", f"{RUN}/artifacts", "viewer"),
    Endpoint("api-artifact", "GET", ARTIFACT, "viewer"),
    Endpoint("api-artifact-download", "GET", f"{ARTIFACT}/download", "viewer"),
    Endpoint("api-artifact-file", "GET", f"{ARTIFACT}/files/0", "viewer"),
    Endpoint("api-artifact-verify", "POST", f"{ARTIFACT}/verify", "editor"),
    Endpoint("api-artifact-tag", "POST", f"{ARTIFACT}/tag", "editor", {"tag": "release"}),
    Endpoint("api-artifact-untag", "DELETE", f"{ARTIFACT}/tags/candidate", "editor", status=404),
    Endpoint("api-recipes", "GET", "/recipes", ""),
    Endpoint("api-recipe", "GET", "/recipes/simulate", ""),
    Endpoint("api-executors", "GET", "/executors", ""),
]
IN_PROJECTS = [endpoint for endpoint in ENDPOINTS if endpoint.role]
FOR_EDITORS = [endpoint for endpoint in ENDPOINTS if endpoint.role == "editor"]
FOR_ADMINS = [endpoint for endpoint in ENDPOINTS if endpoint.role == "admin"]


def patterns(resolver: URLResolver | None = None, before: str = "") -> list[tuple[str, URLPattern]]:
    """Return every path of the hub with its pattern, those of included files with their prefix."""
    found = []
    for item in (resolver or get_resolver()).url_patterns:
        place = f"{before}{item.pattern}"
        found += patterns(item, place) if isinstance(item, URLResolver) else [(place, item)]
    return found


def api_methods() -> set[tuple[str, str]]:
    """Return name and method of everything that the REST API's views answer."""
    views = [(pattern.name, getattr(pattern.callback, "cls", None)) for _, pattern in patterns()]
    ours = [(name, cls) for name, cls in views if cls and issubclass(cls, APIView) and name not in {"schema", "docs"}]
    known = ("get", "post", "put", "patch", "delete")
    return {(str(name), method.upper()) for name, cls in ours for method in known if hasattr(cls, method)}
