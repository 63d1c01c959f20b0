"""The ways in and out, and the page that greets: what runs, what waits, what ended."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import views as auth_views
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from sesame.views import LoginView as LinkLoginView

from projects.models import Project
from runs.api.installation import describe_executors
from runs.lifecycle import LIVE, TERMINAL, Status
from runs.listing import RunList
from runs.models import Run
from runs.ordering import Order
from runs.querysets import RunQuerySet
from runs.registry import recipe_problems
from trainhub.access import Access, access
from trainhub.pages import PageView

SHOWN_RUNS = 20  # of each kind on the home page; a link leads to the rest


@access(Access.PUBLIC)
class SignInView(auth_views.LoginView):
    """Sign in with user name and password; guessing is slowed down by axes."""

    template_name = "registration/sign_in.html"
    redirect_authenticated_user = True


@access(Access.PUBLIC)
class SignInLinkView(LinkLoginView):
    """Sign in by a one-time link. HEAD is not answered, so that a preview of the link does not use it up."""

    http_method_names = ["get"]

    def login_failed(self) -> HttpResponse:
        """Say that the link is used up or too old; never redirect, as the way in may be this very link."""
        return render(self.request, "registration/link_refused.html", status=403)


@access(Access.SIGNED_IN)
class SignOutView(auth_views.LogoutView):
    """Sign out; POST alone."""

    http_method_names = ["post"]


class PasswordView(PageView, auth_views.PasswordChangeView):
    """Change one's password, or set the first one of an account that came in by a link."""

    template_name = "registration/password.html"
    success_url = reverse_lazy("home")

    def get_form_class(self) -> Any:
        """Ask for the old password where there is one."""
        has_one = self.request.user.has_usable_password()  # type: ignore[union-attr]
        return auth_forms.PasswordChangeForm if has_one else auth_forms.SetPasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the person signed in here; other sessions end."""
        messages.success(self.request, "Your password was changed.")
        return super().form_valid(form)


class HomeView(PageView):
    """What runs now, what waits and why, what ended, and what an operator must see to."""

    template_name = "home.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the overview; a poll gets its live part alone."""
        template = "_overview.html" if request.htmx else self.template_name  # type: ignore[attr-defined]
        return render(request, template, self.context())

    def context(self) -> dict[str, Any]:
        """Return the newest of each kind of run, with how many there are in all."""
        projects = Project.objects.keys_visible_to(self.request.user)
        listed = Run.objects.listed()
        visible = listed.of_projects(projects)
        counts = {row["status"]: row["n"] for row in visible.order_by().values("status").annotate(n=Count("id"))}
        waiting = visible.filter(status=Status.QUEUED).order_by("-priority", "queued_at", "id")
        ended = RunList(listed.filter(completed_at__isnull=False), projects, (), _LAST_ENDED_FIRST)
        last_ended = (
            Run.objects.not_deleted()
            .filter(pk__in=ended.page(start=0, size=SHOWN_RUNS))
            .order_by("-completed_at", "-id")
        )
        return {
            "groups": [
                _group("Running", visible.filter(status__in=LIVE), counts, sorted(LIVE)),
                _group("Waiting", waiting, counts, [Status.QUEUED]),
                _group("Ended", last_ended, counts, sorted(TERMINAL)),
            ],
            "project": Project.objects.visible_to(self.request.user).first(),
            **(_problems() if self.request.user.is_staff else {}),
        }


_LAST_ENDED_FIRST = Order("completed_at")


def _group(title: str, rows: RunQuerySet, counts: dict[str, int], statuses: list[Status]) -> dict[str, Any]:
    return {
        "title": title,
        "statuses": statuses,
        "total": sum(counts.get(status, 0) for status in statuses),
        "runs": list(rows.with_table_columns()[:SHOWN_RUNS]),
    }


def _problems() -> dict[str, Any]:
    """Return what an operator should see to."""
    troubled = [executor for executor in describe_executors() if executor["problems"]]
    return {"troubled_executors": troubled, "broken_recipes": len(recipe_problems())}
