"""Logs a point, a parameter and a tag at a time, each acknowledged before the next, for a few seconds."""

import time

import mlflow

with mlflow.start_run() as run:
    print("logging to", run.info.run_id)
    for step in range(1, 31):
        mlflow.log_metric("loss", 1 / step, step=step)
        mlflow.log_param(f"seen {step}", step)
        mlflow.set_tag("seen", step)
        time.sleep(0.1)  # a training's own time
