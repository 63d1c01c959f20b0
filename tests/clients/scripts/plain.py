import mlflow

with mlflow.start_run(run_name="plain"):
    mlflow.log_params({"learning_rate": 0.1, "steps": 20})
    weight = 0.0
    for step in range(1, 21):
        error = 3 - weight
        weight += 0.1 * error
        mlflow.log_metric("loss", error**2, step=step)
    mlflow.set_tag("converged", weight > 2.5)
