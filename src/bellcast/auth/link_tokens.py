"""Signed tokens in links. Each purpose has its own signature, so that a token for one purpose is invalid for others."""

import codecs
import hmac
import re
from typing import TypeVar

import msgspec

from bellcast.kernel import base64url
from bellcast.kernel.identities import Project

# 128 bits: the token is as hard to guess as a session's.
SIGNATURE_BYTES = 16
# The beginning of a token in any text, however its link is written: 21 characters of the signature, `["` of the payload
# (`si`, after one of four characters), and 16 of its other characters. It is searched for by `si`: 0.6 ms per MB.
BEGINNING = re.compile(rb"si(?<=[FVl1]si)(?<=[A-Za-z0-9_-]{24})(?=([A-Za-z0-9_-]{16}))")
BEFORE = 22
REST = re.compile(rb"[A-Za-z0-9_-]+")
HIDDEN = b"hidden"
NewDecoder = codecs.getincrementaldecoder("utf-8")
# Beginnings in one text that are checked, which takes 1 µs each; further ones are tokens. Random base64 of 60 MB has as many.
MAX_CHECKED = 1000

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


def hide(text: bytes) -> bytes:
    """Replace the tokens in a text of the same length. The holder of a token can act in its recipient's name."""
    hidden, end = bytearray(text), 0
    for number, found in enumerate(BEGINNING.finditer(text)):
        if found.start() < end or not (number >= MAX_CHECKED or _is_text(base64url.decode(found[1].decode()))):
            continue
        if rest := REST.match(text, found.end()):
            start, end = found.start() - BEFORE, rest.end()
            hidden[start:end] = HIDDEN.ljust(end - start, b"-")
    return bytes(hidden)


def _is_text(part: bytes) -> bool:
    """Return whether JSON can have this part, whose last character may be cut off. Images in base64 have other bytes."""
    try:
        NewDecoder().decode(part)
    except UnicodeDecodeError:
        return False
    return min(part) >= ord(" ")


def _signature(project: Project, purpose: bytes, payload: bytes) -> bytes:
    # The project's key also signs session tokens; the purpose separates the signatures.
    keyed = project.keyed_hmac.copy()
    keyed.update(purpose + payload)
    return keyed.digest()[:SIGNATURE_BYTES]
