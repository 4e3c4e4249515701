"""Push: the fields that fit a message, the keys of browsers, and the project's key, to which browsers bind their subscriptions."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from bellcast.kernel import base64url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SECRET_BYTES = 16
# FIPS 186-5 A.2.1: 64 bits more than the order make the remainder of a random number uniform.
SCALAR_BYTES = 48
# The order of P-256 (SP 800-186 §3.2.1.3).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Apple and Google take 4,096 bytes, a part of which is for names of fields.
MAX_PUSH = 3800
APP_FIELDS = ("id", "title", "body", "url")
# Texts are not shortened below this to make room for links: a notification shows at most a few lines, about 200 bytes.
MIN_TEXT_BYTES = 200


class PushTarget(Struct, frozen=True):
    """A push endpoint and its keys, as in `PushSubscription.toJSON()`: `p256dh` is the browser's public key, `auth`
    its secret, both base64url."""

    endpoint: str
    p256dh: str
    auth: str


def keys_problem(p256dh: str, auth: str) -> tuple[str, str] | None:
    """Return the field of a browser's keys that cannot be used, and why; or None."""
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), base64url.decode(p256dh))
    except (ValueError, InvalidKey):
        return "p256dh", "must be a P-256 public key in base64url"
    try:
        if len(base64url.decode(auth)) == SECRET_BYTES:
            return None
    except ValueError:
        pass
    return "auth", f"must be {SECRET_BYTES} bytes in base64url"


def project_key(secret: bytes) -> "ec.EllipticCurvePrivateKey":
    """Derive the project's key pair, which is the same on all nodes without being stored."""
    from cryptography.hazmat.primitives.asymmetric import ec

    blocks = [hmac.digest(secret, b"bellcast push %d" % number, hashlib.sha256) for number in range(2)]
    scalar = int.from_bytes(b"".join(blocks)[:SCALAR_BYTES], "big")
    return ec.derive_private_key(scalar % (ORDER - 1) + 1, ec.SECP256R1())


def fitted(content: Mapping[str, Any], fields: Sequence[str], limit: int = MAX_PUSH) -> dict[str, Any]:
    """Return fields of a push that have at most `limit` bytes as JSON: the body and then the title are shortened. If that is not
    enough, the buttons are omitted, and last the link: without it, a click opens the app."""
    shown = {name: content[name] for name in fields if content.get(name)}
    short = _shortened(shown, limit)
    for name in ("actions", "url"):
        if len(msgspec.json.encode(short)) > limit and shown.pop(name, None):
            short = _shortened(shown, limit)
    return short


def _shortened(shown: dict[str, Any], limit: int) -> dict[str, Any]:
    """Shorten the texts to what fits, or to their minimum."""
    short = dict(shown)
    for name in ("body", "title"):
        text = str(short.get(name, "")).encode()
        if (excess := len(msgspec.json.encode(short)) - limit) > 0 and len(text) > MIN_TEXT_BYTES:
            # JSON needs at least as many bytes as the text that is cut off.
            length = max(MIN_TEXT_BYTES, len(text) - excess) - len("…".encode())
            short[name] = text[:length].decode(errors="ignore") + "…"
    return short
