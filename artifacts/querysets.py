"""How artifacts are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db.models import F, Max, Prefetch, Q, QuerySet, Window

from projects.models import Project
from projects.querysets import Viewer, is_staff

if TYPE_CHECKING:
    from artifacts.models import Artifact, ModelVersion, RegisteredModel  # noqa: F401 - named in the base classes


class ArtifactQuerySet(QuerySet["Artifact"]):
    """Artifacts; start from `visible_to` wherever a person asks."""

    def visible_to(self, user: Viewer) -> Self:
        """Keep what belongs to projects of `user`; operators see all, nobody what belongs to a deleted run."""
        kept = self.filter(run__deleted_at=None)
        if is_staff(user):
            return kept
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return kept.filter(run__project__memberships__user=user)

    def whole(self) -> Self:
        """Leave out what is still being written: an artifact is whole or not there."""
        return self.filter(~Q(state="writing"))

    def with_tags(self) -> Self:
        """Load the tags and who applied them, in one query for the whole list."""
        from artifacts.models import ArtifactTag  # the models import this module

        return self.prefetch_related(Prefetch("tags", ArtifactTag.objects.select_related("applied_by")))


class RegisteredModelQuerySet(QuerySet["RegisteredModel"]):
    """Registered models; start from `visible_to` wherever a person asks."""

    def visible_to(self, user: Viewer) -> Self:
        """Keep those of projects of `user`, and those without a version that `user` made; operators see all."""
        if is_staff(user):
            return self
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(Q(project__in=Project.objects.visible_to(user)) | Q(project=None, created_by=user.pk))


class ModelVersionQuerySet(QuerySet["ModelVersion"]):
    """Versions of registered models."""

    def kept(self) -> Self:
        """Leave out deleted ones."""
        return self.filter(deleted_at=None)

    def with_details(self) -> Self:
        """Load what answers and pages tell of a version: model, checkpoint, run, person and aliases. Two queries."""
        links = ("model", "created_by", "run__project", "artifact__run__project", "artifact__logged_model")
        wide = ("artifact__manifest", "artifact__places", "run__recipe_snapshot", "artifact__run__recipe_snapshot")
        return self.select_related(*links).defer(*wide).prefetch_related("aliases")

    def newest_of_stages(self) -> Self:
        """Keep the newest version of each stage of each model."""
        newest = Window(Max("number"), partition_by=[F("model_id"), F("stage")])
        return self.kept().annotate(newest_number=newest).filter(number=F("newest_number"))
