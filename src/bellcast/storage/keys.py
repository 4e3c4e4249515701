"""API keys and the digests of their secrets."""

from bellcast.model import times
from bellcast.model.identities import ApiKey
from bellcast.storage import rows
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Statement, fetch


class Keys:
    """ports.Keys on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, key: ApiKey, digest: bytes) -> None:
        insert = Statement(
            "key_insert",
            {
                "id": key.id,
                "name": key.name,
                "scopes": rows.to_json(key.scopes),
                "tenants": None if key.tenants is None else rows.to_json(key.tenants),
                "digest": digest,
                "created_at": times.milliseconds(key.created_at),
            },
        )
        await self._engine.write(ScriptCommand(lambda: fetch(insert), []))

    async def find(self, id: str) -> tuple[ApiKey, bytes] | None:
        found = await self._engine.read(fetch, Statement("key_find", {"id": id}))
        return (rows.api_key(found[0][:-1]), bytes(found[0][-1])) if found else None

    async def all(self) -> list[ApiKey]:
        return [rows.api_key(row) for row in await self._engine.read(fetch, Statement("key_all"))]

    async def record_use(self, id: str, now: int) -> None:
        use = Statement("key_use", {"id": id, "now": now})
        await self._engine.write(ScriptCommand(lambda: fetch(use), []))

    async def revoke(self, id: str, now: int) -> bool:
        revoke = Statement("key_revoke", {"id": id, "now": now})
        return bool(await self._engine.write(ScriptCommand(lambda: fetch(revoke), [])))
