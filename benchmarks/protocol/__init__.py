"""The MLflow protocol as trainhub serves it beside MLflow's own server: the same requests, from the same client."""
