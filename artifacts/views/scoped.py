"""Pages of one artifact, and of what a run produced: who may see them, and where forms lead back to."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import OuterRef, Subquery
from django.urls import reverse

from artifacts.models import Artifact
from projects.models import Membership, Role
from projects.querysets import is_staff
from runs.models import Run
from trainhub.api.views import find
from trainhub.errors import NotAllowed
from trainhub.pages import PageView


def with_role(rows: Any, project: str, user: Any) -> Any:
    """Add `role_here`, the role of `user`, and `admin_here`, the name of an admin to ask for another one.

    Beside the row instead of in queries of their own: these pages read much else. `project` is the path to it.
    """
    members = Membership.objects.filter(project=OuterRef(project)).order_by("pk")
    return rows.annotate(
        role_here=Subquery(members.filter(user=user).values("role")[:1]),
        admin_here=Subquery(members.filter(role=Role.ADMIN).values("user__username")[:1]),
    )


def role_of(row: Any, user: Any) -> Role:
    """Return the role that a row of `with_role` tells, which its reader may see."""
    return Role.ADMIN if is_staff(user) else Role(row.role_here)


class ArtifactScopedView(PageView):
    """A page of one artifact; `needs` is the role for it."""

    needs = Role.VIEWER

    @cached_property
    def artifact(self) -> Artifact:
        """The artifact of the path. 404 for strangers, 403 when the role is too low."""
        user = self.request.user
        rows = with_role(Artifact.objects.visible_to(user).whole().with_tags(), "run__project", user)
        details = rows.select_related("run__project", "run__resumed_from", "attempt")
        artifact: Artifact = find(details, "artifact", uid=self.kwargs["artifact_id"])
        self.require(artifact, self.needs)
        return artifact

    def require(self, artifact: Artifact, needs: Role) -> None:
        """Raise NotAllowed unless the person has at least this role."""
        role = role_of(artifact, self.request.user)
        if not role.includes(needs):
            raise NotAllowed(f"This needs the role {needs.value} in the project; yours is {role.value}.")

    @cached_property
    def can_edit(self) -> bool:
        """Whether the person may tag, verify and resume."""
        return role_of(self.artifact, self.request.user).includes(Role.EDITOR)

    def back(self) -> str:
        """Return the path of the artifact's page, or of the page of its run where the form came from there."""
        came_from = self.request.POST.get("back")
        if came_from == "run":
            return reverse("run", args=[self.artifact.run.uid]) + "#artifacts"
        if came_from == "list":
            return reverse("artifacts", args=[self.artifact.run.uid])
        return reverse("artifact", args=[self.artifact.uid])


class RunOfArtifactsView(PageView):
    """A page about what a run produced."""

    @cached_property
    def run(self) -> Run:
        """The run of the path, with its project and no more. 404 for strangers."""
        user = self.request.user
        rows = with_role(Run.objects.visible_to(user).select_related("project"), "project", user)
        run: Run = find(rows, "run", uid=self.kwargs["run_id"])
        return run

    @cached_property
    def can_edit(self) -> bool:
        """Whether the person may tag checkpoints and resume from them."""
        return role_of(self.run, self.request.user).includes(Role.EDITOR)
