"""What the broker lost is found here: where connected inboxes stand, and the subscriptions by which topics are followed,
compared with the store.

Everything is gone through about every half minute, a batch at a time; streams on which something may just have been
missed, at once.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import structlog

from bellcast.errors import BellcastError
from bellcast.inbox import announcements
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection import close_reasons
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.hub import Hub
from bellcast.model.events import ANNOUNCEMENTS, Stream, SubscriptionEnded, inbox_stream, topic_stream
from bellcast.ports import Context, InboxStatus, SubscriptionGrant

log = structlog.get_logger(__name__)

# How long something lost goes unnoticed at most. A batch is one query of about 2 ms: 100,000 inboxes, 7 a second.
INTERVAL_SECONDS = 30.0
CHECK_BATCH_ROWS = 500

Group = dict[int, list[Connection]]  # by the number of their inbox
InboxCheck = Callable[[], Coroutine[Any, Any, None]]


class Reconciler:
    """Goes through the connections of this process."""

    def __init__(self, engines: Context, hub: Hub, rules: LiveConfig, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._grants = rules.grants
        self._unused: set[SubscriptionGrant] = (
            set()
        )  # in the round before: whoever was admitted by one may be about to follow
        self._spawn = spawn

    async def run(self) -> None:
        """Keep at it until cancelled; a store that is away is asked again."""
        while True:
            looks = self._groups(self._hub, self._grants)
            for look in looks:
                await look()
                await self._engines.clock.sleep(INTERVAL_SECONDS / len(looks))
            if not looks:
                await self._engines.clock.sleep(INTERVAL_SECONDS)

    def mark_suspect(self, streams: Collection[Stream]) -> None:
        """Something may have been missed on these streams."""
        if ANNOUNCEMENTS in streams:  # heard again after a break
            looks = self._groups(set(self._hub), self._grants)
        else:
            connections = {one for stream in streams for one in self._hub.connections_on(stream)}
            looks = self._groups(connections, {right for one in connections for right in self._grants_of(one)})
        if looks:
            self._spawn(_interleaved(looks))

    def _grants_of(self, connection: Connection) -> Iterable[SubscriptionGrant]:
        principal = connection.principal
        rights = (
            SubscriptionGrant(principal.tenant, principal.recipient or "", topic)
            for topic in self._hub.topics(connection)
        )
        return (right for right in rights if right in self._grants)

    def _groups(self, connections: Iterable[Connection], rights: Iterable[SubscriptionGrant]) -> list[InboxCheck]:
        """One question to the store each."""
        every = list(rights)
        cut = [every[start : start + CHECK_BATCH_ROWS] for start in range(0, len(every), CHECK_BATCH_ROWS)]
        return [
            *(partial(self._check_inboxes, group) for group in _batches(connections)),
            *(partial(self._check_grants, some) for some in cut),
        ]

    async def _check_inboxes(self, group: Group) -> None:
        try:
            found = {one.number: one for one in await self._engines.store.inboxes.statuses(list(group))}
            behind: dict[str, set[str]] = defaultdict(set)
            for number, connections in group.items():
                for connection in connections:
                    self._compare(connection, found.get(number), behind)
            for tenant, recipients in behind.items():
                await announcements.materialize(self._engines, tenant, sorted(recipients))
        except BellcastError as failure:
            log.warning("audit put off", why=failure.detail)
        except Exception:  # what the next look asks for is checked all the same
            log.exception("audit failed")

    def _compare(self, connection: Connection, stands: InboxStatus | None, behind: dict[str, set[str]]) -> None:
        principal = connection.principal
        if stands is None or principal.issued_at < stands.revoked_before:
            self._hub.end(connection, close_reasons.REVOKED)
            return
        if stands.behind and principal.recipient is not None:
            behind[principal.tenant].add(principal.recipient)
        if connection.phase is Phase.REPLAYING:
            connection.is_stale = True
        elif connection.phase is Phase.LIVE and _has_missed_changes(connection, stands):
            self._hub.callbacks.fill_gap(connection)

    async def _check_grants(self, rights: Sequence[SubscriptionGrant]) -> None:
        """Whoever follows a topic by a subscription that has ended follows it no more."""
        used = [right for right in rights if self._is_followed(right)]
        try:
            standing = (
                await self._engines.store.recipients.grants_in_force(used) if used else frozenset[SubscriptionGrant]()
            )
        except BellcastError as failure:
            log.warning("audit put off", why=failure.detail)
            return
        for right in used:
            if right not in standing:
                self._hub.dispatch(SubscriptionEnded(*right))

    def _is_followed(self, right: SubscriptionGrant) -> bool:
        """Whether somebody here follows by it. What is not used in two rounds is forgotten."""
        stream = topic_stream(right.tenant, right.topic)
        if any(stream in one.streams for one in self._hub.connections_on(inbox_stream(right.tenant, right.recipient))):
            self._unused.discard(right)
            return True
        if right in self._unused:
            self._unused.discard(right)
            self._grants.discard(right)
        else:
            self._unused.add(right)
        return False


async def _interleaved(looks: Iterable[InboxCheck]) -> None:
    for look in looks:
        await look()


def _has_missed_changes(connection: Connection, stands: InboxStatus) -> bool:
    return stands.epoch != connection.epoch or stands.revision > connection.revision


def _batches(connections: Iterable[Connection]) -> Iterable[Group]:
    """Cut into as many inboxes as one query asks for."""
    group: Group = {}
    for connection in connections:
        if connection.inbox and connection.phase is not Phase.CLOSED:
            group.setdefault(connection.inbox, []).append(connection)
        if len(group) >= CHECK_BATCH_ROWS:
            yield group
            group = {}
    if group:
        yield group
