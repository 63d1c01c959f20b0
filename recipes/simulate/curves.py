"""The made-up numbers of a simulated training: plausible, finite, and the same for the same seed and step."""

import math
import random

FIRST_LOSS, LAST_LOSS = 4.2, 1.3  # nats; the range a small fine-tuning job shows
FIRST_ACCURACY, LAST_ACCURACY = 0.18, 0.72
DECAY = 4.0  # e-folds over the whole run: steep at first, nearly flat at the end


def metrics_at(seed: str, step: int, max_steps: int) -> dict[str, float]:
    """Metrics of one step.

    Returns: loss in nats, falling; accuracy (0 to 1), rising; throughput in tokens per second; GPU use (0 to 1).
    """
    noise = random.Random(f"{seed}:{step}")
    learned = (1 - math.exp(-DECAY * min(1.0, step / max_steps))) / (1 - math.exp(-DECAY))
    loss = FIRST_LOSS + (LAST_LOSS - FIRST_LOSS) * learned
    accuracy = FIRST_ACCURACY + (LAST_ACCURACY - FIRST_ACCURACY) * learned
    return {
        "loss": round(loss * noise.uniform(0.98, 1.02), 4),
        "accuracy": round(accuracy * noise.uniform(0.98, 1.02), 4),
        "throughput_tokens_per_s": round(noise.uniform(17_500, 18_500), 1),
        "gpu_utilization": round(noise.uniform(0.88, 0.97), 3),
    }


def weights_at(seed: str, step: int, size_bytes: int) -> bytes:
    """Bytes that stand for the weights of a step; they mean nothing."""
    return random.Random(f"weights:{seed}:{step}").randbytes(size_bytes)
