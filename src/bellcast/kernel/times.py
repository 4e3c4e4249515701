"""Times: integers (UTC milliseconds) in the store, aware datetimes in values, RFC 3339 outside."""

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta

# A time in requests, with its offset.
Moment = Annotated[datetime, Meta(tz=True)]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
# How far ahead requests may move something: a year. For later times, apps need a schedule instead of a delay.
MAX_AHEAD_SECONDS = 366 * 86_400
# The last millisecond of the year 9999: a datetime cannot hold a later one.
LATEST_MS = 253_402_300_799_999
LATEST = EPOCH + LATEST_MS * MILLISECOND
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")


def to_rfc3339(milliseconds: int) -> datetime:
    """Return the aware datetime for UTC milliseconds. Values out of range become the nearest possible datetime."""
    try:
        return EPOCH + milliseconds * MILLISECOND
    except OverflowError:
        return LATEST if milliseconds > 0 else EPOCH


def to_rfc3339_or_null(milliseconds: int | None) -> datetime | None:
    """Like `to_rfc3339`; None stays None."""
    return None if milliseconds is None else to_rfc3339(milliseconds)


def milliseconds(moment: datetime) -> int:
    """Return the UTC milliseconds of an aware datetime."""
    return (moment - EPOCH) // MILLISECOND


def is_storable(moment: datetime) -> bool:
    """Return whether an aware datetime is within the years 1970 to 9999 in UTC."""
    return 0 <= milliseconds(moment) <= LATEST_MS


def seconds(duration: str | float) -> float:
    """Parse a duration in seconds: `25`, `"25"`, `"300ms"`, `"2m"`, `"1.5h"`, `"7d"`. Raises ValueError with the
    expected format."""
    try:
        if isinstance(duration, int | float):
            found = float(duration)
        else:
            match = DURATION.fullmatch(duration.strip())
            found = math.nan if match is None else float(match[1]) * UNITS[match[2] or "s"]
    except OverflowError:  # an integer larger than any float
        found = math.inf
    if not abs(found) <= LATEST_MS / 1000:  # NaN is not a duration either
        raise ValueError("expected a duration such as 25, 300ms, 2m, 1h or 7d")
    return found


# --- wall-clock times of a time zone

MONDAY = 0
ONE_DAY = timedelta(days=1)
ONE_SECOND = timedelta(seconds=1)
UTC_ZONE = ZoneInfo("UTC")
# Files beside those of the zones: the machine's own zone, a default rule and a placeholder.
NO_ZONES = ("localtime", "posixrules", "factory")
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone with this IANA name, or None."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a folder of zones is an OSError
        return None


def is_zone(name: str) -> bool:
    """True for the name of a zone that is the same on every machine."""
    return name.lower() not in NO_ZONES and find_zone(name) is not None


def parse_time(text: str) -> time:
    """Parse `HH:MM`. Raises ValueError."""
    if TIME_OF_DAY.fullmatch(text) is None:
        raise ValueError("must be a time of day such as 08:00")
    return time.fromisoformat(text)


def to_utc(day: date, at: time, zone: ZoneInfo) -> int:
    """Convert a local time to UTC milliseconds. A skipped time becomes the moment after the gap; for a repeated time,
    the first occurrence is used."""
    local = datetime.combine(day, at, zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
        # The moment of the clock change in the day before, found by bisection, because zoneinfo does not list changes.
        before, offset = instant - ONE_DAY, instant.astimezone(zone).utcoffset()
        while instant - before > ONE_SECOND:
            middle = before + (instant - before) / 2
            if middle.astimezone(zone).utcoffset() == offset:
                instant = middle
            else:
                before = middle
        instant = instant.replace(microsecond=0)
    return milliseconds(instant)


def describe(at: int, zone: ZoneInfo, *, digits: str = "%Y-%m-%d %H:%M") -> str:
    """Return UTC milliseconds as the zone's local time for readers, such as `2026-06-10 14:00 (Europe/Vienna)`."""
    moment = to_rfc3339(at)
    try:
        moment = moment.astimezone(zone)
    except OverflowError:  # after the year 9999 in this zone
        zone = UTC_ZONE
    return f"{moment:{digits}} ({zone.key})"


def next_time(now: int, at: time, zone: ZoneInfo, *, weekday: int | None = None) -> int:
    """Return the next UTC millisecond after `now` at which clocks in the zone show `at`, on `weekday` (0: Monday) if
    given."""
    day = to_rfc3339(now).astimezone(zone).date()
    while True:
        if weekday is None or day.weekday() == weekday:
            instant = to_utc(day, at, zone)
            if instant > now:
                return instant
        day += ONE_DAY


def next_occurrence(now: int, at: time, zone: ZoneInfo) -> int:
    """Like `next_time`, but a time that occurs twice counts both times."""
    day = to_rfc3339(now).astimezone(zone).date()
    second = datetime.combine(day, at.replace(fold=1), zone)
    instant = milliseconds(second.astimezone(UTC))
    first = to_utc(day, at, zone)
    return instant if first <= now < instant else next_time(now, at, zone)


def next_hour(now: int, zone: ZoneInfo) -> int:
    """Return the next full hour in the zone; some zones differ from UTC by half hours."""
    local = to_rfc3339(now).astimezone(zone)
    offset = local.utcoffset() or timedelta()
    shift = (offset // MILLISECOND) % HOUR_MS
    return ((now + shift) // HOUR_MS + 1) * HOUR_MS - shift


def is_within(now: int, start: time, end: time, zone: ZoneInfo) -> bool:
    """True if the local time is between `start` (inclusive) and `end` (exclusive), which may be past midnight."""
    shown = to_rfc3339(now).astimezone(zone).time()
    if start <= end:
        return start <= shown < end
    return shown >= start or shown < end
