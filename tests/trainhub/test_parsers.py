"""How deep a JSON body may be nested: the same whichever way it is looked at."""

import pytest

from trainhub.api.parsers import MAX_DEPTH, check_depth, check_json, parse_json
from trainhub.errors import MalformedBody


def nested(depth: int) -> list:
    """Return a list in which the number lies `depth` levels deep."""
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("check", [check_depth, check_json])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"a": 1, "b": value}], ids=["list", "object"])
def test_a_value_lies_at_most_so_deep(check, wrap):
    is_wrapped = isinstance(wrap(1), dict)
    check(wrap(nested(MAX_DEPTH - is_wrapped)))

    with pytest.raises(MalformedBody, match="nested deeper"):
        check(wrap(nested(MAX_DEPTH + 1 - is_wrapped)))


def test_many_flat_objects_are_not_deep():
    assert len(parse_json(b"[" + b'{"a":[1]},' * 1000 + b"1]")) == 1001


def test_a_deep_body_is_refused():
    with pytest.raises(MalformedBody, match="nested deeper"):
        parse_json(b"[" * 40 + b"]" * 40)
