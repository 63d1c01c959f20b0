"""The page of the executors: where runs go, how full it is there, and what is wrong."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from projects.querysets import is_staff
from runs.executor_use import read_executor_use
from runs.registry import configuration_problems
from trainhub.pages import PageView


class ExecutorListView(PageView):
    """All executors. Operators see what is wrong in full, others that somebody must see to it."""

    template_name = "runs/executor_list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them, in the order in which they are declared."""
        sees_problems = is_staff(request.user)
        return self.page(
            executors=read_executor_use(),
            sees_problems=sees_problems,
            configuration_problems=configuration_problems() if sees_problems else [],
        )
