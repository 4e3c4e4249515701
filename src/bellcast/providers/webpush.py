"""Push notifications to browsers: Web Push (RFC 8030), encrypted as `aes128gcm` (RFC 8291, RFC 8188), with VAPID (RFC 8292)."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from bellcast.channels import push
from bellcast.channels.push import PushTarget
from bellcast.kernel import base64url
from bellcast.kernel.clock import Clock
from bellcast.kernel.outbound import DeliveryError, Http
from bellcast.providers import vendor_api
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Provider

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
    def from_pem(cls, pem: bytes) -> "VapidKey":
        """Read a key pair. Raises ValueError."""
        private = vendor_api.private_key(pem)
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
        return base64url.encode(point)

    def authorization(self, endpoint: str, subject: str, now: float) -> str:
        """Return the Authorization header for an endpoint. `subject` is a mailto: or https: URL of the operator."""
        import jwt

        parts = urlsplit(endpoint)
        claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(now) + TOKEN_SECONDS, "sub": subject}
        return f"vapid t={jwt.encode(claims, self._private, algorithm='ES256')}, k={self.public}"


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

    browser = base64url.decode(subscription.p256dh)
    browser_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), browser)
    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = private.exchange(ec.ECDH(), browser_key)
    salt = os.urandom(SALT_BYTES)
    secret = _hkdf(shared, base64url.decode(subscription.auth), b"WebPush: info\x00" + browser + public, 32)
    key = _hkdf(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _hkdf(secret, salt, b"Content-Encoding: nonce\x00", 12)
    header = salt + RECORD_SIZE.to_bytes(4, "big") + bytes([len(public)]) + public
    return header + AESGCM(key).encrypt(nonce, payload + LAST_RECORD, None)


def _hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


# The subscription no longer exists (RFC 8030 §7.3).
GONE = frozenset({404, 410})
# Time to live. Large push services drop a push that was not fetched after four weeks anyway.
TTL = 28 * 86_400
# Fields that the service worker reads.
FIELDS = ("id", "title", "body", "url", "actions")
URGENCY = {"low": "low", "normal": "normal", "high": "high", "urgent": "high"}


class WebPushProvider(Provider):
    """A provider for browsers. `to` of a message is a Subscription as JSON. `http` must be guarded, because
    clients supply the endpoints."""

    kinds: Sequence[AddressKind] = ("web",)
    server = None

    def __init__(self, http: Http, clock: Clock, key: VapidKey, subject: str, *, timeout: float = 30.0) -> None:
        self._http = http
        self._clock = clock
        self._key = key
        self._subject = subject
        self._timeout = timeout

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Post the encrypted content. A deleted subscription is a bounce."""
        subscription = msgspec.json.decode(message.to, type=PushTarget)
        content: dict[str, Any] = message.content
        payload = msgspec.json.encode(push.fitted(content, FIELDS, MAX_PAYLOAD))
        if len(payload) > MAX_PAYLOAD:
            raise DeliveryError(f"the content exceeds the {MAX_PAYLOAD} bytes of a push message", is_temporary=False)
        try:
            body = encrypt(payload, subscription)
        except ValueError as error:  # the keys are wrong
            raise DeliveryError(str(error), is_temporary=False, is_bounce=True) from None
        now = self._clock.now() / 1000
        headers = {
            "authorization": self._key.authorization(subscription.endpoint, self._subject, now),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(TTL),
            "urgency": URGENCY.get(str(content.get("priority")), "normal"),
        }
        response = await vendor_api.VendorAPI(subscription.endpoint, self._http, self._timeout).post("", headers, body)
        if not 200 <= response.status < 300:
            raise vendor_api.error_of(response, is_bounce=response.status in GONE)
        return AcceptedMessage(str(response.status), None, response.headers.get("location"))
