"""Retry-After headers of vendors and of the app's servers."""

import pytest

from bellcast.kernel.outbound import parse_retry_after

NOW = 1_781_085_600_000  # 2026-06-10T10:00:00Z
AT_TEN, FIVE_LATER = "Wed, 10 Jun 2026 10:00:00 GMT", "Wed, 10 Jun 2026 10:05:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("60", 60.0),
        (" 0 ", 0.0),
        ("9" * 5_000, 999_999_999.0),
        (FIVE_LATER, 300.0),
        ("Wed, 10 Jun 2026 10:05:00", 300.0),
        ("Wed, 10 Jun 2026 09:05:00 GMT", 0.0),
        ("", None),
        ("\u00b2", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Wed, 10 Jun 99999999999 10:05:00 GMT", None),
        ("Wed, 10 Jun 2026 10:05:00 +99999999999", None),
    ],
)
def test_retry_after_is_seconds_or_none(value: str, seconds: float | None) -> None:
    assert parse_retry_after({"retry-after": value}, NOW) == seconds


def test_date_is_by_the_clock_of_the_server_that_sent_it() -> None:
    headers = {"retry-after": FIVE_LATER, "date": AT_TEN}
    assert parse_retry_after(headers, NOW - 86_400_000) == parse_retry_after(headers) == 300.0
    assert parse_retry_after({"retry-after": FIVE_LATER}) is None
