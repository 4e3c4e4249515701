"""A device that keeps its inbox by events alone: the Python twin of the rules in the browser's `inbox-reducer.js`.

It is written for the law (*snapshot + events == fresh snapshot*), not for use: plain dicts, everything in memory."""

from typing import Any

Notification = dict[str, Any]
Frame = dict[str, Any]


class Device:
    """What one client knows: every notification that is not archived, newest first, and the counters."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.known: dict[str, Notification] = {one["id"]: one for one in snapshot["notifications"]}
        self.unread: int = snapshot["unread"]
        self.unseen: int = snapshot["unseen"]
        self.position: str = snapshot["position"]
        self.lost = False  # told to fetch again

    def hear(self, frame: Frame) -> None:
        """Apply one frame."""
        match frame["type"]:
            case "notification" | "notification-update":
                self._put(frame["notification"])
            case "notification-delete":
                self.known.pop(frame["id"], None)
            case "counts":
                self._many(frame)
            case "reset":
                self.lost = True
            case _:
                return
        self.unread, self.unseen, self.position = frame["unread"], frame["unseen"], frame["position"]

    def _put(self, notification: Notification) -> None:
        if notification["archived_at"] is None:
            self.known[notification["id"]] = notification
        else:
            self.known.pop(notification["id"], None)

    def _many(self, frame: Frame) -> None:
        for id in self._meant(frame):
            changed = frame["changed"]
            if changed in ("deleted", "archived"):
                del self.known[id]
            elif changed == "unarchived":
                self.lost = True  # what was put away is not known here
            else:
                self.known[id] = {**self.known[id], **_stamps(self.known[id], changed, frame["at"])}
        if frame["changed"] == "unarchived":
            self.lost = True

    def _meant(self, frame: Frame) -> list[str]:
        if frame["ids"] != "all":
            return [id for id in frame["ids"] if id in self.known]
        of = frame.get("of", {})
        return [id for id, one in self.known.items() if _within(one, of)]

    @property
    def snapshot(self) -> dict[str, Any]:
        """What a fresh `GET /v1/inbox` must say."""
        newest_first = sorted(self.known.values(), key=lambda one: one["id"], reverse=True)
        return {
            "notifications": newest_first,
            "unread": self.unread,
            "unseen": self.unseen,
            "position": self.position,
        }


def _within(notification: Notification, of: dict[str, str]) -> bool:
    if "type" in of and notification["type"] != of["type"]:
        return False
    is_read = notification["read_at"] is not None
    return {"all": True, "read": is_read, "unread": not is_read, "archived": False}[of.get("view", "all")]


def _stamps(notification: Notification, changed: str, at: str) -> dict[str, str | None]:
    seen = notification["seen_at"] or at
    match changed:
        case "seen":
            return {"seen_at": seen}
        case "read":
            return {"seen_at": seen, "read_at": notification["read_at"] or at}
        case _:
            return {"read_at": None}
