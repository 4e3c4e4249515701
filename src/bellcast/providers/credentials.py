"""Credentials in a URL beside user and password: a file of the operator, or Base64; and hints of the secrets in URLs."""

import base64
import binascii
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from bellcast.providers.types import SecretHint
from bellcast.providers.url import ProviderURL

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

# Private keys and service accounts have up to 4 KiB.
MAX_BYTES = 65_536
# An option `key=FILE` has the inline form `key_base64=…`.
INLINE = "_base64"
HIDDEN = SecretHint(set=True, hint="…")
# The last characters of a password or token. Fewer than 20 could be guessed with them.
SHOWN_CHARACTERS, MIN_CHARACTERS = 4, 20
# Options that contain the credentials, or name the file that contains them.
OPTIONS = frozenset(name + suffix for name in ("key", "credentials") for suffix in ("", INLINE))


def read(url: ProviderURL, option: str, *, may_read_files: bool) -> bytes | None:
    """Return the credentials of an option, or None without any. Raises ValueError.

    Only the operator's settings may name files. Over REST, a caller could probe the server's files and use its keys
    with any host."""
    inline, file = url.options.get(option + INLINE), url.options.get(option)
    if inline:
        # Accepts both alphabets; an unescaped plus sign in a query is a space.
        url_safe = inline.translate(str.maketrans(" +/", "--_")).rstrip("=")
        try:
            return base64.b64decode(url_safe + "=" * (-len(url_safe) % 4), altchars="-_", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"has an option {option}{INLINE} that is not Base64") from None
    if not file:
        return None
    if not may_read_files:
        raise ValueError(
            f"cannot name a file of the server: replace {option}=FILE by {option}{INLINE}= and the file's content in Base64"
        )
    content, path = None, Path(file)
    with suppress(OSError, ValueError):
        if path.is_file():  # a pipe or a device would block the event loop
            with path.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
    if content is None or len(content) > MAX_BYTES:
        raise ValueError(f"cannot be used, because {file} is not a readable file of at most {MAX_BYTES} bytes")
    return content


def private_key(pem: bytes) -> "ec.EllipticCurvePrivateKey":
    """Read a P-256 key. Raises ValueError with a message that continues "the URL"."""
    from cryptography.exceptions import UnsupportedAlgorithm  # 9 MB, and few servers use it
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("has a key that is not a private key in PEM") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise ValueError("has a key that is not a P-256 key")  # noqa: TRY004  the value of a setting is wrong, not a type
    return private


def hint_of(url: str) -> SecretHint:
    """Return the hint of the secret in a provider's URL."""
    parts = urlsplit(url.strip())
    if "+" in parts.scheme:  # a URL of Apprise, whose services have secrets in any place
        return HIDDEN
    if any(name in OPTIONS for name, _ in parse_qsl(parts.query)):
        return HIDDEN
    secret = unquote(parts.password or parts.username or "")
    if len(secret) >= MIN_CHARACTERS:
        return SecretHint(set=True, hint=f"…{secret[-SHOWN_CHARACTERS:]}")
    return HIDDEN if secret else SecretHint(set=False, hint=None)
