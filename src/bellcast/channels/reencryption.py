"""Encrypt stored secrets with the current key, after it was replaced."""

from collections.abc import Sequence

import msgspec
import structlog

from bellcast.channels.encryption import Encryption
from bellcast.ports import Clock
from bellcast.ports.documents import Documents

log = structlog.get_logger(__name__)

PAGE = 100


async def reencrypt(
    documents: Documents, clock: Clock, encryption: Encryption, kind: str, fields: Sequence[str]
) -> int:
    """Encrypt these fields of all objects of a kind with the current key; return the number of changed objects. A field that
    no key decrypts stays as it is, and so does an object that changes meanwhile: it is written with the current key."""
    changed, after = 0, ("", "")
    while found := await documents.of_all_tenants(kind, after, PAGE):
        for tenant, document in found:
            values = msgspec.json.decode(document.body)
            place = f"{kind}/{tenant}/{document.key}"
            renewed = {name: _renewed(encryption, values.get(name), place) for name in fields}
            updates = {name: text for name, text in renewed.items() if text is not None}
            if updates:
                body = msgspec.json.encode({**values, **updates})
                changed += await documents.change(kind, tenant, document.key, document.body, body, clock.now())
        tenant, last = found[-1]
        after = (tenant, last.key)
    if changed:
        log.info("secrets_reencrypted", kind=kind, count=changed)
    return changed


def _renewed(encryption: Encryption, encrypted: str | None, place: str) -> str | None:
    """The field with the current key; None if it needs no change."""
    if encrypted is None or encryption.is_current(encrypted, place):
        return None
    try:
        return encryption.encrypt(encryption.decrypt(encrypted, place), place)
    except ValueError:
        return None
