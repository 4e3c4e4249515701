"""What a send needs: the router, which decides its channels, the schedule of later sends, and quotas."""

from collections.abc import Sequence
from typing import Protocol

from bellcast.channels.types import NewDecision
from bellcast.inbox.types.notifications import Audience, Content, Draft
from bellcast.inbox.types.sends import AnnounceRequest, SendRequest
from bellcast.kernel.validation import FieldErrors
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


class SendScheduler(Protocol):
    """Stores sends until they are due."""

    async def send_later(self, draft: Draft, *, allows_past: bool) -> bytes:
        """Commit a checked draft with `send_at` as a schedule; return the JSON response, for a repeated idempotency key
        the first one. With `allows_past`, a time that has passed is due immediately, else it is refused. Raises Invalid and
        IdempotencyMismatch."""
        ...

    def time_errors(self, draft: Draft, *, allows_past: bool = False) -> FieldErrors:
        """Return the errors of the time of a draft."""
        ...


class Rates(Protocol):
    """Rate limits by name."""

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        """Take `number` units at `rate` per second and return 0, or take none and return the seconds until they are
        available. A rate of 0 means no limit."""
        ...

    def give_back(self, name: str, number: int) -> None:
        """Return unused units."""
        ...


class Quotas(Protocol):
    """Send quotas of tenants."""

    def take(self, tenant: str, sends: int) -> None:
        """Charge sends to a tenant. Raises TooMany if its quota is exhausted, Conflict if it is being erased."""
        ...

    def give_back(self, tenant: str, sends: int) -> None:
        """Refund sends that failed."""
        ...

    async def load(self) -> None:
        """Read the tenants' rules, as all nodes do after some seconds."""
        ...
