"""The hand-written gradients of tiny-gpt against differences, and the parts of its optimizer."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.test_util import check_grads
from tiny_gpt import operations
from tiny_gpt.model import forward, initial_parameters, loss_and_gradient, loss_only, parameter_shapes
from tiny_gpt.optimizer import AdamW, clip_gradient, learning_rate_at
from tiny_gpt.settings import Hyperparameters, ModelShape, parameter_count

SHAPE = ModelShape(n_layer=2, n_head=2, n_embd=8, context_length=6)
HYPERPARAMETERS = Hyperparameters(
    learning_rate=0.1,
    batch_size=1,
    gradient_accumulation=1,
    weight_decay=0.0,
    warmup_steps=10,
    beta1=0.9,
    beta2=0.99,
    grad_clip=1.0,
)
TOKENS = np.array([[3, 1, 4], [1, 5, 3]], dtype=np.uint8)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


@pytest.mark.parametrize(
    ("operation", "inputs"),
    [
        (operations.linear, (numbers(5, 3), numbers(3, 4), numbers(4))),
        (operations.layer_norm, (numbers(5, 4), numbers(4), numbers(4))),
        (operations.gelu, (3 * numbers(5, 4),)),
        (operations.attention_weights, (numbers(2, 3, 4, 5), numbers(2, 3, 4, 5))),
        (lambda table, positions: operations.embed(TOKENS, table, positions), (numbers(6, 4), numbers(5, 4))),
    ],
    ids=["linear", "layer_norm", "gelu", "attention_weights", "embed"],
)
def test_gradient_agrees_with_differences(operation, inputs):
    # The sine makes every output count differently, as a plain sum would not.
    check_grads(lambda *values: anp.sum(anp.sin(operation(*values))), modes=["rev"], order=1)(*inputs)


def test_cross_entropy_gradient_agrees_with_differences():
    logits, targets = numbers(3, 7), np.array([0, 6, 2])
    nudge = np.zeros_like(logits)
    nudge[1, 6] = 1e-6

    _, _, gradient = operations.cross_entropy(logits, targets)
    above, below = (operations.cross_entropy(logits + sign * nudge, targets)[0] for sign in (1, -1))

    assert gradient[1, 6] == pytest.approx((above - below) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("name", parameter_shapes(SHAPE))
def test_gradient_of_the_whole_model_agrees_with_differences(name):
    parameters = {key: array.astype(np.float64) for key, array in initial_parameters(SHAPE, seed=1).items()}
    inputs, targets = np.array([[5, 9, 200, 5]]), np.array([[9, 200, 5, 7]])
    direction = np.random.default_rng(2).normal(size=parameters[name].shape)

    _, _, gradient = loss_and_gradient(parameters, inputs, targets, SHAPE)
    above, below = (
        loss_only(parameters | {name: parameters[name] + sign * 1e-5 * direction}, inputs, targets, SHAPE)
        for sign in (1, -1)
    )

    assert np.vdot(gradient[name], direction) == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-9)


def test_gradients_stay_in_single_precision():
    parameters = initial_parameters(SHAPE, seed=1)

    _, _, gradient = loss_and_gradient(parameters, TOKENS, TOKENS, SHAPE)

    assert {array.dtype for array in gradient.values()} == {np.dtype(np.float32)}


def test_a_position_does_not_see_what_follows():
    parameters = initial_parameters(SHAPE, seed=1)
    before = forward(parameters, np.array([[1, 2, 3, 4]]), SHAPE)
    after = forward(parameters, np.array([[1, 2, 3, 99]]), SHAPE)

    assert np.array_equal(before[:3], after[:3])
    assert not np.array_equal(before[3], after[3])


def test_parameter_count_counts_every_array():
    assert parameter_count(SHAPE) == sum(array.size for array in initial_parameters(SHAPE, seed=1).values())


@pytest.mark.parametrize(("step", "expected"), [(1, 0.01), (5, 0.05), (10, 0.1), (55, 0.055), (100, 0.01), (200, 0.01)])
def test_learning_rate_rises_then_falls_to_a_tenth(step, expected):
    assert learning_rate_at(step, 100, HYPERPARAMETERS) == pytest.approx(expected)


@pytest.mark.parametrize(("limit", "expected"), [(1.0, 1.0), (0.0, 5.0), (10.0, 5.0)])
def test_clipping_shortens_only_what_is_too_long(limit, expected):
    gradient = {"a": np.array([3.0]), "b": np.array([[4.0]])}

    length = clip_gradient(gradient, limit)

    assert length == pytest.approx(5.0)
    assert clip_gradient(gradient, 0.0) == pytest.approx(expected)


def test_the_first_update_moves_by_the_learning_rate_whatever_the_gradient():
    parameters = {"weight": np.zeros((1, 2), dtype=np.float32)}
    gradient = {"weight": np.array([[1e-3, -50.0]], dtype=np.float32)}

    AdamW(parameters).update(parameters, gradient, 0.1, HYPERPARAMETERS)

    assert parameters["weight"] == pytest.approx(np.array([[-0.1, 0.1]]), rel=1e-3)
