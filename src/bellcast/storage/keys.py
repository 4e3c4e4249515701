"""API keys: what they may do, and the digests of their secrets."""

from bellcast.model import times
from bellcast.model.identities import ApiKey
from bellcast.storage import rows
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.locks import locks


class Keys:
    """ports.Keys on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, key: ApiKey, digest: bytes) -> None:
        """Keep a key and its secret's digest."""
        await self._engine.write(_create, key, digest)

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        """The key and its digest, revoked ones too."""
        return await self._engine.read(_find, id)

    async def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        return await self._engine.read(_all)

    async def revoke(self, id: str, now: int) -> bool:
        """Whether there was one to revoke."""
        return await self._engine.write(_revoke, id, now)


@locks(lambda *_: [])
def _create(key: ApiKey, digest: bytes) -> Script[None]:
    yield Statement(
        "key_insert",
        {
            "id": key.id,
            "name": key.name,
            "scopes": rows.to_json(key.scopes),
            "digest": digest,
            "created_at": times.milliseconds(key.created_at),
        },
    )


def _find(id: str) -> Script[tuple[ApiKey, bytes] | None]:
    found = yield Statement("key_find", {"id": id})
    return (rows.api_key(found[0][:-1]), bytes(found[0][-1])) if found else None


def _all() -> Script[list[ApiKey]]:
    found = yield Statement("key_all")
    return [rows.api_key(row) for row in found]


@locks(lambda *_: [])
def _revoke(id: str, now: int) -> Script[bool]:
    revoked = yield Statement("key_revoke", {"id": id, "now": now})
    return bool(revoked)
