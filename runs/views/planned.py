"""Pages with a form that makes a run: checked first when asked, and launched once however often it is sent."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from projects.models import Project, ProjectStatus
from runs import services
from runs.models import Run
from runs.plan import make_plan
from runs.run_form import RunForm
from trainhub.api.idempotency import known_place, place_once
from trainhub.errors import Conflict
from trainhub.pages import FormPage

SENT_TWICE = "This form was sent before and counts once: this is its run."


class RunFormPage(FormPage):
    """A form that defines a run. POST with `plan` shows what would happen and stores nothing.

    htmx gets the form alone, with the plan in it.
    """

    form_template = "runs/_run_form.html"
    sent = "The run is queued; it starts when there is room."

    def project_of_form(self) -> Project:
        """Return the project that the run will belong to."""
        raise NotImplementedError

    def prepare(self, form: Any) -> Run:
        """Return the run that the form defines, checked and not stored. Raises: InvalidInput, Conflict."""
        raise NotImplementedError

    def check_source(self) -> None:
        """Do the long checks that a launch needs and a plan does without. Raises: InvalidInput, Conflict."""

    def page(self, *, status: int = 200, **context: Any) -> HttpResponse:
        """Render the page, or for htmx the form alone."""
        if getattr(self.request, "htmx", None):
            self.template_name = self.form_template
        return super().page(status=status, **context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Lead to the run of a form that was sent before; else plan, launch, or show what is wrong."""
        project = self.project_of_form()
        place = None if "plan" in request.POST else known_place(request)
        if place is not None:
            messages.info(request, SENT_TWICE)
            return redirect(place)
        if project.status == ProjectStatus.ARCHIVED:
            raise Conflict("The project is archived: nothing can be launched in it.")
        return super().post(request, **kwargs)

    def done(self, form: RunForm) -> HttpResponse:
        """Show the plan, or queue the run."""
        if "plan" in self.request.POST:
            plan = make_plan(run=self.prepare(form), form=form)
            return self.page(form=form, plan=plan, **self.context())
        self.check_source()
        prepared = self.prepare(form)
        place, is_new = place_once(self.request, lambda: self._queue(prepared))
        messages.success(self.request, self.sent) if is_new else messages.info(self.request, SENT_TWICE)
        return redirect(place)

    def _queue(self, prepared: Run) -> str:
        return reverse("run", args=[services.queue_run(run=prepared, by=self.request.user).uid])
