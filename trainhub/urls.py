"""Every path of the hub. The API has no prefix; pages live at / and under /ui/."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

import projects.uids  # noqa: F401 - registers the path converters
from mlflow_api.landing import landing
from trainhub import health, monitoring, views
from trainhub.access import Access, access

urlpatterns = [
    path("", include("projects.api.urls")),
    path("", include("runs.api.urls")),
    path("", include("artifacts.api.urls")),
    path("node/", include("runs.node.urls")),
    path("node/", include("artifacts.node.urls")),
    path("mlflow", landing, name="mlflow-bare"),
    path("mlflow/", include("mlflow_api.urls")),
    path("schema", access(Access.PUBLIC)(SpectacularAPIView.as_view()), name="schema"),
    path("docs", access(Access.PUBLIC)(SpectacularSwaggerSplitView.as_view()), name="docs"),
    path("health", health.live, name="health"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("health/details", monitoring.details, name="health-details"),
    path("health/metrics", monitoring.metrics, name="health-metrics"),
    path("admin/", admin.site.urls),
    path("", views.HomeView.as_view(), name="home"),
    path("ui/sign-in", views.SignInView.as_view(), name="sign-in"),
    path("ui/sign-in/link", views.SignInLinkView.as_view(), name="sign-in-link"),
    path("ui/sign-out", views.SignOutView.as_view(), name="sign-out"),
    path("ui/health", monitoring.HealthPage.as_view(), name="health-page"),
    path("ui/theme", views.ThemeView.as_view(), name="theme"),
    path("ui/password", views.PasswordView.as_view(), name="password"),
    path("ui/", include("projects.urls")),
    path("ui/", include("runs.urls")),
    path("ui/", include("artifacts.urls")),
]
handler400 = "trainhub.error_pages.bad_request"
handler403 = "trainhub.error_pages.forbidden"
handler404 = "trainhub.error_pages.not_found"
handler500 = "trainhub.error_pages.server_error"
