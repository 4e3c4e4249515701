"""A send before a backend transmits it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from bellcast.contrib import outbox
from bellcast.contrib.relay import ADDRESSES


@dataclass(slots=True, weakref_slot=True, eq=False)
class OutgoingSend:
    """One send: the body of its REST request, and the notifications of its recipients in the order of `to`."""

    kind: outbox.Kind
    payload: dict[str, Any]
    key: UUID
    idempotency_key: str | None = None
    send_at: datetime | None = None
    notifications: Sequence[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.payload = outbox.as_json(self.payload)

    @property
    def request_body(self) -> dict[str, Any]:
        """Return the payload for backends that send immediately: without the relay's own fields, and with the time."""
        body = {name: value for name, value in self.payload.items() if name != ADDRESSES}
        return body if self.send_at is None else {**body, "send_at": self.send_at.isoformat()}

    def assign_ids(self, ids: Sequence[str]) -> None:
        """Set the ids of the notifications once they are known."""
        for notification, id in zip(self.notifications, ids, strict=False):
            notification.pk = id
