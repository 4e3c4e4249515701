"""The server's identity for browsers' push services. It is kept in the store, so that it survives a replacement of the
encryption keys."""

import structlog
from msgspec import Struct, json

from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption
from bellcast.providers.webpush import VapidKey

log = structlog.get_logger(__name__)

KIND, KEY = "push-identity", "vapid"
PLACE = f"{KIND}/{PROJECT}/{KEY}"


class StoredIdentity(Struct, frozen=True):
    """The private key in PEM, encrypted."""

    key: str


async def load(documents: Documents, clock: Clock, encryption: Encryption, first: VapidKey) -> VapidKey:
    """Return the stored identity. If there is none, store `first` and return it; two nodes that start together both use
    the one stored first. If no key decrypts the stored identity, return `first`."""
    body = json.encode(StoredIdentity(encryption.encrypt(first.to_pem().decode(), PLACE)))
    document = await documents.get(KIND, PROJECT, KEY)
    if document is None and not await documents.change(KIND, PROJECT, KEY, None, body, clock.now()):
        document = await documents.get(KIND, PROJECT, KEY)
    if document is None:
        return first
    try:
        pem = encryption.decrypt(json.decode(document.body, type=StoredIdentity).key, PLACE)
    except ValueError as error:
        log.warning("push_identity_unreadable", reason=str(error))
        return first
    return VapidKey.from_pem(pem.encode())
