"""The MLflow tracking protocol over the hub's own projects, runs and artifacts: no models, no rules of its own."""
