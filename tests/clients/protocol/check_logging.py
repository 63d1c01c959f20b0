"""Metrics, parameters and tags through the client, in all its ways of sending them."""

import math
import random
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow.entities import Metric, Param, RunTag

from .conftest import refused

NOW = int(time.time() * 1000)


def points(count, first=0, key="loss"):
    return [Metric(key, 1 / (step + 1), NOW + step, step) for step in range(first, first + count)]


def test_150_parameters_of_any_text_arrive_to_the_letter(client, run_id):
    odd = ["", " ", "a\nb", "–ü漢🎉", "'\"\\", "{'a': [1, None]}", "1e5", "1_000", "NaN", "x" * 6000]
    given = {f"model/layer {index}.weight:{index}": odd[index % len(odd)] for index in range(150)}
    pairs = [Param(key, value) for key, value in given.items()]
    client.log_batch(run_id, params=pairs[:100])
    client.log_batch(run_id, params=pairs[100:])

    assert client.get_run(run_id).data.params == given


def test_a_parameter_is_written_once(client, run_id):
    client.log_param(run_id, "seed", 1)
    client.log_param(run_id, "seed", 1)
    with refused("INVALID_PARAMETER_VALUE"):
        client.log_param(run_id, "seed", 2)
    assert client.get_run(run_id).data.params == {"seed": "1"}


def test_of_a_refused_batch_nothing_is_kept(client, run_id):
    client.log_param(run_id, "seed", 1)
    with refused("INVALID_PARAMETER_VALUE"):
        client.log_batch(run_id, points(3), [Param("seed", "2"), Param("new", "1")], [RunTag("new", "1")])

    data = client.get_run(run_id).data
    assert (data.params, data.metrics, "new" in data.tags) == ({"seed": "1"}, {}, False)


def test_a_full_batch_arrives(client, run_id):
    params = [Param(f"p{index}", str(index)) for index in range(100)]
    tags = [RunTag(f"t{index}", str(index)) for index in range(100)]
    client.log_batch(run_id, points(800), params, tags)

    data = client.get_run(run_id).data
    assert (data.metrics["loss"], len(data.params)) == (1 / 800, 100)
    assert sum(key.startswith("t") for key in data.tags) == 100
    assert len(client.get_metric_history(run_id, "loss")) == 800


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2])
def test_a_value_comes_back_to_the_bit(client, run_id, value):
    client.log_metric(run_id, "value", value)
    stored = client.get_run(run_id).data.metrics["value"]
    history = client.get_metric_history(run_id, "value")
    assert repr(stored) == repr(value)
    assert [repr(point.value) for point in history] == [repr(value)]


@pytest.mark.parametrize("step", [-5, 0, 2**40, 2**63 - 1, -(2**63)])
def test_steps_are_64_bits(client, run_id, step):
    client.log_metric(run_id, "loss", 1.0, step=step)
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [step]


@pytest.mark.parametrize("key", ["eval/f1", "top 5 accuracy", "größe", "a.b-c_d:e", "x" * 250])
def test_keys_come_back_as_they_were(client, run_id, key):
    client.log_metric(run_id, key, 1.0)
    client.log_param(run_id, key, 1)
    client.set_tag(run_id, key, 1)
    data = client.get_run(run_id).data
    assert data.metrics[key] == 1.0
    assert (data.params[key], data.tags[key]) == ("1", "1")


@pytest.mark.parametrize("key", ["/a", "a//b", "../a", "a/", "a#b", "x" * 251])
def test_keys_that_are_no_names_are_refused(client, run_id, key):
    for write in (client.log_metric, client.log_param, client.set_tag):
        with refused("INVALID_PARAMETER_VALUE"):
            write(run_id, key, 1)


def test_the_newest_value_is_that_of_the_largest_step(client, run_id):
    client.log_metric(run_id, "loss", 1.0, step=10)
    client.log_metric(run_id, "loss", 5.0, step=3)
    assert client.get_run(run_id).data.metrics["loss"] == 1.0


def test_a_batch_that_is_sent_again_is_stored_once(client, run_id):
    for _ in range(3):
        client.log_batch(run_id, points(10), [Param("a", "1")], [RunTag("b", "2")])
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == list(range(10))


def test_a_long_history_is_read_in_pages(client, run_id):
    for first in range(0, 26_000, 1000):
        client.log_batch(run_id, points(1000, first))
    history = client.get_metric_history(run_id, "loss")

    assert [point.step for point in history] == list(range(26_000))
    assert history[25_999].value == 1 / 26_000
    assert [point.timestamp for point in history[:3]] == [NOW, NOW + 1, NOW + 2]


def test_batches_from_ten_threads_in_any_order_all_arrive(client, run_id):
    firsts = list(range(0, 1000, 20))
    random.Random(7).shuffle(firsts)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda first: client.log_batch(run_id, points(20, first), [Param(f"p{first}", "1")]), firsts))

    assert sorted(point.step for point in client.get_metric_history(run_id, "loss")) == list(range(1000))
    data = client.get_run(run_id).data
    assert (data.metrics["loss"], len(data.params)) == (1 / 1000, 50)


def test_what_is_logged_asynchronously_is_there_after_the_flush(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as run:
        for step in range(300):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, synchronous=False)
        mlflow.log_params({f"p{index}": index for index in range(50)}, synchronous=False)
        mlflow.set_tags({"a": "1"}, synchronous=False)
        mlflow.flush_async_logging()

    found = client.get_run(run.info.run_id)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(300))
    assert (found.data.metrics["loss"], len(found.data.params), found.data.tags["a"]) == (1 / 300, 50, "1")


def test_too_long_values_are_cut(client, run_id):
    client.log_param(run_id, "prompt", "x" * 7000)
    client.set_tag(run_id, "prompt", "x" * 9000)
    data = client.get_run(run_id).data
    assert (len(data.params["prompt"]), len(data.tags["prompt"])) == (6000, 8000)


def test_an_unknown_metric_has_no_history(client, run_id):
    assert client.get_metric_history(run_id, "never logged") == []
