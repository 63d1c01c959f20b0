"""What a plan foretells: checkpoints, and whether a run would start."""

import pytest

from projects.models import Project
from runs.executors.base import Capacity
from runs.models import Attempt, Run
from runs.plan import ExpectedCheckpoints, expected_checkpoints, foretell_wait
from runs.scheduler.room import Room, Space

EVERY = {"interval": ["save", "eval"], "steps": "max_steps"}


def planned(*, declared=EVERY, gpus=0, nodes=1, executor="local", **parameters):
    """A run that is stored nowhere."""
    schema = {"properties": {"eval": {"default": 100}, "max_steps": {"default": 1000}}}
    return Run(
        project=Project(),
        recipe_snapshot={"checkpoints": declared, "model_parameters": schema},
        model_parameters=parameters,
        compute={"node_count": nodes, "gpus_per_node": gpus},
        executor=executor,
    )


class Engine:
    name = "local"

    def __init__(self, slots, gpus):
        self.total = Capacity(slots=slots, gpus=gpus)

    def capacity(self):
        return self.total

    def problems(self):
        return []


def room(slots=4, gpus=0, live=0):
    return Space({"local": Room(Engine(slots, gpus), [Attempt(gpu_indexes=[]) for _ in range(live)])})


@pytest.mark.parametrize(
    ("parameters", "after", "expected"),
    [
        ({}, 0, ExpectedCheckpoints(100, 100, 1000, 10)),
        ({"save": 250}, 0, ExpectedCheckpoints(250, 250, 1000, 4)),
        ({"save": 300}, 0, ExpectedCheckpoints(300, 300, 1000, 4)),
        ({"save": 5000}, 0, ExpectedCheckpoints(5000, 1000, 1000, 1)),
        ({"save": 250}, 500, ExpectedCheckpoints(250, 750, 1000, 2)),
        ({"save": 250}, 600, ExpectedCheckpoints(250, 750, 1000, 2)),
        ({"max_steps": "many"}, 0, None),
        ({"save": True, "eval": 0}, 0, None),
    ],
)
def test_checkpoints_come_at_every_interval_and_at_the_last_step(parameters, after, expected):
    assert expected_checkpoints(planned(**parameters), after=after) == expected


def test_recipe_that_declares_nothing_promises_no_checkpoints():
    assert expected_checkpoints(planned(declared={}), after=0) is None


def test_interval_may_be_a_hyperparameter():
    run = planned(declared={"interval": "every", "steps": "max_steps"})
    run.hyperparameters = {"every": 500}

    assert expected_checkpoints(run, after=0) == ExpectedCheckpoints(500, 500, 1000, 2)


@pytest.mark.parametrize(
    ("ahead", "rooms", "run", "text"),
    [
        ([], {}, {}, ""),
        ([{}] * 3, {}, {}, ""),
        ([{}] * 4, {}, {}, "Waits for a free slot: 4 of 4 are in use."),
        ([], {"live": 4}, {}, "Waits for a free slot: 4 of 4 are in use."),
        ([{"gpus": 6}], {"gpus": 8}, {"gpus": 4}, "Needs 1 × 4 GPUs, 2 of 8 are free."),
        (
            [{"gpus": 6}, {"gpus": 4}],
            {"gpus": 8},
            {"gpus": 1},
            "Waits behind a run that came first and waits for GPUs.",
        ),
        ([{"gpus": 9}], {"gpus": 8}, {"gpus": 8}, ""),
        ([{"executor": "moon"}], {}, {}, ""),
        ([], {}, {"executor": "moon"}, "There is no executor moon any more."),
    ],
)
def test_a_run_waits_as_the_scheduler_would_let_it(ahead, rooms, run, text):
    assert foretell_wait(planned(**run), [planned(**one) for one in ahead], room(**rooms)) == text
