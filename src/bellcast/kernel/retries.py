"""Retry delays of messages that no provider accepted, and of calls that failed."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# 10 s covers a restart, 2 h an outage; in total about 4 hours.
RETRIES = (10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
# Jitter, so that messages that failed together are not retried together.
JITTER = 0.1
# A longer Retry-After of a provider is reduced to one day.
MAX_RETRY_AFTER = 86_400.0
# Refusal statuses that other credentials, another provider or a later attempt may avoid.
TEMPORARY = frozenset({401, 403, 408, 425, 429})
# Maximum characters of a number of seconds or a date; RFC 9110 dates have at most 33.
MAX_HEADER = 64


def next_delay(failures: int, retries: Sequence[float], retry_after: float | None) -> float | None:
    """Return the seconds until the next round after this many failed ones; None after the last round."""
    if failures > len(retries):
        return None
    delay = retries[failures - 1] * (1 + JITTER * (2 * random.random() - 1))
    return max(delay, min(retry_after or 0.0, MAX_RETRY_AFTER))


def is_temporary(status: int) -> bool:
    """True for a refusal that is not caused by the content of the request."""
    return status in TEMPORARY or status >= 500


def parse_retry_after(headers: Mapping[str, str], now: int | None = None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 §10.2.3): a number, or a date relative to the response's
    Date, or to `now` (UTC milliseconds) if it has none. None for anything else."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    moment = _date(value)
    if moment is None:
        return None
    sent_at = _date(headers.get("date", ""))
    if sent_at is None and now is not None:
        sent_at = datetime.fromtimestamp(now / 1000, UTC)
    return None if sent_at is None else max(0.0, (moment - sent_at).total_seconds())


def _date(text: str) -> datetime | None:
    """Parse an HTTP date; without a zone, it is in UTC."""
    try:
        moment = parsedate_to_datetime(text) if len(text) <= MAX_HEADER else None
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError):
        return None
