"""Runs side by side: the page, its table as a file, and a drawing for browsers without JavaScript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from runs.chart import read_overlay
from runs.comparison import Row, compare, describe
from runs.comparison_export import as_csv, as_json
from runs.comparison_page import STYLES, columns, drawn_without_script, panels, query_of, sections
from runs.filters import RunFilter
from runs.models import Run
from trainhub.errors import InvalidInput, NotFound
from trainhub.pages import PageView

MAX_COMPARED = len(STYLES)  # more lines than that nobody tells apart
MAX_FOUND = 10  # runs offered by a search
_UID = re.compile(r"[a-z]+_[0-9a-zA-Z]{1,40}")


@dataclass(frozen=True)
class Choice:
    """What the query string asks for: ids of runs in their order, and whether to show differences alone."""

    uids: tuple[str, ...]
    only_differences: bool

    @classmethod
    def read(cls, query: QueryDict) -> Choice:
        """Return the choice; a run named twice counts once. Raises: InvalidInput."""
        uids = tuple(dict.fromkeys(uid.strip() for uid in query.getlist("run") if uid.strip()))
        if len(uids) > MAX_COMPARED:
            raise InvalidInput(
                {"run": [f"At most {MAX_COMPARED} runs can be compared at once; these are {len(uids)}."]}
            )
        if not all(_UID.fullmatch(uid) for uid in uids):
            raise InvalidInput({"run": ["Must be ids of runs, such as run_0123456789abcdef."]})
        if query.get("differences", "1") not in {"0", "1"}:
            raise InvalidInput({"differences": ["Must be 0 or 1."]})
        return cls(uids, query.get("differences", "1") == "1")


class ComparedView(PageView):
    """What shows chosen runs; 404 when none of those that are named can be seen."""

    @cached_property
    def choice(self) -> Choice:
        """What the query string asks for."""
        return Choice.read(self.request.GET)

    @cached_property
    def runs(self) -> list[Run]:
        """The chosen runs that the person may see, in the order of the query string."""
        visible = Run.objects.visible_to(self.request.user).with_details().with_logged_parameters()
        found = {run.uid: run for run in visible.filter(uid__in=self.choice.uids)} if self.choice.uids else {}
        if self.choice.uids and not found:
            raise NotFound("None of these runs is there, or none that you may see.")
        return [found[uid] for uid in self.choice.uids if uid in found]

    @cached_property
    def rows(self) -> list[Row]:
        """All rows of the table."""
        return compare([describe(run) for run in self.runs])

    @property
    def is_cut(self) -> bool:
        """Whether differences alone are shown; a single run has none."""
        return self.choice.only_differences and len(self.runs) > 1

    @property
    def shown(self) -> list[Row]:
        """The rows that are asked for."""
        return [row for row in self.rows if row.differs or not self.is_cut]


class CompareView(ComparedView):
    """The page. Its address is all there is to a comparison, so that it can be kept and shared."""

    template_name = "runs/compare.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the runs side by side, and a way to add others."""
        uids = [run.uid for run in self.runs]
        return self.page(
            columns=columns(self.runs, only_differences=self.choice.only_differences),
            missing=[uid for uid in self.choice.uids if uid not in uids],
            most=MAX_COMPARED,
            sections=sections(self.shown),
            row_count=len(self.rows),
            hidden_count=len(self.rows) - len(self.shown),
            is_cut=self.is_cut,
            panels=panels(self.rows),
            drawn=drawn_without_script(self.rows),
            is_live=not all(run.is_terminal for run in self.runs),
            svg_query=query_of(uids, only_differences=True),
            query=query_of(uids, only_differences=self.choice.only_differences),
            differences_query=query_of(uids, only_differences=True),
            all_query=query_of(uids, only_differences=False),
            **self.find_others(request),
        )

    def find_others(self, request: HttpRequest) -> dict[str, Any]:
        """Return the search for runs to add: newest first, those of the chosen projects when nothing is looked for."""
        text = request.GET.get("q", "").strip()
        projects = {run.project_id for run in self.runs}
        rows = Run.objects.visible_to(request.user).exclude(pk__in=[run.pk for run in self.runs])
        if not text and projects:
            rows = rows.filter(project__in=projects)
        found = RunFilter({"q": text, **({"archived": "all"} if text else {})}, queryset=rows)
        if not found.is_valid():
            raise InvalidInput({name: list(map(str, errors)) for name, errors in found.form.errors.items()})
        others = (
            found.qs.order_by("-created_at", "-id")
            .select_related("project")
            .only("uid", "name", "status", "created_at", "is_simulated", "project__name")
        )
        return {"search": text, "project_count": len(projects), "others": list(others[:MAX_FOUND])}


class CompareFileView(ComparedView):
    """The table as a file."""

    kind: Literal["csv", "json"] = "csv"

    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002
        """Answer with the rows that the page shows."""
        if not self.runs:
            raise InvalidInput({"run": ["Name at least one run."]})
        if self.kind == "csv":
            response = HttpResponse(as_csv(self.runs, self.shown), content_type="text/csv; charset=utf-8")
        else:
            content = as_json(self.runs, self.shown, differences=self.is_cut)
            response = HttpResponse(content, content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="comparison.{self.kind}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


class CompareDrawingView(ComparedView):
    """One metric of all runs as a picture; the legend is on the page."""

    template_name = "runs/compare.svg"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Draw it."""
        metric = request.GET.get("metric", "")
        if not metric or "\0" in metric or not self.runs:
            raise InvalidInput({"metric": ["Name a metric and at least one run."]})
        chart = read_overlay(self.runs, metric)
        lines = zip(STYLES, chart.lines, strict=False) if chart else ()
        context = {"chart": chart, "lines": list(lines)}
        return render(request, self.template_name, context, content_type="image/svg+xml")
