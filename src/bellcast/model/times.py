"""Times: integers (UTC milliseconds) in the store, aware datetimes in values, RFC 3339 outside."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")


def moment(milliseconds: int) -> datetime:
    """The aware datetime of a UTC millisecond count."""
    # Exact to the millisecond until the year 2100 (tested), at a third of the cost of adding to the epoch.
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def maybe_moment(milliseconds: int | None) -> datetime | None:
    """As `moment`, with nothing staying nothing."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(moment: datetime) -> int:
    """UTC milliseconds of an aware datetime."""
    return (moment - EPOCH) // MILLISECOND


def seconds(duration: str | float) -> float:
    """Seconds of a duration: `25`, `"25"`, `"300ms"`, `"2m"`, `"1.5h"`, `"7d"`. ValueError says what is expected."""
    if isinstance(duration, int | float):
        return float(duration)
    match = DURATION.fullmatch(duration.strip())
    if match is None:
        raise ValueError("expected a duration such as 25, 300ms, 2m, 1h or 7d")
    return float(match[1]) * UNITS[match[2] or "s"]
