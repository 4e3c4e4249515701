"""The agency's notification manager. It writes to the outbox in the transaction of the change, so that an outage of
Bellcast neither loses nor duplicates notifications."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from bellcast.contrib import dbapi
from bellcast.examples.app_kit import Person

from .identity import TENANT

if TYPE_CHECKING:
    from .bookings import Booking

EVERYONE = "everyone"
# Fields of a notification; all other fields of an event become its data.
FIELDS = ("title", "body", "action_url", "action_text", "priority", "icon", "actor", "group", "channels", "template")
# Clients also get these by e-mail, with the template `booking-{status}`.
BY_EMAIL = ("confirmed", "declined", "cancelled", "completed")


class NotificationManager:
    """Each call is one live event on Socket.IO and one notification in the inbox; with `durable=False` only the event.
    Calls with the same key are one notification."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def notify_user(self, user_id: str, event: str, data: Mapping[str, Any], key: str | None = None) -> None:
        """Notify one user on all connections."""
        self._notify(user_id, event, data, key)
        self._publish(None, event, data, recipient=user_id)

    def notify_admins(self, event: str, data: Mapping[str, Any], key: str | None = None) -> None:
        """Notify everyone with the role `admin`."""
        self._notify({"role": "admin"}, event, data, key)
        self._publish("role.admin", event, data)

    def broadcast(self, event: str, data: Mapping[str, Any], *, durable: bool = True, key: str | None = None) -> None:
        """Notify all users of the site."""
        if durable:
            self._notify({"all": True}, event, data, key)
        self._publish(EVERYONE, event, data)

    def notify_booking_update(self, booking: "Booking", action: str, by: Person) -> None:
        """Notify the agency and the client of a booking."""
        update = {
            "id": str(uuid.uuid4()), "type": "booking_update", "action": action,
            "action_url": f"/bookings#booking-{booking.id}", "group": f"booking-{booking.id}",
        }  # fmt: skip
        about, key = f"{booking.celebrity} on {booking.when}", f"starlight-{booking.request_id}-{action}"
        agency: dict[str, Any] = {"title": f"{booking.client} requested {about}", "body": booking.occasion}
        client: dict[str, Any] = {"title": f"We received your request for {about}", "body": booking.occasion}
        if action != "requested":
            agency = {"title": f"{about}: {action}", "body": f"{booking.occasion}, for {booking.client}"}
            client = {"title": f"{about}: {action}", "body": booking.occasion}
        if action in BY_EMAIL:
            template = "booking-withdrawn" if by.key == booking.clientId else f"booking-{action}"
            client |= {"channels": ["inbox", "email"], "template": template}
        actor = {"actor": {"id": by.key, "name": by.name}}
        agency |= {"booking": booking.shown("admin"), **actor}
        self.notify_admins("booking_update", {**update, **agency}, f"{key}-agency")
        if by.key != booking.clientId:  # a name is for the others
            client |= actor
        client["booking"] = booking.shown("client")
        self.notify_user(booking.clientId, "booking_update", {**update, **client}, f"{key}-client")

    def _notify(self, to: Any, event: str, data: Mapping[str, Any], key: str | None) -> None:
        content: Any = {name: data[name] for name in FIELDS if data.get(name) is not None}
        rest = {name: value for name, value in data.items() if name not in FIELDS}
        dbapi.notify(
            self._connection, to, idempotency_key=key, tenant=TENANT, type=event, data=_stamped(rest), **content
        )

    def _publish(self, topic: str | None, event: str, data: Mapping[str, Any], recipient: str | None = None) -> None:
        dbapi.publish(self._connection, topic, event, _stamped(data), recipient=recipient, tenant=TENANT)


def _stamped(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")}
