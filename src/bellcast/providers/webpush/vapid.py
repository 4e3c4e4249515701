"""The server's identity for push services: a signed token per service (RFC 8292)."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bellcast.kernel.base64url import encode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

# RFC 8292 §2 allows 24 hours.
TOKEN_SECONDS = 12 * 3600


class VapidKey:
    """A P-256 key pair. Browsers bind their subscriptions to the public key, so it must stay the same. `find_private`
    is called when the key is first used, because cryptography takes 9 MB."""

    def __init__(self, find_private: "Callable[[], ec.EllipticCurvePrivateKey]") -> None:
        self._find_private = find_private

    @cached_property
    def _private(self) -> "ec.EllipticCurvePrivateKey":
        return self._find_private()

    @classmethod
    def generate(cls) -> "VapidKey":
        """Return a new key pair."""
        from cryptography.hazmat.primitives.asymmetric import ec

        return cls(lambda: ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> "VapidKey":
        """Read a key pair. Raises ValueError."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        private = load_pem_private_key(pem, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise ValueError("expected a P-256 private key in PEM")  # noqa: TRY004  the value of a setting is wrong, not a type
        return cls(lambda: private)

    def to_pem(self) -> bytes:
        """Return the private key, for the store."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @cached_property
    def public(self) -> str:
        """The public key, for `applicationServerKey`."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return encode(point)

    def authorization(self, endpoint: str, subject: str, now: float) -> str:
        """Return the Authorization header for an endpoint. `subject` is a mailto: or https: URL of the operator."""
        import jwt

        parts = urlsplit(endpoint)
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(now) + TOKEN_SECONDS, "sub": subject}
        return f"vapid t={jwt.encode(claims, self._private, algorithm='ES256')}, k={self.public}"
