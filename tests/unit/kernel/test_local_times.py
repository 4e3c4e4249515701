"""Wall-clock times in zones with daylight saving time."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from bellcast.kernel import times, validation
from bellcast.kernel.times import milliseconds

VIENNA = ZoneInfo("Europe/Vienna")


def utc(text: str) -> int:
    return milliseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("day", "at", "expected"),
    [
        ("2026-06-10", "08:00", "2026-06-10T06:00"),
        ("2026-03-29", "02:30", "2026-03-29T01:00"),  # skipped: directly after the gap
        ("2026-03-29", "03:00", "2026-03-29T01:00"),
        ("2026-10-25", "02:30", "2026-10-25T00:30"),  # occurs twice: the first
    ],
)
def test_local_time_becomes_one_instant(day: str, at: str, expected: str) -> None:
    assert times.to_utc(date.fromisoformat(day), time.fromisoformat(at), VIENNA) == utc(expected)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-25T00:10", "2026-10-25T00:30"),
        ("2026-10-25T01:10", "2026-10-25T01:30"),  # the clocks show 02:10 again
        ("2026-10-25T01:30", "2026-10-26T01:30"),
        ("2026-03-29T00:10", "2026-03-29T01:00"),  # skipped
        ("2026-06-10T00:00", "2026-06-10T00:30"),
    ],
)
def test_time_that_is_shown_twice_counts_both_times(now: str, expected: str) -> None:
    assert times.next_occurrence(utc(now), time(2, 30), VIENNA) == utc(expected)


def test_next_time_is_strictly_later() -> None:
    eight = time(8)
    assert times.next_time(utc("2026-06-10T06:00"), eight, VIENNA) == utc("2026-06-11T06:00")
    assert times.next_time(utc("2026-06-10T05:59"), eight, VIENNA) == utc("2026-06-10T06:00")
    monday = times.next_time(utc("2026-06-10T05:59"), eight, VIENNA, weekday=times.MONDAY)
    assert monday == utc("2026-06-15T06:00")


@pytest.mark.parametrize(
    ("zone", "expected"), [("UTC", "13:00"), ("Asia/Kolkata", "12:30"), ("Asia/Kathmandu", "13:15")]
)
def test_next_hour_follows_the_clocks_of_the_zone(zone: str, expected: str) -> None:
    assert times.next_hour(utc("2026-06-10T12:20"), ZoneInfo(zone)) == utc(f"2026-06-10T{expected}")


@pytest.mark.parametrize("text", ["8:00", "08:00:00", "24:00", "08:60", "०८:००", "", ":", "08-00"])
def test_bad_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        times.parse_time(text)


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Olympus",
        "",
        "../etc/passwd",
        "/etc/localtime",
        "Europe",
        "\x00",
        "a" * 300,
    ],
)
def test_unknown_zone_is_none(name: str) -> None:
    assert times.find_zone(name) is None


@pytest.mark.parametrize("name", ["localtime", "posixrules", "Factory", "Mars/Olympus"])
def test_file_that_is_no_zone_is_refused(name: str) -> None:
    assert not times.is_zone(name)
    assert [one.field for one in validation.timezone("timezone", name)] == ["timezone"]


@pytest.mark.parametrize("name", ["posix/UTC", "right/UTC", "UTC", "Europe/Berlin"])
def test_zone_of_the_database_is_accepted(name: str) -> None:
    assert times.is_zone(name) == (times.find_zone(name) is not None)


def test_stored_name_that_is_refused_now_is_still_read() -> None:
    assert times.find_zone("Factory") is not None
