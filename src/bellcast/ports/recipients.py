"""The people, their tenants and topics."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bellcast.model.events import Event
from bellcast.model.identities import Recipient, RecipientFields, Subscription, Tenant, TenantRules


class SubscriptionGrant(NamedTuple):
    """A recipient's subscription, by which connections follow a topic."""

    tenant: str
    recipient: str
    topic: str


class Recipients(Protocol):
    """The people, their tenants and topics. Tenants and recipients come to be on first use."""

    async def get(self, tenant: str, key: str) -> Recipient | None: ...

    async def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> tuple[Recipient, bool, tuple[Event, ...]]:
        """Write what is given (`replace` clears the rest). The recipient, whether it is new, and events (a lost role ends a topic)."""
        ...

    async def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> list[Recipient]:
        """By key, after the key `after`; `search` is a prefix of the key."""
        ...

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Erase the recipient and everything kept under it; its connections are to close. None if there is none."""
        ...

    async def export(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one recipient, as (kind, thing) pairs, in bounded reads. None if there is none."""
        ...

    async def revoke(self, tenant: str, key: str, now: int) -> tuple[Event, ...]:
        """Refuse session tokens issued before now."""
        ...

    async def subscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Subscription, bool]:
        """Put a recipient on a topic; whether it is new. It hears what is sent from now on."""
        ...

    async def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Take it off; what was announced before stays in its inbox. None if it was not on it."""
        ...

    async def subscriptions(self, tenant: str, topic: str, after: str | None, limit: int) -> list[Subscription]: ...

    async def subscribed(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        """Those of the topics the recipient is subscribed to."""
        ...

    async def grants_in_force(self, rights: Sequence[SubscriptionGrant]) -> frozenset[SubscriptionGrant]:
        """Those of these subscriptions that there still are."""
        ...

    async def tenant(self, key: str) -> Tenant | None: ...

    async def put_tenant(
        self, key: str, name: str | None, settings: dict[str, Any], now: int
    ) -> tuple[Tenant, bool]: ...

    async def tenant_rules(self) -> dict[str, TenantRules]:
        """The rules of those tenants that have some of their own."""
        ...

    async def add_usage(self, day: int, sends: Mapping[str, int]) -> dict[str, int]:
        """Add to what tenants sent on a day (days since 1970, UTC); the sums of those tenants."""
        ...

    async def spent(self, day: int) -> dict[str, int]:
        """What tenants with a daily budget sent on a day (days since 1970, UTC)."""
        ...

    async def export_tenant(self, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Everything kept of one tenant, as (kind, thing) pairs, in bounded reads; a recipient stands before what is its
        own. None if there is none."""
        ...

    async def erase_tenant(self, key: str, now: int, limit: int) -> tuple[int, list[Event]]:
        """One step of erasing a tenant and everything kept under it: at most `limit` recipients; how many, and events
        that close their connections. With the last step, of none, the tenant itself is gone."""
        ...
