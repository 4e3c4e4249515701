"""Conversion of times to and from the store."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.kernel import times

YEAR_2100 = 4_102_444_800_000


@given(st.integers(0, YEAR_2100))
def test_time_is_exact_to_the_millisecond(milliseconds: int) -> None:
    assert times.to_rfc3339(milliseconds) == times.EPOCH + milliseconds * times.MILLISECOND
    assert times.milliseconds(times.to_rfc3339(milliseconds)) == milliseconds


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_stored_number_converts_to_a_storable_time(milliseconds: int) -> None:
    assert times.is_storable(max(times.to_rfc3339(milliseconds), times.EPOCH))


def test_number_beyond_the_calendar_is_clamped() -> None:
    assert times.to_rfc3339(times.LATEST_MS + 1) == times.to_rfc3339(2**63 - 1) == times.LATEST
    assert times.to_rfc3339(-(2**63)) == times.EPOCH


@pytest.mark.parametrize(
    ("text", "storable"),
    [
        ("9999-12-31T23:59:59.999999+00:00", True),
        ("9999-12-31T23:59:59-00:01", False),
        ("9999-12-31T23:59:59-23:59", False),
        ("9999-12-31T23:59:59+23:59", True),
        ("1970-01-01T00:00:00+00:00", True),
        ("1970-01-01T00:00:00+00:01", False),
        ("0001-01-01T00:00:00+23:59", False),
    ],
)
def test_storable_time_is_between_1970_and_9999_in_utc(text: str, storable: bool) -> None:
    assert times.is_storable(datetime.fromisoformat(text)) is storable


def test_null_time_is_kept() -> None:
    assert times.to_rfc3339_or_null(None) is None
    assert times.to_rfc3339_or_null(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("25", 25), (25, 25), ("300ms", 0.3), ("2m", 120), ("1.5h", 5400), (" 7d ", 604_800)]
)
def test_durations_are_parsed_in_every_unit(text: str, seconds: float) -> None:
    assert times.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1 week", "1h30m", "9" * 400, 10**400, 1e308, -1e308])
def test_malformed_duration_is_refused_with_examples(text: str | float) -> None:
    with pytest.raises(ValueError, match="such as 25, 300ms, 2m, 1h or 7d"):
        times.seconds(text)
