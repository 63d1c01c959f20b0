"""The decoder-only transformer: its parameters, its forward pass, its gradient, and text drawn from it."""

import math
from collections.abc import Iterator
from typing import Any

import autograd.numpy as anp
import numpy as np
import numpy.typing as npt
from autograd import make_vjp

from tiny_gpt.operations import Integers, attention_weights, cross_entropy, embed, gelu, layer_norm, linear
from tiny_gpt.settings import VOCABULARY, ModelShape

INITIAL_GAIN = 0.6  # initial deviation times sqrt(width); 0.23 (GPT-2's 0.02) learned markedly slower at width 128
TEMPERATURE = 0.8  # below 1 the sample keeps to likelier bytes, which reads better early in training

Parameters = dict[str, npt.NDArray[np.float32]]


def parameter_shapes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Name and array shape of every parameter, in the order of the forward pass; matrices are (in, out)."""
    width = shape.n_embd
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.bytes": (VOCABULARY, width),
        "embedding.positions": (shape.context_length, width),
    }
    for layer in range(shape.n_layer):
        block = f"block{layer}"
        shapes |= _norm_shapes(f"{block}.attention_norm", width)
        for part in ("query", "key", "value", "output"):
            shapes |= _linear_shapes(f"{block}.attention_{part}", width, width)
        shapes |= _norm_shapes(f"{block}.mlp_norm", width)
        shapes |= _linear_shapes(f"{block}.mlp_up", width, 4 * width)
        shapes |= _linear_shapes(f"{block}.mlp_output", 4 * width, width)
    shapes |= _norm_shapes("final_norm", width)
    return shapes | _linear_shapes("head", width, VOCABULARY)


def initial_parameters(shape: ModelShape, seed: int) -> Parameters:
    """Fresh float32 parameters; the same seed gives the same numbers."""
    generator = np.random.default_rng(seed)
    return {
        name: _initial_array(name, array_shape, shape, generator)
        for name, array_shape in parameter_shapes(shape).items()
    }


def forward(parameters: Parameters, tokens: Integers, shape: ModelShape) -> Any:
    """Logits of the next byte at every position.

    Args: tokens: shape (batch, length), 0 to 255, length at most `context_length`.
    Returns: shape (batch * length, 256), rows in the order of `tokens.ravel()`.
    """
    x = embed(tokens, parameters["embedding.bytes"], parameters["embedding.positions"])
    for layer in range(shape.n_layer):
        block = f"block{layer}"
        x = x + _attention(parameters, block, _norm(parameters, f"{block}.attention_norm", x), tokens.shape, shape)
        hidden = gelu(_linear(parameters, f"{block}.mlp_up", _norm(parameters, f"{block}.mlp_norm", x)))
        x = x + _linear(parameters, f"{block}.mlp_output", hidden)
    return _linear(parameters, "head", _norm(parameters, "final_norm", x))


def loss_and_gradient(
    parameters: Parameters, inputs: Integers, targets: Integers, shape: ModelShape
) -> tuple[float, float, Parameters]:
    """Mean loss in nats per byte, next-byte accuracy (0 to 1), and the gradient under the parameters' names.

    Args: inputs, targets: shape (batch, length); targets are the bytes that follow the inputs.
    """
    backward, logits = make_vjp(lambda values: forward(values, inputs, shape))(parameters)
    loss, accuracy, logits_gradient = cross_entropy(logits, targets.ravel())
    return loss, accuracy, backward(logits_gradient)


def loss_only(parameters: Parameters, inputs: Integers, targets: Integers, shape: ModelShape) -> float:
    """Mean loss in nats per byte, without a gradient; arguments as in `loss_and_gradient`."""
    loss, _, _ = cross_entropy(forward(parameters, inputs, shape), targets.ravel())
    return loss


def sample_bytes(parameters: Parameters, prompt: bytes, shape: ModelShape, seed: list[int]) -> Iterator[int]:
    """Endless bytes that continue the prompt, drawn one by one from a random stream of their own.

    The caller takes as many as it wants; training's random stream is not touched. An empty prompt counts as a newline.
    """
    generator = np.random.default_rng(seed)
    text = bytearray(prompt or b"\n")
    while True:
        window = np.frombuffer(bytes(text[-shape.context_length :]), dtype=np.uint8)[None, :]
        logits = forward(parameters, window, shape)[-1].astype(np.float64) / TEMPERATURE
        weights = np.exp(logits - logits.max())
        text.append(int(generator.choice(VOCABULARY, p=weights / weights.sum())))
        yield text[-1]


def _norm(parameters: Parameters, name: str, x: Any) -> Any:
    return layer_norm(x, parameters[f"{name}.gain"], parameters[f"{name}.bias"])


def _linear(parameters: Parameters, name: str, x: Any) -> Any:
    return linear(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _attention(parameters: Parameters, block: str, x: Any, grid: tuple[int, ...], shape: ModelShape) -> Any:
    batch, length = grid

    def heads(part: str) -> Any:
        rows = _linear(parameters, f"{block}.attention_{part}", x)
        return anp.transpose(anp.reshape(rows, (batch, length, shape.n_head, -1)), (0, 2, 1, 3))

    weights = attention_weights(heads("query"), heads("key"))
    mixed = anp.transpose(anp.matmul(weights, heads("value")), (0, 2, 1, 3))
    return _linear(parameters, f"{block}.attention_output", anp.reshape(mixed, (batch * length, -1)))


def _norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.gain": (width,), f"{name}.bias": (width,)}


def _linear_shapes(name: str, width_in: int, width_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width_in, width_out), f"{name}.bias": (width_out,)}


def _initial_array(
    name: str, array_shape: tuple[int, ...], shape: ModelShape, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    if name.endswith(".gain"):
        return np.ones(array_shape, dtype=np.float32)
    if name.endswith(".bias"):
        return np.zeros(array_shape, dtype=np.float32)
    deviation = INITIAL_GAIN / math.sqrt(shape.n_embd)
    if "_output." in name:
        # 2 * n_layer matrices add to the residual stream; without this its variance grows with depth (GPT-2).
        deviation /= math.sqrt(2 * shape.n_layer)
    return generator.standard_normal(array_shape, dtype=np.float32) * np.float32(deviation)
