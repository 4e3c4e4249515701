"""Who is on each presence channel, ready to be told: with thousands there, making it anew for everybody who comes would
cost more than telling it."""

from bellcast.live.pusher.protocol import frames
from bellcast.model import topics
from bellcast.model.events import PresenceChanged


class PresenceCache:
    """The members of presence channels as pieces of a frame, kept up with every move."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], dict[str, str]] = {}
        self._people: dict[tuple[str, str], dict[str, str]] = {}

    def apply(self, event: PresenceChanged) -> None:
        """Somebody came or went."""
        if not topics.is_presence(event.topic):
            return
        where = (event.tenant, event.topic)
        ids, people = self._ids.setdefault(where, {}), self._people.setdefault(where, {})
        for member in event.joined:
            ids[member.recipient], people[member.recipient] = frames.presence_entry(member)
        for member in event.left:
            ids.pop(member.recipient, None)
            people.pop(member.recipient, None)
        if not ids:
            del self._ids[where], self._people[where]

    def count(self, tenant: str, channel: str) -> int:
        """How many are there."""
        return len(self._ids.get((tenant, channel), ()))

    def snapshot(self, tenant: str, channel: str) -> str:
        """Everybody there, as newcomers are told."""
        ids = self._ids.get((tenant, channel), {})
        return frames.presence_snapshot(ids.values(), self._people.get((tenant, channel), {}).values(), len(ids))
