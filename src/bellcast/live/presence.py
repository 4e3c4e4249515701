"""Who is on the presence topics: a person joins with the first connection and leaves with the last."""

from collections.abc import Sequence

from bellcast.model import patterns
from bellcast.model.events import Member, PresenceChanged
from bellcast.model.people import Principal


class Presence:
    """Members by topic, counted by their connections in this process."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._patterns = tuple(topics)
        self._members: dict[tuple[str, str], dict[str, dict[str, Member]]] = {}
        # Who a connection is on a topic, where that is not its recipient.
        self._named: dict[tuple[str, str], str] = {}

    def kept(self, topic: str) -> bool:
        """Whether presence is kept on a topic."""
        return patterns.any_matches(self._patterns, topic)

    def arrive(
        self, principal: Principal, topic: str, connection: str, member: Member | None = None
    ) -> PresenceChanged | None:
        """One more connection of somebody; the change if it is the first. A `member` that is named is always kept."""
        if member is not None:
            self._named[connection, topic] = member.recipient
        elif principal.recipient is None or not self.kept(topic):
            return None
        else:
            member = Member(recipient=principal.recipient, name=principal.name)
        links = self._members.setdefault((principal.tenant, topic), {}).setdefault(member.recipient, {})
        links[connection] = member
        if len(links) > 1:
            return None
        return PresenceChanged(tenant=principal.tenant, topic=topic, joined=(member,), sender=connection)

    def depart(self, principal: Principal, topic: str, connection: str) -> PresenceChanged | None:
        """One connection less; the change if it was the last."""
        recipient = self._named.pop((connection, topic), principal.recipient or "")
        members = self._members.get((principal.tenant, topic), {})
        links = members.get(recipient)
        if not links or (member := links.pop(connection, None)) is None or links:
            return None
        del members[recipient]
        if not members:
            del self._members[principal.tenant, topic]
        return PresenceChanged(tenant=principal.tenant, topic=topic, left=(member,), sender=connection)

    def recipient(self, principal: Principal, topic: str, connection: str) -> str | None:
        """Who a connection is on a topic."""
        return self._named.get((connection, topic), principal.recipient)

    def people(self, tenant: str, topic: str) -> list[Member]:
        """Everybody present, as they were let in."""
        return [next(iter(links.values())) for links in self._members.get((tenant, topic), {}).values()]

    def members(self, tenant: str, topic: str) -> list[Member]:
        """Everybody present, by key."""
        return [
            Member(recipient=key, name=newest.name, connections=len(links), info=newest.info)
            for key, links in sorted(self._members.get((tenant, topic), {}).items())
            for newest in list(links.values())[-1:]
        ]
