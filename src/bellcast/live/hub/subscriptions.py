"""The topics that a client may follow, and the streams that the connections of this process follow, and why: its inbox, and topics
with their grants.

The first follower of a stream subscribes the process at the broker, and the last one unsubscribes it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from bellcast.auth import permissions
from bellcast.auth.permissions import Grant
from bellcast.kernel import validation
from bellcast.kernel.concurrency import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import FieldError, Forbidden, Invalid
from bellcast.kernel.events import SEPARATOR, TOPIC, Stream, inbox_stream, topic_stream
from bellcast.kernel.identities import EVERY_TENANT, Principal
from bellcast.live.cluster.groups import Groups
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub.callbacks import HubCallbacks, HubObserver
from bellcast.live.hub.presence import PresenceBatcher, PresenceTracker
from bellcast.live.types import LiveConfig, PresenceChanged, TopicRefused
from bellcast.recipients.store import StoredSubscriptions
from bellcast.topics.types import Member

# --- authorization

# Grants that do not come from a session, so a new session does not remove them.
BEYOND_SESSIONS = frozenset({Grant.APP, Grant.DIALECT})


Authorized: TypeAlias = tuple[dict[str, Grant], tuple[TopicRefused, ...]]


async def authorize_topics(
    db: Engine, principal: Principal, requested: Sequence[str], followed: int, config: LiveConfig
) -> Authorized:
    """Return the granted topics with their grants, and the refused topics. `followed` is the number of topics that the
    connection already follows. Of more topics than a connection can follow, the rest is not checked and refused as one:
    a refusal is about 170 bytes, so a request of 1 MB would be answered by 25 MB."""
    names = tuple(dict.fromkeys(requested))
    limit = config.limits.topics_per_connection
    bound = limit or len(names)
    topics, excess = names[:bound], names[bound:]
    problems: dict[str, FieldError] = {}
    for topic in topics:
        for problem in validation.topic("topic", topic, config.limits):
            problems.setdefault(topic, problem)  # the first one
    valid = [topic for topic in topics if topic not in problems] if problems else topics
    grants = await _grants(db, principal, valid, config)
    granted: dict[str, Grant] = {}
    refused: list[TopicRefused] = []
    for topic in topics:
        if topic in problems:
            message = f"A topic {problems[topic].message}."
            refused.append(TopicRefused(topic[: config.limits.topic or 200], Invalid.code, message))
        elif limit and followed + len(granted) >= limit:
            refused.append(TopicRefused(topic, "too_many", f"A connection follows at most {limit} topics."))
        elif topic in grants:
            granted[topic] = grants[topic]
        else:
            refused.append(TopicRefused(topic, Forbidden.code, permissions.refusal_of(principal, topic)))
    if excess:
        message = (
            f"A request names at most {bound} topics: this one and the {len(excess) - 1} after it were not checked."
        )
        refused.append(TopicRefused(excess[0][: config.limits.topic or 200], "too_many", message))
    return granted, tuple(refused)


async def regrant_topics(
    db: Engine, principal: Principal, grants: Mapping[str, Grant], config: LiveConfig
) -> dict[str, Grant]:
    """Return the followed topics that a new session of the same recipient still grants, each with its new grant."""
    granted: dict[str, Grant] = {topic: grant for topic, grant in grants.items() if grant in BEYOND_SESSIONS}
    return granted | await _grants(db, principal, [topic for topic in grants if topic not in granted], config)


async def _grants(db: Engine, principal: Principal, topics: Sequence[str], config: LiveConfig) -> dict[str, Grant]:
    """Return the topics that a principal may follow, each with its grant. The store is read only for topics that the
    session does not grant. In the store, roles of a recipient's record are subscriptions to the roles' topics."""
    public = config.access.public_topics
    grants: dict[str, Grant] = {}
    others: list[str] = []
    for topic in topics:
        grant = permissions.grant_of(principal, topic, subscribed=False, public=public)
        if grant is None:
            others.append(topic)
        else:
            grants[topic] = grant
    if principal.recipient is not None and others:
        subscribed = await StoredSubscriptions(db).among(principal.tenant, principal.recipient, others)
        grants |= dict.fromkeys(subscribed, Grant.SUBSCRIPTION)
    return grants


# --- followed streams

ADDRESS = "address" + SEPARATOR + SEPARATOR


def address_stream(address: str) -> Stream:
    """Return the stream on which nodes share the number of connections of a limited client address."""
    return Stream(ADDRESS + address)


class Subscriptions(Struct, eq=False):
    """Follows and unfollows streams, and reports the changes to the presence, the cluster state and the observers.

    Totals include the other nodes' counts from the groups of followed streams."""

    streams: dict[Stream, set[Connection]]
    presence: PresenceTracker
    groups: Groups
    callbacks: HubCallbacks
    observers: Sequence[HubObserver]
    presence_batcher: PresenceBatcher
    _carried_inboxes: dict[Stream, list[Stream]] = {}  # followed at the broker, by topic
    # The observers' topics of a recipient, at the last check of the carried inboxes.
    _carriers: list[Sequence[str]] = []

    # --- changes

    def follow_stream(self, connection: Connection, stream: Stream) -> bool:
        """Follow a stream, such as the inbox of the connection's recipient; False if the connection follows it or is closed."""
        if connection.phase is Phase.CLOSED:  # during authorization
            return False
        followers = self.streams.get(stream)
        if followers is None:
            followers = self.streams[stream] = set()
        elif connection in followers:
            return False
        followers.add(connection)
        count = len(followers)
        if count == 1:
            self.groups.follow(stream)
            if stream.startswith(TOPIC):
                self._follow_carried(stream)
        connection.streams += (stream,)
        self.groups.changed(stream)
        for observer in self.observers:
            observer.subscription_count_changed(stream, count, 1, is_here=True)
        return True

    def follow(self, connection: Connection, grants: Mapping[str, Grant], member: Member | None = None) -> None:
        """Follow granted topics. Idempotent; a later grant replaces an earlier one. `member` is the presence member, if
        it is not the connection's recipient."""
        if not grants or connection.phase is Phase.CLOSED:  # closed during authorization
            return
        principal = connection.principal
        # Interned: connections share the texts of their topics.
        followed = {sys.intern(topic): grant for topic, grant in grants.items()}
        connection.grants = followed if connection.grants is None else connection.grants | followed
        self.callbacks.followed(connection, grants)
        for topic in followed:
            stream = Stream(sys.intern(topic_stream(principal.tenant, topic)))
            if self.follow_stream(connection, stream):
                self.presence_batcher.add_follower(stream, connection.id)
                joined = self.presence.join(principal, topic, connection.id, member)
                if joined is not None:
                    key, change = joined
                    self.groups.changed(stream, key[2])
                    for observer in self.observers:
                        observer.node_joined(key)
                    self.presence_changed(change, is_here=True)

    def unfollow(self, connection: Connection, topics: Iterable[str]) -> None:
        for topic in topics:
            if connection.grants is not None and connection.grants.pop(topic, None) is not None:
                stream = topic_stream(connection.principal.tenant, topic)
                connection.streams = tuple(one for one in connection.streams if one != stream)
                self._unfollow(connection, stream)

    def unfollow_all(self, connection: Connection) -> None:
        """Unfollow all streams of an unregistered connection. It keeps the list, for the log."""
        for stream in connection.streams:
            self._unfollow(connection, stream)

    async def reauthorize(self, connection: Connection, principal: Principal, db: Engine, config: LiveConfig) -> None:
        """Apply a new session of the same recipient: unfollow topics that it does not grant. The grants are computed
        first, so a failure of the store changes nothing. Topics followed or unfollowed during the query keep their
        state."""
        before = dict(connection.grants or {})
        granted = await regrant_topics(db, principal, before, config)
        if connection.phase is Phase.CLOSED:  # else guardians would hold it after its end
            return
        connection.principal = principal
        self.callbacks.renewed(connection)
        self.unfollow(connection, [topic for topic in before if topic not in granted])
        if connection.grants is not None:
            connection.grants |= {topic: grant for topic, grant in granted.items() if topic in connection.grants}

    def presence_changed(self, change: PresenceChanged | None, *, is_here: bool) -> None:
        """Report a change of the presence on any node to the observers and to the topic's followers here."""
        if change is None:
            return
        for observer in self.observers:
            observer.presence_changed(change, is_here=is_here)
        # Other nodes derive the event from the cluster state.
        if followers := self.count(change.stream):
            self.presence_batcher.add(change, followers)

    async def follow_carried(self) -> None:
        """Follow the inboxes that topics carry since the settings for them have changed."""
        carriers, pauses = [observer.topics_of("") for observer in self.observers], Pauses()
        if carriers != self._carriers:
            for stream in [one for one in self.streams if one.startswith(TOPIC)]:
                if stream in self.streams:  # else unfollowed during a pause
                    self._follow_carried(stream)
                await pauses.pause_if_due()
            self._carriers = carriers

    # --- queries

    def connections_on(self, stream: Stream) -> list[Connection]:
        return list(self.streams.get(stream, ()))

    def count(self, stream: Stream) -> int:
        return len(self.streams.get(stream, ()))

    def total(self, stream: Stream) -> int:
        """Return the number of connections that follow a stream: on all nodes if this one follows it, else at least here."""
        return len(self.streams.get(stream, ())) + self.groups.count_elsewhere(stream)

    def followed_topics(self, tenant: str | None) -> dict[tuple[str, str], int]:
        """Return the topics followed in this process with their connections, by tenant and topic; without a `tenant`, of
        all tenants."""
        prefix = TOPIC if tenant is None else topic_stream(tenant, "")
        followed = [(key.split(SEPARATOR, 2), ones) for key, ones in self.streams.items() if key.startswith(prefix)]
        return {(owner, name): len(ones) for (_, owner, name), ones in followed}

    def recipients(self, tenant: str) -> list[tuple[str, list[str]]]:
        """Return the recipients with followed inboxes in this process, by tenant (`*`: all tenants)."""
        found: dict[str, set[str]] = {}
        for stream in self.streams:
            kind, owner, name = stream.split(SEPARATOR, 2)
            if tenant in (EVERY_TENANT, owner):
                found.setdefault(owner, set()).update((name,) if kind == "inbox" else self._recipients_of(name))
        return [(owner, sorted(keys)) for owner, keys in sorted(found.items()) if keys]

    def _recipients_of(self, topic: str) -> list[str]:
        """Return the recipients of the inboxes that a topic carries."""
        return [recipient for observer in self.observers for recipient in observer.recipients_of(topic)]

    # --- one stream

    def _follow_carried(self, stream: Stream) -> None:
        """Follow the inboxes that a topic carries by the settings now, instead of those before."""
        _, tenant, topic = stream.split(SEPARATOR, 2)
        before = self._carried_inboxes.pop(stream, [])
        carried = [inbox_stream(tenant, one) for one in self._recipients_of(topic)]
        if carried:
            self._carried_inboxes[stream] = carried
        for inbox in carried:
            self.groups.follow(inbox)
        for inbox in before:
            self.groups.unfollow(inbox)

    def _unfollow(self, connection: Connection, stream: Stream) -> None:
        followers = self.streams.get(stream)
        if followers is None or connection not in followers:
            return
        followers.discard(connection)
        count = len(followers)
        if not count:
            del self.streams[stream]
        if stream.startswith(TOPIC):
            topic = stream.split(SEPARATOR, 2)[2]
            departed = self.presence.leave(connection.principal, topic, connection.id)
            if departed is not None:
                key, change, here = departed
                self.groups.changed(stream, key[2])
                self.presence_changed(change, is_here=True)
                for observer in self.observers if here == 0 else ():
                    observer.node_left(key)
        self.groups.changed(stream)
        for observer in self.observers:
            observer.subscription_count_changed(stream, count, -1, is_here=True)
        if not count:
            self.groups.unfollow(stream)
            for inbox in self._carried_inboxes.pop(stream, ()):
                self.groups.unfollow(inbox)
