"""The server's identity for push services: a signed token per service (RFC 8292)."""

from functools import cached_property
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from bellcast.model.base64url import encode

# RFC 8292 §2 allows 24 hours.
TOKEN_SECONDS = 12 * 3600


class VapidKey:
    """A P-256 key pair. Browsers bind their subscriptions to the public key, so it must stay the same."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> "VapidKey":
        """Return a new key pair."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> "VapidKey":
        """Read a key pair. Raises ValueError."""
        private = load_pem_private_key(pem, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise ValueError("expected a P-256 private key in PEM")  # noqa: TRY004  the value of a setting is wrong, not a type
        return cls(private)

    def to_pem(self) -> bytes:
        """Return the private key, for the store."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @cached_property
    def public(self) -> str:
        """The public key, for `applicationServerKey`."""
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return encode(point)

    def authorization(self, endpoint: str, subject: str, now: float) -> str:
        """Return the Authorization header for an endpoint. `subject` is a mailto: or https: URL of the operator."""
        parts = urlsplit(endpoint)
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(now) + TOKEN_SECONDS, "sub": subject}
        return f"vapid t={jwt.encode(claims, self._private, algorithm='ES256')}, k={self.public}"
