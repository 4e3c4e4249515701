"""The acknowledged inbox position of each device."""

from collections.abc import Sequence

import msgspec

from bellcast.model.positions import Position
from bellcast.ports import UNKNOWN, DevicePosition
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Script, Statement, fetch


class Devices:
    """ports.Devices on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def register(self, position: DevicePosition, live: frozenset[str], now: int) -> Position | None:
        return await self._engine.write(ScriptCommand(lambda: _register(position, live, now), [position.inbox]))

    async def acknowledge(self, positions: Sequence[DevicePosition], now: int) -> None:
        await self._engine.write(ScriptCommand(lambda: _acknowledge(positions, now), []))

    async def delete_older(self, before: int) -> None:
        await self._engine.write(ScriptCommand(lambda: fetch(Statement("device_forget", {"before": before})), []))


def _register(position: DevicePosition, live: frozenset[str], now: int) -> Script[Position | None]:
    device = {"inbox": position.inbox, "device": position.device}
    known = yield Statement("device_connections", device)
    closed = sorted((epoch, revision, connection) for connection, epoch, revision in known if connection not in live)
    if not closed:
        yield from _acknowledge([position], now)
        return None
    # It is unknown which connection this one continues. It replays from the lowest position, and the highest is
    # deleted. So in any order of reconnection, each device replays from its own position or an earlier one.
    epoch, revision, _ = closed[0]
    yield Statement("device_disconnect", {**device, "connection": closed[-1][2]})
    resumed = DevicePosition(position.inbox, position.device, position.connection, epoch, revision)
    yield from _acknowledge([resumed], now)
    return None if revision == UNKNOWN else Position(epoch, revision)


def _acknowledge(positions: Sequence[DevicePosition], now: int) -> Script[None]:
    yield Statement("device_connect", many=[{**msgspec.structs.asdict(one), "now": now} for one in positions])
