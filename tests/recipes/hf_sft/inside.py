"""Runs in the environment of hf-sft: answers one call per line of stdin with one line of JSON.

A call is [function, arguments]; the answer holds `result` or `error`. What the functions print goes to stderr.
"""

import contextlib
import json
import os
import random
import sys
import traceback
from pathlib import Path

import numpy as np
import torch
from hf_sft.chat import PLAIN_TEMPLATE
from hf_sft.errors import UnusableInput
from hf_sft.examples import IGNORED, Example, encode, encode_all
from hf_sft.flops import cost_of_token
from hf_sft.main import main as run_recipe
from hf_sft.packing import PackedCollator, PaddedCollator, keeps_examples_apart, pack
from hf_sft.records import Record, read_hub
from hf_sft.stopping import StopRequest
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    set_seed,
)

COLOURS, COUNTS, ANIMALS = ["red", "blue", "green"], ["one", "two", "three"], ["cat", "dog", "bird"]
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def make_material(folder: str) -> None:
    """Write a tiny random Llama with a tokenizer, and two datasets that are easy to learn."""
    root, draw = Path(folder), random.Random(3)
    pairs = []
    for _ in range(120):
        colour, count, animal = (draw.choice(words) for words in (COLOURS, COUNTS, ANIMALS))
        pairs.append({"prompt": f"Turn round {colour} {count} {animal}:", "completion": f" {animal} {count} {colour}."})
    _write(root / "pairs" / "train.jsonl", pairs[:100])
    _write(root / "pairs" / "validation.jsonl", pairs[100:])
    chats = [
        {
            "messages": [
                {"role": "user", "content": pair["prompt"]},
                {"role": "assistant", "content": pair["completion"].strip()},
            ]
        }
        for pair in pairs
    ]
    _write(root / "chats.jsonl", chats)
    _make_model(root / "tiny-llama", [pair["prompt"] + pair["completion"] for pair in pairs])


def _write(path: Path, records: list) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def _make_model(folder: Path, texts: list[str]) -> None:
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    learned.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=learned, bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def learned_text(
    model: str, record: dict, template: str | None = None, adds_ends: bool = False, **options: object
) -> dict:
    """Return the whole text of a record's example, and the text of the tokens that are learned.

    With `adds_ends` the tokenizer puts start and end round a text by itself.
    """
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template or PLAIN_TEMPLATE
    if adds_ends:
        ends = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
        tokenizer.backend_tokenizer.post_processor = ends
    try:
        example = encode(Record("data.jsonl, line 7", record), tokenizer, **options)
    except UnusableInput as error:
        return {"refused": str(error)}
    learned = example.labels != IGNORED
    assert (example.labels[learned] == example.input_ids[learned]).all()
    return {"all": tokenizer.decode(example.input_ids), "learned": tokenizer.decode(example.input_ids[learned])}


def lengths_of(model: str, records: list, sequence_length: int) -> list[int]:
    """Return the lengths of the examples that are kept."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    found = [Record(f"line {number}", record) for number, record in enumerate(records)]
    return [len(one) for one in encode_all(found, tokenizer, sequence_length=sequence_length, loss_on="completion")]


def records_of_library(name: str) -> list[list]:
    """Return place and content of the first record of each part, as the datasets library gives them."""
    return [[len(part), part[0].place, part[0].content] for part in read_hub(name)]


def packed_lengths(lengths: list[int], sequence_length: int) -> list[list[int]]:
    """Return the lengths of the examples in each group."""
    return [[len(example) for example in group] for group in pack(_examples(lengths), sequence_length)]


def _examples(lengths: list[int]) -> list[Example]:
    draw = np.random.default_rng(1)
    rows = [draw.integers(4, 250, length, dtype=np.int32) for length in lengths]
    return [Example(ids, np.concatenate([[IGNORED], ids[1:]]).astype(np.int32)) for ids in rows]


def packed_batch(lengths: list[int], sequence_length: int) -> dict:
    """Return positions and labels of a row, and the number of tokens that are not padding."""
    batch = PackedCollator(sequence_length, pad_token=0)([_examples(lengths)])
    is_learned = (batch["labels"][0] != IGNORED).tolist()
    return {
        "positions": batch["position_ids"][0].tolist(),
        "learned": is_learned,
        "count": batch["token_count"].tolist(),
    }


def padded_batch(lengths: list[int]) -> dict:
    """Return mask and number of tokens of a batch."""
    batch = PaddedCollator(pad_token=0)(_examples(lengths))
    return {"mask": batch["attention_mask"].sum(1).tolist(), "shape": list(batch["input_ids"].shape),
            "count": batch["token_count"].tolist()}  # fmt: skip


@torch.no_grad()
def packed_differs_from_single(model: str, lengths: list[int]) -> float:
    """Return the greatest difference of a logit between examples in one row and each by itself."""
    llama, examples = AutoModelForCausalLM.from_pretrained(model), _examples(lengths)
    batch = PackedCollator(sum(lengths) + 5, pad_token=0)([examples])
    packed = llama(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
    start, greatest = 0, 0.0
    for example in examples:
        single = llama(input_ids=torch.from_numpy(example.input_ids.astype(np.int64))[None]).logits[0]
        greatest = max(greatest, (packed[start : start + len(example)] - single).abs().max().item())
        start += len(example)
    return greatest


class DeafToPositions(torch.nn.Module):
    """A model that takes all rows for one text."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model, self.device = model, model.device

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.model.get_input_embeddings()

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor, **_: object) -> object:
        return self.model(input_ids=input_ids)


def packing_is_honoured(model: str) -> list[bool]:
    """Return what the check says of the model, and of one that does not look at positions."""
    llama = AutoModelForCausalLM.from_pretrained(model)
    return [keeps_examples_apart(llama), keeps_examples_apart(DeafToPositions(llama))]


def token_cost(model: str, is_frozen: bool) -> list[float]:
    """Return the FLOP of a token: of the weights, and of attention for each token of its row."""
    llama = AutoModelForCausalLM.from_pretrained(model).requires_grad_(not is_frozen)
    cost = cost_of_token(llama)
    assert cost
    return [cost.weights, cost.attention]


@torch.no_grad()
def merged_differs_from_parts(base: str, adapter: str, merged: str) -> list[float]:
    """Return the greatest difference of a logit between the merged model and base with adapter, and from the base."""
    ids = torch.arange(4, 60)[None]
    base_model = AutoModelForCausalLM.from_pretrained(base)
    plain = base_model(input_ids=ids).logits
    parts = PeftModel.from_pretrained(base_model, adapter)(input_ids=ids).logits
    whole = AutoModelForCausalLM.from_pretrained(merged)(input_ids=ids).logits
    return [(whole - parts).abs().max().item(), (whole - plain).abs().max().item()]


def tensors_are_equal(one: str, other: str) -> bool:
    """Whether two safetensors files hold the same tensors, bit for bit."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def start_recipe(environment: dict) -> dict:
    """Run the recipe in this process up to its refusal; returns the exit code and the last line."""
    lines = LastLines()
    kept = dict(os.environ)
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(lines):
            code = run_recipe(StopRequest(), script="")
    finally:
        os.environ.clear()
        os.environ.update(kept)
    return {"exit_code": code, "last_line": lines.text.strip().splitlines()[-1]}


class LastLines:
    """Takes what is printed."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def main() -> None:
    """Answer until stdin ends."""
    answers = sys.stdout
    for line in sys.stdin:
        name, arguments = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            try:
                answer = {"result": globals()[name](**arguments)}
            except Exception:  # noqa: BLE001 - the caller is told
                answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
