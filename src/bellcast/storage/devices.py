"""How far each device was told its recipient's inbox."""

from collections.abc import Sequence

import msgspec

from bellcast.model.inboxes import Position
from bellcast.ports import UNKNOWN, DevicePosition
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.locks import locks


class Devices:
    """ports.Devices on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def register(self, reached: DevicePosition, here: frozenset[str], now: int) -> Position | None:
        """Note a new connection; where those of its device that are away had come to."""
        return await self._engine.write(_register, reached, here, now)

    async def acknowledge(self, reached: Sequence[DevicePosition], now: int) -> None:
        """Note how far connections have come."""
        await self._engine.write(_acknowledge, reached, now)

    async def delete_older(self, before: int) -> None:
        """Drop what was noted before a time."""
        await self._engine.write(_delete_older, before)


@locks(lambda reached, here, now: [reached.inbox])
def _register(reached: DevicePosition, here: frozenset[str], now: int) -> Script[Position | None]:
    device = {"inbox": reached.inbox, "device": reached.device}
    known = yield Statement("device_connections", device)
    away = sorted((epoch, revision, connection) for connection, epoch, revision in known if connection not in here)
    if not away:
        yield from _acknowledge([reached], now)
        return None
    # Nobody says which of them comes back. All are told from the lowest on, and the highest is taken off: whichever
    # order they return in, none is told from beyond its own.
    epoch, revision, _ = away[0]
    yield Statement("device_leave", {**device, "connection": away[-1][2]})
    yield from _acknowledge([DevicePosition(reached.inbox, reached.device, reached.connection, epoch, revision)], now)
    return None if revision == UNKNOWN else Position(epoch, revision)


@locks(lambda *_: [])
def _acknowledge(reached: Sequence[DevicePosition], now: int) -> Script[None]:
    yield Statement("device_arrive", many=[{**msgspec.structs.asdict(one), "now": now} for one in reached])


@locks(lambda *_: [])
def _delete_older(before: int) -> Script[None]:
    yield Statement("device_forget", {"before": before})
