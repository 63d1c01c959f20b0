"""One rule for pages that show differences: launch, run, comparison, versions."""

import pytest

from trainhub.same import is_same


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        ([True], [1], False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": {"b": False}}, {"a": {"b": 0}}, False),
        (None, 0, False),
        ("1", 1, False),
    ],
)
def test_two_values_are_the_same_as_json_has_it(one, other, expected):
    assert is_same(one, other) is expected


def test_a_mark_for_no_value_is_the_same_as_itself_alone():
    mark = object()

    assert is_same(mark, mark)
    assert not is_same(mark, None)
