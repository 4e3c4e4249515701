"""Who is on the presence topics: a person joins with the first connection, on whichever node, and leaves with the last."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bellcast.model import patterns
from bellcast.model.events import Member, PeerPresence, PresenceChanged
from bellcast.model.identities import Principal

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class Departure(NamedTuple):
    """A connection less: of whom, how many that member has here still, and the change if it was the last of all."""

    where: PresenceKey
    here: int
    change: PresenceChanged | None


class Presence:
    """Members by topic, counted by their connections in this process and by what other nodes tell."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._patterns = tuple(topics)
        # By topic and recipient: a member for each connection here and for each other node, which says how many it has.
        self._members: dict[tuple[str, str], dict[str, dict[str, Member]]] = {}
        # Who a connection is on a topic, where that is not its recipient.
        self._named: dict[tuple[str, str], str] = {}

    def tracks(self, topic: str) -> bool:
        """Whether presence is kept on a topic."""
        return patterns.any_matches(self._patterns, topic)

    # --- connections of this process

    def join(
        self, principal: Principal, topic: str, connection: str, member: Member | None = None
    ) -> tuple[PresenceKey, PresenceChanged | None] | None:
        """One more connection of somebody: who, and the change if it is the first. A `member` that is named is always kept."""
        if member is not None:
            self._named[connection, topic] = member.recipient
        elif principal.recipient is None or not self.tracks(topic):
            return None
        else:
            member = Member(recipient=principal.recipient, name=principal.name)
        where = (principal.tenant, topic, member.recipient)
        return where, self._add(where, connection, member, sender=connection)

    def leave(self, principal: Principal, topic: str, connection: str) -> Departure | None:
        """One connection less."""
        recipient = self._named.pop((connection, topic), principal.recipient or "")
        where = (principal.tenant, topic, recipient)
        links = self._links(where)
        if connection not in links:
            return None
        change = self._remove(where, connection, sender=connection)
        return Departure(where, _local_count(links), change)

    def member_key(self, principal: Principal, topic: str, connection: str) -> str | None:
        """Who a connection is on a topic."""
        return self._named.get((connection, topic), principal.recipient)

    # --- other nodes

    def apply_remote(self, node: str, present: PeerPresence) -> PresenceChanged | None:
        """What another node has of somebody; the change if they came or left by that."""
        where = (present.tenant, present.topic, present.member.recipient)
        if present.member.connections:
            return self._add(where, node, present.member, sender=None)
        return self._remove(where, node, sender=None)

    def local(self, where: PresenceKey) -> PeerPresence:
        """Somebody's connections in this process."""
        tenant, topic, recipient = where
        links = self._links(where)
        member = next((one for one in links.values() if one.connections is None), Member(recipient=recipient))
        return PeerPresence(tenant, topic, Member(recipient, member.name, _local_count(links), member.info))

    def all_local(self) -> Iterator[PeerPresence]:
        """Everybody with a connection in this process."""
        for (tenant, topic), members in self._members.items():
            for recipient, links in members.items():
                if _local_count(links):
                    yield self.local((tenant, topic, recipient))

    # --- who is there

    def member_keys(self, tenant: str, topic: str) -> list[Member]:
        """Everybody present, as they were let in."""
        return [next(iter(links.values())) for links in self._members.get((tenant, topic), {}).values()]

    def is_present(self, tenant: str, topic: str, recipient: str) -> bool:
        """Whether somebody is present."""
        return bool(self._links((tenant, topic, recipient)))

    def members(self, tenant: str, topic: str) -> list[Member]:
        """Everybody present, by key."""
        return [
            Member(recipient=key, name=newest.name, connections=_total_count(links), info=newest.info)
            for key, links in sorted(self._members.get((tenant, topic), {}).items())
            for newest in list(links.values())[-1:]
        ]

    def _links(self, where: PresenceKey) -> dict[str, Member]:
        tenant, topic, recipient = where
        return self._members.get((tenant, topic), {}).get(recipient, {})

    def _add(self, where: PresenceKey, source: str, member: Member, sender: str | None) -> PresenceChanged | None:
        tenant, topic, recipient = where
        links = self._members.setdefault((tenant, topic), {}).setdefault(recipient, {})
        first = not links
        links[source] = member
        if not first:
            return None
        return PresenceChanged(tenant=tenant, topic=topic, joined=(_plain(member),), sender=sender)

    def _remove(self, where: PresenceKey, source: str, sender: str | None) -> PresenceChanged | None:
        tenant, topic, recipient = where
        links = self._links(where)
        member = links.pop(source, None)
        if member is None or links:
            return None
        members = self._members[tenant, topic]
        del members[recipient]
        if not members:
            del self._members[tenant, topic]
        return PresenceChanged(tenant=tenant, topic=topic, left=(_plain(member),), sender=sender)


def _plain(member: Member) -> Member:
    """As it is told of who comes and goes: how many connections is nobody's matter."""
    return member if member.connections is None else Member(member.recipient, member.name, info=member.info)


def _local_count(links: dict[str, Member]) -> int:
    return sum(member.connections is None for member in links.values())


def _total_count(links: dict[str, Member]) -> int:
    return sum(1 if member.connections is None else member.connections for member in links.values())
