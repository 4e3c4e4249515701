"""Who is on the presence topics: a person joins with the first connection and leaves with the last."""

from collections.abc import Sequence

from bellcast.model import patterns
from bellcast.model.events import Member, PresenceChanged
from bellcast.model.people import Principal


class Presence:
    """Members by topic, counted by their connections in this process."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._patterns = tuple(topics)
        self._members: dict[tuple[str, str], dict[str, list[Principal]]] = {}

    def kept(self, topic: str) -> bool:
        """Whether presence is kept on a topic."""
        return patterns.any_matches(self._patterns, topic)

    def arrive(self, principal: Principal, topic: str, connection: str) -> PresenceChanged | None:
        """One more connection of somebody; the change if it is the first."""
        if principal.recipient is None or not self.kept(topic):
            return None
        links = self._members.setdefault((principal.tenant, topic), {}).setdefault(principal.recipient, [])
        links.append(principal)
        if len(links) > 1:
            return None
        member = Member(recipient=principal.recipient, name=principal.name)
        return PresenceChanged(tenant=principal.tenant, topic=topic, joined=(member,), sender=connection)

    def depart(self, principal: Principal, topic: str, connection: str) -> PresenceChanged | None:
        """One connection less; the change if it was the last."""
        members = self._members.get((principal.tenant, topic), {})
        links = members.get(principal.recipient or "")
        if not links:
            return None
        links.pop()
        if links:
            return None
        del members[principal.recipient or ""]
        if not members:
            del self._members[principal.tenant, topic]
        member = Member(recipient=principal.recipient or "", name=principal.name)
        return PresenceChanged(tenant=principal.tenant, topic=topic, left=(member,), sender=connection)

    def members(self, tenant: str, topic: str) -> list[Member]:
        """Everybody present, by key."""
        return [
            Member(recipient=key, name=links[-1].name, connections=len(links))
            for key, links in sorted(self._members.get((tenant, topic), {}).items())
        ]
