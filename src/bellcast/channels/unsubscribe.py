"""Links that turn off the e-mail of one type without a login: a signed token that does not expire (RFC 8058)."""

import hmac

import msgspec
from msgspec import Struct

from bellcast.model import base64url
from bellcast.model.identities import Project

# 128 bits: the token is as hard to guess as a session's.
SIGNATURE_BYTES = 16
# Separates these signatures from those of session tokens, which have the same key.
PURPOSE = b"bellcast unsubscribe\x00"


class Unsubscription(Struct, frozen=True, array_like=True):
    """The recipient and type of e-mail that a link turns off."""

    tenant: str
    recipient: str
    type: str


def token(project: Project, unsubscription: Unsubscription) -> str:
    """Sign a token."""
    payload = msgspec.json.encode(unsubscription)
    return base64url.encode(_signature(project, payload) + payload)


def read(project: Project, text: str) -> Unsubscription | None:
    """Read a token; None if it was not signed here."""
    try:
        data = base64url.decode(text)
        signature, payload = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        if hmac.compare_digest(signature, _signature(project, payload)):
            return msgspec.json.decode(payload, type=Unsubscription)
    except (ValueError, msgspec.DecodeError):
        pass
    return None


def _signature(project: Project, payload: bytes) -> bytes:
    keyed = project.keyed_hmac.copy()
    keyed.update(PURPOSE + payload)
    return keyed.digest()[:SIGNATURE_BYTES]
