"""Packing: whole examples in rows of one length, none of which sees another."""

import pytest


@pytest.mark.parametrize("lengths", [[10] * 7, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [30, 29, 3, 2, 1, 1], [32], []])
def test_groups_hold_every_example_whole_and_none_is_too_long(inside, lengths):
    groups = inside.call("packed_lengths", lengths=lengths, sequence_length=32)

    assert sorted(length for group in groups for length in group) == sorted(lengths)
    assert all(sum(group) <= 32 for group in groups)


def test_the_longest_come_first_into_the_fullest_group_that_has_room(inside):
    groups = inside.call("packed_lengths", lengths=[5, 20, 12, 9, 18], sequence_length=32)

    assert groups == [[20, 12], [18, 9, 5]]


def test_positions_begin_again_with_each_example_and_its_first_token_is_not_learned(inside):
    row = inside.call("packed_batch", lengths=[3, 2], sequence_length=8)

    assert row["positions"] == [0, 1, 2, 0, 1, 0, 1, 2]
    assert row["learned"] == [False, True, True, False, True, False, False, False]
    assert row["count"] == [5]


def test_single_examples_are_padded_to_a_multiple_of_eight(inside):
    assert inside.call("padded_batch", lengths=[3, 9]) == {"mask": [3, 9], "shape": [2, 16], "count": [12]}


def test_packed_examples_give_the_logits_that_each_gives_alone(inside, tiny_llama):
    assert inside.call("packed_differs_from_single", model=tiny_llama, lengths=[20, 7, 1, 30]) < 1e-5


def test_a_model_that_does_not_look_at_positions_is_noticed(inside, tiny_llama):
    assert inside.call("packing_is_honoured", model=tiny_llama) == [True, False]
