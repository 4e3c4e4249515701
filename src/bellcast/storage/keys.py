"""API keys and the digests of their secrets."""

from bellcast.kernel import times
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.table import StoreTable, read, write
from bellcast.model.tenants import ApiKey
from bellcast.storage import rows


class Keys(StoreTable):
    """API keys. Only digests of their secrets are stored."""

    @write()
    def create(self, key: ApiKey, digest: bytes) -> Script[None]:
        tenants = None if key.tenants is None else rows.to_json(key.tenants)
        params = {"id": key.id, "name": key.name, "scopes": rows.to_json(key.scopes), "tenants": tenants}
        created_at = times.milliseconds(key.created_at)
        yield Statement("key_insert", {**params, "digest": digest, "created_at": created_at})

    @read
    def find(self, id: str) -> Script[tuple[ApiKey, bytes] | None]:
        """Return the key, even if it is revoked, and its digest."""
        found = yield Statement("key_find", {"id": id})
        return (rows.api_key(found[0][:-1]), bytes(found[0][-1])) if found else None

    @read
    def all(self) -> Script[list[ApiKey]]:
        return [rows.api_key(row) for row in (yield Statement("key_all"))]

    @write()
    def record_use(self, id: str, now: int) -> Script[None]:
        """Set the time of the last use of a key."""
        yield Statement("key_use", {"id": id, "now": now})

    @write()
    def revoke(self, id: str, now: int) -> Script[bool]:
        """Revoke a key; return whether it existed."""
        return bool((yield Statement("key_revoke", {"id": id, "now": now})))
