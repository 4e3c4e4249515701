"""Encrypt secrets in the store, so that its backups do not contain them."""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bellcast.model import base64url

NONCE_BYTES = 12


class Encryption:
    """AES-256-GCM with a key derived from a secret. A ciphertext is bound to its `place`: copied to another object, it
    cannot be read."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret, b"bellcast store encryption", hashlib.sha256))

    def encrypt(self, text: str, place: str) -> str:
        """Return the encrypted text, in base64url."""
        nonce = os.urandom(NONCE_BYTES)
        return base64url.encode(nonce + self._cipher.encrypt(nonce, text.encode(), place.encode()))

    def decrypt(self, encrypted: str, place: str) -> str:
        """Raises ValueError if the text was encrypted by another key or for another place."""
        data = base64url.decode(encrypted)
        try:
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode()).decode()
        except InvalidTag:
            raise ValueError("was encrypted with another BELLCAST_ENCRYPTION_KEY") from None
