"""The secrets in the store: re-encrypt them after the current key was replaced, and count them by key."""

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.columns import json_object
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
        """Encrypt everything with the current key, and yield the progress after each PAGE objects. Safe to interrupt and
        repeat, even on several nodes. Fields that no key can decrypt do not change. An object that a concurrent request
        changes is encrypted with the key of the node that serves that request."""
        for kind, fields in self.fields.items():
            checked = changed = 0
            async for tenant, document in self.documents.every(kind):
                values, place = json_object(document.body), f"{kind}/{tenant}/{document.key}"
                updates: dict[str, str] = {}
                for name in fields:
                    encrypted = values.get(name)
                    if encrypted is not None and self.encryption.key_index(encrypted, place) != 0:
                        with contextlib.suppress(ValueError):  # no key decrypts it
                            updates[name] = self.encryption.encrypt(self.encryption.decrypt(encrypted, place), place)
                if updates:
                    body, now = msgspec.json.encode({**values, **updates}), self.clock.now()
                    changed += await self.documents.change(kind, tenant, document.key, document.body, body, now)
                checked += 1
                if checked % PAGE == 0:
                    yield RotationProgress(kind, checked, changed)
            if checked % PAGE:
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
            async for tenant, document in self.documents.every(kind):
                values, place = json_object(document.body), f"{kind}/{tenant}/{document.key}"
                for name in fields:
                    if values.get(name) is not None:
                        yield place, self.encryption.key_index(values[name], place)
