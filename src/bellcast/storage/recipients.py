"""Recipients, their tenants and subscriptions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from bellcast.model.events import Event
from bellcast.model.identities import Profile, Recipient, RecipientFields, Subscription, Tenant, TenantRules
from bellcast.ports import RecipientOfLink, SubscriptionGrant
from bellcast.ports.jobs import Job
from bellcast.ports.list_scan import CreatedRange, KeyScan, ListScan
from bellcast.ports.recipients import OwnPreferences, TenantSummary
from bellcast.ports.webhooks import WebhookEvent
from bellcast.storage import ensure, export, profiles, recipient_scripts, subscriptions, tenants
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Script, Statement, T, fetch


class Recipients:
    """ports.Recipients on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, tenant: str, key: str) -> Recipient | None:
        return await self._engine.read(recipient_scripts.get, tenant, key)

    async def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> tuple[Recipient, bool, tuple[Event, ...]]:
        return await self._write(tenant, key, lambda: recipient_scripts.put(tenant, key, fields, now, replace=replace))

    async def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> list[Recipient]:
        return await self._engine.read(recipient_scripts.page, tenant, after, limit, search)

    async def created_page(
        self, tenant: str, after: str, limit: int, prefix: str, created: CreatedRange
    ) -> ListScan[Recipient]:
        return await self._engine.read_in_background(
            recipient_scripts.created_page, tenant, after, limit, prefix, created
        )

    async def page_of_all(
        self, after: tuple[str, str], limit: int, prefix: str, created: CreatedRange
    ) -> KeyScan[Recipient]:
        return await self._engine.read_in_background(recipient_scripts.page_of_all, after, limit, prefix, created)

    async def count_of_all(self, limit: int) -> int:
        return await self._engine.read_in_background(recipient_scripts.count_of_all, limit)

    async def count(self, tenant: str, search: str, limit: int) -> int:
        return await self._engine.read_in_background(recipient_scripts.count, tenant, search, limit)

    async def profiles(self, tenant: str, keys: Sequence[str]) -> dict[str, Profile]:
        return await self._engine.read(profiles.find, tenant, keys)

    async def timezones(self, tenant: str) -> list[str | None]:
        statement = Statement("recipient_timezones", {"tenant": tenant}, heavy=True)
        return [name for (name,) in await self._engine.read_in_background(fetch, statement)]

    async def preferences(self, tenant: str, key: str) -> OwnPreferences | None:
        return await self._engine.read(profiles.preferences, tenant, key)

    async def set_preferences(
        self,
        tenant: str,
        key: str,
        document: bytes,
        now: int,
        *,
        switches_inbox: bool,
        events: Sequence[WebhookEvent] = (),
        before: bytes | None = None,
    ) -> bool:
        new = profiles.NewPreferences(document, switches_inbox, now, events, before)
        return await self._write(tenant, key, lambda: profiles.set_preferences(tenant, key, new))

    async def accepts_link(self, link: RecipientOfLink) -> bool:
        return await self._engine.read(profiles.inbox_of_link, link) is not None

    async def set_preferences_by_link(
        self,
        link: RecipientOfLink,
        document: bytes,
        now: int,
        *,
        switches_inbox: bool,
        events: Sequence[WebhookEvent] = (),
        before: bytes | None = None,
    ) -> bool | None:
        new = profiles.NewPreferences(document, switches_inbox, now, events, before)
        return await self._write(link.tenant, link.recipient, lambda: profiles.set_preferences_by_link(link, new))

    async def any_inbox_switch(self, tenant: str) -> bool:
        return await self._engine.read(profiles.any_inbox_switch, tenant)

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        events = await self._write(tenant, key, lambda: recipient_scripts.delete(tenant, key, now))
        self._engine.clear_log()
        return events

    async def export(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        return await export.export(self._engine, tenant, key)

    async def revoke(self, tenant: str, key: str, now: int) -> tuple[Event, ...]:
        return await self._write(tenant, key, lambda: recipient_scripts.revoke(tenant, key, now))

    async def subscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Subscription, bool]:
        return await self._write(tenant, key, lambda: subscriptions.subscribe(tenant, topic, key, now))

    async def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Event, ...] | None:
        return await self._write(tenant, key, lambda: subscriptions.unsubscribe(tenant, topic, key, now))

    async def subscriptions(
        self, tenant: str, topic: str, after: str | None, limit: int, seq: int | None = None
    ) -> list[Subscription]:
        return await self._engine.read(subscriptions.page, tenant, topic, after, limit, seq)

    async def subscriptions_of(self, tenant: str, key: str, after: str, limit: int) -> list[Subscription]:
        return await self._engine.read(subscriptions.of_recipient, tenant, key, after, limit)

    async def subscription(self, tenant: str, topic: str, key: str) -> Subscription | None:
        return await self._engine.read(subscriptions.get, tenant, topic, key)

    async def subscribed(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        return await self._engine.read(subscriptions.among, tenant, key, topics)

    async def grants_in_force(self, rights: Sequence[SubscriptionGrant]) -> frozenset[SubscriptionGrant]:
        return await self._engine.read(subscriptions.grants_in_force, rights)

    async def tenant(self, key: str) -> Tenant | None:
        return await self._engine.read(tenants.get, key)

    async def tenant_page(self, prefix: str, after: str, limit: int) -> list[TenantSummary]:
        return await self._engine.read_in_background(tenants.page, prefix, after, limit)

    async def tenants_created_page(
        self, prefix: str, after: str, limit: int, created: CreatedRange
    ) -> ListScan[TenantSummary]:
        return await self._engine.read_in_background(tenants.created_page, prefix, after, limit, created)

    async def count_tenants(self, prefix: str, limit: int) -> int:
        return await self._engine.read_in_background(tenants.count, prefix, limit)

    async def topic_page(self, tenant: str, prefix: str, after: str, limit: int) -> list[tuple[str, int]]:
        return await self._engine.read_in_background(subscriptions.topics, tenant, prefix, after, limit)

    async def topics_of_all(self, prefix: str, after: tuple[str, str], limit: int) -> KeyScan[tuple[str, str, int]]:
        return await self._engine.read_in_background(subscriptions.topics_of_all, prefix, after, limit)

    async def tenant_rules(self) -> dict[str, TenantRules]:
        return await self._engine.read(tenants.rules)

    async def add_usage(self, day: int, sends: Mapping[str, int]) -> dict[str, int]:
        return await self._engine.write(ScriptCommand(lambda: tenants.add_usage(day, sends), []))

    async def spent(self, day: int) -> dict[str, int]:
        return await self._engine.read_in_background(tenants.spent, day)

    async def export_tenant(self, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        return await export.export_tenant(self._engine, key)

    async def begin_erasure(self, key: str, now: int, job: Job) -> Tenant | None:
        return await self._engine.write(ScriptCommand(lambda: tenants.begin_erasure(key, now, job), []))

    async def erase_tenant(self, key: str, now: int, limit: int) -> tuple[int, list[Event]]:
        found = await self._engine.read(recipient_scripts.page, key, None, limit, None)
        erased = await asyncio.gather(*(self.delete(key, one.key, now) for one in found))
        if not found:
            await self._engine.write(ScriptCommand(lambda: tenants.erase(key, ensure.tenant_digest(key), now), []))
            self._engine.clear_log()
        return len(found), [event for events in erased for event in events or ()]

    async def _write(self, tenant: str, key: str, script: Callable[[], Script[T]]) -> T:
        """Run a script that writes to one recipient."""
        return await self._engine.write(ScriptCommand(script, [(tenant, key)]))

    async def put_tenant(
        self,
        key: str,
        name: str | None,
        settings: dict[str, Any],
        now: int,
        *,
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[Tenant, bool]:
        return await self._engine.write(ScriptCommand(lambda: tenants.put(key, name, settings, now, check), []))
