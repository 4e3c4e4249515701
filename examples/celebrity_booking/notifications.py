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

# Fields of a notification; all other fields of an event become its data.
FIELDS = ("title", "body", "action_url", "priority", "actor", "group", "channels", "template")
# Fields that only the notification has.
DELIVERY = ("channels", "template")
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
        self._publish("everyone", event, data)

    def notify_booking_update(self, booking: "Booking", action: str, by: Person) -> None:
        """Notify the agency and the client of a booking."""
        about, is_new, is_own = (
            f"{booking.celebrity} on {booking.when}",
            action == "requested",
            by.key == booking.clientId,
        )
        update = {
            "id": str(uuid.uuid4()), "type": "booking_update", "action": action, "body": booking.occasion,
            "action_url": f"/bookings#booking-{booking.id}", "group": f"booking-{booking.id}",
            "title": f"{about}: {action}", "actor": {"id": by.key, "name": by.name},
        }  # fmt: skip
        agency = {**update, "booking": booking.shown("admin"), "body": f"{booking.occasion}, for {booking.client}"}
        client = {**update, "booking": booking.shown("client"), "actor": None if is_own else update["actor"]}
        if is_new:
            agency |= {"title": f"{booking.client} requested {about}", "body": booking.occasion}
            client["title"] = f"We received your request for {about}"
        if action in BY_EMAIL:
            template = f"booking-{'withdrawn' if is_own else action}"
            client |= {"channels": ["inbox", "email"], "template": template}
        key = f"starlight-{booking.request_id}-{action}"
        self.notify_admins("booking_update", agency, f"{key}-agency")
        self.notify_user(booking.clientId, "booking_update", client, f"{key}-client")

    def _notify(self, to: Any, event: str, data: Mapping[str, Any], key: str | None) -> None:
        content: Any = {name: data[name] for name in FIELDS if data.get(name) is not None}
        rest = _stamped(data, without=FIELDS)
        dbapi.notify(self._connection, to, idempotency_key=key, tenant=TENANT, type=event, data=rest, **content)

    def _publish(self, topic: str | None, event: str, data: Mapping[str, Any], recipient: str | None = None) -> None:
        data = _stamped(data, without=DELIVERY)
        dbapi.publish(self._connection, topic, event, data, recipient=recipient, tenant=TENANT)


def _stamped(data: Mapping[str, Any], without: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: value for name, value in data.items() if name not in without}
    return {**kept, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")}
