"""Pages of artifacts: list, one with its tags, downloads, and resuming from a checkpoint."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from artifacts import services
from artifacts.downloads import send_file, send_whole
from artifacts.forms import ResumeForm, TagForm
from artifacts.models import Artifact, TagValue
from projects.models import Role
from runs.views import RunScopedView, describe_config
from trainhub.api.views import find, require_role
from trainhub.errors import NotFound
from trainhub.pages import ButtonView, FormPage, PageView, paginate


class ArtifactScopedView(PageView):
    """A page of one artifact; `needs` is the role for it."""

    needs = Role.VIEWER

    @cached_property
    def artifact(self) -> Artifact:
        """The artifact of the path. 404 for strangers, 403 when the role is too low."""
        rows = Artifact.objects.visible_to(self.request.user).whole().with_tags()
        artifact = find(rows.select_related("run__project", "attempt"), "artifact", uid=self.kwargs["artifact_id"])
        require_role(artifact.run.project, self.request.user, self.needs)
        return artifact

    def back(self) -> str:
        """Return the path of the artifact's page, or of its run's where the form came from there."""
        if self.request.POST.get("back") == "run":
            return reverse("run", args=[self.artifact.run.uid]) + "#artifacts"
        return reverse("artifact", args=[self.artifact.uid])


class ArtifactListView(RunScopedView):
    """Everything that a run produced."""

    template_name = "artifacts/artifact_list.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Show a page of the list, newest first."""
        rows = self.run.artifacts.whole().with_tags().order_by("-created_at", "-id")
        artifacts, paging = paginate(rows, request.GET)
        role = self.run.project.role_of(request.user)
        can_edit = role is not None and role.includes(Role.EDITOR)
        return self.page(run=self.run, artifacts=artifacts, paging=paging, can_edit=can_edit)


class ArtifactDetailView(ArtifactScopedView, FormPage):
    """One artifact with its files and tags; editors tag it here."""

    template_name = "artifacts/artifact_detail.html"

    def make_form(self, data: Any = None) -> TagForm:
        """Return an empty form."""
        return TagForm(data)

    def context(self) -> dict[str, Any]:
        """Say whether the person may tag."""
        role = self.artifact.run.project.role_of(self.request.user)
        can_edit = role is not None and role.includes(Role.EDITOR)
        return {"artifact": self.artifact, "run": self.artifact.run, "can_edit": can_edit}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Tag: everybody may look, editors may tag."""
        require_role(self.artifact.run.project, request.user, Role.EDITOR)
        return super().post(request, **kwargs)

    def done(self, form: TagForm) -> HttpResponse:
        """Mark the checkpoint."""
        value = TagValue(form.values["tag"])
        services.tag_artifact(artifact=self.artifact, value=value, notes=form.values["notes"], by=self.request.user)
        messages.success(self.request, f"{self.artifact.name} is tagged {value.value}.")
        return redirect(self.back())


class ArtifactUntagView(ArtifactScopedView, ButtonView):
    """Takes a tag off a checkpoint."""

    needs = Role.EDITOR

    def act(self) -> str:
        """Take it off; the timeline remembers it."""
        tag = self.kwargs["tag"]
        if tag not in TagValue.values:
            raise NotFound("There is no such tag.")
        services.untag_artifact(artifact=self.artifact, value=TagValue(tag), by=self.request.user)
        return f"The tag {tag} was taken off {self.artifact.name}."


class ArtifactVerifyView(ArtifactScopedView, ButtonView):
    """Hashes the stored bytes again."""

    needs = Role.EDITOR

    def act(self) -> str:
        """Compare the bytes with the manifest; a damaged file is a conflict that names it."""
        services.verify_artifact(artifact=self.artifact)
        return "All files match their SHA-256."


class ArtifactDownloadView(ArtifactScopedView):
    """The whole artifact as a file."""

    def get(self, request: HttpRequest, artifact_id: str) -> HttpResponseBase:  # noqa: ARG002
        """Send a single file as it is, a folder as a tar."""
        return send_whole(self.artifact)


class ArtifactFileView(ArtifactScopedView):
    """One file of an artifact."""

    def get(self, request: HttpRequest, artifact_id: str, index: int) -> HttpResponseBase:  # noqa: ARG002
        """Send the file."""
        return send_file(self.artifact, index)


class RunResumeView(ArtifactScopedView, FormPage):
    """Launch a run that continues from a checkpoint."""

    template_name = "artifacts/run_resume.html"
    needs = Role.EDITOR

    def make_form(self, data: Any = None) -> ResumeForm:
        """Return a form that changes nothing."""
        return ResumeForm(data)

    def context(self) -> dict[str, Any]:
        """Show what the run has now."""
        run = self.artifact.run
        return {"artifact": self.artifact, "run": run, "config": describe_config(run)}

    def done(self, form: ResumeForm) -> HttpResponse:
        """Compare the checkpoint with its manifest, then queue the run."""
        checkpoint = services.checkpoint_to_resume(run=self.artifact.run, checkpoint_id=self.artifact.uid)
        run = services.resume_run(checkpoint=checkpoint, by=self.request.user, values=form.values)
        messages.success(self.request, f"The run is queued; it continues from {checkpoint.name}.")
        return redirect("run", run.uid)
