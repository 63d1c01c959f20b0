"""API of what this installation offers: recipes and executors."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from runs.api import serializers as shapes
from runs.models import Attempt
from runs.recipes import Recipe
from runs.registry import executors, get_recipe, recipes
from trainhub.api.schema import errors
from trainhub.api.views import HubView
from trainhub.errors import InvalidInput, NotFound


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what people may know of a recipe; not its folder or command."""
    shown = list(shapes.RecipeSerializer().fields.keys())
    values = {**recipe.snapshot(), "is_default": recipe.name == settings.DEFAULT_RECIPE}
    return {name: values[name] for name in shown}


class RecipeListView(HubView):
    """What can be run here."""

    @extend_schema(operation_id="recipes_list", responses={200: shapes.RecipeSerializer(many=True), **errors(401)})
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List the recipes with the JSON Schemas of their parameters."""
        return Response([describe_recipe(recipe) for _, recipe in sorted(recipes().items())])


class RecipeView(HubView):
    """One recipe."""

    @extend_schema(operation_id="recipes_retrieve", responses={200: shapes.RecipeSerializer, **errors(401, 404)})
    def get(self, request: Request, recipe: str) -> Response:  # noqa: ARG002
        """Return a recipe with the JSON Schemas of its parameters."""
        try:
            return Response(describe_recipe(get_recipe(recipe)))
        except InvalidInput:
            raise NotFound("There is no such recipe.") from None


def describe_executors() -> list[dict[str, Any]]:
    """Return capacity, use and problems of each executor. One query."""
    live = list(Attempt.objects.filter(ended_at__isnull=True).only("executor", "gpu_indexes"))
    return [
        {
            "name": name,
            "slots": executor.capacity().slots,
            "slots_in_use": sum(attempt.executor == name for attempt in live),
            "gpus": executor.capacity().gpus,
            "gpus_in_use": sum(len(attempt.gpu_indexes) for attempt in live if attempt.executor == name),
            "problems": executor.problems(),
        }
        for name, executor in executors().items()
    ]


class ExecutorListView(HubView):
    """Where runs can run."""

    @extend_schema(operation_id="executors_list", responses={200: shapes.ExecutorSerializer(many=True), **errors(401)})
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List the executors with what they have, what is in use and their problems."""
        return Response(describe_executors())
