"""Push endpoints: addresses at which browsers and apps receive push messages."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

PushKind = Literal["web", "fcm", "apns"]


class PushEndpoint(Struct, frozen=True, kw_only=True):
    """A browser's push subscription, or an app on a device. `address` is the URL of the subscription, or the token of the
    device; `p256dh` and `auth` are a browser's keys, in base64url. Times are UTC milliseconds."""

    id: str
    kind: PushKind
    address: str
    p256dh: str | None = None
    auth: str | None = None
    registered_at: int


class PushEndpoints(Protocol):
    """Push endpoints. An address exists only once across all tenants."""

    async def put(self, tenant: str, recipient: str, endpoint: PushEndpoint, limit: int) -> tuple[str, bool]:
        """Register an endpoint; creates the recipient. A known address keeps its id and moves to this recipient. Beyond
        `limit` endpoints, the recipient's oldest are deleted. Return the id, and whether the address is new."""
        ...

    async def page(self, tenant: str, recipient: str) -> list[PushEndpoint]:
        """Return a recipient's endpoints, newest first."""
        ...

    async def addresses(self, tenant: str, recipients: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the addresses by recipient, newest first; recipients without any are absent."""
        ...

    async def delete(self, tenant: str, recipient: str, id: str) -> bool:
        """Delete an endpoint of a recipient; return whether there was one."""
        ...

    async def forget(self, tenant: str, address: str) -> None:
        """Delete an endpoint that no longer exists at its service."""
        ...
