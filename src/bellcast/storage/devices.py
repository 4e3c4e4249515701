"""How far each device was told its recipient's inbox."""

from collections.abc import Sequence

import msgspec

from bellcast.model.inboxes import Position
from bellcast.ports import UNKNOWN, Reached
from bellcast.storage.engine import Engine, Script, Statement
from bellcast.storage.touching import touches


class Devices:
    """ports.Devices on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def arrive(self, reached: Reached, here: frozenset[str], now: int) -> Position | None:
        """Note a new connection; where those of its device that are away had come to."""
        return await self._engine.write(_arrive, reached, here, now)

    async def reach(self, reached: Sequence[Reached], now: int) -> None:
        """Note how far connections have come."""
        await self._engine.write(_reach, reached, now)

    async def forget(self, before: int) -> None:
        """Drop what was noted before a time."""
        await self._engine.write(_forget, before)


@touches(lambda reached, here, now: [reached.inbox])
def _arrive(reached: Reached, here: frozenset[str], now: int) -> Script[Position | None]:
    device = {"inbox": reached.inbox, "device": reached.device}
    known = yield Statement("device_connections", device)
    away = sorted((epoch, revision, connection) for connection, epoch, revision in known if connection not in here)
    if not away:
        yield from _reach([reached], now)
        return None
    # Nobody says which of them comes back. All are told from the lowest on, and the highest is taken off: whichever
    # order they return in, none is told from beyond its own.
    epoch, revision, _ = away[0]
    yield Statement("device_leave", {**device, "connection": away[-1][2]})
    yield from _reach([Reached(reached.inbox, reached.device, reached.connection, epoch, revision)], now)
    return None if revision == UNKNOWN else Position(epoch, revision)


@touches(lambda *_: [])
def _reach(reached: Sequence[Reached], now: int) -> Script[None]:
    yield Statement("device_arrive", many=[{**msgspec.structs.asdict(one), "now": now} for one in reached])


@touches(lambda *_: [])
def _forget(before: int) -> Script[None]:
    yield Statement("device_forget", {"before": before})
