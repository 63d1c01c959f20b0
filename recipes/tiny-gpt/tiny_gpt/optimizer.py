"""AdamW, gradient clipping and the learning-rate schedule."""

import math

import numpy as np

from tiny_gpt.model import Parameters
from tiny_gpt.settings import Hyperparameters

EPSILON = 1e-8  # keeps the division finite; Kingma and Ba 2015
FINAL_SHARE = 0.1  # of the peak learning rate, reached at the last step; Hoffmann et al. 2022


def learning_rate_at(step: int, max_steps: int, hyperparameters: Hyperparameters) -> float:
    """Learning rate of a step (the first is 1): a linear rise over `warmup_steps`, then a cosine down to a tenth."""
    peak, warmup = hyperparameters.learning_rate, hyperparameters.warmup_steps
    if step <= warmup:
        return peak * step / warmup
    fraction = min(1.0, (step - warmup) / max(1, max_steps - warmup))
    return peak * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * fraction)))


def clip_gradient(gradient: Parameters, limit: float) -> float:
    """Scale the gradient in place so that its length is at most `limit` (0: no limit); returns its length before."""
    length = math.sqrt(sum(float(np.vdot(part, part)) for part in gradient.values()))
    if 0 < limit < length:
        for part in gradient.values():
            np.multiply(part, limit / length, out=part)
    return length


class AdamW:
    """Adam with decoupled weight decay. Source: Loshchilov and Hutter 2019.

    `mean` and `variance` are the running moments of the gradient, under the parameters' names; `updates` counts the
    updates made. All three together are the optimizer's state.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.mean: Parameters = {name: np.zeros_like(array) for name, array in parameters.items()}
        self.variance: Parameters = {name: np.zeros_like(array) for name, array in parameters.items()}
        self.updates = 0

    def update(
        self, parameters: Parameters, gradient: Parameters, learning_rate: float, hyperparameters: Hyperparameters
    ) -> None:
        """Move the parameters one step against the gradient, in place."""
        self.updates += 1
        beta1, beta2 = hyperparameters.beta1, hyperparameters.beta2
        step_size = learning_rate / (1 - beta1**self.updates)
        variance_correction = 1 / (1 - beta2**self.updates)
        for name, array in parameters.items():
            part, mean, variance = gradient[name], self.mean[name], self.variance[name]
            mean += (1 - beta1) * (part - mean)
            variance += (1 - beta2) * (part * part - variance)
            if array.ndim > 1:
                # Biases and gains are left alone: pulling them to 0 changes what a layer means, not its size.
                np.multiply(array, 1 - learning_rate * hyperparameters.weight_decay, out=array)
            change = step_size * mean / (np.sqrt(variance * variance_correction) + EPSILON)
            np.subtract(array, change, out=array)
