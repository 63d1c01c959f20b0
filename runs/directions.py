"""Which way a metric should go, told by the words of its name; for most names nobody knows."""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["lower", "higher"]

# Single words: `val_loss`, `eval/rougeL`, `trainLoss` and `top-5 error` are taken apart first.
_LOWER = frozenset({"loss", "losses", "error", "errors", "err", "perplexity", "ppl", "nll", "mse", "rmse", "mae", "wer",
                    "cer", "bpb", "bpc"})  # fmt: skip
_HIGHER = frozenset({"acc", "accuracy", "f1", "bleu", "rouge", "meteor", "precision", "recall", "auc", "auroc", "mcc",
                     "ndcg", "reward"})  # fmt: skip
# Settings of the loss and of its sum, which are no quality of the run.
_SETTINGS = frozenset({"scale", "scaler", "weight", "coef", "coefficient", "factor"})
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*")


def direction_of(metric: str) -> Direction | None:
    """Return whether a lower or a higher value of the metric is better, None when its name does not tell."""
    words = {word.lower() for word in _WORD.findall(metric)}
    words |= {word.rstrip("0123456789") for word in words}  # rouge1, top5
    if words & _SETTINGS or metric.startswith("system/"):
        return None
    is_lower, is_higher = bool(words & _LOWER), bool(words & _HIGHER)
    if is_lower == is_higher:
        return None
    return "lower" if is_lower else "higher"
