"""A browser that receives push messages: the receiving side of RFC 8291."""

import json
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bellcast.channels.push import PushTarget
from bellcast.kernel import base64url
from bellcast.providers.webpush import VapidKey


def vapid_key() -> VapidKey:
    """Return a new key pair of a server."""
    return VapidKey(lambda: ec.generate_private_key(ec.SECP256R1()))


class Browser:
    """A subscription and its keys."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.secret = os.urandom(16)

    def subscription(self, endpoint: str = "https://push.example/1") -> PushTarget:
        return PushTarget(endpoint, base64url.encode(self.public), base64url.encode(self.secret))

    def to_json(self, endpoint: str) -> dict[str, object]:
        """The result of `PushSubscription.toJSON()`."""
        keys = {"p256dh": base64url.encode(self.public), "auth": base64url.encode(self.secret)}
        return {"endpoint": endpoint, "expirationTime": None, "keys": keys}

    def decrypt(self, body: bytes) -> bytes:
        salt, size, key_length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        assert (size, key_length) == (4096, 65)
        sender = body[21:86]
        shared = self.private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        secret = hkdf(shared, self.secret, b"WebPush: info\x00" + self.public + sender, 32)
        key = hkdf(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
        nonce = hkdf(secret, salt, b"Content-Encoding: nonce\x00", 12)
        padded = AESGCM(key).decrypt(nonce, body[86:], None)
        assert padded[-1:] == b"\x02"
        return padded[:-1]


# In place of Chromium's own subscription, which comes from a push service on the internet.
STAND_IN = """{
  const subscription = { ...SUBSCRIPTION, options: {}, toJSON: () => (SUBSCRIPTION), unsubscribe: async () => localStorage.removeItem('push') };
  PushManager.prototype.subscribe = async () => { localStorage.setItem('push', 'on'); return subscription; };
  PushManager.prototype.getSubscription = async () => (localStorage.getItem('push') ? subscription : null);
}"""


def stand_in(endpoint: str) -> str:
    """Return a script that gives a page a push subscription."""
    return STAND_IN.replace("SUBSCRIPTION", json.dumps(Browser().to_json(endpoint)))


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)
