"""Presence: a member joins a topic with its first connection on any node and leaves with its last. Followers receive the changes
in batches."""

import asyncio
from collections.abc import Callable, Sequence, Set
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from bellcast.kernel.events import Stream, any_pattern_matches
from bellcast.kernel.identities import Principal
from bellcast.live.cluster.groups import PresenceKey
from bellcast.live.types import PresenceChanged
from bellcast.topics.types import Member

# Up to this many followers receive every change in the next event loop iteration.
DIRECT_FOLLOWERS = 100
# The batch interval keeps a topic's writes below this many per second: about 7 % of a core.
WRITES_PER_SECOND = 10_000
# A batch of this many changes is sent immediately.
MAX_BATCH_CHANGES = 500

SendMoves = Callable[[Stream, Sequence[PresenceChanged]], None]


class PresenceTracker(Struct, eq=False):
    """Members by topic, with their connections in this process and on other nodes. `patterns` returns the current
    patterns of topics with presence. A change applies to connections that follow a topic afterwards."""

    patterns: Callable[[], Sequence[str]]
    # By topic and recipient: a member per local connection and per other node, the latter with its connection count.
    _members: dict[tuple[str, str], dict[str, dict[str, Member]]] = {}
    # Member key of a connection on a topic, if it differs from its recipient.
    _member_keys: dict[tuple[str, str], str] = {}

    def tracks(self, topic: str) -> bool:
        return _matches_any(tuple(self.patterns()), topic)

    # --- connections of this process

    def join(
        self, principal: Principal, topic: str, connection: str, member: Member | None = None
    ) -> tuple[PresenceKey, PresenceChanged | None] | None:
        """Add a connection. Return its key and, for the first of a member, the change. An explicit `member` is always
        tracked."""
        if member is not None:
            self._member_keys[connection, topic] = member.recipient
        elif principal.recipient is None or not self.tracks(topic):
            return None
        else:
            member = Member(recipient=principal.recipient, name=principal.name)
        key = (principal.tenant, topic, member.recipient)
        return key, self._add(key, connection, member, sender=connection)

    def leave(
        self, principal: Principal, topic: str, connection: str
    ) -> tuple[PresenceKey, PresenceChanged | None, int] | None:
        """Remove a connection. Return its key, the change if it was the member's last one anywhere, and the number of those left
        in this process."""
        recipient = self._member_keys.pop((connection, topic), principal.recipient or "")
        key = (principal.tenant, topic, recipient)
        sources = self._sources(key)
        if connection not in sources:
            return None
        change = self._remove(key, connection, sender=connection)
        return key, change, _local_count(sources)

    def member_key(self, principal: Principal, topic: str, connection: str) -> str | None:
        return self._member_keys.get((connection, topic), principal.recipient)

    # --- other nodes

    def apply_remote(self, node: str, tenant: str, topic: str, member: Member) -> PresenceChanged | None:
        """Apply a member's connection count on another node. Returns the change if the member joined or left."""
        key = (tenant, topic, member.recipient)
        if member.connections:
            return self._add(key, node, member, sender=None)
        return self._remove(key, node, sender=None)

    def local(self, tenant: str, topic: str, recipients: Set[str] | None = None) -> list[Member]:
        """Return members with their connections in this process: all that are present, or the given ones, present or
        not."""
        found: list[Member] = []
        here = self._members.get((tenant, topic), {})
        for recipient in here if recipients is None else recipients:
            sources = here.get(recipient, {})
            count = _local_count(sources)
            if count or recipients is not None:
                member = next((one for one in sources.values() if one.connections is None), Member(recipient=recipient))
                found.append(Member(recipient, member.name, count, member.info))
        return found

    # --- queries

    def is_present(self, tenant: str, topic: str, recipient: str) -> bool:
        return bool(self._sources((tenant, topic, recipient)))

    def members(self, tenant: str, topic: str) -> list[Member]:
        """Return the present members with connection counts, sorted by key."""
        return [
            Member(
                recipient=key,
                name=newest.name,
                connections=sum(1 if member.connections is None else member.connections for member in sources.values()),
                info=newest.info,
            )
            for key, sources in sorted(self._members.get((tenant, topic), {}).items())
            for newest in list(sources.values())[-1:]
        ]

    def _sources(self, key: PresenceKey) -> dict[str, Member]:
        tenant, topic, recipient = key
        return self._members.get((tenant, topic), {}).get(recipient, {})

    def _add(self, key: PresenceKey, source: str, member: Member, sender: str | None) -> PresenceChanged | None:
        tenant, topic, recipient = key
        sources = self._members.setdefault((tenant, topic), {}).setdefault(recipient, {})
        first = not sources
        sources[source] = member
        if not first:
            return None
        return PresenceChanged(tenant=tenant, topic=topic, joined=(_plain(member),), sender=sender)

    def _remove(self, key: PresenceKey, source: str, sender: str | None) -> PresenceChanged | None:
        tenant, topic, recipient = key
        sources = self._sources(key)
        member = sources.pop(source, None)
        if member is None or sources:
            return None
        members = self._members[tenant, topic]
        del members[recipient]
        if not members:
            del self._members[tenant, topic]
        return PresenceChanged(tenant=tenant, topic=topic, left=(_plain(member),), sender=sender)


class PresenceBatcher(Struct, eq=False):
    """Sends presence changes together: those of one event loop iteration or, on topics with thousands of followers, of an
    interval. A new follower receives the members when it follows, so it only receives the changes after that, as does a
    member that left."""

    send: SendMoves
    _pending: dict[Stream, list[PresenceChanged]] = {}

    def add(self, change: PresenceChanged, followers: int) -> None:
        """Add a change, which is sent after the reply to the connection that joined or left."""
        stream = change.stream
        waiting = self._pending.get(stream)
        if waiting is None:
            self._pending[stream], loop = [change], asyncio.get_running_loop()
            if followers <= DIRECT_FOLLOWERS:
                loop.call_soon(self._flush, stream)
            else:
                loop.call_later(followers / WRITES_PER_SECOND, self._flush, stream)
            return
        waiting.append(change)
        if len(waiting) >= MAX_BATCH_CHANGES:
            self._flush(stream)
            self._pending[stream] = []

    def add_follower(self, stream: Stream, id: str) -> None:
        """Record that a connection follows from now on, by a change without members."""
        waiting = self._pending.get(stream)
        if waiting:
            waiting.append(replace(waiting[0], joined=(), left=(), sender=id))

    def _flush(self, stream: Stream) -> None:
        changes = self._pending.pop(stream, None)
        if changes:
            self.send(stream, changes)


def merge_changes(changes: Sequence[PresenceChanged]) -> PresenceChanged | None:
    """Merge changes; a join and a leave of the same member cancel out."""
    joined: dict[str, Member] = {}
    left: dict[str, Member] = {}
    for change in changes:
        for member in change.joined:
            if left.pop(member.recipient, None) is None:
                joined[member.recipient] = member
        for member in change.left:
            if joined.pop(member.recipient, None) is None:
                left[member.recipient] = member
    if not joined and not left:
        return None
    first = changes[0]
    return PresenceChanged(first.tenant, first.topic, tuple(joined.values()), tuple(left.values()))


# Called twice for each follower of a topic. With topic names of at most 200 characters, the cache takes 2 MB.
_matches_any = lru_cache(maxsize=5_000)(any_pattern_matches)


def _plain(member: Member) -> Member:
    """Return the member for join and leave events, without its connection count."""
    return member if member.connections is None else Member(member.recipient, member.name, info=member.info)


def _local_count(sources: dict[str, Member]) -> int:
    return sum(member.connections is None for member in sources.values())
