"""Page numbers and whole numbers of the query string."""

import pytest

from trainhub.api.paging import read_page_request, whole_number
from trainhub.errors import InvalidInput

INT64 = {"low": -(2**63), "high": 2**63 - 1}


@pytest.mark.parametrize(("query", "start"), [({}, 0), ({"page": "3"}, 100), ({"page": "2", "page_size": "10"}, 10)])
def test_the_first_row_follows_from_page_and_size(query, start):
    assert read_page_request(query).start == start


@pytest.mark.parametrize("name", ["page", "page_size"])
@pytest.mark.parametrize(
    "text",
    ["0", "-1", "x", "", " 1", "1 ", "+1", "1.0", "1e3", "0x1", "٣", "²", "1_0", "NaN", "10" * 400, "\x00", "1" * 5000],
)
def test_what_is_no_page_number_is_refused(name, text):
    with pytest.raises(InvalidInput) as refusal:
        read_page_request({name: text})

    assert list(refusal.value.fields) == [name]


@pytest.mark.parametrize(("name", "text"), [("page", str(10**12 + 1)), ("page_size", "501")])
def test_a_page_beyond_the_bounds_is_refused(name, text):
    with pytest.raises(InvalidInput):
        read_page_request({name: text})


@pytest.mark.parametrize("text", ["-9223372036854775808", "9223372036854775807", "0", "-0", "007"])
def test_every_64_bit_number_is_read(text):
    assert whole_number({"n": text}, "n", default=1, **INT64) == int(text)


@pytest.mark.parametrize("text", ["-9223372036854775809", "9223372036854775808", "--1", "-"])
def test_what_does_not_fit_64_bits_is_refused(text):
    with pytest.raises(InvalidInput):
        whole_number({"n": text}, "n", default=1, **INT64)
