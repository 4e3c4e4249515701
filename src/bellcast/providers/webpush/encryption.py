"""Message encryption for Web Push: RFC 8291 over the content coding `aes128gcm` of RFC 8188. No I/O."""

import os

from bellcast.channels.push import PushTarget
from bellcast.kernel.base64url import decode

# A push service must take 4096 bytes (RFC 8030 §7.2): header 86, tag 16 and delimiter 1 leave this for the message.
MAX_PAYLOAD = 3993
RECORD_SIZE = 4096
SALT_BYTES = 16
LAST_RECORD = b"\x02"


def encrypt(payload: bytes, subscription: PushTarget) -> bytes:
    """Encrypt one message with a fresh key pair and salt. Raises ValueError for wrong keys or too long a payload."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"the payload must be at most {MAX_PAYLOAD} bytes, got {len(payload)}")
    from cryptography.hazmat.primitives.asymmetric import ec  # 9 MB, only for servers that send to browsers
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    browser = decode(subscription.p256dh)
    browser_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), browser)
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = private.exchange(ec.ECDH(), browser_key)
    salt = os.urandom(SALT_BYTES)
    secret = _hkdf(shared, decode(subscription.auth), b"WebPush: info\x00" + browser + public, 32)
    key = _hkdf(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _hkdf(secret, salt, b"Content-Encoding: nonce\x00", 12)
    header = salt + RECORD_SIZE.to_bytes(4, "big") + bytes([len(public)]) + public
    return header + AESGCM(key).encrypt(nonce, payload + LAST_RECORD, None)


def _hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)
