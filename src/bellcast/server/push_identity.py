"""The server's identity towards browsers' push services, in the store: it stays when the encryption keys are replaced."""

import structlog
from msgspec import Struct, json

from bellcast.channels.encryption import Encryption
from bellcast.ports import Clock
from bellcast.ports.documents import PROJECT, Documents
from bellcast.providers.webpush import VapidKey

log = structlog.get_logger(__name__)

KIND, KEY = "push-identity", "vapid"
PLACE = f"{KIND}/{PROJECT}/{KEY}"


class StoredIdentity(Struct, frozen=True):
    """The private key in PEM, encrypted."""

    key: str


async def load(documents: Documents, clock: Clock, encryption: Encryption, first: VapidKey) -> VapidKey:
    """Return the stored identity. Without one, store `first` and return it; of two nodes that start together, both use the
    first one's. If no key decrypts the stored one, return `first`."""
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
