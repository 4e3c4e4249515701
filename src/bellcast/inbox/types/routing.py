"""Port: the router, which decides the channels of a send."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import UNSET

from bellcast.channels.types import NewDecision
from bellcast.inbox.types.notifications import Audience, Content, Draft
from bellcast.inbox.types.sends import AnnounceRequest, SendRequest
from bellcast.kernel.errors import Invalid
from bellcast.preferences.types import Channel


class Router(Protocol):
    """Decides through which channels each recipient gets a send."""

    def is_inbox_only(self, draft: Draft, tenant: str) -> bool:
        """True if the send is known to use only the inbox of each recipient, so that it need not be routed."""
        ...

    async def route(self, draft: Draft, request: SendRequest) -> SendRequest:
        """Return the request with its inbox rows, messages and decisions. Raises Invalid."""
        ...

    async def plan(self, draft: Draft, request: SendRequest) -> Sequence[NewDecision]:
        """Return what `route` would decide. Raises Invalid like `route`."""
        ...

    async def plan_audience(
        self, draft: Draft, tenant: str, audience: Audience, limit: int
    ) -> tuple[int | None, Sequence[NewDecision]]:
        """Return the number of members, None if there are more than 10,000, and what an announcement would decide for
        the first `limit` of them."""
        ...

    async def channels(self, draft: Draft, tenant: str) -> Sequence[Channel]:
        """Return the channels of a send."""
        ...

    async def announced(self, draft: Draft, request: AnnounceRequest) -> Content:
        """Return the content of the row of an announcement, which all its recipients share. Raises Invalid."""
        ...

    def messages_added(self) -> None:
        """Start delivering committed messages."""
        ...

    def committed(self, requests: Sequence[SendRequest | AnnounceRequest]) -> None:
        """Start delivering the messages of committed requests, and report those that have already ended."""
        ...

    def forget(self) -> None:
        """Drop cached types, templates and preferences after a change in this process."""
        ...


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

    def messages_added(self) -> None:
        """Do nothing: no messages are created."""

    def committed(self, requests: Sequence[SendRequest | AnnounceRequest]) -> None:
        """Do nothing: no messages are created."""

    def forget(self) -> None:
        """Do nothing: no data is cached."""
