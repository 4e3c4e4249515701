"""A notification as the REST API returns it."""

from typing import Any

from bellcast.client import Notification, arguments


def to_row(notification: Notification) -> dict[str, Any]:
    """Return the JSON object of a notification. Absent texts are empty."""
    expires_at = notification.expires_at
    return {
        "id": notification.id,
        "type": notification.type,
        "title": notification.title,
        "message": notification.body or "",
        "priority": notification.priority,
        "action_url": notification.action_url or "",
        "action_text": notification.action_text or "",
        "icon": notification.icon or "",
        "metadata": notification.data,
        "is_read": notification.read_at is not None,
        "read_at": time_text(notification.read_at),
        "created_at": time_text(notification.created_at),
        "expires_at": time_text(expires_at),
        "is_expired": expires_at is not None and expires_at <= arguments.now(),
    }


def time_text(value: Any) -> str | None:
    """Return a time as the REST API sends it."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")
