"""Shapes of artifacts in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from artifacts.models import Artifact, TagValue
from runs.api.serializers import ProducedArtifactSerializer
from trainhub.api.serializers import StrictSerializer, UtcTimeField


class FileSerializer(serializers.Serializer[Any]):
    """One file of an artifact."""

    index = serializers.IntegerField()
    name = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sha256 = serializers.CharField()


class ArtifactSerializer(ProducedArtifactSerializer):
    """An artifact with its manifest."""

    attempt = serializers.IntegerField(source="attempt.number", allow_null=True, default=None)
    verified_at = UtcTimeField(allow_null=True)
    damaged_file = serializers.CharField()
    files = serializers.SerializerMethodField()

    @extend_schema_field(FileSerializer(many=True))
    def get_files(self, artifact: Artifact) -> list[dict[str, Any]]:
        """Return the manifest; `index` names a file in the download path."""
        return [{"index": index, **entry} for index, entry in enumerate(artifact.manifest)]


class ArtifactListSerializer(serializers.Serializer[Any]):
    """All artifacts of a run."""

    items = ProducedArtifactSerializer(many=True)


class TagRequestSerializer(StrictSerializer):
    """Marks a checkpoint."""

    tag = serializers.ChoiceField(choices=TagValue.choices)
    notes = serializers.CharField(max_length=10_000, allow_blank=True, required=False, default="")
