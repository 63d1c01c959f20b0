"""API of what this installation offers: recipes and executors."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from projects.querysets import is_staff
from runs.api import serializers as shapes
from runs.executor_use import read_executor_use
from runs.recipes import Recipe
from runs.registry import look_for_recipes_with_digests, recipe_to_run
from trainhub.api.schema import errors
from trainhub.api.views import HubView
from trainhub.errors import InvalidInput, NotFound


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return what people may know of a recipe; not its folder or command."""
    shown = list(shapes.RecipeSerializer().fields.keys())
    values = {**recipe.snapshot(), "is_set_up": recipe.is_set_up, "is_default": recipe.name == settings.DEFAULT_RECIPE}
    return {name: values[name] for name in shown}


class RecipeListView(HubView):
    """What can be run here."""

    @extend_schema(operation_id="recipes_list", responses={200: shapes.RecipeSerializer(many=True), **errors(401)})
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """List the recipes with the JSON Schemas of their parameters."""
        found, _ = look_for_recipes_with_digests()
        return Response([describe_recipe(recipe) for _, recipe in sorted(found.items())])


class RecipeView(HubView):
    """One recipe."""

    @extend_schema(operation_id="recipes_retrieve", responses={200: shapes.RecipeSerializer, **errors(401, 404)})
    def get(self, request: Request, recipe: str) -> Response:  # noqa: ARG002
        """Return a recipe with the JSON Schemas of its parameters."""
        try:
            return Response(describe_recipe(recipe_to_run(recipe)))
        except InvalidInput:
            raise NotFound("There is no such recipe.") from None


class ExecutorListView(HubView):
    """Where runs can run."""

    query_parameters = frozenset({"recipe"})

    @extend_schema(
        operation_id="executors_list",
        parameters=[OpenApiParameter("recipe", str, description="choices and time limit for runs of this recipe")],
        responses={200: shapes.ExecutorSerializer(many=True), **errors(400, 401)},
    )
    def get(self, request: Request) -> Response:
        """List the executors with what they have, what is in use, who waits, what can be chosen, and their problems."""
        use = read_executor_use(recipe=request.query_params.get("recipe", ""))
        context = {"sees_problems": is_staff(request.user)}
        return Response(shapes.ExecutorSerializer(use, many=True, context=context).data)
