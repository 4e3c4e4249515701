"""Numbers of the nodes, in intervals of time."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from bellcast.model import stats
from bellcast.model.stats import StatsPoint
from bellcast.storage import rows
from bellcast.storage.commit.command import LockKey, ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Row, Script, Statement, fetch

# Deleted of each step with each minute: a node adds at most one row of a step a minute, so this catches up after a pause.
SWEPT_ROWS = 20
_decode = msgspec.json.Decoder(StatsPoint).decode


class StatsPoints:
    """ports.stats.StatsPoints on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add(self, node: str, at: int, point: StatsPoint, keep: Mapping[int, int]) -> None:
        lock: list[LockKey] = [("", f"\x01stats {node}")]
        await self._engine.write(ScriptCommand(lambda: _add(node, at, point, keep), lock))

    async def page(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        params = {"step": step, "since": since, "until": until, "node": node, "limit": limit}
        found = await self._engine.read_in_background(fetch, Statement("stats_page", params, heavy=True))
        # 20,000 rows take 40 ms.
        return await asyncio.to_thread(_points, found)


def _points(stored: Sequence[Row]) -> list[tuple[int, StatsPoint]]:
    return [(at, _decode(body)) for at, body in stored]


def _add(node: str, at: int, point: StatsPoint, keep: Mapping[int, int]) -> Script[None]:
    for step, kept in keep.items():
        name = {"step": step, "at": at - at % step, "node": node}
        before = yield Statement("stats_find", name)
        combined = stats.total([point, *(_decode(body) for (body,) in before)])
        yield Statement("stats_write", name | {"body": rows.to_json(combined)})
        yield Statement("stats_sweep", {"step": step, "before": at - kept, "limit": SWEPT_ROWS})
