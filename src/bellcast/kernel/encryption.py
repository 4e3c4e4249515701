"""Encrypt secrets in the store, so that its backups do not contain them."""

import hashlib
import hmac
import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from bellcast.kernel import base64url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class Encryption:
    """AES-256-GCM with a key derived from a secret; previous secrets only decrypt. A ciphertext is bound to its
    `place`: it cannot be decrypted in another object."""

    def __init__(self, secret: bytes, previous: Sequence[bytes] = ()) -> None:
        self._keys = [hmac.digest(one, b"bellcast store encryption", hashlib.sha256) for one in (secret, *previous)]

    @cached_property
    def _ciphers(self) -> "list[AESGCM]":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 9 MB, only for stores that have secrets

        return [AESGCM(key) for key in self._keys]

    def encrypt(self, text: str, place: str) -> str:
        """Return the encrypted text, in base64url. It can be decrypted only for the same `place`, such as `webhooks/acme/1`."""
        nonce = os.urandom(NONCE_BYTES)
        return base64url.encode(nonce + self._ciphers[0].encrypt(nonce, text.encode(), place.encode()))

    def decrypt(self, encrypted: str, place: str) -> str:
        """Decrypt a text. Raises ValueError if it was encrypted with another key or for another place."""
        for cipher in self._ciphers:
            text = _decrypted(cipher, encrypted, place)
            if text is not None:
                return text
        advice = "restore encryption.json, or set the same BELLCAST_ENCRYPTION_KEY on all nodes"
        raise ValueError(f"was encrypted with another key: {advice}")

    def digest(self, text: str) -> str:
        """Return what is stored of a text that is only compared."""
        return hmac.digest(self._keys[0], text.encode(), hashlib.sha256).hex()

    def key_index(self, encrypted: str, place: str) -> int | None:
        """Return the index of the key that encrypted this text for this place: 0 is the current key, None means an
        unknown key."""
        texts = (_decrypted(cipher, encrypted, place) for cipher in self._ciphers)
        return next((number for number, text in enumerate(texts) if text is not None), None)


def _decrypted(cipher: "AESGCM", encrypted: str, place: str) -> str | None:
    from cryptography.exceptions import InvalidTag

    try:
        data = base64url.decode(encrypted)
        return cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
    except (InvalidTag, ValueError):  # a text that was tampered with in the store can have any form
        return None
