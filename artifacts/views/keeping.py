"""Pages of keeping: what a rule for checkpoints would remove, and what takes room in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from artifacts.checking import last_check
from artifacts.filters import StorageFilter
from artifacts.keeping import plan as plans
from artifacts.keeping.rule import RULE_FIELDS, CheckpointRule
from artifacts.models import Artifact
from artifacts.usage import disk_of_store, level_of, read_usage
from projects.forms import CheckpointRuleForm, settings_of
from projects.models import Role
from projects.querysets import is_staff
from projects.services import check_checkpoint_rule, update_project
from projects.views import ProjectScopedView
from trainhub.api.paging import read_page_request
from trainhub.api.views import require_role
from trainhub.errors import InvalidInput
from trainhub.pages import FormPage, PageView, Paging


class CheckpointPlanView(ProjectScopedView, FormPage):
    """Which checkpoints a rule would remove, before an admin of the project saves it."""

    template_name = "artifacts/checkpoint_plan.html"

    def make_form(self, data: Mapping[str, Any] | None = None) -> CheckpointRuleForm:
        """Return the form with the rule as it is, or as it is asked for."""
        return CheckpointRuleForm(data, initial=settings_of(self.project))

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:  # noqa: ARG002
        """Show what would go by the rule that is asked for, else by the project's own."""
        own = CheckpointRule.of(self.project)
        if not any(name in request.GET for name in RULE_FIELDS):
            return self._show(self.make_form(), own, own)
        form = self.make_form(request.GET)
        if form.is_valid():
            try:
                check_checkpoint_rule(best=form.values["keep_best_checkpoints"], metric=form.values["best_metric"])
            except InvalidInput as error:
                form.refuse(error)
        if form.errors:
            return self.page(status=400, form=form, **self.context())
        return self._show(form, CheckpointRule.of_columns(*(form.values[name] for name in RULE_FIELDS)), own)

    def _show(self, form: CheckpointRuleForm, rule: CheckpointRule, own: CheckpointRule) -> HttpResponse:
        wanted = read_page_request(self.request.GET)
        plan = plans.plan_project(self.project, rule, now=timezone.now(), most_runs=plans.MOST_RUNS)
        return self.page(
            form=form,
            plan=plan,
            is_own=rule == own,
            asked=[(name, form.values[name]) for name in RULE_FIELDS] if form.is_bound else [],
            rows=plan.going[wanted.start : wanted.start + wanted.size],
            paging=Paging(wanted.number, wanted.size, len(plan.going)),
            **self.context(),
        )

    def context(self) -> dict[str, Any]:
        """Name the project."""
        return self.project_context()

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Save the rule: every member may look, admins may change."""
        require_role(self.project, request.user, Role.ADMIN)
        return super().post(request, **kwargs)

    def done(self, form: CheckpointRuleForm) -> HttpResponse:
        """Save the rule, and nothing else of the settings."""
        project = update_project(project=self.project, values=form.values)
        messages.success(self.request, f"From now on an ended run keeps {CheckpointRule.of(project)}.")
        return redirect("checkpoint-plan", self.project.uid)


class StorageView(PageView):
    """What takes room in the store, of all that the person may see."""

    template_name = "artifacts/storage.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show projects, runs or artifacts, largest first."""
        wanted = read_page_request(request.GET)
        found = StorageFilter(request.GET, queryset=Artifact.objects.visible_to(request.user))
        is_valid = found.is_valid()
        level = level_of(found.form.cleaned_data) if is_valid else "project"
        usage = read_usage(found.qs if is_valid else Artifact.objects.none(), level, wanted, now=timezone.now())
        is_operator = is_staff(request.user)
        check = last_check() if is_operator and level == "project" else None
        named = [finding["artifact"] for finding in check.findings] if check else []
        return self.page(
            status=200 if is_valid else 400,
            filter=found.form,
            is_filtered=any(request.GET.get(name) for name in ("project", "run", "type", "state", "held_by", "q")),
            level=level,
            usage=usage,
            paging=Paging(wanted.number, wanted.size, usage.total),
            disk=disk_of_store() if is_operator else None,
            check=check,
            known=set(
                Artifact.objects.visible_to(request.user).whole().filter(uid__in=named).values_list("uid", flat=True)
            ),
            is_operator=is_operator,
        )
