"""Model FLOP utilisation: the cost of a token, and the table of peaks."""

import pytest
from hf_sft.flops import peak_of

# tiny-llama: two layers of width 64 with 4 heads of 16 (2 of them for keys and values), 128 inside, its embedding table
# a lookup alone.
LAYER = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128 + 2 * 64
ATTENTION = 12 * 2 * 4 * 16


@pytest.mark.parametrize(("is_frozen", "factor"), [(False, 6), (True, 4)])
def test_a_token_costs_six_flop_a_trained_weight_and_four_a_frozen_one(inside, tiny_llama, is_frozen, factor):
    weights, attention = inside.call("token_cost", model=tiny_llama, is_frozen=is_frozen)

    head = (
        weights / factor - 2 * LAYER - 64
    )  # what is left after layers and last norm: 64 for each token of the vocabulary
    assert head % 64 == 0
    assert 260 <= head / 64 <= 320
    assert attention == ATTENTION


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA GB200", 2.5e15),
        ("Somebody's GPU", None),
    ],
)
def test_the_peak_is_that_of_the_longest_name(name, peak):
    assert peak_of(name) == peak
