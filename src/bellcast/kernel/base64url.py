"""base64url without padding (RFC 4648 §5)."""

import base64


def encode(data: bytes) -> str:
    """Encode bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Decode a text. Raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
