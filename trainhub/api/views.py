"""What the API's views share: fetching through `visible_to`, and roles."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from projects.models import Project, Role
from trainhub.access import Access
from trainhub.errors import InvalidInput, NotAllowed, NotFound

Row = TypeVar("Row", bound=Model)


class HubView(APIView):
    """A view of the API. People and their tokens only; what they may see is cut by `visible_to`.

    `query_parameters` names what the query string may hold; anything else is a 400.
    """

    access_policy = Access.SIGNED_IN
    query_parameters: frozenset[str] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse unknown query parameters before anything is looked up."""
        super().initial(request, *args, **kwargs)
        unknown = sorted(set(request.query_params) - self.query_parameters)
        if unknown:
            raise InvalidInput({name[:100]: ["This query parameter is not known."] for name in unknown[:20]})

    def get_project(self, needs: Role = Role.VIEWER) -> Project:
        """Return the project of the path. 404 for strangers, 403 when the role is too low."""
        project: Project = find(Project.objects.visible_to(self.request.user), "project", uid=self.kwargs["project_id"])
        require_role(project, self.request.user, needs)
        return project


def find(rows: QuerySet[Row], what: str, **lookup: str) -> Row:
    """Return the one row, or raise NotFound naming `what`."""
    row = rows.filter(**lookup).first()
    if row is None:
        raise NotFound(f"There is no such {what}.")
    return row


def require_role(project: Project, user: Any, needs: Role) -> Role:
    """Return the role of `user` in `project`. Raises NotAllowed unless it is `needs` at least."""
    return check_role(project.role_of(user), needs)


def check_role(role: Role | None, needs: Role) -> Role:
    """Return `role`, None for no part in the project. Raises NotAllowed unless it includes `needs`."""
    if role is None or not role.includes(needs):
        raise NotAllowed(
            f"This needs the role {needs.value} in the project; yours is {role.value if role else 'none'}."
        )
    return role


def validated(serializer_class: type[Serializer[Any]], data: Any, **options: Any) -> dict[str, Any]:
    """Return the checked values of a body; raises DRF's ValidationError (400)."""
    serializer = serializer_class(data=data, **options)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
