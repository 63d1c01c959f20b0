"""How much of a GPU's peak a training uses: model FLOP utilisation.

Source of the formula: Chowdhery et al. 2022, "PaLM: Scaling Language Modeling with Pathways", appendix B: 6 N FLOP a
token and 12 layers · heads · head size · length for attention, recomputation not counted. N leaves out an embedding
table that is only looked up. Frozen weights have no gradient of their own, hence 4 instead of 6 FLOP each a token.
"""

from dataclasses import dataclass
from typing import Any

# Dense bfloat16 FLOP/s of one GPU with its tensor cores, without sparsity, from the makers' data sheets. The first name
# that is part of the device's name counts.
PEAKS: tuple[tuple[str, float], ...] = (
    ("GB200", 2.5e15),
    ("B200", 2.25e15),
    ("GH200", 989e12),
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H800", 989e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("A40", 149.7e12),
    ("A30", 165e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("RTX 4090", 165.2e12),
    ("RTX 3090", 71e12),
)


@dataclass(frozen=True)
class TokenCost:
    """FLOP of one trained token, forward and backward: `weights`, and `attention` per token of its row's length."""

    weights: float
    attention: float


def peak_of(device_name: str) -> float | None:
    """Return the bfloat16 peak of a GPU in FLOP/s, None for one that is not in the table."""
    return next((peak for name, peak in PEAKS if name in device_name), None)


def cost_of_token(model: Any) -> TokenCost | None:
    """Return what a token costs; None for a mixture of experts, of which a token uses a part only."""
    config = model.config.get_text_config()
    if any(getattr(config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts")):
        return None
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    is_lookup_alone = head is None or head.weight is not table
    weights = 0.0
    for weight in model.parameters():
        if weight is not table or not is_lookup_alone:
            weights += (6 if weight.requires_grad else 4) * weight.numel()
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return TokenCost(weights, 12.0 * config.num_hidden_layers * config.num_attention_heads * head_size)
