"""The table of suppressed addresses. E-mail addresses are stored and compared in lower case."""

from collections.abc import Collection, Sequence
from contextlib import suppress

from msgspec import structs

from bellcast.channels.types import MessageUpdate, SuppressedAddress
from bellcast.documents import store as documents
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, pages, read, write
from bellcast.kernel.db.lists import KeysetList
from bellcast.kernel.db.script import Params, Script, Statement, check_tenant
from bellcast.kernel.errors import TenantErased
from bellcast.recipients.types import Recipient

_item = columns.reader(SuppressedAddress, tenant=lambda tenant: tenant or None, created_at=times.to_rfc3339)

LIST = KeysetList("suppressions", ("tenant", "channel", "address"), _item, filters=("text",))


class Suppressions(StoreTable):
    """Suppressed addresses by tenant and channel."""

    page = pages(LIST)

    @read
    def find(self, tenant: str, addresses: Sequence[tuple[str, str]]) -> Script[frozenset[tuple[str, str]]]:
        """Return the (channel, address) pairs that must not be used."""
        keys = {pair: (pair[0], _stored(*pair)) for pair in addresses}
        suppressed = yield from _of_addresses(tenant, {address for _, address in keys.values()})
        found = {(one.channel, one.address) for one in suppressed}
        return frozenset(pair for pair, key in keys.items() if key in found)

    @write(locks=lambda *written: _locks(*written[:3]))
    def put(
        self, tenant: str, channel: str, address: str, reason: str, now: int
    ) -> Script[tuple[SuppressedAddress, bool]]:
        """Suppress an address, or change the reason. Return what is stored, and whether it is new. Raises TenantErased."""
        yield from check_tenant(tenant, now)
        params = {**_key(tenant, channel, address), "reason": reason, "created_at": now}
        is_new = not (yield Statement("suppression_find", params))
        (written,) = yield Statement("suppression_write", params)
        return _item(written), is_new

    @write(locks=lambda *written: _locks(*written[:3]))
    def add_reported(self, tenant: str, channel: str, address: str, reason: str, now: int) -> Script[None]:
        """Suppress an address that a provider reports, unless its tenant is erased. It does not replace the app's own reason."""
        params = {**_key(tenant, channel, address), "reason": reason, "created_at": now}
        with suppress(TenantErased):
            yield from check_tenant(tenant, now)
            yield Statement("suppression_insert", params)

    @write()
    def lift(self, tenant: str, channel: str, address: str) -> Script[bool]:
        """Delete a suppression that STOP or a bounce caused; return whether there was one."""
        return bool((yield Statement("suppression_lift", _key(tenant, channel, address))))

    @write()
    def delete(self, tenant: str, channel: str, address: str) -> Script[bool]:
        """Delete a suppression; return whether there was one."""
        return bool((yield Statement("suppression_delete", _key(tenant, channel, address))))


def of_update(update: MessageUpdate, now: int) -> Params:
    """Return the row that suppresses the address of a message."""
    message = update.message
    return {**_key(message.tenant, message.channel, message.address), "reason": update.suppress, "created_at": now}


def of_recipient(tenant: str, recipient: Recipient) -> Script[list[SuppressedAddress]]:
    """Return the suppressions of the addresses in a recipient's record."""
    chat = structs.astuple(recipient.chat)
    pairs = [("email", recipient.email), ("sms", recipient.phone), *(("chat", address) for address in chat)]
    return (yield from _of_addresses(tenant, {_stored(channel, str(one)) for channel, one in pairs if one is not None}))


def _of_addresses(tenant: str, addresses: Collection[str]) -> Script[list[SuppressedAddress]]:
    """Return the suppressions of stored addresses, in any channel."""
    params = {"tenant": tenant, "addresses": columns.to_json(sorted(addresses))}
    return [_item(row) for row in (yield Statement("suppressions_find", params))]


def _locks(tenant: str, channel: str, address: str) -> list[tuple[str, str]]:
    return documents.locks_of("suppression", tenant, f"{channel} {_stored(channel, address)}")


def _key(tenant: str, channel: str, address: str) -> dict[str, object]:
    return {"tenant": tenant, "channel": channel, "address": _stored(channel, address)}


def _stored(channel: str, address: str) -> str:
    return address.lower() if channel == "email" else address
