"""What may be seen of projects, and how they are selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

Viewer = AbstractBaseUser | AnonymousUser
EDITING = ("editor", "admin")  # values of `projects.models.Role`, which imports this module

if TYPE_CHECKING:
    from projects.models import Project  # noqa: F401 - named in the base class below


def is_staff(user: Viewer) -> bool:
    """Tell whether `user` is an active operator, who sees every project."""
    return bool(getattr(user, "is_staff", False)) and user.is_active


class ProjectQuerySet(QuerySet["Project"]):
    """Projects; start from `visible_to` wherever a person asks."""

    def visible_to(self, user: Viewer) -> Self:
        """Keep the projects that `user` is a member of; operators see all, the inactive none."""
        if is_staff(user):
            return self
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self.filter(memberships__user=user)

    def editable_by(self, user: Viewer) -> Self:
        """Keep the projects in which `user` may launch and change runs."""
        if is_staff(user):
            return self
        editable = [key for key, role in (self.roles_of(user) or {}).items() if role in EDITING]
        return self.visible_to(user).filter(pk__in=editable)

    def keys_visible_to(self, user: Viewer) -> tuple[int, ...] | None:
        """Return the keys of the projects that `user` may see, None for all: what long lists are cut by, not a join."""
        return None if is_staff(user) else tuple(self.visible_to(user).order_by().values_list("pk", flat=True))

    def roles_of(self, user: Viewer) -> dict[int, str] | None:
        """Return the role of `user` by key of each project of theirs, None for operators, who are admin in all."""
        if is_staff(user):
            return None
        return dict(self.visible_to(user).order_by().values_list("pk", "memberships__role"))

    def with_run_counts(self) -> Self:
        """Add `run_count` and `last_run_at`."""
        kept = Q(runs__deleted_at=None)
        return self.annotate(run_count=Count("runs", filter=kept), last_run_at=Max("runs__created_at", filter=kept))

    def with_activity(self) -> Self:
        """Add `active_at`: when the newest run was made, for a project without runs when it was."""
        from projects.models import Project  # the models import this module

        runs = Project.objects.filter(pk=OuterRef("pk"), runs__deleted_at=None).order_by("-runs__created_at")
        return self.annotate(active_at=Coalesce(Subquery(runs.values("runs__created_at")[:1]), F("created_at")))

    def matching(self, text: str) -> Self:
        """Keep those whose name, description or base model contains `text`."""
        return self.filter(Q(name__icontains=text) | Q(description__icontains=text) | Q(base_model__icontains=text))
