"""Suppressions: addresses to which no messages are sent."""

from collections.abc import Collection, Sequence

import msgspec

from bellcast.model.identities import Recipient
from bellcast.model.messages import ExternalChannel
from bellcast.ports.messages import MessageUpdate
from bellcast.ports.suppressions import Suppression
from bellcast.storage import rows
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Params, Script, Statement, fetch


class Suppressions:
    """ports.Suppressions on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, tenant: str, addresses: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        return await self._engine.read(_find, tenant, addresses)

    async def page(self, tenant: str, after: tuple[str, str], limit: int) -> list[Suppression]:
        params = {"tenant": tenant, "channel": after[0], "address": after[1], "limit": limit}
        found = await self._engine.read(fetch, Statement("suppressions_page", params))
        return [_suppression(*row) for row in found]

    async def page_of_all(self, after: tuple[str, str, str], limit: int) -> list[tuple[str, Suppression]]:
        params = {"tenant": after[0], "channel": after[1], "address": after[2], "limit": limit}
        found = await self._engine.read(fetch, Statement("suppressions_of_all", params))
        return [(tenant, _suppression(*row)) for tenant, *row in found]

    async def put(self, tenant: str, suppression: Suppression) -> tuple[Suppression, bool]:
        return await self._engine.write(ScriptCommand(lambda: _put(tenant, suppression), []))

    async def add_reported(self, tenant: str, suppression: Suppression) -> None:
        await self._write("suppression_insert", _params(tenant, suppression))

    async def lift(self, tenant: str, channel: str, address: str) -> bool:
        return await self._write("suppression_lift", _key(tenant, channel, address))

    async def delete(self, tenant: str, channel: str, address: str) -> bool:
        return await self._write("suppression_delete", _key(tenant, channel, address))

    async def _write(self, name: str, params: Params) -> bool:
        """Run a statement; return whether it returned a row."""
        statement = Statement(name, params)
        return bool(await self._engine.write(ScriptCommand(lambda: fetch(statement), [])))


def of_update(update: MessageUpdate, now: int) -> Params:
    """Return the row that suppresses the address of a message."""
    message = update.message
    return {**_key(message.tenant, message.channel, message.address), "reason": update.suppress, "created_at": now}


def _key(tenant: str, channel: str, address: str) -> dict[str, object]:
    return {"tenant": tenant, "channel": channel, "address": _address(channel, address)}


def _params(tenant: str, suppression: Suppression) -> Params:
    key = _key(tenant, suppression.channel, suppression.address)
    return {**key, "reason": suppression.reason, "created_at": suppression.created_at}


def _address(channel: str, address: str) -> str:
    """Return the address under which a suppression is stored: e-mail addresses in lower case."""
    return address.lower() if channel == "email" else address


def _suppression(channel: ExternalChannel, address: str, reason: str, created_at: int) -> Suppression:
    return Suppression(channel=channel, address=address, reason=reason, created_at=created_at)


def _find(tenant: str, addresses: Sequence[tuple[str, str]]) -> Script[frozenset[tuple[str, str]]]:
    keys = {pair: (pair[0], _address(*pair)) for pair in addresses}
    suppressed = yield from _of_addresses(tenant, {address for _, address in keys.values()})
    found = {(one.channel, one.address) for one in suppressed}
    return frozenset(pair for pair, key in keys.items() if key in found)


def of_recipient(tenant: str, recipient: Recipient) -> Script[list[Suppression]]:
    """Return the suppressions of the addresses in a recipient's record."""
    chat = msgspec.structs.astuple(recipient.chat)
    pairs = [("email", recipient.email), ("sms", recipient.phone), *(("chat", address) for address in chat)]
    addresses = {_address(channel, str(address)) for channel, address in pairs if address is not None}
    return (yield from _of_addresses(tenant, addresses))


def _of_addresses(tenant: str, addresses: Collection[str]) -> Script[list[Suppression]]:
    """Return the suppressions of addresses, in any channel."""
    params = {"tenant": tenant, "addresses": rows.to_json(sorted(addresses))}
    return [_suppression(*row) for row in (yield Statement("suppressions_find", params))]


def _put(tenant: str, suppression: Suppression) -> Script[tuple[Suppression, bool]]:
    params = _params(tenant, suppression)
    is_new = not (yield Statement("suppression_find", params))
    ((created_at,),) = yield Statement("suppression_write", params)
    stored = msgspec.structs.replace(suppression, address=params["address"], created_at=created_at)
    return stored, is_new
