"""Stored statistics of the nodes."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

import msgspec

from bellcast.console import types as stats
from bellcast.console.types import (
    MAX_TENANTS,
    MAX_TENANTS_BYTES,
    TENANT_METRICS,
    TENANTS_KEPT_MS,
    StatsPoint,
)
from bellcast.kernel import times
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, read_in_background, write
from bellcast.kernel.db.script import Row, Script, Statement

# Old rows deleted per step and minute. A node adds at most one row per step and minute, so this catches up after a
# pause.
SWEPT_ROWS = 20
# Rows of tenants have 7 kB, so each read covers only this much time.
WINDOW_MS = times.DAY_MS
# The numbers of a tenant in the order of TENANT_METRICS.
_TenantRow = tuple[int, ...]
_decode = msgspec.json.Decoder(StatsPoint).decode
_decode_tenants = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_tenant = msgspec.json.Decoder(_TenantRow).decode


class StatsPoints(StoreTable):
    """Points by the length of their interval (`step`), its beginning and the node. Times are UTC milliseconds."""

    @write(locks=lambda node, *_: [("", f"\x01stats {node}")])
    def add(
        self, node: str, at: int, point: StatsPoint, keep: Mapping[int, int], tenants: Mapping[str, StatsPoint]
    ) -> Script[None]:
        """Add a minute of a node to its interval of each step of `keep`, in one transaction. `tenants` are the
        statistics of its tenants in the current hour, the busiest first; they replace the previous ones. MAX_TENANTS
        are stored, fewer with long keys. Points of all nodes that are older than `keep[step]` milliseconds are deleted,
        a bounded number in each call."""
        if tenants:
            hour = {"step": times.HOUR_MS, "at": at - at % times.HOUR_MS, "node": node}
            yield Statement("stats_write", hour | {"body": tenants_body(tenants)})
            yield Statement("stats_sweep", {"step": times.HOUR_MS, "before": at - TENANTS_KEPT_MS, "limit": SWEPT_ROWS})
        for step, kept in keep.items():
            name = {"step": step, "at": at - at % step, "node": node}
            before = yield Statement("stats_find", name)
            combined = stats.total([point, *(_decode(body) for (body,) in before)])
            yield Statement("stats_write", name | {"body": columns.to_json(combined)})
            yield Statement("stats_sweep", {"step": step, "before": at - kept, "limit": SWEPT_ROWS})

    @read_in_background
    def _rows(self, step: int, since: int, until: int, node: str | None, limit: int) -> Script[list[Row]]:
        params = {"step": step, "since": since, "until": until, "node": node, "limit": limit}
        return (yield Statement("stats_page", params, heavy=True))

    async def page(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        """Return at most `limit` points that begin from `since` to before `until`, by time; of all nodes if `node` is
        None."""
        found = await self._rows(step, since, until, node, limit)
        # 20,000 rows take 40 ms.
        return await asyncio.to_thread(lambda: [(at, _decode(body)) for at, body in found])

    async def tenant_page(
        self, tenant: str, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]] | None:
        """Return the hours of a tenant that begin from `since` to before `until`, by time. None if one day needs more
        than `limit` rows of nodes."""
        points: list[tuple[int, StatsPoint]] = []

        def add(rows: Sequence[Row]) -> None:
            for at, body in rows:
                if (row := _decode_tenants(body).get(tenant)) is not None:
                    numbers = dict(zip(TENANT_METRICS, _decode_tenant(row), strict=True))
                    points.append((at, msgspec.convert(numbers, StatsPoint)))

        for begin in range(since, until, WINDOW_MS):
            found = await self._rows(times.HOUR_MS, begin, min(begin + WINDOW_MS, until), node, limit + 1)
            if len(found) > limit:
                return None
            await asyncio.to_thread(add, found)
        return points

    async def tenant_sends(
        self, tenants: Collection[str], since: int, until: int, node: str | None, limit: int
    ) -> dict[str, int] | None:
        """Count the sends of tenants in the hours that begin from `since` to before `until`; those without a stored number are
        absent. None if there are more than `limit` rows of nodes."""
        found = await self._rows(times.HOUR_MS, since, until, node, limit + 1)
        wanted = frozenset(tenants)

        def count() -> dict[str, int]:
            sends: Counter[str] = Counter()
            for _, body in found:
                numbers = _decode_tenants(body)
                for tenant in wanted & numbers.keys():
                    sends[tenant] += _decode_tenant(numbers[tenant])[TENANT_METRICS.index("sends")]
            return dict(sends)

        return None if len(found) > limit else await asyncio.to_thread(count)


def tenants_body(tenants: Mapping[str, StatsPoint]) -> str:
    """Return as many of a row's busiest tenants as fit, as JSON."""
    body = ""
    for tenant, point in islice(tenants.items(), MAX_TENANTS):
        entry = f"{columns.to_json(tenant)}:{columns.to_json([getattr(point, name) for name in TENANT_METRICS])}"
        if len(body.encode()) + len(entry.encode()) > MAX_TENANTS_BYTES:
            break
        body += f",{entry}" if body else entry
    return f"{{{body}}}"
