import mlflow

mlflow.set_system_metrics_sampling_interval(0.2)  # seconds; 10 unless it is said
with mlflow.start_run(log_system_metrics=True):
    total = 0
    for step in range(1, 21):
        total += sum(number * number for number in range(1_000_000))
        mlflow.log_metric("total", total, step=step)
