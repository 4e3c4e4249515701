"""The acknowledged inbox position of each device."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from bellcast.inbox.types.positions import Position
from bellcast.kernel.db.script import Script, Statement
from bellcast.kernel.db.table import StoreTable, on_table, write

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
