"""The ways in and out, and the page that greets: what runs, what waits, what ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import views as auth_views
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from sesame.views import LoginView as LinkLoginView

from projects.models import Project, ProjectStatus
from projects.visits import last_visit, note_look
from runs.models import Run
from runs.registry import recipe_problems
from trainhub.access import Access, access
from trainhub.overview import Overview, read_overview
from trainhub.pages import PageView, is_path_here, wrong_way_page

THEMES = ("light", "dark")
THEME_SECONDS = 365 * 24 * 3600


@access(Access.PUBLIC)
class SignInView(auth_views.LoginView):
    """Sign in with user name and password; guessing is slowed down by axes."""

    template_name = "registration/sign_in.html"
    redirect_authenticated_user = True

    def get_success_url(self) -> str:
        """Return where `next` leads; this page itself is nowhere, as who is signed in would go round in circles."""
        target: str = super().get_success_url()
        return self.get_default_redirect_url() if urlsplit(target).path == self.request.path else target


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

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """End the session, and say so on the page that follows."""
        response = super().post(request, *args, **kwargs)
        messages.success(request, "You are signed out.")
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Say with a page that a link does not sign out."""
        return wrong_way_page(request, self.http_method_names)


class ThemeView(PageView):
    """Remembers in a cookie whether pages are light, dark, or as the system is."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """Set or remove the cookie, and lead back to the page of this hub that was asked from."""
        back = request.POST.get("back", "")
        response = redirect(back if is_path_here(request, back) else "home")
        theme = request.POST.get("theme")
        if theme in THEMES:
            response.set_cookie(
                "theme", theme, max_age=THEME_SECONDS, samesite="Lax", httponly=True, secure=settings.IS_HTTPS
            )
        else:
            response.delete_cookie("theme", samesite="Lax")
        return response


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
    """What runs now, what waits and why, what ended since the last visit, and what somebody must see to."""

    template_name = "home.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the overview; a poll gets its live part alone, and is no look that somebody took."""
        is_poll = bool(request.htmx)  # type: ignore[attr-defined]
        visit = last_visit(request.user) if is_poll else note_look(user=request.user)
        overview = read_overview(user=request.user, last_visit=visit)
        template = "_overview.html" if is_poll else self.template_name
        return render(
            request, template, {"overview": overview, **self.first_steps(overview), **self.problems(overview)}
        )

    def first_steps(self, overview: Overview) -> dict[str, Any]:
        """Return what leads somebody without any run to the first one."""
        if overview.running.total or overview.waiting.total or overview.ended.total:
            return {}
        runs = Run.objects.visible_to(self.request.user)
        projects = Project.objects.exclude(status=ProjectStatus.ARCHIVED)
        project = projects.editable_by(self.request.user).first()
        return {"is_idle": True, "project": project, "is_new": not runs.exists()}

    def problems(self, overview: Overview) -> dict[str, Any]:
        """Return what an operator must see to."""
        if not self.request.user.is_staff:
            return {}
        troubled = [executor for executor in overview.executors if executor.problems]
        return {"troubled_executors": troubled, "broken_recipes": len(recipe_problems())}
