"""The tables of artifacts: what runs produce, its tags, and what tracking clients say of models."""

from artifacts.models.artifact import Artifact, ArtifactState, ArtifactTag, ArtifactType, ArtifactUpload, TagValue
from artifacts.models.installation import Installation
from artifacts.models.logged_model import LoggedModel, Readiness, RunModel
from artifacts.models.registry import ModelAlias, ModelVersion, RegisteredModel, Stage
from artifacts.models.store_check import StoreCheck

__all__ = [
    "Artifact",
    "ArtifactState",
    "ArtifactTag",
    "ArtifactType",
    "ArtifactUpload",
    "Installation",
    "LoggedModel",
    "ModelAlias",
    "ModelVersion",
    "Readiness",
    "RegisteredModel",
    "RunModel",
    "Stage",
    "StoreCheck",
    "TagValue",
]
