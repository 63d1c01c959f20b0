"""API of runs: create, look, cancel, repeat."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import Project, Role
from runs import services
from runs.api import serializers as shapes
from runs.api.requests import RunChangesSerializer, RunRequestSerializer
from runs.api.run_lists import answer_list
from runs.archiving import archive_run, restore_run
from runs.deletion import delete_run
from runs.filters import RunFilter
from runs.lifecycle import TERMINAL
from runs.models import Run
from trainhub.api.filtering import filter_names, filter_parameters
from trainhub.api.idempotency import REPLAYED, answer_once
from trainhub.api.paging import CURSOR_PARAMETERS, PAGE_PARAMETERS, page_of, read_page_request
from trainhub.api.schema import CURSOR, IDEMPOTENCY_KEY, PAGING, PREFER, errors, list_schema, page_schema
from trainhub.api.views import HubView, find, require_role, validated
from trainhub.api.waiting import wait_until, wanted_seconds

RUN_PAGE = list_schema("RunPage", shapes.RunSummarySerializer)
LIST_PARAMETERS = filter_names(RunFilter) | CURSOR_PARAMETERS


class RunScopedView(HubView):
    """A view of one run below its project."""

    def find_run(self) -> Run:
        """Return the run of the path without its details, for readers of telemetry. One query; 404 for strangers."""
        rows = Run.objects.visible_to(self.request.user).only("uid", "project_id", "status", "completed_at")
        run: Run = find(rows, "run", uid=self.kwargs["run_id"], project__uid=self.kwargs["project_id"])
        return run

    def get_run(self, needs: Role = Role.VIEWER) -> Run:
        """Return the run of the path. 404 for strangers, 403 when the role is too low."""
        run: Run = find(
            Run.objects.visible_to(self.request.user).with_details(),
            "run",
            uid=self.kwargs["run_id"],
            project__uid=self.kwargs["project_id"],
        )
        if needs != Role.VIEWER:
            require_role(run.project, self.request.user, needs)
        return run


def created(request: Request, run: Run) -> Response:
    """Return 201 with the run and its place."""
    fresh = Run.objects.with_details().get(pk=run.pk)
    location = request.build_absolute_uri(f"/projects/{run.project.uid}/runs/{run.uid}")
    return Response(shapes.RunSerializer(fresh).data, status=status.HTTP_201_CREATED, headers={"Location": location})


def wait_for_start(request: Request, run_uid: str) -> None:
    """Honour `Prefer: wait=N` on a creation: wait until the run has started or ended."""

    def has_moved() -> bool:
        return not Run.objects.filter(uid=run_uid, status__in=["queued", "starting"]).exists()

    wait_until(has_moved, wanted_seconds(request, 0))


def create_once(request: Request, prepared: Run) -> Response:
    """Queue a prepared run under the caller's Idempotency-Key, wait as asked, and answer 201.

    The first answer is what is kept for repetitions; the wait comes after the transaction.
    """
    answer = answer_once(request, lambda: created(request, services.queue_run(run=prepared, by=request.user)))
    if wanted_seconds(request, 0) and REPLAYED not in answer.headers:
        wait_for_start(request, prepared.uid)
        answer.data = shapes.RunSerializer(Run.objects.with_details().get(pk=prepared.pk)).data
    return answer


class AllRunsView(HubView):
    """Runs across projects."""

    query_parameters = LIST_PARAMETERS

    @extend_schema(
        operation_id="runs_list",
        parameters=[*filter_parameters(RunFilter), *PAGING, CURSOR],
        responses={200: RUN_PAGE, **errors(400, 401)},
    )
    def get(self, request: Request) -> Response:
        """List the runs of all projects that the caller may see, newest first."""
        return answer_list(request, Project.objects.keys_visible_to(request.user))


class RunListView(HubView):
    """Runs of one project."""

    query_parameters = LIST_PARAMETERS

    @extend_schema(
        operation_id="project_runs_list",
        parameters=[*filter_parameters(RunFilter), *PAGING, CURSOR],
        responses={200: RUN_PAGE, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """List the runs of a project, newest first."""
        return answer_list(request, (self.get_project().pk,))

    @extend_schema(
        operation_id="runs_create",
        parameters=[IDEMPOTENCY_KEY, PREFER],
        request=RunRequestSerializer,
        responses={201: shapes.RunSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str) -> Response:  # noqa: ARG002
        """Launch a run. It is queued; the scheduler starts it when there is room."""
        project: Project = self.get_project(Role.EDITOR)
        values = validated(RunRequestSerializer, request.data)
        return create_once(request, services.prepare_run(project=project, values=values))


class RunView(RunScopedView):
    """One run."""

    @extend_schema(operation_id="runs_retrieve", responses={200: shapes.RunSerializer, **errors(401, 404)})
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Return a run with status, evidence, newest metrics and artifacts."""
        return Response(shapes.RunSerializer(self.get_run()).data)

    @extend_schema(operation_id="runs_delete", responses={204: None, **errors(401, 403, 404, 409)})
    def delete(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Delete a run that has ended, with its log, metrics and artifacts: it is gone at once and for good.

        409 with `status` and `allowed` while it has not ended; with `reason` and the ids when a checkpoint is tagged
        release or candidate (`tagged`) or is a registered version (`registered`), or other runs continue from one
        (`resumed`).
        """
        delete_run(run=self.get_run(Role.ADMIN), by=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RunCancelView(RunScopedView):
    """Ends a run."""

    @extend_schema(
        operation_id="runs_cancel",
        parameters=[PREFER],
        request=None,
        responses={200: shapes.RunSerializer, 202: shapes.RunSerializer, **errors(401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Cancel a run: the trainer saves a checkpoint and ends.

        Waits for the end as long as the grace period allows (or as `Prefer: wait=N` says). 200 shows the final state
        with the receipt; 202 says that it is still cancelling.
        """
        run = services.cancel_run(run=self.get_run(Role.EDITOR), by=request.user)

        def has_ended() -> bool:
            return Run.objects.filter(pk=run.pk, status__in=TERMINAL).exists()

        is_over = wait_until(has_ended, wanted_seconds(request, services.cancel_wait_seconds(run)))
        fresh = Run.objects.with_details().get(pk=run.pk)
        return Response(
            shapes.RunSerializer(fresh).data, status=status.HTTP_200_OK if is_over else status.HTTP_202_ACCEPTED
        )


class RunArchiveView(RunScopedView):
    """Takes a run out of the lists."""

    @extend_schema(
        operation_id="runs_archive",
        request=None,
        responses={200: shapes.RunSerializer, **errors(401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Archive a run that has ended: lists leave it out, everything of it stays. Twice is fine."""
        run = archive_run(run=self.get_run(Role.EDITOR), by=request.user)
        return Response(shapes.RunSerializer(Run.objects.with_details().get(pk=run.pk)).data)


class RunRestoreView(RunScopedView):
    """Brings a run back into the lists."""

    @extend_schema(
        operation_id="runs_restore",
        request=None,
        responses={200: shapes.RunSerializer, **errors(401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Take a run out of the archive."""
        run = restore_run(run=self.get_run(Role.EDITOR), by=request.user)
        return Response(shapes.RunSerializer(Run.objects.with_details().get(pk=run.pk)).data)


class RunRepeatView(RunScopedView):
    """The same again."""

    @extend_schema(
        operation_id="runs_repeat",
        parameters=[IDEMPOTENCY_KEY, PREFER],
        request=RunChangesSerializer,
        responses={201: shapes.RunSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Launch a run with the same definition from the beginning; the body may change some of it."""
        run = self.get_run(Role.EDITOR)
        changes = validated(RunChangesSerializer, request.data)
        return create_once(request, services.prepare_repeat(run=run, changes=changes))


class RunEventsView(RunScopedView):
    """The timeline."""

    query_parameters = PAGE_PARAMETERS

    @extend_schema(
        operation_id="runs_events",
        parameters=PAGING,
        responses={200: page_schema("EventPage", shapes.EventSerializer), **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """List what happened to a run, oldest first."""
        rows = self.get_run().events.select_related("attempt")
        wanted = read_page_request(request.query_params)
        return Response(page_of(rows, wanted, lambda events: shapes.EventSerializer(events, many=True).data))


class RunAttemptsView(RunScopedView):
    """The executions."""

    @extend_schema(
        operation_id="runs_attempts", responses={200: shapes.AttemptSerializer(many=True), **errors(401, 404)}
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """List the attempts of a run, first to newest."""
        rows = self.get_run().attempts.select_related("resume_from").order_by("number")
        return Response(shapes.AttemptSerializer(rows, many=True).data)
