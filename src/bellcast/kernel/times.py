"""Times: integers (UTC milliseconds) in the store, aware datetimes in values, RFC 3339 outside."""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

# A time in requests, with its offset.
Moment = Annotated[datetime, Meta(tz=True)]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DAY_MS = 86_400_000
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
