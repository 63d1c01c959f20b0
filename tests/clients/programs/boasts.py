"""Says that all went well, renames its run, starts another and a nested one, and fails."""

import sys

import mlflow

mlflow.set_experiment("an experiment that its author has elsewhere")
with mlflow.start_run(run_name="a name of its own"):
    mlflow.log_metric("loss", 1.0, step=1)
    with mlflow.start_run(nested=True, run_name="fold 1"):
        mlflow.log_metric("loss", 2.0, step=1)
with mlflow.start_run(run_name="evaluation"):
    mlflow.log_metric("accuracy", 0.5)
sys.exit(3)
