"""API keys and the digests of their secrets."""

from datetime import datetime

import msgspec
from msgspec import Struct

from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, read, write
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.identities import KeyScope


class ApiKey(Struct, frozen=True, kw_only=True):
    """A server-side key without its secret part."""

    id: str
    name: str
    scopes: tuple[KeyScope, ...]
    tenants: tuple[str, ...] | None = None  # None: all
    created_at: datetime
    revoked_at: datetime | None = None
    used_at: datetime | None = None  # last use, with a resolution of a minute
    expires_at: datetime | None = None  # None: valid until it is revoked


class Keys(StoreTable):
    """API keys. Only digests of their secrets are stored."""

    @write()
    def create(self, key: ApiKey, digest: bytes) -> Script[None]:
        tenants = None if key.tenants is None else columns.to_json(key.tenants)
        params = {"id": key.id, "name": key.name, "scopes": columns.to_json(key.scopes), "tenants": tenants}
        created_at = times.milliseconds(key.created_at)
        expires_at = None if key.expires_at is None else times.milliseconds(key.expires_at)
        yield Statement("key_insert", {**params, "digest": digest, "created_at": created_at, "expires_at": expires_at})

    @read
    def find(self, id: str) -> Script[tuple[ApiKey, bytes] | None]:
        """Return the key, even if it is revoked, and its digest."""
        found = yield Statement("key_find", {"id": id})
        return (_api_key(found[0][:-1]), bytes(found[0][-1])) if found else None

    @read
    def all(self) -> Script[list[ApiKey]]:
        return [_api_key(row) for row in (yield Statement("key_all"))]

    @write()
    def record_use(self, id: str, now: int) -> Script[None]:
        """Set the time of the last use of a key."""
        yield Statement("key_use", {"id": id, "now": now})

    @write()
    def revoke(self, id: str, now: int) -> Script[bool]:
        """Revoke a key; return whether it existed."""
        return bool((yield Statement("key_revoke", {"id": id, "now": now})))


_api_key = columns.reader(
    ApiKey,
    "id name scopes tenants created_at revoked_at used_at expires_at",
    scopes=msgspec.json.Decoder(tuple[KeyScope, ...]).decode,
    tenants=columns.texts_or_null,
    created_at=times.to_rfc3339,
    revoked_at=times.to_rfc3339_or_null,
    used_at=times.to_rfc3339_or_null,
    expires_at=times.to_rfc3339_or_null,
)
