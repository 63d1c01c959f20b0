"""Django's registration of the wiring: management commands and template tags live here."""

from django.apps import AppConfig


class TrainhubConfig(AppConfig):
    """The wiring of the hub; it has no tables."""

    name = "trainhub"
