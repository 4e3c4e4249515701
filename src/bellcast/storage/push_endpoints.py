"""Push endpoints: addresses at which browsers and apps receive push messages."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from bellcast.ports.push_endpoints import PushEndpoint
from bellcast.storage import ensure, rows
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Script, Statement, fetch


class PushEndpoints:
    """ports.PushEndpoints on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, tenant: str, recipient: str, endpoint: PushEndpoint, limit: int) -> tuple[str, bool]:
        return await self._engine.write(
            ScriptCommand(lambda: _put(tenant, recipient, endpoint, limit), [(tenant, recipient)])
        )

    async def page(self, tenant: str, recipient: str) -> list[PushEndpoint]:
        return await self._engine.read(_page, tenant, recipient)

    async def addresses(self, tenant: str, recipients: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return await self._engine.read(_addresses, tenant, recipients)

    async def delete(self, tenant: str, recipient: str, id: str) -> bool:
        statement = Statement("push_endpoint_delete", {"tenant": tenant, "key": recipient, "id": id})
        return bool(await self._engine.write(ScriptCommand(lambda: fetch(statement), [(tenant, recipient)])))

    async def forget(self, tenant: str, address: str) -> None:
        statement = Statement("push_endpoint_forget", {"tenant": tenant, "address": address})
        await self._engine.write(ScriptCommand(lambda: fetch(statement), []))


def _put(tenant: str, recipient: str, endpoint: PushEndpoint, limit: int) -> Script[tuple[str, bool]]:
    inbox, _ = yield from ensure.ensure_recipient(tenant, recipient, endpoint.registered_at)
    params = {**msgspec.structs.asdict(endpoint), "public_key": endpoint.p256dh, "tenant": tenant, "inbox": inbox}
    is_new = not (yield Statement("push_endpoint_find", params))
    ((id,),) = yield Statement("push_endpoint_write", params)
    name = {"tenant": tenant, "key": recipient}
    for one in (yield from _page(tenant, recipient))[limit:]:
        yield Statement("push_endpoint_delete", {**name, "id": one.id})
    return id, is_new


def _page(tenant: str, recipient: str) -> Script[list[PushEndpoint]]:
    found = yield Statement("push_endpoints_of", {"tenant": tenant, "key": recipient})
    return [
        PushEndpoint(id=id, kind=kind, address=address, p256dh=p256dh, auth=auth, registered_at=registered_at)
        for id, kind, address, p256dh, auth, registered_at in found
    ]


def _addresses(tenant: str, recipients: Sequence[str]) -> Script[dict[str, tuple[str, ...]]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key, address in (yield Statement("push_addresses", {"tenant": tenant, "keys": rows.to_json(recipients)})):
        found[key].append(address)
    return {key: tuple(addresses) for key, addresses in found.items()}
