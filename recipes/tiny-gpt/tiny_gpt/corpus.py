"""Cuts a dataset into training and validation bytes, and draws batches of windows from it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tiny_gpt.errors import UnusableInput

VALIDATION_SHARE = 10  # the last tenth of the bytes is never trained on
VALIDATION_BATCH = 16  # windows; fixed, so that val_loss stays comparable when batch_size changes

Bytes = npt.NDArray[np.uint8]
Batch = tuple[Bytes, Bytes]


@dataclass(frozen=True)
class Corpus:
    """Bytes to train on and bytes to validate on, both 1-D, and the digest of all of them."""

    train: Bytes
    validation: Bytes
    sha256: str


def split_corpus(content: bytes, context_length: int) -> Corpus:
    """Split the bytes in order: the first nine tenths train, the last tenth validates.

    Raises: UnusableInput when either part is shorter than one window with its targets.
    """
    needed = VALIDATION_SHARE * (context_length + 1)
    if len(content) < needed:
        raise UnusableInput(
            f"the dataset holds {len(content)} bytes of text and a context_length of {context_length} needs at least "
            f"{needed}; choose a larger dataset or a smaller context_length"
        )
    everything = np.frombuffer(content, dtype=np.uint8)
    boundary = len(everything) - len(everything) // VALIDATION_SHARE
    return Corpus(everything[:boundary], everything[boundary:], hashlib.sha256(content).hexdigest())


class BatchSampler:
    """Draws windows at random places of the training bytes; its state brings back exactly the batches that follow."""

    def __init__(self, train: Bytes, context_length: int, seed: int) -> None:
        self._train = train
        self._context_length = context_length
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self.batches_drawn = 0

    def draw(self, batch_size: int) -> Batch:
        """The next batch. Returns: inputs and targets, both shape (batch_size, context_length); targets are one on."""
        self.batches_drawn += 1
        starts = self._generator.integers(0, len(self._train) - self._context_length, size=batch_size)
        return _windows(self._train, starts, self._context_length)

    def state(self) -> dict[str, Any]:
        """Position in the random stream, as plain JSON values."""
        return {"batches_drawn": self.batches_drawn, "generator": self._generator.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken. Raises: KeyError, TypeError or ValueError when it is not such a state."""
        self.batches_drawn = int(state["batches_drawn"])
        self._generator.bit_generator.state = state["generator"]


def validation_batches(validation: Bytes, context_length: int, count: int) -> Iterator[Batch]:
    """The same `count` batches every time, spread evenly over the validation bytes; windows may overlap when few."""
    last = len(validation) - context_length - 1
    starts = np.linspace(0, last, count * VALIDATION_BATCH).astype(np.int64)
    for some in np.split(starts, count):
        yield _windows(validation, some, context_length)


def _windows(data: Bytes, starts: npt.NDArray[np.int64], context_length: int) -> Batch:
    windows = data[starts[:, None] + np.arange(context_length + 1)]
    return windows[:, :-1], windows[:, 1:]
