"""Fingerprints of requests that have an idempotency key.

A request must have the same fingerprint in every release, because a key outlives an upgrade, and nodes of two releases share
a store. All decoded fields are hashed, so equal bodies match regardless of their formatting. So a field that is added to a
draft, or to a struct within one, has the default `UNSET`, which is not encoded."""

import hashlib
from typing import Any

import msgspec


def fingerprint(request: Any, idempotency_key: str | None, prefix: bytes = b"") -> bytes:
    """Return the fingerprint of a request; empty without a key."""
    if idempotency_key is None:
        return b""
    return hashlib.sha256(prefix + msgspec.json.encode(request, order="deterministic")).digest()
