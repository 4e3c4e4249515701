"""The people, their tenants and topics."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from bellcast.model.events import Event
from bellcast.model.identities import Recipient, RecipientFields, Subscription, Tenant, TenantRules
from bellcast.ports import SubscriptionGrant
from bellcast.storage import ensure, export, recipient_scripts, subscriptions, tenants
from bellcast.storage.engine import Engine


class Recipients:
    """ports.Recipients on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, tenant: str, key: str) -> Recipient | None:
        """The record, if there is one."""
        return await self._engine.read(recipient_scripts.get, tenant, key)

    async def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> tuple[Recipient, bool, tuple[Event, ...]]:
        """Write what is given."""
        return await self._engine.write(recipient_scripts.put, tenant, key, fields, now, replace=replace)

    async def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> list[Recipient]:
        """By key."""
        return await self._engine.read(recipient_scripts.page, tenant, after, limit, search)

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Erase the recipient and everything kept under it."""
        return await self._engine.write(recipient_scripts.delete, tenant, key, now)

    async def export(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one recipient."""
        return await export.export(self._engine, tenant, key)

    async def revoke(self, tenant: str, key: str, now: int) -> tuple[Event, ...]:
        """Refuse session tokens issued before now."""
        return await self._engine.write(recipient_scripts.revoke, tenant, key, now)

    async def subscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Subscription, bool]:
        """Put a recipient on a topic."""
        return await self._engine.write(subscriptions.subscribe, tenant, topic, key, now)

    async def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Take it off."""
        return await self._engine.write(subscriptions.unsubscribe, tenant, topic, key, now)

    async def subscriptions(self, tenant: str, topic: str, after: str | None, limit: int) -> list[Subscription]:
        """Who is on a topic, by key."""
        return await self._engine.read(subscriptions.page, tenant, topic, after, limit)

    async def subscribed(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        """Those of the topics the recipient is on."""
        return await self._engine.read(subscriptions.among, tenant, key, topics)

    async def grants_in_force(self, rights: Sequence[SubscriptionGrant]) -> frozenset[SubscriptionGrant]:
        """Those of these subscriptions that there still are."""
        return await self._engine.read(subscriptions.grants_in_force, rights)

    async def tenant(self, key: str) -> Tenant | None:
        """A tenant, if there is one."""
        return await self._engine.read(tenants.get, key)

    async def tenant_rules(self) -> dict[str, TenantRules]:
        """The rules of those that have some."""
        return await self._engine.read(tenants.rules)

    async def add_usage(self, day: int, sends: Mapping[str, int]) -> dict[str, int]:
        """Add to what tenants sent on a day; the sums."""
        return await self._engine.write(tenants.add_usage, day, sends)

    async def spent(self, day: int) -> dict[str, int]:
        """What tenants sent on a day."""
        return await self._engine.read_in_background(tenants.spent, day)

    async def export_tenant(self, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one tenant."""
        return await export.export_tenant(self._engine, key)

    async def erase_tenant(self, key: str, now: int, limit: int) -> tuple[int, list[Event]]:
        """One step; the last one takes the tenant itself."""
        found = await self._engine.read(recipient_scripts.page, key, None, limit, None)
        erased = [self._engine.write(recipient_scripts.delete, key, one.key, now) for one in found]
        events = [event for each in await asyncio.gather(*erased) for event in each or ()]
        if not found:
            await self._engine.write(tenants.erase, key, ensure.tenant_digest(key), now)
        return len(found), events

    async def put_tenant(self, key: str, name: str | None, settings: dict[str, Any], now: int) -> tuple[Tenant, bool]:
        """Name a tenant and write its settings; whether it is new."""
        return await self._engine.write(tenants.put, key, name, settings, now)
