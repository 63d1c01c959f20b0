"""The checks in protocol/ run in the clients' own environments alone (tests/end_to_end/test_mlflow_clients.py)."""

collect_ignore = ["protocol"]
