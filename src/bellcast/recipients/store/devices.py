"""Devices of recipients: the acknowledged inbox position of each, and push endpoints."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from bellcast.inbox.types.inboxes import Position
from bellcast.kernel.db import columns
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.table import StoreTable, on_table, read, write, write_to_recipient
from bellcast.recipients.store import ensure
from bellcast.recipients.types import PushEndpoint

# Equal to `Limits.connections_per_recipient`: a client that always names another device cannot fill the table.
MAX_CONNECTIONS = 100
# The revision of a connection that has acknowledged nothing yet.
UNKNOWN = -1


class DevicePosition(Struct, frozen=True):
    """The acknowledged revision of a connection: the client replied after it was sent this revision."""

    inbox: int
    device: bytes
    connection: str
    epoch: int
    revision: int


def _acknowledge(positions: Sequence[DevicePosition], now: int) -> Script[None]:
    """Save the positions of connections."""
    yield Statement("device_connect", many=[{**msgspec.structs.asdict(one), "now": now} for one in positions])


class Devices(StoreTable):
    """Acknowledged positions of devices, for clients that keep no position themselves."""

    @write(locks=lambda position, *_: [position.inbox])
    def register(self, position: DevicePosition, live: frozenset[str], now: int) -> Script[Position | None]:
        """Save the position of a new connection. It continues a closed connection of the device, one that is not in
        `live`. Return a position from which each of these would receive all its events, or None if unknown."""
        device = {"inbox": position.inbox, "device": position.device}
        known = yield Statement("device_connections", device)
        closed = sorted(
            (epoch, revision, connection) for connection, epoch, revision in known if connection not in live
        )
        if not closed:
            yield from _acknowledge([position], now)
            yield Statement("device_trim", {"inbox": position.inbox, "limit": MAX_CONNECTIONS})
            return None
        # It is unknown which connection this one continues. It replays from the lowest position, and the highest is
        # deleted. So in any order of reconnection, each device replays from its own position or an earlier one.
        epoch, revision, _ = closed[0]
        yield Statement("device_disconnect", {**device, "connection": closed[-1][2]})
        resumed = DevicePosition(position.inbox, position.device, position.connection, epoch, revision)
        yield from _acknowledge([resumed], now)
        return None if revision == UNKNOWN else Position(epoch, revision)

    acknowledge = write()(on_table(_acknowledge))

    @write()
    def delete_older(self, before: int) -> Script[None]:
        """Delete positions saved before a time (UTC milliseconds)."""
        yield Statement("device_forget", {"before": before})


_endpoint = columns.reader(PushEndpoint)


def _page(tenant: str, recipient: str) -> Script[list[PushEndpoint]]:
    """Return a recipient's endpoints, newest first."""
    found = yield Statement("push_endpoints_of", {"tenant": tenant, "key": recipient})
    return list(map(_endpoint, found))


class PushEndpoints(StoreTable):
    """Push endpoints. An address exists only once across all tenants."""

    @write_to_recipient
    def put(self, tenant: str, recipient: str, endpoint: PushEndpoint, limit: int) -> Script[tuple[str, bool]]:
        """Register an endpoint; creates the recipient. A known address keeps its id and moves to this recipient. Beyond
        `limit` endpoints, the recipient's oldest are deleted. Return the id, and whether the address is new."""
        inbox, _ = yield from ensure.ensure_recipient(tenant, recipient, endpoint.registered_at)
        params = {**msgspec.structs.asdict(endpoint), "public_key": endpoint.p256dh, "tenant": tenant, "inbox": inbox}
        is_new = not (yield Statement("push_endpoint_find", params))
        ((id,),) = yield Statement("push_endpoint_write", params)
        name = {"tenant": tenant, "key": recipient}
        for one in (yield from _page(tenant, recipient))[limit:]:
            yield Statement("push_endpoint_delete", {**name, "id": one.id})
        return id, is_new

    page = read(on_table(_page))

    @read
    def addresses(self, tenant: str, recipients: Sequence[str]) -> Script[dict[str, tuple[str, ...]]]:
        """Return the addresses by recipient, newest first; recipients without any are absent."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key, address in (
            yield Statement("push_addresses", {"tenant": tenant, "keys": columns.to_json(recipients)})
        ):
            found[key].append(address)
        return {key: tuple(addresses) for key, addresses in found.items()}

    @write_to_recipient
    def delete(self, tenant: str, recipient: str, id: str) -> Script[bool]:
        """Delete an endpoint of a recipient; return whether there was one."""
        return bool((yield Statement("push_endpoint_delete", {"tenant": tenant, "key": recipient, "id": id})))

    @write()
    def delete_gone(self, tenant: str, address: str) -> Script[None]:
        """Delete an endpoint that no longer exists at its service."""
        yield Statement("push_endpoint_delete_gone", {"tenant": tenant, "address": address})
