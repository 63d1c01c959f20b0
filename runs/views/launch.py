"""Launching a run."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from projects.models import Project, ProjectStatus, Role
from projects.views import ProjectScopedView
from runs import services
from runs.defaults import Defaults
from runs.forms import LaunchForm, launch_values
from runs.models import Run
from runs.recipes import Recipe
from runs.registry import get_recipe, look_for_recipes
from runs.views.planned import RunFormPage
from trainhub.api.views import find


class RunLaunchView(ProjectScopedView, RunFormPage):
    """Launch a run in a project; `?recipe=` chooses what is executed.

    `?repeat=run_…` starts from the definition of another run.
    """

    template_name = "runs/run_launch.html"
    needs = Role.EDITOR

    def project_of_form(self) -> Project:
        """Return the project of the path."""
        return self.project

    @cached_property
    def found(self) -> tuple[dict[str, Recipe], dict[str, str]]:
        """The recipes by name, and the problems of the unusable ones by folder, read once for this request."""
        return look_for_recipes()

    @cached_property
    def repeated(self) -> Run | None:
        """The run to repeat, None for a new one. Raises: NotFound, Conflict for an external run."""
        wanted = self.request.GET.get("repeat")
        if wanted is None:
            return None
        rows = Run.objects.visible_to(self.request.user).filter(project=self.project)
        run: Run = find(rows, "run", uid=wanted.replace("\0", ""))
        services.check_repeatable(run)
        return run

    @cached_property
    def wanted(self) -> str:
        """The name of the recipe that was chosen or suggests itself; it may be none that can be used."""
        chosen = self.request.POST.get("recipe", "")
        if chosen in self.found[0]:
            return chosen
        asked = self.request.GET.get("recipe")
        if asked is not None:
            return get_recipe(asked).name
        if self.repeated is not None:
            return self.repeated.recipe
        return self.project.default_recipe or settings.DEFAULT_RECIPE

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the form; without a usable recipe, or in an archived project, say so."""
        if not self.found[0] or self.project.status == ProjectStatus.ARCHIVED:
            return self.page(**self.context())
        return super().get(request, **kwargs)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the form for another recipe with what was typed, or go on with it."""
        if "choose" not in request.POST:
            return super().post(request, **kwargs)
        get_recipe(request.POST.get("recipe", ""))
        response = self.page(form=self._new_form(typed=request.POST.dict()), **self.context())
        query = {"recipe": self.wanted, **({"repeat": self.repeated.uid} if self.repeated else {})}
        response["HX-Replace-Url"] = f"{request.path}?{urlencode(query)}"
        return response

    def make_form(self, data: Any = None) -> LaunchForm:
        """Return the form, filled in with the project's defaults or the run to repeat."""
        return self._new_form(data)

    def _new_form(self, data: Any = None, typed: dict[str, str] | None = None) -> LaunchForm:
        usable = self.found[0]
        recipe = usable.get(self.wanted) or usable.get(settings.DEFAULT_RECIPE)
        recipe = recipe or (usable[min(usable)] if usable else get_recipe(self.wanted))
        defaults = Defaults(recipe, self.project)
        return LaunchForm(
            data, recipes=usable, defaults=defaults, typed=typed, **launch_values(defaults, self.repeated)
        )

    def context(self) -> dict[str, Any]:
        """Name what the form belongs to, and a recipe that should be there and is not."""
        return {
            "project": self.project,
            "repeated": self.repeated,
            "missing_recipe": "" if self.wanted in self.found[0] else self.wanted,
            "problems": self.found[1],
            "submit": "Launch",
            "back": self.back(),
        }

    def prepare(self, form: LaunchForm) -> Run:
        """Return the run, not stored."""
        return services.prepare_run(project=self.project, values=form.values)
