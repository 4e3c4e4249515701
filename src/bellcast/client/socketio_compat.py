"""A replacement for the notification manager that Socket.IO apps usually write themselves: it sends live events and
stores notifications in the inbox."""

from collections.abc import Mapping
from typing import Any

from bellcast.client.api import Bellcast
from bellcast.client.errors import InvalidArgument

ADMIN_ROLE = "admin"
# The topic every signed-in Socket.IO client follows.
EVERYONE = "everyone"


class NotificationManager:
    """Notify users, admins or all recipients. Each call is one live event and one notification; with `durable=False` it is
    the event alone, as in plain Socket.IO.

    >>> notifications = NotificationManager(Bellcast(url, secret))
    >>> notifications.notify_user("alice", "order_shipped", {"title": "Your order has shipped", "order": 7})

    `title`, `body`, `action_url`, `action_text`, `priority` and `icon` of the data become fields of the notification; the
    default title is the event's name with spaces.
    """

    def __init__(self, bell: Bellcast, *, admin_role: str = ADMIN_ROLE, everyone: str = EVERYONE) -> None:
        self._bell = bell
        self._admin_role = admin_role
        self._everyone = everyone

    def notify_user(self, user_id: str | int, event: str, data: Mapping[str, Any], *, durable: bool = True) -> None:
        """Notify one user on all of their connections."""
        if user_id is None:  # all users without an id would share an inbox
            raise InvalidArgument("user_id", "must be a string or a number")
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
        """Notify all recipients. The live event is published to the `everyone` topic; the notification is one announcement."""
        if durable:
            self._bell.notify({"all": True}, **notification(event, data))
        self._bell.publish(self._everyone, event, dict(data))


NOTIFICATION_FIELDS = ("title", "body", "action_url", "action_text", "priority", "icon")


def notification(event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Build a notification from an event: known fields become the notification's, all others its data."""
    fields = {name: data[name] for name in NOTIFICATION_FIELDS if data.get(name) is not None}
    fields.setdefault("title", event.replace("_", " ").replace("-", " ").capitalize())
    rest = {name: value for name, value in data.items() if name not in NOTIFICATION_FIELDS}
    return {**fields, "type": event, "data": rest}
