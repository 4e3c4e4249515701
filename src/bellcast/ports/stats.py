"""Stored statistics of the nodes, per interval."""

from collections.abc import Collection, Mapping
from typing import Protocol

from bellcast.model.stats import StatsPoint


class StatsPoints(Protocol):
    """Points by the length of their interval (`step`), its beginning and the node. Times are UTC milliseconds."""

    async def add(
        self, node: str, at: int, point: StatsPoint, keep: Mapping[int, int], tenants: Mapping[str, StatsPoint]
    ) -> None:
        """Add a minute of a node to its interval of each step of `keep`, in one transaction. `tenants` are the
        statistics of its tenants in the current hour, the busiest first; they replace the previous ones. MAX_TENANTS
        are stored, fewer with long keys. Points of all nodes that are older than `keep[step]` milliseconds are deleted,
        a bounded number in each call."""
        ...

    async def page(
        self, step: int, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]]:
        """Return at most `limit` points that begin from `since` to before `until`, by time; of all nodes if `node` is
        None."""
        ...

    async def tenant_page(
        self, tenant: str, since: int, until: int, node: str | None, limit: int
    ) -> list[tuple[int, StatsPoint]] | None:
        """Return the hours of a tenant that begin from `since` to before `until`, by time. None if one day needs more
        than `limit` rows of nodes."""
        ...

    async def tenant_sends(
        self, tenants: Collection[str], since: int, until: int, node: str | None, limit: int
    ) -> dict[str, int] | None:
        """Count the sends of tenants in the hours that begin from `since` to before `until`; those without a stored number are
        absent. None if there are more than `limit` rows of nodes."""
        ...


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
