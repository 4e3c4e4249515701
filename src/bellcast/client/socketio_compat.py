"""The notification manager that Socket.IO apps usually write themselves, built on Bellcast: it sends live events and
stores notifications in the inbox."""

from collections.abc import Mapping
from typing import Any

from bellcast.client.api import Bellcast

ADMIN_ROLE = "admin"
# The topic every signed-in Socket.IO client follows.
EVERYONE = "everyone"
BOOKING_UPDATE = "booking_update"
# Common field names for the owner of a booking.
OWNERS = ("user_id", "userId", "client_id", "clientId", "recipient")
IDS = ("id", "booking_id", "bookingId", "_id")


class NotificationManager:
    """Notify users, admins or all recipients. Each call is one live event and one notification; with `durable=False` it is
    the event alone, as in plain Socket.IO.

    >>> notifications = NotificationManager(Bellcast(url, secret))
    >>> notifications.notify_user("alice", "booking_update", {"title": "Your booking is confirmed", "bookingId": 7})

    `title`, `body`, `action_url`, `action_text`, `priority` and `icon` of the data are the notification's own; without
    a title it is the event's name, in words.
    """

    def __init__(self, bell: Bellcast, *, admin_role: str = ADMIN_ROLE, everyone: str = EVERYONE) -> None:
        self._bell = bell
        self._admin_role = admin_role
        self._everyone = everyone

    def notify_user(self, user_id: str | int, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify one user on all of their connections."""
        key = str(user_id)
        if durable:
            self._bell.notify(key, **notification(event, data))
        self._bell.publish({"recipient": key}, event, dict(data))

    def notify_admins(self, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify all recipients with the admin role."""
        if durable:
            self._bell.notify({"role": self._admin_role}, **notification(event, data))
        self._bell.publish(f"role.{self._admin_role}", event, dict(data))

    def broadcast(self, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify all recipients. The live event goes to the `everyone` topic; the notification is one announcement."""
        if durable:
            self._bell.notify({"all": True}, **notification(event, data))
        self._bell.publish(self._everyone, event, dict(data))

    def notify_booking_update(self, booking: Mapping[str, Any], action: str) -> None:
        """Notify the booking's owner and the admins of the action."""
        id = _first(booking, IDS)
        owner = _first(booking, OWNERS)
        named = f"Booking {id}" if id is not None else "Booking"
        said: dict[str, Any] = {"type": BOOKING_UPDATE, "action": action, "booking": dict(booking)}
        told = {**said, "title": f"{named} {action}", **_links(booking)}
        self.notify_admins(BOOKING_UPDATE, told)
        if owner is not None:
            self.notify_user(owner, BOOKING_UPDATE, {**told, "title": f"Your {named[0].lower()}{named[1:]}: {action}"})


OWN = ("title", "body", "action_url", "action_text", "priority", "icon")


def notification(event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The notification an event's data makes: its own fields, and all the rest as data."""
    own = {name: data[name] for name in OWN if data.get(name) is not None}
    own.setdefault("title", event.replace("_", " ").replace("-", " ").capitalize())
    rest = {name: value for name, value in data.items() if name not in OWN}
    return {**own, "type": event, "data": rest}


def _links(booking: Mapping[str, Any]) -> dict[str, Any]:
    return {name: booking[name] for name in ("action_url", "action_text") if booking.get(name)}


def _first(booking: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((booking[name] for name in names if booking.get(name) is not None), None)
