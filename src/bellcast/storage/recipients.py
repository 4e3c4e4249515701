"""The people, their tenants and topics."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from bellcast.model.events import Event
from bellcast.model.people import Recipient, RecipientFields, Subscription, Tenant
from bellcast.storage import export, people, subscriptions, tenants
from bellcast.storage.engine import Engine


class Recipients:
    """ports.Recipients on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, tenant: str, key: str) -> Recipient | None:
        """The record, if there is one."""
        return await self._engine.read(people.get, tenant, key)

    async def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> tuple[Recipient, bool, tuple[Event, ...]]:
        """Write what is given."""
        return await self._engine.write(people.put, tenant, key, fields, now, replace=replace)

    async def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> list[Recipient]:
        """By key."""
        return await self._engine.read(people.page, tenant, after, limit, search)

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Erase the recipient and everything kept under it."""
        return await self._engine.write(people.delete, tenant, key, now)

    async def export(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one recipient."""
        return await export.export(self._engine, tenant, key)

    async def revoke(self, tenant: str, key: str, now: int) -> tuple[Event, ...]:
        """Refuse session tokens issued before now."""
        return await self._engine.write(people.revoke, tenant, key, now)

    async def subscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Subscription, bool]:
        """Put a recipient on a topic."""
        return await self._engine.write(subscriptions.join, tenant, topic, key, now)

    async def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Take it off."""
        return await self._engine.write(subscriptions.leave, tenant, topic, key, now)

    async def subscriptions(self, tenant: str, topic: str, after: str | None, limit: int) -> list[Subscription]:
        """Who is on a topic, by key."""
        return await self._engine.read(subscriptions.page, tenant, topic, after, limit)

    async def subscribed(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        """Those of the topics the recipient is on."""
        return await self._engine.read(subscriptions.among, tenant, key, topics)

    async def tenant(self, key: str) -> Tenant | None:
        """A tenant, if there is one."""
        return await self._engine.read(tenants.get, key)

    async def put_tenant(self, key: str, name: str | None, settings: dict[str, Any], now: int) -> tuple[Tenant, bool]:
        """Name a tenant and write its settings; whether it is new."""
        return await self._engine.write(tenants.put, key, name, settings, now)
