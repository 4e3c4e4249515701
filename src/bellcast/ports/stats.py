"""Stored statistics of the nodes, per interval."""

from collections.abc import Collection, Mapping
from typing import Protocol

from bellcast.model.stats import StatsPoint


class StatsReader(Protocol):
    """Statistics of the nodes for the API."""

    async def series(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        """Return at most `limit` points by time. Points of 10 s cover only this node and the last hour."""
        ...

    async def tenant_series(
        self, tenant: str, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]] | None:
        """Return the hours of a tenant by time; None if `limit` is too small for a day of all nodes."""
        ...

    async def sends_today(self, tenants: Collection[str]) -> Mapping[str, int]:
        """Count the sends of tenants since midnight UTC: a send counts once with all of its recipients. Those of this process are
        up to date, those of others at most a minute old. Tenants of which nothing was counted are absent."""
        ...
