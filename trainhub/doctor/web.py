"""Checks of the web server from outside: the two addresses that people and runners use."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from django.conf import settings

from trainhub import reachability
from trainhub.doctor.findings import Finding, problem, well

TIMEOUT_SECONDS = 5.0


def people() -> Iterator[Finding]:
    """TRAINHUB_URL."""
    yield _ask("address for people", settings.PUBLIC_URL, "TRAINHUB_URL")


def runners() -> Iterator[Finding]:
    """TRAINHUB_NODE_URL, asked from this machine; whether nodes reach it, only they can tell."""
    yield _ask("address for runners", settings.NODE_URL, "TRAINHUB_NODE_URL")


def _ask(about: str, url: str, variable: str) -> Finding:
    remedy = f"Start the web server, or correct {variable} or the proxy."
    try:
        answer = reachability.ask(url, timeout=TIMEOUT_SECONDS)
    except ssl.SSLError as error:
        return problem(
            about, f"{url}: {error.reason or error}", "Renew the certificate, or install its authority here."
        )
    except reachability.ERRORS as error:
        return problem(about, f"{url} cannot be reached: {error}", remedy)
    if reachability.is_trainhub(answer):
        return well(about, f"{url} answers")
    status = answer[0]
    hint = f"Add its host to TRAINHUB_ALLOWED_HOSTS. {remedy}" if status == 400 else remedy
    return problem(about, f"{url}/health/live answers {status}, not as trainhub does.", hint)
