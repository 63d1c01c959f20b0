"""The page of a project's releases and candidates: which checkpoint, from where, by whom and why."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse

from artifacts.models import Artifact, ArtifactTag, TagValue
from projects.views import ProjectScopedView
from runs.models import Run
from runs.querysets import WIDE_COLUMNS
from trainhub.pages import paginate

MAX_GENERATIONS = 4  # of the lineage that a list shows; the page of a checkpoint has the whole
SHOWN = (TagValue.RELEASE, TagValue.CANDIDATE)


class ReleaseListView(ProjectScopedView):
    """The checkpoints of a project that are tagged release or candidate."""

    template_name = "artifacts/release_list.html"

    def get(self, request: HttpRequest, project_id: str) -> HttpResponse:  # noqa: ARG002
        """Show a page of them: releases first, what was tagged last at the top."""
        tags = ArtifactTag.objects.filter(
            value__in=SHOWN, artifact__run__project=self.project, artifact__run__deleted_at=None
        )
        rows = tags.select_related("artifact__run", "applied_by").order_by("-value", "-applied_at", "-id")
        found, paging = paginate(rows.defer("artifact__manifest", *_WIDE), request.GET)
        known = read_ancestors([tag.artifact.run for tag in found])
        return self.page(
            **self.project_context(),
            releases=[(tag, list(lineage(tag.artifact.run, known))) for tag in found],
            paging=paging,
        )


_WIDE = tuple(f"artifact__run__{name}" for name in WIDE_COLUMNS)


def read_ancestors(runs: list[Run]) -> dict[int, Artifact]:
    """Return checkpoints with their runs by key: what `runs` were resumed from, and what those were.

    One query for each generation, MAX_GENERATIONS at most; nothing of deleted runs.
    """
    known: dict[int, Artifact] = {}
    wanted = {run.resumed_from_id for run in runs if run.resumed_from_id}
    for _ in range(MAX_GENERATIONS):
        missing = wanted - known.keys()
        if not missing:
            break
        rows = Artifact.objects.filter(pk__in=missing, run__deleted_at=None).select_related("run")
        fields = ("uid", "name", "step", "run__uid", "run__name", "run__resumed_from")
        known |= {artifact.pk: artifact for artifact in rows.only(*fields)}
        wanted = {one.run.resumed_from_id for one in known.values() if one.run.resumed_from_id}
    return known


def lineage(run: Run, known: dict[int, Artifact]) -> Iterator[Artifact]:
    """Yield the checkpoint that `run` was resumed from, then the one that its run was, and so on."""
    key = run.resumed_from_id
    for _ in range(MAX_GENERATIONS):
        if key not in known:
            break
        yield known[key]
        key = known[key].run.resumed_from_id
