"""Which metrics stand in one chart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.panels import group_metrics, split_role


def titles(keys):
    return [panel.title for panel in group_metrics(keys)]


def keys_of(panel):
    return [line.key for line in panel.lines]


@pytest.mark.parametrize(
    ("key", "base", "role"),
    [
        ("loss", "loss", ""),
        ("train_loss", "loss", "train"),
        ("val_loss", "loss", "val"),
        ("eval_loss", "loss", "eval"),
        ("train/loss", "loss", "train"),
        ("eval/loss", "loss", "eval"),
        ("loss/val", "loss", "val"),
        ("loss.validation", "loss", "validation"),
        ("Loss-Test", "Loss", "test"),
        ("layers/3/val_loss", "layers/3/loss", "val"),
        ("eval_rewards/chosen", "rewards/chosen", "eval"),
        ("train_loss_epoch", "loss", "train"),
        ("loss_epoch", "loss_epoch", ""),
        ("train", "train", ""),
        ("train/", "train/", ""),
        ("trainable_share", "trainable_share", ""),
        ("interval_seconds", "interval_seconds", ""),
        ("", "", ""),
    ],
)
def test_name_is_split_from_the_word_that_tells_its_data(key, base, role):
    assert split_role(key) == (base, role)


@pytest.mark.parametrize(
    "keys",
    [
        ["loss", "val_loss"],
        ["train_loss", "eval_loss"],
        ["train/loss", "eval/loss", "test/loss"],
        ["loss/train", "loss/val"],
        ["Loss/train", "val_loss"],
        ["train_loss_step", "train_loss_epoch", "val_loss"],
    ],
)
def test_training_and_validation_of_one_name_share_a_panel(keys):
    (panel,) = group_metrics(reversed(keys))

    assert panel.title.lower() == "loss"
    assert sorted(keys_of(panel)) == sorted(keys)


def test_lines_of_a_panel_begin_with_training():
    (panel,) = group_metrics(["test_loss", "eval_loss", "val_loss", "loss"])

    assert keys_of(panel) == ["loss", "val_loss", "eval_loss", "test_loss"]


def test_metric_alone_keeps_its_whole_name():
    assert titles(["eval_accuracy", "loss"]) == ["loss", "eval_accuracy"]


def test_prefix_makes_a_section_and_the_word_for_the_data_none():
    keys = ["rewards/chosen", "eval_rewards/chosen", "rewards/margins", "train/grad_norm", "val/grad_norm"]

    panels = group_metrics(keys)

    assert [(panel.section, panel.title, len(panel.lines)) for panel in panels] == [
        ("Metrics", "grad_norm", 2),
        ("rewards", "rewards/chosen", 2),
        ("rewards", "rewards/margins", 1),
    ]


def test_prefix_of_a_single_panel_makes_no_section():
    panels = group_metrics(["layer.10/norm", "layer.2/norm"])

    assert [(panel.section, panel.title) for panel in panels] == [
        ("Metrics", "layer.2/norm"),
        ("Metrics", "layer.10/norm"),
    ]


def test_names_that_differ_in_case_alone_lose_no_metric():
    (panel,) = group_metrics(["Rewards/chosen", "rewards/chosen"])

    assert sorted(keys_of(panel)) == ["Rewards/chosen", "rewards/chosen"]


def test_losses_come_first_and_numbers_in_their_order():
    assert titles(["layer.10", "accuracy", "layer.9", "z_loss"]) == ["z_loss", "accuracy", "layer.9", "layer.10"]


def test_gpus_share_a_panel_for_each_measure():
    keys = [f"system/gpu.{gpu}.{name}" for gpu in (0, 10, 2) for name in ("utilization", "memory_bytes")]

    use, memory = group_metrics(keys)

    assert (use.title, use.unit, memory.title, memory.unit) == ("GPU utilisation", "percent", "GPU memory", "bytes")
    assert [line.label for line in use.lines] == ["GPU 0", "GPU 2", "GPU 10"]


def test_nodes_share_the_panels_of_what_is_measured():
    keys = ["system/cpu_utilization", "system/node.10.cpu_utilization", "system/node.2.cpu_utilization"]
    keys += ["system/node.1.gpu.0.utilization", "system/node.0.gpu.1.utilization", "gpu_utilization"]

    gpus, mean, cpus = group_metrics(keys)

    assert (gpus.title, [line.label for line in gpus.lines]) == ("GPU utilisation", ["Node 0 GPU 1", "Node 1 GPU 0"])
    assert (mean.title, cpus.title, cpus.unit) == ("GPU utilisation, mean", "CPU utilisation", "percent")
    assert [line.label for line in cpus.lines] == ["system/cpu_utilization", "Node 2", "Node 10"]


def test_measurements_of_the_node_stand_last_with_their_units():
    keys = ["system/memory_bytes", "z/last", "gpu_utilization", "system/cpu_utilization", "system/gpu.0.power_watts"]

    panels = group_metrics(keys)

    assert [(panel.section, panel.title, panel.unit) for panel in panels] == [
        ("Metrics", "z/last", ""),
        ("System", "GPU power", "W"),
        ("System", "GPU utilisation, mean", "percent"),
        ("System", "CPU utilisation", "percent"),
        ("System", "Memory", "bytes"),
    ]


def test_section_named_as_that_of_the_node_is_not_taken_for_it():
    panels = group_metrics(["System/loss", "system/loss"])

    assert [(panel.title, panel.is_system) for panel in panels] == [("System/loss", False), ("loss", True)]


@given(st.lists(st.text(max_size=30) | st.from_regex(r"(train|val)[/_]?[a-z0-9/]*(_test)?", fullmatch=True)))
def test_every_metric_stands_in_exactly_one_panel(keys):
    shown = [line.key for panel in group_metrics(keys) for line in panel.lines]

    assert sorted(shown) == sorted(set(keys))


def test_a_long_name_is_grouped_at_once():
    assert len(group_metrics(["train_" * 40 + "x", "/" * 250, "val_" * 60])) == 3
