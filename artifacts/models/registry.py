"""The model registry: names, versions and aliases of checkpoints, as tracking clients keep them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from artifacts.models.artifact import Artifact
from artifacts.querysets import ModelVersionQuerySet, RegisteredModelQuerySet
from projects.models import Project
from runs.models import Run


class Stage(models.TextChoices):
    """MLflow's stages of a version. Staging is a candidate, Production a release."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


class RegisteredModel(models.Model):
    """A name under which versions of a model are registered.

    It belongs to the project of its first version; until then, to the person who made it alone.
    """

    name = models.CharField(max_length=256)
    project = models.ForeignKey(Project, null=True, on_delete=models.CASCADE, related_name="registered_models")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    description = models.TextField(max_length=10_000, blank=True, default="")
    tags = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = RegisteredModelQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="registered_model_once"),
            models.UniqueConstraint(
                fields=["created_by", "name"], condition=Q(project=None), name="registered_model_once_of_person"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """A version of a registered model: a checkpoint, numbered from 1 without reusing a number.

    `source` is where the client says it lies. What `stage` and aliases say about a release is said by the tags of the
    checkpoint as well.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    artifact = models.ForeignKey(Artifact, null=True, on_delete=models.SET_NULL, related_name="model_versions")
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="model_versions")
    source = models.CharField(max_length=1000)
    run_link = models.CharField(max_length=500, blank=True, default="", help_text="As the client gave it.")
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.NONE)
    description = models.TextField(max_length=10_000, blank=True, default="")
    tags = models.JSONField(default=dict)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True, help_text="The number stays taken.")

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ["model", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_once"),
            models.CheckConstraint(condition=Q(stage__in=Stage.values), name="model_version_stage_known"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


class ModelAlias(models.Model):
    """A word that points to one version of a registered model, such as champion or release."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="aliases")
    alias = models.CharField(max_length=256)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "alias"], name="model_alias_once")]

    def __str__(self) -> str:
        return self.alias
