"""Signed tokens in links. Each purpose has its own signature, so that a token for one purpose is invalid for others."""

import hmac
from typing import TypeVar

import msgspec

from bellcast.model import base64url
from bellcast.model.identities import Project

# 128 bits: the token is as hard to guess as a session's.
SIGNATURE_BYTES = 16

T = TypeVar("T")


def sign(project: Project, purpose: bytes, value: msgspec.Struct) -> str:
    """Encode and sign a value."""
    payload = msgspec.json.encode(value)
    return base64url.encode(_signature(project, purpose, payload) + payload)


def read(project: Project, purpose: bytes, text: str, type: type[T]) -> T | None:
    """Decode a token; None if it was not signed for this purpose."""
    try:
        data = base64url.decode(text)
        signature, payload = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        if any(hmac.compare_digest(signature, _signature(one, purpose, payload)) for one in project.accepted):
            return msgspec.json.decode(payload, type=type)
    except (ValueError, msgspec.DecodeError):
        pass
    return None


def _signature(project: Project, purpose: bytes, payload: bytes) -> bytes:
    # The project's key also signs session tokens; the purpose separates the signatures.
    keyed = project.keyed_hmac.copy()
    keyed.update(purpose + payload)
    return keyed.digest()[:SIGNATURE_BYTES]
