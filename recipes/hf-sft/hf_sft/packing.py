"""Fills sequences of one length with whole examples, and makes the batches the model gets."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hf_sft.examples import IGNORED, Example

PADDED_TO = 8  # lengths of unpacked batches are multiples of this: matrix units of GPUs like it


def pack(examples: Sequence[Example], sequence_length: int) -> list[list[Example]]:
    """Put whole examples together into groups of at most `sequence_length` tokens each; none is cut.

    Best-fit decreasing: the longest first, each into the fullest group that still has room. Source: Ding et al. 2024,
    "Fewer Truncations Improve Language Modeling".
    """
    groups: list[list[Example]] = []
    open_groups: dict[int, list[int]] = {}  # free tokens: numbers of the groups that have them
    rooms: list[int] = []  # the keys above, ascending
    for example in sorted(examples, key=len, reverse=True):
        place = bisect_left(rooms, len(example))
        if place < len(rooms):
            room = rooms[place]
            number = open_groups[room].pop()
            if not open_groups[room]:
                del open_groups[room], rooms[place]
        else:
            number, room = len(groups), sequence_length
            groups.append([])
        groups[number].append(example)
        left = room - len(example)
        if left not in open_groups:
            open_groups[left] = []
            insort(rooms, left)
        open_groups[left].append(number)
    return groups


class PackedCollator:
    """Makes batches of packed groups, every row `sequence_length` long.

    Positions begin at 0 with each example, and there is no attention mask: models of transformers then let no token see
    another example, on the CPU and on GPUs. What is left of a row is filled up as one more example, without labels.
    """

    def __init__(self, sequence_length: int, pad_token: int) -> None:
        self._length, self._pad_token = sequence_length, pad_token

    def __call__(self, groups: Sequence[Sequence[Example]]) -> dict[str, torch.Tensor]:
        """Return input_ids, labels and position_ids, int64, shape (groups, sequence_length), and token_count, (1,)."""
        shape = (len(groups), self._length)
        input_ids, labels = np.full(shape, self._pad_token, np.int64), np.full(shape, IGNORED, np.int64)
        positions = np.zeros(shape, np.int64)
        for row, group in enumerate(groups):
            start = 0
            for example in group:
                end = start + len(example)
                input_ids[row, start:end], labels[row, start:end] = example.input_ids, example.labels
                positions[row, start:end] = np.arange(len(example))
                start = end
            positions[row, start:] = np.arange(self._length - start)
        count = sum(len(example) for group in groups for example in group)
        return _tensors(input_ids=input_ids, labels=labels, position_ids=positions, token_count=np.array([count]))


class PaddedCollator:
    """Makes batches of single examples, padded to the longest of the batch."""

    def __init__(self, pad_token: int) -> None:
        self._pad_token = pad_token

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Return input_ids, labels and attention_mask, int64, shape (examples, length), and token_count, shape (1,)."""
        longest = max(map(len, examples))
        shape = (len(examples), -(-longest // PADDED_TO) * PADDED_TO)
        input_ids, labels = np.full(shape, self._pad_token, np.int64), np.full(shape, IGNORED, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, example in enumerate(examples):
            input_ids[row, : len(example)], labels[row, : len(example)] = example.input_ids, example.labels
            mask[row, : len(example)] = 1
        return _tensors(input_ids=input_ids, labels=labels, attention_mask=mask, token_count=np.array([mask.sum()]))


def _tensors(**arrays: Any) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


@torch.no_grad()
def keeps_examples_apart(model: Any) -> bool:
    """Whether the model honours positions that begin again: the second example must not notice which one stands first.

    Tried with two forward passes of 16 tokens, in evaluation mode; the model's mode is restored.
    """
    was_training = model.training
    model.eval()
    positions = torch.arange(8, device=model.device).repeat(1, 2)
    last_token = model.get_input_embeddings().weight.shape[0] - 1
    second = torch.arange(8, device=model.device).clamp(max=last_token)
    found = []
    for token in (0, last_token):
        first = torch.full((8,), token, device=model.device)
        outputs = model(input_ids=torch.cat([first, second])[None], position_ids=positions, use_cache=False)
        found.append(outputs.logits[0, 8:])
    model.train(was_training)
    return torch.allclose(found[0], found[1], atol=1e-5)
