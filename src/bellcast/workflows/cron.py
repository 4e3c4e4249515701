"""Times of cron expressions: five fields with Debian's rules, including its rules for clock changes.

A fixed time in a skipped hour fires right after it; a fixed time in a repeated hour fires once, the first time. A
minute or hour that begins with `*` follows elapsed time.
"""

from collections.abc import Iterator
from datetime import UTC
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from bellcast.kernel import times

FIELDS = 5
# Maximum length: a list of every minute of an hour has 169 characters.
MAX_LENGTH = 500


def is_cron(expression: str) -> bool:
    """True for five fields that Debian's cron would accept and that fire at least once in the next years."""
    if len(expression) > MAX_LENGTH or len(expression.split()) != FIELDS:
        return False
    try:
        next(CronSim(expression, times.EPOCH))
    except (CronSimError, StopIteration):
        return False
    return True


def after(expression: str, zone: ZoneInfo, moment: int) -> Iterator[int]:
    """Yield the times (UTC milliseconds) after `moment`, in order."""
    for local in CronSim(expression, times.to_rfc3339(moment).astimezone(zone)):
        yield times.milliseconds(local.astimezone(UTC))


def between(expression: str, zone: ZoneInfo, start: int, end: int, limit: int) -> list[int]:
    """Return the last `limit` times after `start` and up to `end`, oldest first."""
    found: list[int] = []
    for moment in CronSim(expression, times.to_rfc3339(end + 1).astimezone(zone), reverse=True):
        instant = times.milliseconds(moment.astimezone(UTC))
        if instant <= start or len(found) == limit:
            break
        found.append(instant)
    return found[::-1]
