"""An app as the store sees it: sends, opens inboxes, advances the clock."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from bellcast.channels.types import NewDecision
from bellcast.inbox.types import Content, Notification
from bellcast.inbox.types.inboxes import Action, Inbox, Marked, Marking, OpenInbox, Query
from bellcast.inbox.types.sends import AnnounceRequest, SendRequest, SendResult
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange, ListQuery
from bellcast.kernel.events import Event
from bellcast.kernel.identities import EVERY_TENANT, Principal
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs import Job
from tests.clock import FakeClock
from tests.store import Store


def content(**fields: Any) -> Content:
    """Content with the fewest fields set."""
    plain: dict[str, Any] = dict.fromkeys(Content.__struct_fields__)
    return Content(
        **{
            **plain,
            "type": "general",
            "title": "Hello",
            "priority": "normal",
            "data": {},
            "tags": (),
            "body_format": "plain",
            "actions": (),
            **fields,
        }
    )


def wanted(
    tenant: str = "", *, before: str | None = None, created: CreatedRange = ANY_TIME, limit: int = 1000, **filters: Any
) -> ListQuery:
    """Return the first page of a list, or the one below the id `before`: of a tenant, or of all (`*`)."""
    return ListQuery(
        tenants=None if tenant == EVERY_TENANT else [tenant],
        after=None if before is None else (before,),
        created=created,
        limit=limit,
        filters=filters,
        is_counted=True,
    )


def engine_of(store: Store) -> Any:
    """Return the engine."""
    return store._engine


class App:
    """Short methods for frequent operations on a store."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self._ids = Ids()

    @property
    def now(self) -> int:
        return self.clock.now()

    def new_id(self) -> str:
        return self._ids.new(self.now)

    def send_request(
        self, *to: str, tenant: str = "", key: str | None = None, fingerprint: bytes = b"", **fields: Any
    ) -> SendRequest:
        ids = tuple(self.new_id() for _ in to)
        return SendRequest(
            tenant=tenant,
            recipients=to,
            ids=ids,
            content=content(**fields),
            created_at=self.now,
            idempotency_key=key,
            fingerprint=fingerprint,
            response=" ".join(ids).encode(),
        )

    def announce_request(
        self,
        *,
        topic: str | None = None,
        tenant: str = "",
        key: str | None = None,
        fingerprint: bytes = b"",
        **fields: Any,
    ) -> AnnounceRequest:
        id = self.new_id()
        return AnnounceRequest(
            id=id,
            tenant=tenant,
            topic=topic,
            content=content(**fields),
            created_at=self.now,
            key_tenant="" if tenant == EVERY_TENANT else tenant,
            idempotency_key=key,
            fingerprint=fingerprint,
            response=id.encode(),
        )

    async def lease(self, now: int, until: int, limit: int) -> list[Job]:
        """Lease due jobs of every group, `limit` of each."""
        groups = await self.store.jobs.due(now)
        return await self.store.jobs.lease(dict.fromkeys(groups, limit), now, until)

    async def add(self, request: SendRequest) -> SendResult:
        """Send, or raise the store's refusal."""
        (outcome,) = await self.add_all([request])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def add_all(self, requests: Sequence[SendRequest]) -> list[SendResult | Exception]:
        """Send them in order; return their results."""
        return [result async for results in self.store.sends.add(requests) for result in results]

    async def retire(self, older_than: int, limit: int = 100, **tenants: Any) -> list[list[Event]]:
        """Delete old notifications; return the events of each step."""
        return [events async for events in self.store.maintenance.retire(self.now, older_than, limit, **tenants)]

    async def materialize(self, tenant: str, recipients: Sequence[str], now: int) -> list[Event]:
        """Add pending announcements to inboxes; return all events."""
        batches = self.store.sends.materialize(tenant, recipients, now)
        return [event async for materialized in batches for event in materialized.events]

    async def send(self, to: str, title: str = "Hello", **fields: Any) -> str:
        """Send to one recipient; return the notification's id."""
        return (await self.add(self.send_request(to, title=title, **fields))).response.decode()

    async def send_outside(self, to: str, title: str = "Hello", *, tenant: str = "", **fields: Any) -> str:
        """Send to one recipient by e-mail only, without a message; return the notification's id."""
        request = self.send_request(to, tenant=tenant, title=title, **fields)
        (id,) = request.ids
        decision = NewDecision(
            tenant=tenant, notification=id, recipient=to, channel="email", outcome="skip", decided_at=self.now
        )
        return (await self.add(replace(request, recipients=(), ids=(), decisions=(decision,)))).response.decode()

    async def announce(self, title: str = "Hello", **fields: Any) -> str:
        """Announce; return the announcement's id."""
        return (await self.store.sends.announce(self.announce_request(title=title, **fields))).response.decode()

    async def open(self, key: str, tenant: str = "", **fields: Any) -> OpenInbox:
        """Open with a session issued after all revocations so far."""
        given = {name: fields.pop(name) for name in ("since", "newcomers_ms") if name in fields}
        session = Principal(tenant=tenant, recipient=key, **{"issued_at": self.now + 1, **fields})
        return await self.store.inboxes.open(session, self.now, **given)

    async def inbox(self, key: str, tenant: str = "") -> Inbox:
        return (await self.open(key, tenant)).inbox

    async def page(self, key: str, *, tenant: str = "", **query: Any) -> list[Notification]:
        number = (await self.inbox(key, tenant)).number
        lists = {name: [query[name]] for name in ("type", "tag", "priority") if query.get(name) is not None}
        return (await self.store.inboxes.page(number, Query(**{"limit": 100, **query, **lists}))).notifications

    async def titles(self, key: str, *, tenant: str = "", **query: Any) -> list[str]:
        return [notification.title for notification in await self.page(key, tenant=tenant, **query)]

    async def mark(
        self, key: str, *actions: Action, ids: tuple[str, ...] | None = None, tenant: str = "", **filters: Any
    ) -> Marked:
        number = (await self.inbox(key, tenant)).number
        return await self.store.inboxes.mark(number, Marking(actions=actions, ids=ids, **filters), self.now)

    async def counts(self, key: str, tenant: str = "") -> tuple[int, int]:
        """Return the unread and unseen counts."""
        state = (await self.inbox(key, tenant)).state
        return state.unread, state.unseen
