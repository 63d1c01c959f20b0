"""Resuming from a checkpoint."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from artifacts import services
from artifacts.forms import ResumeForm
from artifacts.keeping.removed import refuse_removed
from artifacts.models import ArtifactType
from artifacts.views.scoped import ArtifactScopedView
from projects.models import Project, ProjectStatus, Role
from runs.models import Run
from runs.recipes import Recipe
from runs.registry import get_recipe, recipes
from runs.views.planned import RunFormPage
from trainhub.errors import Conflict


class RunResumeView(ArtifactScopedView, RunFormPage):
    """Launch a run that continues from a checkpoint."""

    template_name = "artifacts/run_resume.html"
    needs = Role.EDITOR
    sent = "The run is queued; it continues from the checkpoint."

    def project_of_form(self) -> Project:
        """Return the project of the checkpoint."""
        return self.artifact.run.project

    @cached_property
    def usable(self) -> dict[str, Recipe]:
        """The recipes by name, read once for this request."""
        return recipes()

    @cached_property
    def recipe(self) -> Recipe | None:
        """The recipe of the run to continue, as it is now; None when it cannot be used any more.

        For an external run the one that was chosen, at first the project's.
        """
        run = self.artifact.run
        if run.is_managed:
            return self.usable.get(run.recipe)
        chosen = self.request.POST.get("recipe") or self.request.GET.get("recipe")
        usual = run.project.default_recipe or settings.DEFAULT_RECIPE
        names = [chosen, usual, *sorted(self.usable)]
        return next((self.usable[name] for name in names if name in self.usable), None)

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the form; where nothing can be resumed, say why. Raises: Conflict when the checkpoint was removed."""
        refuse_removed(self.artifact)
        if self.recipe is None or self.project_of_form().status == ProjectStatus.ARCHIVED:
            return self.page(**self.context())
        return super().get(request, **kwargs)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the form for another recipe with what was typed, or go on with it."""
        if "choose" not in request.POST:
            return super().post(request, **kwargs)
        form = self._new_form(typed=request.POST.dict())
        response = self.page(form=form, **self.context())
        response["HX-Replace-Url"] = f"{request.path}?{urlencode({'recipe': form.defaults.recipe.name})}"
        return response

    def make_form(self, data: Any = None) -> ResumeForm:
        """Return a form with what the run has. Raises: InvalidInput when its recipe is gone."""
        return self._new_form(data)

    def _new_form(self, data: Any = None, typed: dict[str, str] | None = None) -> ResumeForm:
        recipe = self.recipe or get_recipe(self.artifact.run.recipe)
        return ResumeForm(data, checkpoint=self.artifact, recipe=recipe, recipes=self.usable, typed=typed)

    def context(self) -> dict[str, Any]:
        """Name the checkpoint and its run."""
        run = self.artifact.run
        return {
            "artifact": self.artifact, "run": run, "project": run.project, "submit": "Resume",
            "missing_recipe": "" if self.recipe else run.recipe or "any",
            "back": reverse("artifact", args=[self.artifact.uid]),
        }  # fmt: skip

    def prepare(self, form: ResumeForm) -> Run:
        """Return the run, not stored."""
        if self.artifact.type != ArtifactType.CHECKPOINT:
            raise Conflict("Only a checkpoint can be resumed from.", type=self.artifact.type)
        return services.prepare_resume(checkpoint=self.artifact, values=form.values)

    def check_source(self) -> None:
        """Compare the checkpoint with its manifest, about 1 s for each GB."""
        services.checkpoint_to_resume(run=self.artifact.run, checkpoint_id=self.artifact.uid)
