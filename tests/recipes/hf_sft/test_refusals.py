"""What a run cannot work with: exit code 2, and a last line that says what to change."""

import json
from pathlib import Path
from typing import Any

import pytest
from hf_sft.checkpoints import read_notes
from hf_sft.errors import UnusableInput
from hf_sft.places import find_place
from hf_sft.records import Record, read_dataset

GOOD = '{"text": "one"}\n'


def contents(records: list[Record]) -> list[Any]:
    return [record.content["text"] for record in records]


# --- Settings -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"dataset": ""}, "names no dataset"),
        ({"export": "adapter", "method": "full"}, "export adapter needs method lora"),
        ({"compute": {"gpus_per_node": 2}, "processes_per_node": 4}, "more than the 2 GPUs per node"),
        ({"max_steps": "many"}, "of another kind"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, values, reason):
    with pytest.raises(UnusableInput, match=reason):
        settings(**values)


@pytest.mark.parametrize(
    ("compute", "asked", "processes"),
    [
        ({}, 0, 1),
        ({"gpus_per_node": 4}, 0, 4),
        ({"gpus_per_node": 4}, 2, 2),
        ({}, 2, 2),
        ({"gpus_per_node": None}, 0, 1),
    ],
)
def test_there_is_a_process_for_each_gpu_unless_the_run_says_otherwise(settings, compute, asked, processes):
    assert settings(compute=compute, processes_per_node=asked).processes_per_node == processes


# --- Data -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "two"', "data.jsonl, line 3: this is not JSON"),
        ("[1]", "data.jsonl, line 3: a record must be a JSON object"),
        ("NaN", "data.jsonl, line 3: a record must be a JSON object"),
        ("[" * 100_000, "data.jsonl, line 3: this is not JSON"),
    ],
)
def test_a_line_that_is_no_record_is_named(settings, folder, line, reason):
    (folder / "data.jsonl").write_text(f"{GOOD}\n{line}\n{GOOD}")

    with pytest.raises(UnusableInput, match=reason):
        read_dataset(settings())


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_records_is_refused(settings, folder, content):
    (folder / "data.jsonl").write_bytes(content)

    with pytest.raises(UnusableInput, match="holds no record to train on"):
        read_dataset(settings())


def test_a_file_that_is_no_text_is_refused(settings, folder):
    (folder / "data.jsonl").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(UnusableInput, match="is not UTF-8 text"):
        read_dataset(settings())


def test_a_mark_at_the_beginning_and_empty_lines_are_skipped(settings, folder):
    (folder / "data.jsonl").write_bytes(b"\xef\xbb\xbf" + f"{GOOD}\n{GOOD}".encode())

    training, _ = read_dataset(settings(validation_share=0))

    assert [record.place for record in training] == ["data.jsonl, line 1", "data.jsonl, line 3"]


@pytest.mark.parametrize(
    ("files", "training", "validation"),
    [
        (["train.jsonl", "validation.jsonl"], ["train.jsonl"], ["validation.jsonl"]),
        (["train-1.jsonl", "train-2.jsonl", "eval.jsonl"], ["train-1.jsonl", "train-2.jsonl"], ["eval.jsonl"]),
        (["a.jsonl", "b.jsonl", "test.jsonl", "notes.txt", ".hidden.jsonl"], ["a.jsonl", "b.jsonl"], ["test.jsonl"]),
    ],
)
def test_the_names_of_a_folder_tell_training_from_validation(settings, folder, files, training, validation):
    (folder / "parts").mkdir()
    for name in files:
        (folder / "parts" / name).write_text(json.dumps({"text": name}))

    found = read_dataset(settings("parts"))

    assert [contents(part) for part in found] == [training, validation]


def test_a_part_is_kept_back_for_validation_and_is_the_same_every_time(settings, folder):
    (folder / "data.jsonl").write_text("".join(f'{{"text": "{number}"}}\n' for number in range(40)))

    first, second = (read_dataset(settings(validation_share=0.25)) for _ in range(2))

    assert [len(part) for part in first] == [30, 10]
    assert {*contents(first[0]), *contents(first[1])} == {str(number) for number in range(40)}
    assert first == second
    assert read_dataset(settings(validation_share=0.25, seed=2)) != first


def test_at_most_the_wanted_examples_are_kept_back(settings, folder):
    (folder / "data.jsonl").write_text(GOOD * 40)

    assert [len(part) for part in read_dataset(settings(validation_share=0.5, eval_examples=3))] == [37, 3]


def test_the_parts_of_a_dataset_are_found_by_their_names_with_the_library_too(inside, material):
    # The library reads a folder as it reads what it has fetched from the hub.
    training, validation = inside.call("records_of_library", name=material / "pairs")

    assert (training[:2], validation[:2]) == ([100, "train, record 1"], [20, "validation, record 1"])
    assert training[2].keys() == {"prompt", "completion"}


# --- Places ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["../secret.jsonl", "/etc/passwd", "link.jsonl", "none.jsonl", "\0", "x" * 5000, "a/b/c"]
)
def test_nothing_outside_the_operators_folders_is_read(folder, name):
    (folder.parent / "secret.jsonl").write_text(GOOD)
    (folder / "link.jsonl").symlink_to(folder.parent / "secret.jsonl")

    with pytest.raises(UnusableInput, match="there is no dataset"):
        find_place(name, [folder], "dataset")


def test_a_folder_with_a_link_that_leads_outside_is_refused(settings, folder):
    (folder.parent / "secret.jsonl").write_text(GOOD)
    (folder / "parts").mkdir()
    (folder / "parts" / "train.jsonl").symlink_to(folder.parent / "secret.jsonl")

    with pytest.raises(UnusableInput, match="a link that leads outside"):
        read_dataset(settings("parts"))


def test_a_path_that_is_there_comes_before_the_hub(folder):
    assert find_place("owner/name", [folder], "dataset") == "owner/name"

    (folder / "owner" / "name").mkdir(parents=True)

    assert find_place("owner/name", [folder], "dataset") == folder / "owner" / "name"


# --- Checkpoints ----------------------------------------------------------------------------------
@pytest.fixture
def checkpoint(tmp_path: Path, settings):
    """Return a function that writes the notes of a checkpoint of the default settings, changed as told."""

    def write(**changes: Any) -> Path:
        place = tmp_path / "step-000005"
        place.mkdir()
        fits = {"method": "lora", "lora_rank": 16, "lora_alpha": 32.0, "lora_targets": "all-linear"}
        fits["base_model"] = settings().model.base_model
        notes = {"format": "hf-sft-1", "step": 5, "fits": fits | changes.pop("fits", {})} | changes
        (place / "trainer_state.json").write_text("{}")
        (place / "hf-sft.json").write_text(json.dumps(notes))
        return place

    return write


def test_a_checkpoint_that_fits_is_read(checkpoint, settings):
    assert read_notes(checkpoint(), settings().model)["step"] == 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fits": {"lora_rank": 8}}, "lora_rank is 8, the run asks for 16"),
        ({"fits": {"base_model": "other"}}, "base_model is 'other'"),
        ({"fits": {"method": "full"}}, "method is 'full', the run asks for 'lora'"),
        ({"format": "hf-sft-9"}, "another format"),
        ({"step": "5"}, "another format"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(checkpoint, settings, changes, reason):
    with pytest.raises(UnusableInput, match=reason):
        read_notes(checkpoint(**changes), settings().model)


def test_an_export_is_no_checkpoint_to_go_on_from(tmp_path, settings):
    (tmp_path / "export-model").mkdir()

    with pytest.raises(UnusableInput, match="those are named step-"):
        read_notes(tmp_path / "export-model", settings().model)


def test_a_checkpoint_with_a_damaged_note_is_refused(checkpoint, settings):
    place = checkpoint()
    (place / "hf-sft.json").write_text('{"format": "hf-s')

    with pytest.raises(UnusableInput, match="damaged or incomplete"):
        read_notes(place, settings().model)


# --- The whole program ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "data.jsonl, line 2: a record must have messages"),
        ({"dataset": "none.jsonl"}, "there is no dataset 'none.jsonl'"),
        ({"dataset": "owner/name"}, "the dataset 'owner/name' cannot be loaded from the hub"),
        ({"base_model": "empty"}, "the base model 'empty' cannot be loaded"),
        ({"base_model": "owner/name"}, "the base model 'owner/name' cannot be loaded"),
        ({"lora_targets": "nothing_like_it", "dataset": "good.jsonl"}, "lora_targets 'nothing_like_it' does not fit"),
        ({"compute": {"gpus_per_node": 1}}, "1 GPUs are needed and torch"),
    ],
)
def test_the_last_line_says_what_to_change(variables, folder, inside, material, values, reason):
    (folder / "empty").mkdir()
    (folder / "data.jsonl").write_text(f'{GOOD}{{"question": 1}}\n')
    (folder / "good.jsonl").write_text(GOOD)
    environment = variables(**{"base_model": "tiny-llama", "validation_share": 0, "sequence_length": 64} | values)
    environment["TRAINHUB_DATASETS"] += f":{material}"

    end = inside.call("start_recipe", environment=environment)

    assert end["exit_code"] == 2
    assert end["last_line"].startswith(f"ERROR This run cannot start: {reason}")
