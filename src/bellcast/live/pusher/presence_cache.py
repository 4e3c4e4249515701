"""Encoded members of each presence channel. With thousands of members, encoding them for each new subscriber would
cost more than sending them."""

from bellcast.live.pusher.protocol import frames
from bellcast.live.types.events import PresenceChanged
from bellcast.topics.types import is_presence


class PresenceCache:
    """Members of presence channels as encoded frame fragments, updated with every change."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], dict[str, str]] = {}
        self._entries: dict[tuple[str, str], dict[str, str]] = {}

    def apply(self, event: PresenceChanged) -> None:
        if not is_presence(event.topic):
            return
        key = (event.tenant, event.topic)
        ids, entries = self._ids.setdefault(key, {}), self._entries.setdefault(key, {})
        for member in event.joined:
            ids[member.recipient], entries[member.recipient] = frames.presence_entry(member)
        for member in event.left:
            ids.pop(member.recipient, None)
            entries.pop(member.recipient, None)
        if not ids:
            del self._ids[key], self._entries[key]

    def count(self, tenant: str, channel: str) -> int:
        return len(self._ids.get((tenant, channel), ()))

    def snapshot(self, tenant: str, channel: str) -> str:
        ids = self._ids.get((tenant, channel), {})
        return frames.presence_snapshot(ids.values(), self._entries.get((tenant, channel), {}).values(), len(ids))
