"""How artifacts are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db.models import Q, QuerySet

from projects.querysets import Viewer, is_staff

if TYPE_CHECKING:
    from artifacts.models import Artifact  # noqa: F401 - named in the base class below


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
        """Load the tags and who applied them, in two queries for the whole list."""
        return self.prefetch_related("tags__applied_by")
