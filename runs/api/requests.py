"""Shapes of what people send to make runs."""

from __future__ import annotations

from rest_framework import serializers

from trainhub.api.serializers import ParametersField, StrictSerializer

MAX_NODES, MAX_GPUS = 10_000, 64  # of a run; GPUs on each node
MAX_MINUTES = 5_256_000  # ten years


class ChoiceField(serializers.CharField):
    """Something about the job that the run's executor lets people choose; `GET /executors` lists the values."""

    def __init__(self) -> None:
        super().__init__(
            max_length=200, allow_blank=True, required=False, help_text="One that the executor allows; empty: its own."
        )


class ComputeSerializer(StrictSerializer):
    """What a run asks for."""

    node_count = serializers.IntegerField(min_value=1, max_value=MAX_NODES, required=False)
    gpus_per_node = serializers.IntegerField(min_value=0, max_value=MAX_GPUS, required=False)
    gpu_type = serializers.CharField(max_length=100, allow_blank=True, required=False)
    partition = ChoiceField()
    account = ChoiceField()
    qos = ChoiceField()
    constraint = ChoiceField()
    time_limit_minutes = serializers.IntegerField(
        min_value=1, max_value=MAX_MINUTES, required=False, help_text="The run is ended after that long."
    )


class RunChangesSerializer(StrictSerializer):
    """What a resumed or repeated run may have otherwise."""

    name = serializers.CharField(max_length=200, required=False)
    description = serializers.CharField(max_length=10_000, allow_blank=True, required=False)
    recipe = serializers.RegexField(r"^[a-z0-9_-]+$", max_length=64, required=False)
    dataset = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    model_parameters = ParametersField(required=False)
    hyperparameters = ParametersField(required=False)
    compute = ComputeSerializer(required=False)
    executor = serializers.RegexField(r"^[a-z0-9_-]+$", max_length=64, required=False)
    priority = serializers.IntegerField(min_value=-100, max_value=100, required=False)
    max_restarts = serializers.IntegerField(min_value=0, max_value=100, required=False)


class RunRequestSerializer(RunChangesSerializer):
    """What creates a run."""

    name = serializers.CharField(max_length=200)
