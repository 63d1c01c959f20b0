"""The log of a run: its end, and the whole by pages, with filters, searches and jumps; a script scrolls over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page

from runner.protocol import LEVELS
from runs.log_forms import MAX_LINE, LogFilterForm
from runs.log_rows import build_rows
from runs.models import Run
from runs.querysets import RunQuerySet
from runs.telemetry.log_pages import LogPage, TooManyLinesError, read_page
from runs.telemetry.log_places import count_kinds, line_at_time, match_place, place_of
from runs.telemetry.log_search import SearchResult, search_lines
from runs.telemetry.log_search_back import search_back
from runs.telemetry.log_tally import Tally
from runs.views.scoped import RunScopedView
from trainhub.api.paging import MAX_PAGE, PageRequest, read_page_request, whole_number
from trainhub.pages import Paging

LOG_PAGE_LINES = 200  # where the query string does not say
SEARCH_SECONDS = 1.0  # of looking in a very long log before the page shows what was found

_KEPT = ("level", "stream", "attempt", "q", "regex", "case", "wrap", "page_size")


class RunLogTailView(RunScopedView):
    """The end of the log, for polls."""

    template_name = "runs/_log_lines.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment."""
        return self.page(is_tail=True, **self.tail_context())


@dataclass(frozen=True)
class Chip:
    """A count that filters: its words, its levels, whether just these are shown."""

    name: str
    css: str
    count: int
    levels: tuple[str, ...]
    is_on: bool


@dataclass(frozen=True)
class Look:
    """How far a search for the next or previous match came without one; `line` leads on, None at the end."""

    direction: str
    searched: int
    total: int
    line: int | None


@method_decorator(gzip_page, name="dispatch")
class RunLogView(RunScopedView):
    """The log by pages. What to show and where to go is all in the query string, so that it works without a script."""

    template_name = "runs/run_log.html"

    def runs(self) -> RunQuerySet:
        """Leave out the metrics."""
        user = self.request.user
        rows = Run.objects.visible_to(user).with_viewer_role(user)
        return rows.select_related("project").prefetch_related("attempts")

    def get(self, request: HttpRequest, run_id: str) -> HttpResponseBase:  # noqa: ARG002
        """Show a page, or lead to the one that holds the line that was asked for."""
        wanted = read_page_request({"page_size": str(LOG_PAGE_LINES), **request.GET.dict()})
        form = LogFilterForm(request.GET)
        if not form.is_valid():
            return self.show(form, LogPage(0, []), Paging(1, wanted.size, 0), status=400)
        if form.cleaned_data["time"] is not None:
            return self.go_to_time(form)
        if form.is_list_of_matches:
            return self.list_matches(form, wanted)
        if form.finder is not None and (form.cleaned_data["find"] or not {"line", "page"} & set(request.GET)):
            return self.go_to_match(form, wanted)
        return self.show_lines(form, wanted)

    def show(self, form: LogFilterForm, found: LogPage, paging: Paging | None, **context: Any) -> HttpResponse:
        """Render lines with what frames them."""
        is_list = form.is_valid() and form.is_list_of_matches
        target = form.cleaned_data.get("line")
        rows = build_rows(found.items, finder=form.finder, target=target, is_folded=not is_list)
        tally = count_kinds(self.run.pk)
        return self.page(
            run=self.run, form=form, lines=found.items, rows=rows, paging=paging, target=target, is_list=is_list,
            line_count=_count(tally, LEVELS), chips=_chips(tally, form),
            attempts=sorted({attempt for attempt, *_ in tally}), kept=self.kept_filters(),
            **{"status": 200, **context},
        )  # fmt: skip

    def kept_filters(self) -> list[tuple[str, str]]:
        """Return what stays of the query string when somebody goes to a line, as fields of a form."""
        query = self.request.GET
        kept = [(name, value) for name in _KEPT for value in query.getlist(name)]
        return [*kept, ("show", "context")] if query.get("q") else kept

    def show_lines(self, form: LogFilterForm, wanted: PageRequest, look: Look | None = None) -> HttpResponse:
        """Show a page of the lines of the kinds wanted: by number, or the one with a line; the last one at the most."""
        run_id, line = self.run.pk, form.cleaned_data["line"]
        number = self.page_number(form, wanted)
        found = read_page(run_id=run_id, page=number, page_size=wanted.size, wanted=form.wanted)
        paging = Paging(number, wanted.size, found.total)
        if number > paging.last and "page" not in self.request.GET:
            paging = Paging(paging.last, wanted.size, found.total)
            found = read_page(run_id=run_id, page=paging.number, page_size=wanted.size, wanted=form.wanted)
        place = None
        if form.finder is not None:
            place = match_place(run_id=run_id, wanted=form.wanted, matcher=form.finder, line=line)
        return self.show(form, found, paging, look=look, place=place)

    def page_number(self, form: LogFilterForm, wanted: PageRequest) -> int:
        """Return which page is asked for: that of a line, the given one, the newest while the run goes on."""
        line = form.cleaned_data["line"]
        if line is not None:
            return place_of(run_id=self.run.pk, line=line, wanted=form.wanted) // wanted.size + 1
        is_growing = "page" not in self.request.GET and not self.run.is_terminal
        return MAX_PAGE if is_growing else wanted.number

    def list_matches(self, form: LogFilterForm, wanted: PageRequest) -> HttpResponse:
        """Show the lines that match alone: by pages, or in a very long log the matches of one step and the way on."""
        try:
            found = read_page(
                run_id=self.run.pk, page=wanted.number, page_size=wanted.size, wanted=form.wanted, matcher=form.finder
            )
        except TooManyLinesError:
            step = self.search(
                form, whole_number(self.request.GET, "after", default=0, low=0, high=MAX_LINE), wanted.size
            )
            return self.show(form, LogPage(0, step.items), None, step=step)
        return self.show(form, found, Paging(wanted.number, wanted.size, found.total))

    def search(self, form: LogFilterForm, after: int, limit: int) -> SearchResult:
        """Look for matches from a line on, for a moment."""
        return search_lines(
            run_id=self.run.pk,
            wanted=form.wanted,
            matcher=form.finder,
            after=after,
            limit=limit,
            seconds=SEARCH_SECONDS,
        )

    def go_to_match(self, form: LogFilterForm, wanted: PageRequest) -> HttpResponse:
        """Lead to the next or previous match, or say how far the search came."""
        line = form.cleaned_data["line"]
        if form.cleaned_data["find"] == "previous":
            before = MAX_LINE if line is None else line
            found = search_back(
                run_id=self.run.pk, wanted=form.wanted, matcher=form.finder, before=before, seconds=SEARCH_SECONDS
            )
            cursor = found.next
        else:
            found = self.search(form, 0 if line is None else line + 1, 1)
            cursor = None if found.next is None else found.next - 1
        if found.items:
            return self.go_to_line(found.items[0].number)
        look = Look(form.cleaned_data["find"] or "next", found.searched, found.total, cursor)
        return self.show_lines(form, wanted, look)

    def go_to_time(self, form: LogFilterForm) -> HttpResponse:
        """Lead to the first line at or after a time, or to the end."""
        line = line_at_time(run_id=self.run.pk, time_us=form.cleaned_data["time"], wanted=form.wanted)
        return self.go_to_line(MAX_LINE if line is None else line)

    def go_to_line(self, line: int) -> HttpResponse:
        """Lead to the page with a line; filters stay."""
        query = self.request.GET.copy()
        for name in ("find", "time", "page", "line"):
            query.pop(name, None)
        query["line"] = str(line)
        return HttpResponseRedirect(f"{self.request.path}?{query.urlencode()}#line-{line}")


class RunLogRowsView(RunLogView):
    """The lines of a page alone, for the script that scrolls over all pages."""

    template_name = "runs/_log_table.html"


def _count(tally: Tally, levels: tuple[str, ...]) -> int:
    return sum(count for _, _, level, count in tally if LEVELS[level] in levels)


def _chips(tally: Tally, form: LogFilterForm) -> list[Chip]:
    """Return the counts of what people look for first."""
    kinds = [("errors", "failed", ("ERROR", "CRITICAL")), ("warnings", "candidate", ("WARNING",))]
    shown = set(form.cleaned_data.get("level") or [])
    return [Chip(name, css, _count(tally, levels), levels, shown == set(levels)) for name, css, levels in kinds]
