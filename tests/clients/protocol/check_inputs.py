"""Data sets that runs used, through the client."""

import mlflow
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Dataset, DatasetInput, InputTag


def test_a_run_tells_which_data_it_used(client, run_id):
    used = Dataset(
        "wikitext", "0f1e2d3c", "http", '{"url": "https://data.example/wikitext"}', '{"text": "string"}', "{}"
    )
    for _ in range(2):
        client.log_inputs(run_id, [DatasetInput(used, [InputTag("mlflow.data.context", "training")])])

    inputs = client.get_run(run_id).inputs.dataset_inputs
    assert [(item.dataset.name, item.dataset.digest, item.dataset.source_type) for item in inputs] == [
        ("wikitext", "0f1e2d3c", "http")
    ]
    assert inputs[0].dataset.source == '{"url": "https://data.example/wikitext"}'
    assert [(tag.key, tag.value) for tag in inputs[0].tags] == [("mlflow.data.context", "training")]


def test_the_fluent_interface_logs_a_data_set(client, experiment):
    data = MetaDataset(HTTPDatasetSource(url="https://data.example/pile.jsonl"), name="pile")
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_input(data, context="evaluation")
    (found,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.tags[0].value) == ("pile", "evaluation")
    assert "pile.jsonl" in found.dataset.source


def test_runs_are_found_by_their_data(client, experiment, run_id):
    data = Dataset("only-here", "d1", "http", "{}")
    client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    found = client.search_runs([experiment], "dataset.name = 'only-here' AND dataset.context = 'training'")
    assert [run.info.run_id for run in found] == [run_id]
