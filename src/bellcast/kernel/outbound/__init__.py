"""Requests to other servers and their responses, when failed ones are repeated, and the signatures of requests to the app."""

import base64
import binascii
import hmac
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from msgspec import Struct

from bellcast.kernel.errors import SettingsError
from bellcast.kernel.validation import storable

# Maximum characters of each text of a vendor in an AcceptedMessage or a DeliveryError. The last 32 are stored with a message.
MAX_RESPONSE = 500


class Response(Struct, frozen=True):
    """The response of another server."""

    status: int
    headers: dict[str, str]
    body: bytes


class Http(Protocol):
    """Outbound HTTP. Raises Unavailable if the other server is unreachable or too slow. Never follows redirects."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - the transport enforces it
    ) -> Response: ...

    async def close(self) -> None: ...


class DeliveryError(Exception):
    """A provider did not accept a message, or the app a step's call.

    After a temporary error, the next provider is tried, and all again later, not before `retry_after` seconds. After a
    permanent error, the message or the step has failed. `is_bounce`: the address is bad, and is then
    suppressed. `is_timeout`: no response came in time."""

    def __init__(
        self,
        response: str,
        *,
        code: str | None = None,
        is_temporary: bool,
        is_bounce: bool = False,
        is_timeout: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.response = storable(response[:MAX_RESPONSE])
        self.code = None if code is None else storable(code[:MAX_RESPONSE])
        super().__init__(self.response)
        self.is_temporary = is_temporary
        self.is_bounce = is_bounce
        self.is_timeout = is_timeout
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.response}" if self.code else self.response


# --- retries of messages and calls that failed

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


# --- signatures of requests to the app (Standard Webhooks): its handler URL, `http` steps and webhooks

SECRET_PREFIX = "whsec_"  # noqa: S105 - how Standard Webhooks marks a secret in base64
# Between a run and its step in the `webhook-id` of a step. Steps are signed with the same key as calls, and their body can be
# anything, so an id with this character is never the id of a call.
STEP_SEPARATOR = "."


def signing_key(secret: str) -> bytes:
    """Return the signing key: the bytes of the secret, or the decoded base64 of a secret that begins with `whsec_`.

    For a library that accepts only `whsec_…`, use `whsec_` + base64 of the project secret."""
    if secret.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise SettingsError("BELLCAST_PROJECT: expected base64 after `whsec_` in the secret.") from None
    return secret.encode()


def tenant_signing_key(secret: str, tenant: str) -> bytes:
    """Return the key that signs requests of a tenant's own workflows. Callers that are restricted to the tenant write
    these workflows, so their signature must not be the project's."""
    return hmac.digest(signing_key(secret), f"bellcast tenant {tenant}".encode(), "sha256")


def sign(keys: Iterable[bytes], id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Sign a body (Standard Webhooks, `v1`). Return the headers, with a signature of each key: during a rotation,
    there are two. `timestamp` is in Unix seconds."""
    text = f"{id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, text, "sha256")).decode() for key in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }
