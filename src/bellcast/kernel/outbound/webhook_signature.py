"""Signatures of requests to the app (Standard Webhooks): its handler URL, `http` steps and webhooks."""

import base64
import binascii
import hmac
from collections.abc import Iterable

from bellcast.kernel.errors import SettingsError

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
