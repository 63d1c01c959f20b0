"""Pages of the model registry."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from artifacts.models import RegisteredModel
from artifacts.registry.listing import list_models
from trainhub.api.views import find
from trainhub.pages import PageView, paginate


class ModelListView(PageView):
    """The registered models that the person may see."""

    template_name = "artifacts/model_list.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show a page of them, by name."""
        visible = RegisteredModel.objects.visible_to(request.user).select_related("project", "created_by")
        models, paging = paginate(visible.order_by("name", "pk"), request.GET)
        return self.page(rows=list_models(models), paging=paging)


class ModelDetailView(PageView):
    """A registered model with its versions."""

    template_name = "artifacts/model_detail.html"

    def get(self, request: HttpRequest, model_id: int) -> HttpResponse:
        """Show a page of the versions, newest first."""
        visible = RegisteredModel.objects.visible_to(request.user).select_related("project", "created_by")
        model = find(visible, "registered model", pk=str(model_id))
        rows = model.versions.kept().with_details().prefetch_related("artifact__tags").order_by("-number")
        versions, paging = paginate(rows, request.GET)
        return self.page(model=model, versions=versions, paging=paging)
