"""Django's registration of the app."""

from django.apps import AppConfig


class ArtifactsConfig(AppConfig):
    """The artifacts app."""

    name = "artifacts"
