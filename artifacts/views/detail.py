"""The page of one artifact, and its buttons."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from artifacts import services
from artifacts.comparing import compare_artifact, is_compared_later
from artifacts.forms import TagForm
from artifacts.listing import values_at
from artifacts.models import ArtifactState, ArtifactType, TagValue
from artifacts.previews.against import ConfigView, view_config
from artifacts.previews.choosing import Preview, choose_file, make_preview
from artifacts.previews.text import FileGone
from artifacts.registry.listing import registered_as
from artifacts.stored_files import list_files
from artifacts.tag_history import tag_history
from artifacts.views.scoped import ArtifactScopedView
from projects.models import Role
from trainhub.api.paging import whole_number
from trainhub.errors import NotFound
from trainhub.pages import ButtonView, FormPage


class ArtifactDetailView(ArtifactScopedView, FormPage):
    """One artifact with files, previews, tags and lineage; editors tag it here."""

    template_name = "artifacts/artifact_detail.html"

    def make_form(self, data: Any = None) -> TagForm:
        """Return the form, with the notes that are to be replaced where the query names a tag."""
        value = self.request.GET.get("tag", "")
        notes = next((tag.notes for tag in self.artifact.tags.all() if tag.value == value), None)
        if notes is not None:
            return TagForm(data, initial={"tag": value, "notes": notes})
        is_damaged = self.artifact.state == ArtifactState.CORRUPT  # then it cannot be anything else
        return TagForm(data, initial={"tag": TagValue.ARCHIVED} if is_damaged else None)

    def context(self) -> dict[str, Any]:
        """Return what is shown beside the form."""
        artifact = self.artifact
        preview, config = self._preview()
        files = list_files(artifact)
        is_checkpoint = artifact.type == ArtifactType.CHECKPOINT
        return {
            "artifact": artifact,
            "run": artifact.run,
            "can_edit": self.can_edit,
            "values": values_at(artifact),
            "files": files,
            "is_compared_first": artifact.state == ArtifactState.COMPLETE and is_compared_later(artifact),
            "missing": sum(not file.is_there for file in files),
            "preview": preview,
            "config": config,
            "registered": registered_as(artifact) if is_checkpoint else [],
            "history": tag_history(artifact) if is_checkpoint else [],
            "to_ask": getattr(artifact, "admin_here", None),
        }

    def _preview(self) -> tuple[Preview | None, ConfigView | None]:
        """Return the file that is shown, and for a configuration how it differs."""
        if self.artifact.state == ArtifactState.REMOVED:
            return None, None
        query = self.request.GET
        asked = whole_number(query, "file", default=0, low=0, high=1_000_000) if "file" in query else None
        index = choose_file(self.artifact, asked)
        if index is None:
            return None, None
        preview = make_preview(self.artifact, index)
        if preview.kind != "config":
            return preview, None
        try:
            return preview, view_config(self.artifact, index, by=self.request.user, query=query)
        except FileGone:
            return Preview(index, preview.name, preview.size_bytes, "gone"), None

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Tag: everybody may look, editors may tag."""
        self.require(self.artifact, Role.EDITOR)
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
        if compare_artifact(artifact=self.artifact):
            return "All files match their SHA-256."
        return "The scheduler compares it; how that ended will be told here."
