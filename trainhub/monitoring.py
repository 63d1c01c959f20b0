"""What monitoring asks for: the metrics, and the checks of the doctor. Operators see the checks as a page, too.

Open to operators by their API tokens or sessions, and to whoever has TRAINHUB_METRICS_TOKEN. Where a request comes
from opens nothing: behind a proxy on the same machine all requests come from loopback.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from rest_framework.exceptions import AuthenticationFailed

from projects.querysets import is_staff
from trainhub import gauges
from trainhub.access import Access, access
from trainhub.api.authentication import BearerAuthentication
from trainhub.doctor import report
from trainhub.error_pages import wrong_method
from trainhub.errors import NotAllowed
from trainhub.pages import PageView, refusal_page


def for_monitoring(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Make a view that monitoring and operators may GET; others get 401 or 403."""

    @functools.wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return wrong_method("GET", "HEAD")
        if _has_token_of_monitoring(request):
            return view(request)
        user = _caller(request)
        if user is None:
            body = {"detail": "This takes the token of monitoring or of an operator.", "code": "not_authenticated"}
            return JsonResponse(body, status=401, headers={"WWW-Authenticate": "Bearer"})
        if not is_staff(user):
            return JsonResponse({"detail": "This is for operators.", "code": "permission_denied"}, status=403)
        return view(request)

    return access(Access.MONITORING)(answer)


def _has_token_of_monitoring(request: HttpRequest) -> bool:
    wanted = settings.METRICS_TOKEN
    given = request.META.get("HTTP_AUTHORIZATION", "")
    return bool(wanted) and hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode())


def _caller(request: HttpRequest) -> Any:
    """Return whose token or session the request carries, None when it has neither that is good."""
    if request.META.get("HTTP_AUTHORIZATION"):
        try:
            found = BearerAuthentication().authenticate(request)
        except AuthenticationFailed:
            return None
        return found[0] if found else None
    return request.user if request.user.is_authenticated else None


@for_monitoring
def metrics(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Everything in the text format of Prometheus."""
    return HttpResponse(generate_latest(gauges.registry()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


@for_monitoring
def details(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """The doctor's quick checks: `level` is the worst of all, and each says what to do."""
    return JsonResponse(report.as_json(report.quick_checks()))


class HealthPage(PageView):
    """The doctor's quick checks, for operators."""

    access_policy = Access.OPERATOR
    template_name = "health.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Refuse people who are no operators, whatever they ask."""
        if request.user.is_authenticated and not is_staff(request.user):
            return refusal_page(request, NotAllowed("This page is for operators."))
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Show what is well and what somebody must see to."""
        findings = sorted(report.quick_checks(), key=lambda finding: -finding.level)
        return self.page(findings=findings, worst=report.worst(findings))
