"""What the charts of a run's page stand on: its metrics by panel, and the loss as the server draws it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from runs.chart import read_chart
from runs.models import Run, RunMetric
from runs.panels import Panel, group_metrics
from runs.views.scoped import RunScopedView


def list_metrics(run: Run) -> list[tuple[Panel, list[tuple[str, RunMetric]]]]:
    """Return each panel of the run with the label and the newest value of its metrics. Uses the loaded metrics."""
    newest = {metric.key: metric for metric in run.newest_metrics.all()}
    return [(panel, [(line.label, newest[line.key]) for line in panel.lines]) for panel in group_metrics(newest)]


class ChartsMixin(RunScopedView):
    """A page of one run that shows its charts."""

    def charts_context(self) -> dict[str, Any]:
        """Return the metrics, and the losses drawn for readers without JavaScript."""
        panels = list_metrics(self.run)
        keys = [metric.key for panel, lines in panels if not panel.is_system for _, metric in lines]
        losses = [key for key in keys if "loss" in key]
        ancestors = Run.objects.visible_to(self.request.user)
        return {"panels": panels, "chart": read_chart(self.run, losses, ancestors=ancestors) if losses else None}


class RunChartsView(RunScopedView):
    """The list of a run's metrics, for polls: the script makes new panels from it and learns when the run ended."""

    template_name = "runs/_metric_list.html"

    def get(self, request: HttpRequest, run_id: str) -> HttpResponse:  # noqa: ARG002
        """Answer with the fragment."""
        return self.page(run=self.run, panels=list_metrics(self.run))
