"""Recipients, tenants and subscriptions."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bellcast.model.events import Event
from bellcast.model.identities import Profile, Recipient, RecipientFields, Subscription, Tenant, TenantRules
from bellcast.ports.jobs import Job
from bellcast.ports.list_scan import CreatedRange, KeyScan, ListScan
from bellcast.ports.webhooks import WebhookEvent


class SubscriptionGrant(NamedTuple):
    """A subscription by which connections of the recipient may follow the topic."""

    tenant: str
    recipient: str
    topic: str


class RecipientOfLink(NamedTuple):
    """The recipient of a signed link, and when the link was issued (UTC milliseconds). A link that opens more than one
    switch `ends_with_sessions`, when they are revoked."""

    tenant: str
    recipient: str
    issued_at: int
    ends_with_sessions: bool = False


class OwnPreferences(NamedTuple):
    """A recipient's own preferences as JSON, and when they last changed (UTC milliseconds); None: before Bellcast recorded
    it."""

    document: bytes
    updated_at: int | None


class TenantSummary(NamedTuple):
    """A tenant and its number of recipients, up to 10,000."""

    tenant: Tenant
    recipients: int


class Recipients(Protocol):
    """Recipients, tenants and subscriptions. Tenants and recipients are created on first use."""

    async def get(self, tenant: str, key: str) -> Recipient | None: ...

    async def put(
        self, tenant: str, key: str, fields: RecipientFields, now: int, *, replace: bool
    ) -> tuple[Recipient, bool, tuple[Event, ...]]:
        """Write the given fields; `replace` clears the others. Return the recipient, whether it is new, and the events: a
        lost role ends a subscription."""
        ...

    async def page(self, tenant: str, after: str | None, limit: int, search: str | None = None) -> list[Recipient]:
        """Return recipients in the order of keys, after the key `after`; `search` is a prefix of the key."""
        ...

    async def created_page(
        self, tenant: str, after: str, limit: int, prefix: str, created: CreatedRange
    ) -> ListScan[Recipient]:
        """Like `page`, for recipients created in a time range. Examines at most 20,000 of them."""
        ...

    async def page_of_all(
        self, after: tuple[str, str], limit: int, prefix: str, created: CreatedRange
    ) -> KeyScan[Recipient]:
        """Return recipients of all tenants by tenant and key, after a tenant and key. Examines at most 20,000 of
        them."""
        ...

    async def count_of_all(self, limit: int) -> int:
        """Count the recipients of all tenants, up to the limit."""
        ...

    async def count(self, tenant: str, search: str, limit: int) -> int:
        """Return the number of recipients whose keys begin with `search`, at most `limit`."""
        ...

    async def profiles(self, tenant: str, keys: Sequence[str]) -> dict[str, Profile]:
        """Return the profiles of existing recipients, by key."""
        ...

    async def timezones(self, tenant: str) -> list[str | None]:
        """Return the distinct time zones of a tenant's recipients. Takes time in proportion to their number."""
        ...

    async def preferences(self, tenant: str, key: str) -> OwnPreferences | None:
        """Return a recipient's own preferences; None if it has none."""
        ...

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
        """Replace a recipient's own preferences, changed `now`; creates the recipient. `switches_inbox`: they switch
        off the inbox in some case. `events` are committed with them. `before` is the document that was read, empty if
        there was none: if the stored one differs, return False and write neither preferences nor events."""
        ...

    async def accepts_link(self, link: RecipientOfLink) -> bool:
        """True if the recipient exists, and neither the recipient nor its tenant was erased, nor the link revoked with
        the sessions, after the link was issued."""
        ...

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
        """Like `set_preferences`, but never creates a recipient. Return None, and write nothing, if the link is not
        accepted."""
        ...

    async def any_inbox_switch(self, tenant: str) -> bool:
        """True if a recipient of the tenant switches off the inbox in some case."""
        ...

    async def delete(self, tenant: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Erase the recipient and all its data; the events close its connections. None if nothing is stored about it."""
        ...

    async def export(self, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Export all data of a recipient as (kind, value) pairs, in bounded reads: the record, which is None if only other data
        names the recipient, the preferences if it has any, the rest by kind. None if nothing is stored about it."""
        ...

    async def revoke(self, tenant: str, key: str, now: int) -> tuple[Event, ...]:
        """Refuse session tokens issued before now; return the events that close connections."""
        ...

    async def subscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Subscription, bool]:
        """Subscribe a recipient to later sends to a topic; return whether the subscription is new."""
        ...

    async def unsubscribe(self, tenant: str, topic: str, key: str, now: int) -> tuple[Event, ...] | None:
        """Unsubscribe; earlier announcements stay in the inbox. None if it was not subscribed."""
        ...

    async def subscriptions(
        self, tenant: str, topic: str, after: str | None, limit: int, seq: int | None = None
    ) -> list[Subscription]:
        """Return the subscriptions to a topic by key; with `seq`, those from before this announcement or fan-out."""
        ...

    async def subscriptions_of(self, tenant: str, key: str, after: str, limit: int) -> list[Subscription]:
        """Return the recipient's subscriptions by topic, after the topic `after`."""
        ...

    async def subscription(self, tenant: str, topic: str, key: str) -> Subscription | None: ...

    async def subscribed(self, tenant: str, key: str, topics: Sequence[str]) -> frozenset[str]:
        """Return the topics that the recipient subscribes to."""
        ...

    async def grants_in_force(self, rights: Sequence[SubscriptionGrant]) -> frozenset[SubscriptionGrant]:
        """Return the subscriptions that still exist."""
        ...

    async def tenant(self, key: str) -> Tenant | None: ...

    async def tenant_page(self, prefix: str, after: str, limit: int) -> list[TenantSummary]:
        """Return tenants whose keys begin with the prefix, by key, after the key `after`; never the default one."""
        ...

    async def tenants_created_page(
        self, prefix: str, after: str, limit: int, created: CreatedRange
    ) -> ListScan[TenantSummary]:
        """Like `tenant_page`, for tenants created in a time range. Examines at most 20,000 of them."""
        ...

    async def count_tenants(self, prefix: str, limit: int) -> int:
        """Return the number of tenants whose keys begin with the prefix, at most `limit`."""
        ...

    async def topic_page(self, tenant: str, prefix: str, after: str, limit: int) -> list[tuple[str, int]]:
        """Return topics with subscribers by name, and their numbers of subscribers up to 10,000."""
        ...

    async def topics_of_all(self, prefix: str, after: tuple[str, str], limit: int) -> KeyScan[tuple[str, str, int]]:
        """Return topics of all tenants with subscribers by tenant and name, after a tenant and name, and their numbers
        of subscribers up to 10,000. Examines at most 20,000 topics with the prefix."""
        ...

    async def put_tenant(
        self,
        key: str,
        name: str | None,
        settings: dict[str, Any],
        now: int,
        *,
        check: Callable[[dict[str, Any]], None] | None = None,
    ) -> tuple[Tenant, bool]:
        """Write a tenant's name and settings; return it, and whether it is new. `check` gets the settings that are replaced; if
        it raises, nothing is written."""
        ...

    async def tenant_rules(self) -> dict[str, TenantRules]:
        """Return the rules of all tenants that have any."""
        ...

    async def add_usage(self, day: int, sends: Mapping[str, int]) -> dict[str, int]:
        """Add sends of tenants on a day (days since 1970, UTC); return the new sums."""
        ...

    async def spent(self, day: int) -> dict[str, int]:
        """Return the sends of tenants with a daily budget on a day (days since 1970, UTC)."""
        ...

    async def export_tenant(self, key: str) -> AsyncIterator[tuple[str, Any]] | None:
        """Export all data of a tenant as (kind, value) pairs, in bounded reads; a recipient precedes its data. None if the
        tenant does not exist."""
        ...

    async def begin_erasure(self, key: str, now: int, job: Job) -> Tenant | None:
        """Mark a tenant as being erased, so that it gets no recipients and sends, and add the job that completes the
        erasure. Return the tenant; None if there is none with this key."""
        ...

    async def erase_tenant(self, key: str, now: int, limit: int) -> tuple[int, list[Event]]:
        """Erase at most `limit` recipients of a tenant; return their number and the events that close their connections.
        The step that finds no recipients erases the tenant."""
        ...
