"""Django's registration of the app."""

from django.apps import AppConfig
from django.core.checks import register


class RunsConfig(AppConfig):
    """The runs app."""

    name = "runs"

    def ready(self) -> None:
        """Offer recipes and executors to the form of projects, and have `manage.py check` look at the executors."""
        from projects.offered import offer_executors, offer_recipes
        from runs.checks import check_executors  # models are there now, not before
        from runs.registry import executors, recipes

        register(check_executors)
        offer_executors(lambda: [(name, name) for name in executors()])
        offer_recipes(lambda: [(recipe.name, f"{recipe.title} ({recipe.name})") for recipe in recipes().values()])
