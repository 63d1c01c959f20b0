"""Django's registration of the app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """The runs app."""

    name = "runs"
