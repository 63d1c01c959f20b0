"""Bodies made to break something: each is refused in JSON with a code, and nothing is stored."""

import pytest

from tests.factories import everything

pytestmark = pytest.mark.django_db
NEEDED = {
    "project": b'"name": "x"',
    "change": b'"owner": "x"',
    "member": b'"username": "ada", "role": "viewer"',
    "token": b'"name": "x"',
    "run": b'"name": "x"',
    "repeat": b'"name": "x"',
    "resume": b'"name": "x"',
    "tag": b'"tag": "release"',
}
EVERYWHERE = pytest.mark.parametrize("where", NEEDED)
MALFORMED = {
    "cut short": b'{"name": "x"',
    "single quotes": b"{'name': 'x'}",
    "trailing comma": b'{"name": "x",}',
    "comment": b'{"name": "x"} // comment',
    "two values": b'{"name": "x"}{"name": "y"}',
    "unquoted": b"{name: 1}",
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "overflow": b'{"name": 1e999}',
    "400 digits": b'{"name": 1' + b"0" * 400 + b"}",
    "5,000 digits": b'{"name": 1' + b"0" * 5000 + b"}",
    "hexadecimal": b'{"name": 0x10}',
    "leading zero": b'{"name": 007}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "reversed surrogates": b'{"name": "\\udc00\\ud800"}',
    "surrogate in a key": b'{"\\udfff": 1}',
    "surrogate in bytes": b'{"name": "\xed\xa0\x80"}',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "cut UTF-8": b'{"name": "\xf0\x9f\x9a"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "NUL escaped": b'{"name": "a\\u0000b"}',
    "NUL in bytes": b'{"name": "a\x00b"}',
    "NUL in a key": b'{"a\\u0000b": 1}',
    "NUL deep inside": b'{"name": "x", "hyperparameters": {"a": [{"b": "\\u0000"}]}}',
    "control character": b'{"name": "a\x01b"}',
    "5,000 arrays": b'{"name": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "5,000 objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "100,000 arrays that never end": b"[" * 100_000,
    "40 objects": b'{"a":' * 40 + b"1" + b"}" * 40,
    "a form": b"name=x&tag=release",
    "XML": b"<?xml version='1.0'?><name>x</name>",
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
}
WRONG_SHAPE = {
    "null": b"null",
    "number": b"1",
    "text": b'"name"',
    "boolean": b"true",
    "empty list": b"[]",
    "list of objects": b'[{"name": "x"}]',
    "unknown field": b'{"surprise": 1}',
    "prototype": b'{"__proto__": {"is_staff": true}}',
    "look-up": b'{"name__startswith": "a"}',
    "dunder": b'{"__class__": "x", "pk": 1, "id": 1}',
    "empty key": b'{"": 1}',
    "1,000 unknown fields": b"{" + b",".join(b'"f%d": 1' % number for number in range(1000)) + b"}",
    "a key of a megabyte": b'{"' + b"k" * 1_000_000 + b'": 1}',
}


def each_once_and_some_everywhere(bodies, some):
    """Pair every body with one call, and some with all: the calls share one parser, and each must use it."""
    pairs = [("run", name) for name in bodies] + [(where, name) for where in NEEDED for name in some]
    cases = [pytest.param(where, bodies[name], id=f"{where}-{name}") for where, name in dict.fromkeys(pairs)]
    return pytest.mark.parametrize(("where", "body"), cases)


@each_once_and_some_everywhere(MALFORMED, ["cut short", "lone surrogate", "NUL deep inside", "5,000 arrays"])
def test_what_is_no_json_is_400_and_nothing_is_stored(as_anybody, writes, where, body):
    before = everything()

    answer = as_anybody.call(*writes[where], body)

    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")
    assert len(answer.content) < 1000
    assert everything() == before


@each_once_and_some_everywhere(WRONG_SHAPE, ["null", "empty list", "unknown field", "dunder"])
def test_json_of_another_shape_is_400_and_nothing_is_stored(as_anybody, writes, where, body):
    before = everything()

    answer = as_anybody.call(*writes[where], body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert len(answer.content) < 10_000
    assert everything() == before


@EVERYWHERE
def test_ten_megabytes_are_413_with_the_limit_and_nothing_is_stored(as_anybody, writes, where):
    before = everything()

    answer = as_anybody.call(*writes[where], b'{"name": "' + b"x" * 10_000_000 + b'"}')

    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "too_large", 8 * 1024 * 1024)
    assert everything() == before


@EVERYWHERE
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_another_type_is_415_and_nothing_is_stored(as_anybody, writes, where, kind):
    before = everything()
    method, path = writes[where]

    answer = as_anybody.generic(method, path, b"--x\r\nname=x", content_type=kind)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert everything() == before


WRONG_TYPES = {
    "null": b"null",
    "true": b"true",
    "list": b"[1]",
    "object": b'{"a": 1}',
    "list of lists": b"[[[[]]]]",
    "huge text": b'"' + b"x" * 20_000 + b'"',
    "infinity as text": b'["Infinity"]',
}
FIELDS = [
    ("project", "name"),
    ("project", "description"),
    ("project", "owner"),
    ("change", "task_type"),
    ("change", "base_model"),
    ("change", "default_recipe"),
    ("member", "username"),
    ("member", "role"),
    ("token", "name"),
    ("token", "days"),
    ("run", "name"),
    ("run", "dataset"),
    ("run", "executor"),
    ("repeat", "recipe"),
    ("repeat", "priority"),
    ("resume", "max_restarts"),
    ("resume", "description"),
    ("tag", "tag"),
    ("tag", "notes"),
]


@pytest.mark.parametrize(("where", "field"), FIELDS)
@pytest.mark.parametrize("value", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_value_of_another_type_is_400_naming_the_field(as_anybody, writes, where, field, value):
    before = everything()
    body = b"{" + NEEDED[where] + b', "' + field.encode() + b'": ' + value + b"}"

    answer = as_anybody.call(*writes[where], body)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert field in answer.json()
    assert everything() == before


NUMBERS = [b"1e308", b"-1e308", b"1e25", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616"]
NUMBERS += [b"1e-400", b"-0", b"1.5", b"2147483648", b'"1"', b'"1e5"', b'"9999999999999999999999"', b'"\\u0661"']


@pytest.mark.parametrize(
    ("where", "field"), [("token", "days"), ("run", "priority"), ("run", "max_restarts"), ("repeat", "priority")]
)
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_at_the_edge_is_taken_or_refused_and_never_breaks(as_anybody, writes, where, field, number):
    body = b"{" + NEEDED[where] + b', "' + field.encode() + b'": ' + number + b"}"

    answer = as_anybody.call(*writes[where], body)

    assert answer.status_code in {201, 400}
    assert [as_anybody.call("GET", path).status_code for path in ("/runs", "/tokens")] == [200, 200]


COMPUTE = ["node_count", "gpus_per_node"]


@pytest.mark.parametrize("field", COMPUTE)
@pytest.mark.parametrize("number", [b"1e308", b"-1", b"9223372036854775808", b"1.5", b"null", b"[]", b'"x"', b"true"])
def test_a_bad_request_for_machines_is_400(as_anybody, writes, field, number):
    before = everything()
    body = b'{"name": "x", "compute": {"' + field.encode() + b'": ' + number + b"}}"

    answer = as_anybody.call(*writes["run"], body)

    assert (answer.status_code, list(answer.json()["compute"])) == (400, [field])
    assert everything() == before
