"""A device that maintains its inbox from events alone: the Python twin of the rules in the browser's
`inbox-reducer.js`.

It exists only for the law (*snapshot + events == fresh snapshot*): plain dicts, everything in memory."""

from datetime import datetime
from typing import Any

from bellcast.kernel import ids, times

Notification = dict[str, Any]
Frame = dict[str, Any]


class Device:
    """The state of one client: every notification that is not archived, and the counters."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.notifications: dict[str, Notification] = {
            notification["id"]: notification for notification in snapshot["notifications"]
        }
        self.unread: int = snapshot["unread"]
        self.unseen: int = snapshot["unseen"]
        self.position: str = snapshot["position"]
        self.needs_refetch = False  # after a reset

    def apply(self, frame: Frame) -> None:
        """Apply one frame."""
        match frame["type"]:
            case "notification" | "notification-update":
                self._put(frame["notification"])
            case "notification-delete":
                self.notifications.pop(frame["id"], None)
            case "counts":
                self._apply_counts(frame)
            case "reset":
                self.needs_refetch = True
            case _:
                return
        self.unread, self.unseen, self.position = frame["unread"], frame["unseen"], frame["position"]

    def _put(self, notification: Notification) -> None:
        if notification["archived_at"] is None and notification["snoozed_until"] is None:
            self.notifications[notification["id"]] = notification
        else:
            self.notifications.pop(notification["id"], None)

    def _apply_counts(self, frame: Frame) -> None:
        for id in self._selected(frame):
            changed = frame["changed"]
            if changed in ("deleted", "archived"):
                del self.notifications[id]
            elif changed == "unarchived":
                self.needs_refetch = True  # archived notifications are not stored here
            else:
                self.notifications[id] = {
                    **self.notifications[id],
                    **_stamps(self.notifications[id], changed, frame["at"]),
                }
        if frame["changed"] == "unarchived":
            self.needs_refetch = True

    def _selected(self, frame: Frame) -> list[str]:
        if frame["ids"] != "all":
            return [id for id in frame["ids"] if id in self.notifications]
        of = frame.get("of", {})
        return [id for id, notification in self.notifications.items() if _within(notification, of)]

    @property
    def snapshot(self) -> dict[str, Any]:
        """The expected response of a fresh `GET /v1/inbox`, newest notification first."""
        newest_first = sorted(self.notifications.values(), key=_place, reverse=True)
        return {
            "notifications": newest_first,
            "unread": self.unread,
            "unseen": self.unseen,
            "position": self.position,
        }


def _place(notification: Notification) -> str:
    woken_at, id = notification["woken_at"], notification["id"]
    return id if woken_at is None else ids.place(id, times.milliseconds(datetime.fromisoformat(woken_at)))


def _within(notification: Notification, of: dict[str, str]) -> bool:
    if "type" in of and notification["type"] != of["type"]:
        return False
    if "tag" in of and of["tag"] not in notification["tags"]:
        return False
    is_read = notification["read_at"] is not None
    return {"all": True, "read": is_read, "unread": not is_read, "archived": False, "snoozed": False}[
        of.get("view", "all")
    ]


def _stamps(notification: Notification, changed: str, at: str) -> dict[str, str | None]:
    seen = notification["seen_at"] or at
    match changed:
        case "seen":
            return {"seen_at": seen}
        case "read":
            return {"seen_at": seen, "read_at": notification["read_at"] or at}
        case _:
            return {"read_at": None}
