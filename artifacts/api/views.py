"""API of artifacts: list, look, download, verify, tag; and resuming a run from one."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts import services
from artifacts.api import serializers as shapes
from artifacts.comparing import compare_artifact
from artifacts.downloads import send_file, send_whole
from artifacts.models import Artifact, ArtifactState, ArtifactType, TagValue
from projects.models import Role
from runs.api.requests import RunChangesSerializer
from runs.api.serializers import ProducedArtifactSerializer, RunSerializer
from runs.api.views import RunScopedView, create_once
from trainhub.api.idempotency import answer_once, known_answer
from trainhub.api.renderers import FileNegotiation
from trainhub.api.schema import IDEMPOTENCY_KEY, PREFER, errors
from trainhub.api.views import find, require_role, validated
from trainhub.errors import InvalidInput


class ArtifactScopedView(RunScopedView):
    """A view of one artifact below its run."""

    def get_artifact(self, needs: Role = Role.VIEWER) -> Artifact:
        """Return the artifact of the path. 404 for strangers, 403 when the role is too low."""
        artifact: Artifact = find(
            Artifact.objects.visible_to(self.request.user)
            .whole()
            .with_tags()
            .select_related("run__project", "attempt"),
            "artifact",
            uid=self.kwargs["artifact_id"],
            run__uid=self.kwargs["run_id"],
            run__project__uid=self.kwargs["project_id"],
        )
        if needs != Role.VIEWER:
            require_role(artifact.run.project, self.request.user, needs)
        return artifact


class ArtifactListView(RunScopedView):
    """What a run produced."""

    query_parameters = frozenset({"type", "state"})

    @extend_schema(
        operation_id="artifacts_list",
        parameters=[
            OpenApiParameter("type", str, enum=ArtifactType.values),
            OpenApiParameter("state", str, enum=[state for state in ArtifactState.values if state != "writing"]),
        ],
        responses={200: shapes.ArtifactListSerializer, **errors(400, 401, 404)},
    )
    def get(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """List the artifacts of a run, oldest first. What is still being written is not there yet."""
        rows = self.get_run().artifacts.whole().with_tags().select_related("run")
        for name, known in (("type", ArtifactType.values), ("state", ArtifactState.values)):
            wanted = request.query_params.get(name)
            if wanted is None:
                continue
            if wanted not in known:
                raise InvalidInput({name: [f"Must be one of {', '.join(known)}."]})
            rows = rows.filter(type=wanted) if name == "type" else rows.filter(state=wanted)
        return Response({"items": ProducedArtifactSerializer(rows, many=True).data})


class ArtifactView(ArtifactScopedView):
    """One artifact."""

    @extend_schema(operation_id="artifacts_retrieve", responses={200: shapes.ArtifactSerializer, **errors(401, 404)})
    def get(self, request: Request, project_id: str, run_id: str, artifact_id: str) -> Response:  # noqa: ARG002
        """Return an artifact with the manifest of its files."""
        return Response(shapes.ArtifactSerializer(self.get_artifact()).data)


THROUGH_HUB = OpenApiParameter(
    "through_hub",
    bool,
    description="Have the bytes sent by the hub, also where an object store has them; else such a file is a redirect.",
)


REDIRECT = OpenApiResponse(description="Where the object store sends the file from, for some minutes.")


def may_redirect(request: Request) -> bool:
    """Tell whether the caller takes a redirect to the object store. Raises: InvalidInput."""
    value = request.query_params.get("through_hub", "false")
    if value not in {"true", "false"}:
        raise InvalidInput({"through_hub": ["Must be true or false."]})
    return value == "false"


class ArtifactDownloadView(ArtifactScopedView):
    """The whole artifact."""

    content_negotiation_class = FileNegotiation
    query_parameters = frozenset({"through_hub"})

    @extend_schema(
        operation_id="artifacts_download",
        parameters=[THROUGH_HUB],
        responses={
            302: REDIRECT,
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (200, "application/x-tar"): OpenApiTypes.BINARY,
            **errors(400, 401, 404, 409, 410, 503),
        },
    )
    def get(self, request: Request, project_id: str, run_id: str, artifact_id: str):  # type: ignore[no-untyped-def] # noqa: ARG002, ANN201
        """Download an artifact: a single file as it is, a folder as a tar stream."""
        return send_whole(self.get_artifact(), may_redirect=may_redirect(request))


class ArtifactFileView(ArtifactScopedView):
    """One file of an artifact."""

    content_negotiation_class = FileNegotiation
    query_parameters = frozenset({"through_hub"})

    @extend_schema(
        operation_id="artifacts_download_file",
        parameters=[THROUGH_HUB],
        responses={
            302: REDIRECT,
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            **errors(400, 401, 404, 409, 410, 503),
        },
    )
    def get(self, request: Request, project_id: str, run_id: str, artifact_id: str, index: int):  # type: ignore[no-untyped-def] # noqa: ARG002, ANN201
        """Download one file by its index in the manifest."""
        return send_file(self.get_artifact(), index, may_redirect=may_redirect(request))


class ArtifactVerifyView(ArtifactScopedView):
    """Hashes the stored bytes again."""

    @extend_schema(
        operation_id="artifacts_verify",
        request=None,
        responses={200: shapes.ArtifactSerializer, 202: shapes.ArtifactSerializer, **errors(401, 403, 404, 409, 503)},
    )
    def post(self, request: Request, project_id: str, run_id: str, artifact_id: str) -> Response:  # noqa: ARG002
        """Compare the stored bytes with the manifest; 409 names the first damaged file.

        A large artifact in an object store is compared by the scheduler: the answer is 202, and the state `complete`
        until that is done.
        """
        artifact = self.get_artifact(Role.EDITOR)
        is_done = compare_artifact(artifact=artifact)
        return Response(shapes.ArtifactSerializer(artifact).data, status=200 if is_done else 202)


class ArtifactTagView(ArtifactScopedView):
    """Tags a checkpoint."""

    @extend_schema(
        operation_id="artifacts_tag",
        parameters=[IDEMPOTENCY_KEY],
        request=shapes.TagRequestSerializer,
        responses={200: ProducedArtifactSerializer, **errors(400, 401, 403, 404, 409)},
    )
    def post(self, request: Request, project_id: str, run_id: str, artifact_id: str) -> Response:  # noqa: ARG002
        """Mark a checkpoint as candidate, release or archived, with notes."""
        artifact = self.get_artifact(Role.EDITOR)
        values = validated(shapes.TagRequestSerializer, request.data)

        def tag() -> Response:
            services.tag_artifact(
                artifact=artifact, value=TagValue(values["tag"]), notes=values["notes"], by=request.user
            )
            return Response(ProducedArtifactSerializer(self.get_artifact()).data)

        return answer_once(request, tag)


class ArtifactUntagView(ArtifactScopedView):
    """Takes a tag off."""

    @extend_schema(
        operation_id="artifacts_untag",
        parameters=[OpenApiParameter("tag", str, OpenApiParameter.PATH, enum=TagValue.values)],
        responses={200: ProducedArtifactSerializer, **errors(401, 403, 404)},
    )
    def delete(self, request: Request, project_id: str, run_id: str, artifact_id: str, tag: str) -> Response:  # noqa: ARG002
        """Take a tag off a checkpoint; the timeline remembers it."""
        artifact = self.get_artifact(Role.EDITOR)
        services.untag_artifact(artifact=artifact, value=tag, by=request.user)  # type: ignore[arg-type]
        return Response(ProducedArtifactSerializer(self.get_artifact()).data)


class RunResumeView(RunScopedView):
    """Continues from a checkpoint."""

    query_parameters = frozenset({"source_artifact_id"})

    @extend_schema(
        operation_id="runs_resume",
        parameters=[
            OpenApiParameter("source_artifact_id", str, required=True, description="The checkpoint to resume from."),
            IDEMPOTENCY_KEY,
            PREFER,
        ],
        request=RunChangesSerializer,
        responses={201: RunSerializer, **errors(400, 401, 403, 404, 409, 503)},
    )
    def post(self, request: Request, project_id: str, run_id: str) -> Response:  # noqa: ARG002
        """Launch a run that continues from a checkpoint of this one; the body may change its definition.

        The checkpoint's bytes are compared with its manifest first; 409 names a damaged file.
        """
        run = self.get_run(Role.EDITOR)
        checkpoint_id = request.query_params.get("source_artifact_id")
        if not checkpoint_id or "\x00" in checkpoint_id:
            raise InvalidInput({"source_artifact_id": ["Name the checkpoint to resume from."]})
        values = validated(RunChangesSerializer, request.data)
        known = known_answer(request)
        if known is not None:
            return known
        checkpoint = services.checkpoint_to_resume(run=run, checkpoint_id=checkpoint_id)
        return create_once(request, services.prepare_resume(checkpoint=checkpoint, values=values))
