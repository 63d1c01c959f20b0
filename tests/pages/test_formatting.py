"""How times, sizes and numbers are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from trainhub.templatetags import formatting

MOMENT = datetime(2024, 1, 2, 10, 0, 0, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT, "2024-01-02 10:00:00 UTC"),
        (MOMENT.astimezone(timezone(timedelta(hours=5))), "2024-01-02 10:00:00 UTC"),
        ("2024-01-02T10:00:00.999999Z", "2024-01-02 10:00:00 UTC"),
        (None, "–"),
    ],
)
def test_time_is_utc_with_seconds(moment, text):
    assert formatting.utc_time(moment) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.23 kB"), (999_499, "999 kB"), (999_500, "1 MB"),
     (7_500_000_000, "7.5 GB"), (2**63, "9223 PB"), (None, "–")],
)  # fmt: skip
def test_size_has_a_unit(size, text):
    assert formatting.file_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"),
     (273_600, "3 d 4 h"), (None, "–")],
)  # fmt: skip
def test_duration_has_its_two_largest_units(seconds, text):
    assert formatting.time_span(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.234567, "1.2346"), (2e-5, "2e-05"), (12, "12"), (float("nan"), "nan"), (float("inf"), "inf"), (None, "–")],
)
def test_number_is_short(value, text):
    assert formatting.short_number(value) == text


def test_share_is_shown_in_percent():
    assert formatting.percent(0.256) == "25.6%"
