"""Django's registration of the app."""

from django.apps import AppConfig


class MlflowApiConfig(AppConfig):
    """The app that speaks MLflow's protocol."""

    name = "mlflow_api"
