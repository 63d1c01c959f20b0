"""Choosing the columns of a table of runs."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from projects.models import Project
from projects.views import ProjectScopedView
from runs.columns import choose_columns, forget_columns
from runs.views.selection import path_back
from trainhub.errors import InvalidInput
from trainhub.pages import PageView


class ColumnsView(PageView):
    """Remembers the columns of the table of all runs."""

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Remember or forget them, and lead back to the table."""
        try:
            messages.success(request, self.choose(self.chosen_for()))
        except InvalidInput as error:
            messages.error(request, " ".join(error.fields["column"]))
        return redirect(path_back(request, self.usual_page()))

    def choose(self, project: Project | None) -> str:
        """Call the service; return what to tell the person."""
        if "reset" in self.request.POST:
            forget_columns(user=self.request.user, project=project)
            return "The table has its usual columns again."
        keys = self.request.POST.getlist("column")
        count = len(choose_columns(user=self.request.user, project=project, keys=keys))
        return f"The table shows {count} column{'' if count == 1 else 's'} beside the run."

    def chosen_for(self) -> Project | None:
        """Return the project whose table it is, None for the table of all runs."""
        return None

    def usual_page(self) -> str:
        """Return the path of the table."""
        return reverse("runs")


class ProjectColumnsView(ProjectScopedView, ColumnsView):
    """Remembers the columns of a project's table."""

    def chosen_for(self) -> Project | None:
        """Return the project of the path."""
        return self.project

    def usual_page(self) -> str:
        """Return the path of the project's runs."""
        return reverse("project-runs", args=[self.project.uid])
