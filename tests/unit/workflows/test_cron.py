"""Cron expressions across daylight saving time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bellcast.kernel.times import milliseconds
from bellcast.workflows import schedule_times

VIENNA = ZoneInfo("Europe/Vienna")


def utc(text: str) -> int:
    return milliseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "start", "times"),
    [
        ("0 8 * * *", "2026-06-10T05:59", ["2026-06-10T06:00", "2026-06-11T06:00"]),
        ("0 8 * * *", "2026-06-10T06:00", ["2026-06-11T06:00"]),
        ("0 8 * * 1", "2026-06-10T00:00", ["2026-06-15T06:00"]),
        ("0 8 13 * 5", "2026-06-10T00:00", ["2026-06-12T06:00", "2026-06-13T06:00"]),  # day of month or of week
        # 2026-03-29: 02:00 becomes 03:00, which is 01:00 UTC.
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        # 2026-10-25: 03:00 becomes 02:00; 02:30 is 00:30 and 01:30 UTC.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("30 * * * *", "2026-10-24T23:45", ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]),
        ("*/30 2 * * *", "2026-10-24T23:45", ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00"]),
    ],
)
def test_cron_fires_at_local_times(expression: str, start: str, times: list[str]) -> None:
    found = schedule_times.cron_times_after(expression, VIENNA, utc(start))
    assert [next(found) for _ in times] == [utc(time) for time in times]


def test_missed_times_are_listed_oldest_first() -> None:
    start, end = utc("2026-06-10T06:00"), utc("2026-06-13T06:00")
    days = ["2026-06-11T06:00", "2026-06-12T06:00", "2026-06-13T06:00"]
    assert schedule_times.cron_times_between("0 8 * * *", VIENNA, start, end, 100) == [utc(day) for day in days]
    assert schedule_times.cron_times_between("0 8 * * *", VIENNA, start, end, 2) == [utc(day) for day in days[1:]]
    assert schedule_times.cron_times_between("0 8 * * *", VIENNA, end, end, 100) == []


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "@daily",
        "0 0 31 2 *",
        "a b c d e",
        "0 8 * * MOO",
        "9" * 5_000 + " * * * *",
    ],
)
def test_wrong_expression_is_refused(expression: str) -> None:
    assert not schedule_times.is_cron(expression)


@pytest.mark.parametrize("expression", ["* * * * *", "*/5 8-18 * * MON-FRI", "0 8 1,15 * *", "0 0 L * *"])
def test_right_expression_is_accepted(expression: str) -> None:
    assert schedule_times.is_cron(expression)
