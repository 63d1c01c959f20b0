"""Makes tokens and labels of records: which tokens the model sees, and which of them it is to learn."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_sft.chat import render_chat
from hf_sft.errors import UnusableInput
from hf_sft.records import Record
from hf_sft.reporting import log

IGNORED = -100  # the label of a token that is not learned, as transformers has it
Span = tuple[int, int]


@dataclass(frozen=True)
class Example:
    """Token ids and labels, int32, shape (n,) both; a label is the token's id, or IGNORED.

    The first label is always IGNORED: nothing stands before it that could foretell it.
    """

    input_ids: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class _Text:
    """A text and the parts of it that are learned. `is_bare`: the tokenizer's start and end are still to be added."""

    text: str
    learned: list[Span]
    is_bare: bool


def encode_all(records: Iterable[Record], tokenizer: Any, *, sequence_length: int, loss_on: str) -> list[Example]:
    """Return the examples of records, in their order; those without a token to learn are left out with a warning.

    Raises: UnusableInput naming the place of a record that is no example.
    """
    examples, cut_count, empty_count = [], 0, 0
    for record in records:
        example = encode(record, tokenizer, loss_on=loss_on)
        cut_count += len(example) > sequence_length
        example = Example(example.input_ids[:sequence_length], example.labels[:sequence_length])
        if (example.labels != IGNORED).any():
            examples.append(example)
        else:
            empty_count += 1
    if cut_count:
        log("WARNING", f"{cut_count} examples are longer than {sequence_length} tokens and were cut")
    if empty_count:
        log("WARNING", f"{empty_count} examples were left out: nothing to learn is in their first tokens")
    return examples


def encode(record: Record, tokenizer: Any, *, loss_on: str = "completion") -> Example:
    """Return the example of one record, at its full length. Raises: UnusableInput naming its place."""
    try:
        text = _text_of(record.content, tokenizer)
    except UnusableInput as error:
        raise UnusableInput(f"{record.place}: {error}") from None
    encoded = tokenizer(text.text, add_special_tokens=text.is_bare, return_offsets_mapping=True)
    ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
    is_learned = [loss_on == "all" or _is_inside(end, text.learned) for _, end in offsets]
    if text.is_bare and tokenizer.eos_token_id is not None:
        if not ids or ids[-1] != tokenizer.eos_token_id:
            ids.append(tokenizer.eos_token_id)
            is_learned.append(True)
        elif offsets[-1][0] == offsets[-1][1]:  # of no character: the tokenizer itself added it
            is_learned[-1] = True
    input_ids = np.array(ids, dtype=np.int32)
    labels = np.where(is_learned, input_ids, IGNORED).astype(np.int32)
    labels[:1] = IGNORED
    return Example(input_ids, labels)


def _is_inside(end: int, spans: list[Span]) -> bool:
    # By its last character: a token that reaches from the prompt into the completion belongs to the completion.
    return any(first < end <= last for first, last in spans)


def _text_of(content: dict[str, Any], tokenizer: Any) -> _Text:
    if "messages" in content:
        return _Text(*render_chat(tokenizer, content["messages"]), is_bare=False)
    if "prompt" in content and "completion" in content:
        return _completion(content["prompt"], content["completion"], tokenizer)
    if isinstance(content.get("text"), str):
        return _Text(content["text"], [(0, len(content["text"]))], is_bare=True)
    raise UnusableInput(
        "a record must have messages (a list), prompt and completion (two texts or two lists of messages), or text; "
        f"this one has {', '.join(sorted(content)) or 'nothing'}"
    )


def _completion(prompt: Any, completion: Any, tokenizer: Any) -> _Text:
    if isinstance(prompt, str) and isinstance(completion, str):
        return _Text(prompt + completion, [(len(prompt), len(prompt) + len(completion))], is_bare=True)
    if isinstance(prompt, list) and isinstance(completion, list):
        return _Text(*render_chat(tokenizer, prompt + completion, first_learned=len(prompt)), is_bare=False)
    raise UnusableInput("prompt and completion must be two texts or two lists of messages")
