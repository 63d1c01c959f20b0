"""Lists of runs: of all projects, and of one; with the columns that the person chose."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from projects.models import Project, Role
from projects.views import ProjectScopedView
from runs.columns import MAX_COLUMNS, chosen_columns, offered_columns
from runs.filter_chips import chips_of
from runs.filters import RunFilter
from runs.listing import RunList
from runs.models import Run
from runs.ordering import COLUMNS, NEWEST_FIRST
from runs.table import read_table
from runs.views.compare import MAX_COMPARED
from runs.views.selection import MAX_BACK, MAX_SELECTED
from trainhub.api.paging import read_page_request
from trainhub.pages import PageView, Paging

# Filters that are out of sight until one of them is used.
MORE_FILTERS = (
    "recipe", "executor", "owner", "checkpoint_tag", "project_tag", "created_after", "created_before", "where",
    "archived",
)  # fmt: skip
KEPT = ("project", "name", "parent", "page_size")  # what the form of the filters has no field for


class TableView(PageView):
    """A page with a table of runs that is filtered, ordered and paged by the query string."""

    list_of: Project | None = None  # the project whose runs are listed, None for all

    def show(self, keys: tuple[int, ...] | None, *, can_edit: bool, **context: Any) -> HttpResponse:
        """Answer with a page of the runs of the projects with these keys, None for all."""
        query, here = self.request.GET, self.request.get_full_path()
        wanted = read_page_request(query)
        found = RunFilter(query, queryset=Run.objects.all())
        is_valid = found.is_valid()
        run_ids, total, order = [], 0, NEWEST_FIRST
        if is_valid:
            order = found.form.cleaned_data["order"]
            listed = RunList(found.qs, keys, found.form.cleaned_data["where"], order)
            run_ids, total = listed.page(start=wanted.start, size=wanted.size), listed.count()
        columns = chosen_columns(user=self.request.user, project=self.list_of)
        return self.page(
            status=200 if is_valid else 400,
            filter=found.form,
            chips=chips_of(query),
            more_is_open=any(query.get(name) or name in found.form.errors for name in MORE_FILTERS),
            orders=COLUMNS,
            kept=[(name, query[name]) for name in KEPT if query.get(name)],
            table=read_table(run_ids, columns, order),
            groups=offered_columns(run_ids, columns),
            chosen={column.key for column in columns},
            paging=Paging(wanted.number, wanted.size, total),
            can_edit=can_edit,
            most_columns=MAX_COLUMNS,
            most_selected=MAX_SELECTED,
            most_compared=MAX_COMPARED,
            back=here if len(here) <= MAX_BACK else self.request.path,
            **context,
        )


class RunListView(TableView):
    """The runs of all projects that the person may see."""

    template_name = "runs/run_list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the list."""
        roles = Project.objects.roles_of(request.user)
        can_edit = roles is None or any(Role(role).includes(Role.EDITOR) for role in roles.values())
        return self.show(None if roles is None else tuple(roles), can_edit=can_edit)


class ProjectRunsView(ProjectScopedView, TableView):
    """The runs of a project."""

    template_name = "projects/project_runs.html"

    def get(self, request: HttpRequest, project_id: str) -> HttpResponse:  # noqa: ARG002
        """Show a page of the list."""
        self.list_of = self.project
        return self.show((self.project.pk,), hide_project=True, **self.project_context())
