"""The mount point in a browser: what is here, and the way on for the links that clients print after a run."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from trainhub.health import probe


@probe
def landing(request: HttpRequest) -> HttpResponse:
    """Say what is here. A script leads on by the part of the address behind #, which no server gets to see."""
    return render(request, "mlflow.html")
