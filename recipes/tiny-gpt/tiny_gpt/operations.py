"""The transformer's operations, each one node on autograd's tape with its gradient written out.

Autograd could derive these from elementary operations, but each of those would allocate and walk arrays of the size of
the activations; fused, a step takes a fraction of the time. Every gradient is checked against differences in the tests.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from autograd.extend import defvjp_argnums, primitive

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]
Operation = TypeVar("Operation", bound=Callable[..., Floats])

VARIANCE_FLOOR = 1e-5  # keeps a constant row finite; the value GPT-2 uses
GELU_SCALE = 0.7978845608028654  # sqrt(2 / pi); Hendrycks and Gimpel 2016, tanh approximation
GELU_CUBIC = 0.044715  # same source


def differentiable(backward: Callable[..., tuple[Floats | None, ...]]) -> Callable[[Operation], Operation]:
    """Make a numpy function one node on autograd's tape.

    Args: backward: called with the gradient of the output, the output and the inputs; returns one gradient per input,
    None for inputs that have none (indices).
    """

    def wrap(forward: Operation) -> Operation:
        node = primitive(forward)

        def make_vjp(wanted: tuple[int, ...], output: Floats, inputs: tuple[Any, ...], _: Any) -> Any:
            def vjp(gradient: Floats) -> tuple[Floats | None, ...]:
                gradients = backward(gradient, output, *inputs)
                return tuple(gradients[position] for position in wanted)

            return vjp

        defvjp_argnums(node, make_vjp)
        return cast("Operation", node)

    return wrap


def _embed_backward(
    gradient: Floats, _output: Floats, tokens: Integers, table: Floats, positions: Floats
) -> tuple[None, Floats, Floats]:
    batch, length = tokens.shape
    # A product with the one-hot matrix sums rows of equal bytes; np.add.at does the same several times slower.
    one_hot = np.zeros((tokens.size, len(table)), dtype=gradient.dtype)
    one_hot[np.arange(tokens.size), tokens.ravel()] = 1
    position_gradient = np.zeros_like(positions)
    position_gradient[:length] = gradient.reshape(batch, length, -1).sum(axis=0)
    return None, one_hot.T @ gradient, position_gradient


@differentiable(_embed_backward)
def embed(tokens: Integers, table: Floats, positions: Floats) -> Floats:
    """Sum of byte and position embedding.

    Args: tokens: shape (batch, length), 0 to 255; table: (256, width); positions: (at least length, width).
    Returns: shape (batch * length, width).
    """
    return np.asarray((table[tokens] + positions[: tokens.shape[1]]).reshape(tokens.size, -1))


def _linear_backward(
    gradient: Floats, _output: Floats, x: Floats, weight: Floats, _bias: Floats
) -> tuple[Floats, Floats, Floats]:
    return gradient @ weight.T, x.T @ gradient, gradient.sum(axis=0)


@differentiable(_linear_backward)
def linear(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """Affine map. Args: x: shape (rows, in); weight: (in, out); bias: (out,). Returns: shape (rows, out)."""
    output: Floats = x @ weight
    output += bias
    return output


def _standardize(x: Floats) -> tuple[Floats, Floats]:
    centered = x - x.mean(axis=1, keepdims=True)
    # einsum sums the squares without an array of them.
    variance = np.einsum("rc,rc->r", centered, centered)[:, None] / x.shape[1]
    inverse_deviation = 1 / np.sqrt(variance + VARIANCE_FLOOR)
    centered *= inverse_deviation
    return centered, inverse_deviation


def _layer_norm_backward(
    gradient: Floats, _output: Floats, x: Floats, gain: Floats, _bias: Floats
) -> tuple[Floats, Floats, Floats]:
    standardized, inverse_deviation = _standardize(x)
    inner = gradient * gain
    along = np.einsum("rc,rc->r", inner, standardized)[:, None] / x.shape[1]
    inner -= inner.mean(axis=1, keepdims=True)
    inner -= standardized * along
    inner *= inverse_deviation
    return inner, np.einsum("rc,rc->c", gradient, standardized), gradient.sum(axis=0)


@differentiable(_layer_norm_backward)
def layer_norm(x: Floats, gain: Floats, bias: Floats) -> Floats:
    """Rows brought to mean 0 and variance 1, then scaled and shifted.

    Args: x: shape (rows, width); gain, bias: (width,). Returns: shape (rows, width). Source: Ba et al. 2016.
    """
    standardized, _ = _standardize(x)
    standardized *= gain
    standardized += bias
    return standardized


def _gelu_tanh(x: Floats) -> Floats:
    inner = x * x
    inner *= GELU_CUBIC
    inner += 1
    inner *= x
    inner *= GELU_SCALE
    return cast("Floats", np.tanh(inner, out=inner))


def _gelu_backward(gradient: Floats, _output: Floats, x: Floats) -> tuple[Floats]:
    tanh = _gelu_tanh(x)
    slope = x * x
    slope *= 3 * GELU_CUBIC
    slope += 1
    slope *= GELU_SCALE
    slope *= x
    slope *= 1 - tanh * tanh
    slope += 1
    slope += tanh
    slope *= gradient
    slope *= 0.5
    return (slope,)


@differentiable(_gelu_backward)
def gelu(x: Floats) -> Floats:
    """Gaussian error linear unit, tanh approximation, elementwise. Source: Hendrycks and Gimpel 2016."""
    output = _gelu_tanh(x)
    output += 1
    output *= x
    output *= 0.5
    return output


@lru_cache(maxsize=4)
def _future_mask(length: int) -> npt.NDArray[np.float32]:
    return np.triu(np.full((length, length), -np.inf, dtype=np.float32), k=1)


def _attention_weights_backward(
    gradient: Floats, weights: Floats, queries: Floats, keys: Floats
) -> tuple[Floats, Floats]:
    along = np.einsum("bhqk,bhqk->bhq", gradient, weights)[..., None]
    scores = gradient - along
    scores *= weights
    scores *= queries.shape[-1] ** -0.5
    return scores @ keys, scores.swapaxes(-1, -2) @ queries


@differentiable(_attention_weights_backward)
def attention_weights(queries: Floats, keys: Floats) -> Floats:
    """How much each position looks at itself and at each earlier one; rows sum to 1, later positions get 0.

    Args: queries, keys: shape (batch, heads, length, width of a head). Returns: (batch, heads, length, length).
    Source: Vaswani et al. 2017, scaled dot-product attention.
    """
    weights: Floats = queries @ keys.swapaxes(-1, -2)
    weights *= queries.shape[-1] ** -0.5
    weights += _future_mask(queries.shape[-2])
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def cross_entropy(logits: Floats, targets: Integers) -> tuple[float, float, Floats]:
    """Mean loss in nats, share of right guesses (0 to 1), and the gradient of the mean loss.

    Args: logits: shape (rows, 256); targets: (rows,), 0 to 255. Returns: the gradient has the shape of the logits.
    """
    rows = np.arange(len(targets))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_totals = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    log_probabilities = shifted - log_totals
    loss = -float(log_probabilities[rows, targets].mean())
    accuracy = float((logits.argmax(axis=1) == targets).mean())
    gradient = np.exp(log_probabilities)
    gradient[rows, targets] -= 1
    gradient /= len(targets)
    return loss, accuracy, gradient
