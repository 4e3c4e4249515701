"""The dependencies of services in tests: those that a test does not name do nothing."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from bellcast.channels.types import NewDecision
from bellcast.engines import Engines
from bellcast.inbox.types import Audience, Content, Draft
from bellcast.inbox.types.sends import AnnounceRequest, SendRequest
from bellcast.kernel.brokers import Publisher
from bellcast.kernel.brokers.history import NO_HISTORY
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Invalid
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live_feed import CountedKind, FeedEvent, ServedRequest
from bellcast.preferences.types import Channel
from bellcast.webhooks.types import WebhookSink


class NoFeed:
    """A feed that discards all events, for programs that no operator watches."""

    is_watched = False

    def emit(self, event: FeedEvent) -> None:
        """Do nothing."""

    def requests(
        self, matches: Callable[[ServedRequest], bool], before: tuple[int, str] | None = None
    ) -> Sequence[ServedRequest]:
        """Return no requests."""
        return ()

    def count(self, kind: CountedKind, tenant: str, number: int) -> None:
        """Do nothing."""


NO_FEED = NoFeed()


class InboxOnly:
    """Routes every send to the inbox."""

    async def channels(self, draft: Draft, tenant: str) -> Sequence[Channel]:
        """Return the inbox."""
        return ("inbox",)

    def is_inbox_only(self, draft: Draft, tenant: str) -> bool:
        """True if the send has a title."""
        return draft.title is not UNSET

    async def route(self, draft: Draft, request: SendRequest) -> SendRequest:
        """Return the request. Raises Invalid without a title, as there are no templates."""
        raise Invalid.of("title", "is required")

    async def plan(self, draft: Draft, request: SendRequest) -> Sequence[NewDecision]:
        """Return one decision per recipient."""
        return [
            NewDecision(
                tenant=request.tenant,
                notification=id,
                recipient=key,
                channel="inbox",
                outcome="send",
                decided_at=request.created_at,
            )
            for id, key in zip(request.ids, request.recipients, strict=True)
        ]

    async def plan_audience(
        self, draft: Draft, tenant: str, audience: Audience, limit: int
    ) -> tuple[int | None, Sequence[NewDecision]]:
        """Return no number and no decisions: no members are known."""
        return None, ()

    async def announced(self, draft: Draft, request: AnnounceRequest) -> Content:
        """Return the draft's own content. Raises Invalid without a title, as there are no templates."""
        if draft.title is UNSET:
            raise Invalid.of("title", "is required")
        return request.content

    def wake_jobs(self) -> None:
        """Do nothing: no messages are created."""

    def committed(self, requests: Sequence[SendRequest | AnnounceRequest]) -> None:
        """Do nothing: no messages are created."""

    def forget(self) -> None:
        """Do nothing: no data is cached."""


class NoScheduler:
    """Refuses scheduled sends."""

    async def send_later(self, draft: Draft, *, allows_past: bool) -> bytes:
        """Raise Invalid."""
        raise Invalid.of("send_at", "is not possible here")


class Unlimited:
    """Quotas without limits."""

    def take(self, tenant: str, sends: int) -> None:
        """Allow all sends."""

    def give_back(self, tenant: str, sends: int) -> None:
        """Do nothing."""

    async def load(self) -> None:
        """Do nothing."""


class NoReactions:
    """No reactions."""

    async def matches(self, events: Sequence[LiveEvent]) -> bool:
        return False

    async def react(self, events: Sequence[LiveEvent], key: str | None) -> None:
        """Do nothing."""


def idle_context(db: Engine, broker: Publisher, clock: Clock, new_id: Callable[[int], str], **others: Any) -> Engines:
    """Return a context with these parts."""
    idle: dict[str, Any] = {
        "newcomers_ms": lambda: 0,
        "history": NO_HISTORY,
        "quotas": Unlimited(),
        "rates": TokenBuckets(),
        "router": InboxOnly(),
        "webhooks": WebhookSink(),
        "scheduler": NoScheduler(),
        "reactions": NoReactions(),
        "feed": NO_FEED,
        "pace": Scheduler(),
        "followers": lambda stream: 0,
    }
    return Engines(db=db, broker=broker, clock=clock, new_id=new_id, **(idle | others))
