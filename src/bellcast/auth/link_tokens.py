"""Tokens in links: signed, read, and hidden in logs. Each purpose has its own signature, so that a token for one
purpose is invalid for others."""

import codecs
import hmac
import re
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import unquote

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
HIDDEN = "hidden"
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
            hidden[start:end] = HIDDEN.encode().ljust(end - start, b"-")
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


# --- credentials in paths

PARAMETER = "{token}"
SESSION_TOKEN, API_KEY = r"eyJ[\w-]+\.[\w-]+\.[\w-]+", r"bc_[0-9a-f]+_[0-9a-f]{16,}"
# A path is decoded until it stays the same, at most this often.
MAX_DECODINGS = 5


class TokenPaths:
    """Hides credentials in paths, for logs: a path parameter named `token`, of the templates of all routes, and tokens, keys and the
    secrets of the project wherever they stand."""

    def __init__(self, templates: Iterable[str], secrets: Iterable[str] = ()) -> None:
        self._credential = re.compile("|".join([SESSION_TOKEN, API_KEY, *map(re.escape, secrets)]), re.ASCII)
        paths = list(templates)
        self._without_parameters = frozenset(path for path in paths if "{" not in path)
        before = sorted({template.partition(PARAMETER)[0] for template in paths if PARAMETER in template})
        # Requests with repeated slashes are refused, but logged.
        heads = (re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(head)).replace("/", "/+") for head in before)
        self._with_token = re.compile(f"^({'|'.join(heads) or '(?!)'})[^/]+", re.IGNORECASE)

    def hide(self, path: str) -> str:
        """Replace the credential in a path below the mount. Scanners and proxies write paths in other forms, which match no
        route: in upper case, escaped, escaped again, or below another path."""
        if path in self._without_parameters:
            return path
        text, is_hidden = path, False
        for _ in range(MAX_DECODINGS):
            before = text
            text = self._with_token.sub(rf"\g<1>{HIDDEN}", text)
            # The rest of a path with a token may contain another, as in `/u/../preferences/{token}`.
            text = hide(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")
            text = self._credential.sub(HIDDEN, text)
            is_hidden |= text != before
            decoded = unquote(text)
            if decoded == text:
                break
            text = decoded
        return text if is_hidden else path
