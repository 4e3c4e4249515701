"""Idempotency keys: the response to a request is stored under its key, and answers each repetition for 24 hours.

A request must have the same fingerprint in every release, because a key outlives an upgrade, and nodes of two releases share
a store. All decoded fields are hashed, so equal bodies match regardless of their formatting. So a field that is added to a
draft, or to a struct within one, has the default `UNSET`, which is not encoded."""

import hashlib
from typing import Any

import msgspec

from bellcast.inbox.types.sends import KeyedRequest
from bellcast.kernel import times
from bellcast.kernel.db.script import Script, Statement, WriteConflict
from bellcast.kernel.errors import IdempotencyMismatch

# Lifetime of an idempotency key and the stored response.
IDEMPOTENCY_MS = times.DAY_MS


def fingerprint(request: Any, idempotency_key: str | None, prefix: bytes = b"") -> bytes:
    """Return the fingerprint of a request; empty without a key."""
    if idempotency_key is None:
        return b""
    return hashlib.sha256(prefix + msgspec.json.encode(request, order="deterministic")).digest()


def find_response(tenant: str, key: str, fingerprint: bytes, now: int) -> Script[bytes | None]:
    """Return the response that a request stored under this idempotency key, or None. Raises IdempotencyMismatch if the
    request had another body."""
    found = yield Statement("idempotency_find", {"tenant": tenant, "key": key, "since": now - IDEMPOTENCY_MS})
    if not found:
        return None
    stored, response = found[0]
    if stored != fingerprint:
        raise IdempotencyMismatch
    return bytes(response)


def response_to(tenant: str, request: KeyedRequest) -> Script[bytes | None]:
    """Return the response stored under the request's idempotency key. Raises IdempotencyMismatch."""
    if request.idempotency_key is None:
        return None
    return (yield from find_response(tenant, request.idempotency_key, request.fingerprint, request.created_at))


def store_response(tenant: str, request: KeyedRequest) -> Script[None]:
    """Store the response under the request's idempotency key, if it has one."""
    if request.idempotency_key is None:
        return
    stored = yield Statement(
        "idempotency_keep",
        {
            "tenant": tenant,
            "key": request.idempotency_key,
            "fingerprint": request.fingerprint,
            "response": request.response,
            "created_at": request.created_at,
            "since": request.created_at - IDEMPOTENCY_MS,
        },
    )
    if not stored:
        raise WriteConflict
