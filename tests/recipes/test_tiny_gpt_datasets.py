"""What tiny-gpt reads as a dataset, and what it refuses to read."""

import json
import os

import numpy as np
import pytest
from tiny_gpt.corpus import BatchSampler, split_corpus, validation_batches
from tiny_gpt.datasets import read_dataset
from tiny_gpt.errors import UnusableInput


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("not for training")
    return path


@pytest.mark.parametrize("name", ["", "python-stdlib"])
def test_the_standard_library_needs_no_permission(name):
    assert b"def " in read_dataset(name, [])


def test_the_standard_library_is_the_same_every_time():
    assert read_dataset("python-stdlib", []) == read_dataset("python-stdlib", [])


def test_a_text_file_is_found_by_its_relative_name(root):
    (root / "text.txt").write_text("hello")

    assert read_dataset("text.txt", [root]) == b"hello"


def test_a_text_file_is_found_by_its_absolute_path(root):
    (root / "text.txt").write_text("hello")

    assert read_dataset(str(root / "text.txt"), [root]) == b"hello"


def test_the_first_root_that_has_the_name_wins(root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (root / "text.txt").write_text("first")
    (other / "text.txt").write_text("second")

    assert read_dataset("text.txt", [root, other]) == b"first"


def test_a_folder_is_read_in_the_order_of_its_paths(root):
    (root / "book" / "part").mkdir(parents=True)
    (root / "book" / "b.txt").write_text("second")
    (root / "book" / "a.txt").write_text("first")
    (root / "book" / "part" / "c.txt").write_text("third")

    assert read_dataset("book", [root]) == b"first\nsecond\nthird"


@pytest.mark.parametrize(("name", "content"), [(".hidden", b"hidden"), ("image.bin", b"a\0b")])
def test_a_folder_is_read_without_files_that_are_no_text(root, name, content):
    (root / "text.txt").write_text("text")
    (root / name).write_bytes(content)

    assert read_dataset(".", [root]) == b"text"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"text": "the text", "title": "left out"}, "the text"),
        ({"prompt": "question", "completion": "answer"}, "question\nanswer"),
        ({"messages": [{"role": "user", "content": "hello"}], "id": 7}, "user\nhello"),
        ("a bare string", "a bare string"),
        ({"text": "na\u00efve"}, "na\u00efve"),
    ],
)
def test_a_jsonl_record_gives_its_text_or_else_all_its_strings(root, record, expected):
    (root / "data.jsonl").write_text(json.dumps(record) + "\n\n")

    assert read_dataset("data.jsonl", [root]).decode() == expected


def test_a_broken_jsonl_line_is_named(root):
    (root / "data.jsonl").write_text('{"text": "fine"}\n{"text": \n')

    with pytest.raises(UnusableInput, match=r"line 2 of data\.jsonl"):
        read_dataset("data.jsonl", [root])


@pytest.mark.parametrize("name", ["../secret.txt", "{secret}", "link.txt", "folder-link/secret.txt", "folder-link"])
def test_a_name_that_leads_outside_the_roots_is_refused(root, secret, name):
    (root / "link.txt").symlink_to(secret)
    (root / "folder-link").symlink_to(secret.parent)

    with pytest.raises(UnusableInput, match="TRAINHUB_DATASETS"):
        read_dataset(name.format(secret=secret), [root])


@pytest.mark.parametrize("name", ["missing.txt", "nul\0byte", "x" * 5000, "loop"])
def test_a_name_no_file_has_is_refused_in_the_same_words(root, name):
    (root / "loop").symlink_to(root / "loop")

    with pytest.raises(UnusableInput, match="TRAINHUB_DATASETS"):
        read_dataset(name, [root])


def test_a_root_whose_name_only_begins_alike_allows_nothing(root, tmp_path):
    neighbour = tmp_path / "allowed-not"
    neighbour.mkdir()
    (neighbour / "text.txt").write_text("no")

    with pytest.raises(UnusableInput):
        read_dataset(str(neighbour / "text.txt"), [root])


def test_a_link_inside_a_folder_that_leads_outside_is_skipped(root, secret):
    (root / "text.txt").write_text("text")
    (root / "link.txt").symlink_to(secret)

    assert read_dataset(".", [root]) == b"text"


def test_a_pipe_in_a_folder_is_not_waited_for(root):
    (root / "text.txt").write_text("text")
    os.mkfifo(root / "pipe.txt")

    assert read_dataset(".", [root]) == b"text"


def test_too_little_text_is_refused_with_both_numbers():
    with pytest.raises(UnusableInput, match=r"holds 100 bytes .* at least 330"):
        split_corpus(b"x" * 100, context_length=32)


def test_the_smallest_accepted_dataset_can_be_drawn_from_and_validated_on():
    corpus = split_corpus(b"x" * 330, context_length=32)

    inputs, _ = BatchSampler(corpus.train, 32, seed=1).draw(5)
    batches = list(validation_batches(corpus.validation, 32, 2))

    assert inputs.shape == (5, 32)
    assert len(batches) == 2


def test_the_last_tenth_validates():
    corpus = split_corpus(b"a" * 900 + b"b" * 100, context_length=8)

    assert corpus.train.tobytes() == b"a" * 900
    assert corpus.validation.tobytes() == b"b" * 100


def test_targets_follow_their_inputs_by_one_byte():
    train = np.arange(200, dtype=np.uint8)

    inputs, targets = BatchSampler(train, 16, seed=1).draw(4)

    assert np.array_equal(targets, inputs + 1)


def test_a_restored_sampler_draws_the_batches_that_would_have_followed():
    train = np.arange(200, dtype=np.uint8)
    first, second = BatchSampler(train, 16, seed=1), BatchSampler(train, 16, seed=2)
    first.draw(3)
    second.restore(json.loads(json.dumps(first.state())))

    assert np.array_equal(second.draw(3)[0], first.draw(3)[0])
