"""The secrets in the store: re-encrypt them after the current key was replaced, and count them by key."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.documents.types import Document
from bellcast.kernel.clock import Clock
from bellcast.kernel.encryption import Encryption

log = structlog.get_logger(__name__)

PAGE = 100


class RotationProgress(Struct, frozen=True):
    """Numbers of objects of a kind that were read and re-encrypted."""

    kind: str
    checked: int
    changed: int


class KeyUsage(Struct, frozen=True):
    """A key and the number of stored secrets that it has encrypted."""

    id: str
    is_current: bool
    secrets: int


class StoredSecrets(Struct, eq=False):
    """The encrypted fields of all objects. `ids` are the names of the keys, the current one first."""

    documents: Documents
    clock: Clock
    encryption: Encryption
    ids: Sequence[str]
    fields: Mapping[str, Sequence[str]]

    async def rotate(self) -> AsyncGenerator[RotationProgress]:
        """Encrypt everything with the current key, and yield the progress after each page. Safe to interrupt and
        repeat, even on several nodes. Fields that no key can decrypt do not change. An object that a concurrent request
        changes is encrypted with the key of the node that serves that request."""
        for kind, fields in self.fields.items():
            checked = changed = 0
            async for page in self._pages(kind):
                for tenant, document in page:
                    changed += await self._reencrypt(kind, fields, tenant, document)
                checked += len(page)
                yield RotationProgress(kind, checked, changed)
            if changed:
                log.info("secrets_reencrypted", kind=kind, count=changed)

    async def usage(self) -> tuple[list[KeyUsage], int]:
        """Return the number of secrets by key, and of those that no key decrypts."""
        counts = Counter([number async for _, number in self._key_indexes()])
        keys = [KeyUsage(id, number == 0, counts[number]) for number, id in enumerate(self.ids)]
        return keys, counts[None]

    async def unreadable(self) -> list[str]:
        """Return the objects with a secret that no key decrypts, such as `providers/acme/mail`."""
        return sorted({place async for place, number in self._key_indexes() if number is None})

    async def _key_indexes(self) -> AsyncGenerator[tuple[str, int | None]]:
        """Yield each secret's object, and the index of the key that encrypted it."""
        for kind, fields in self.fields.items():
            async for page in self._pages(kind):
                for tenant, document in page:
                    values, place = _values(document), _place(kind, tenant, document)
                    for name in fields:
                        if values.get(name) is not None:
                            yield place, self.encryption.key_index(values[name], place)

    async def _pages(self, kind: str) -> AsyncGenerator[list[tuple[str, Document]]]:
        after = ("", "")
        while found := await self.documents.of_all_tenants(kind, after, PAGE):
            yield found
            tenant, last = found[-1]
            after = (tenant, last.key)

    async def _reencrypt(self, kind: str, fields: Sequence[str], tenant: str, document: Document) -> bool:
        values, place = _values(document), _place(kind, tenant, document)
        renewed = {name: _renewed(self.encryption, values.get(name), place) for name in fields}
        updates = {name: text for name, text in renewed.items() if text is not None}
        if not updates:
            return False
        body = msgspec.json.encode({**values, **updates})
        return await self.documents.change(kind, tenant, document.key, document.body, body, self.clock.now())


def _values(document: Document) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.json.decode(document.body)
    return values


def _place(kind: str, tenant: str, document: Document) -> str:
    return f"{kind}/{tenant}/{document.key}"


def _renewed(encryption: Encryption, encrypted: str | None, place: str) -> str | None:
    """Return the field, encrypted with the current key; None if it needs no change."""
    if encrypted is None or encryption.key_index(encrypted, place) == 0:
        return None
    try:
        return encryption.encrypt(encryption.decrypt(encrypted, place), place)
    except ValueError:
        return None
