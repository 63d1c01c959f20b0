"""The rows that batches are drawn from: examples one by one, or packed."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hf_sft.errors import UnusableInput
from hf_sft.examples import Example, encode_all
from hf_sft.model import Base
from hf_sft.packing import PackedCollator, PaddedCollator, keeps_examples_apart, pack
from hf_sft.records import Record
from hf_sft.settings import Settings


@dataclass(frozen=True)
class Rows:
    """Rows for training and validation, and the collator that makes batches of them.

    `sha256` tells one set of training examples from another; the counts are of examples.
    """

    training: Sequence[Any]
    validation: Sequence[Any]
    collator: Callable[[Sequence[Any]], dict[str, Any]]
    sha256: str
    training_count: int
    validation_count: int


def make_rows(settings: Settings, base: Base, training: Sequence[Record], validation: Sequence[Record]) -> Rows:
    """Return the rows of a dataset's records. Raises: UnusableInput, also when the model cannot take packed rows."""
    length, loss_on = settings.model.sequence_length, settings.model.loss_on
    examples, kept_back = (
        encode_all(records, base.tokenizer, sequence_length=length, loss_on=loss_on)
        for records in (training, validation)
    )
    if not examples:
        raise UnusableInput("no example of the dataset has anything to learn")
    about = {"sha256": _digest(examples), "training_count": len(examples), "validation_count": len(kept_back)}
    pad_token = _pad_token(base.tokenizer)
    if not settings.model.packing:
        return Rows(examples, kept_back, PaddedCollator(pad_token), **about)
    if not keeps_examples_apart(base.model):
        raise UnusableInput("this model lets packed examples see each other; switch packing off")
    return Rows(pack(examples, length), pack(kept_back, length), PackedCollator(length, pad_token), **about)


def _pad_token(tokenizer: Any) -> int:
    """Any token will do: padding is neither seen nor learned."""
    return next(token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if token is not None)


def _digest(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        digest.update(len(example).to_bytes(8, "little") + example.input_ids.tobytes() + example.labels.tobytes())
    return digest.hexdigest()
