"""What the broker lost is found here: where connected inboxes stand, compared with the store.

Everything is gone through about every half minute, a batch at a time; streams on which something may just have been
missed, at once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

import structlog

from bellcast.errors import BellcastError
from bellcast.inbox import announcements
from bellcast.live import reasons
from bellcast.live.connection import Connection, Phase
from bellcast.live.hub import Hub
from bellcast.live.rules import Spawn
from bellcast.model.events import ANNOUNCEMENTS, Stream
from bellcast.ports import Engines, Standing

log = structlog.get_logger(__name__)

# How long something lost goes unnoticed at most. A batch is one query of about 2 ms: 100,000 inboxes, 7 a second.
INTERVAL_SECONDS = 30.0
BATCH = 500

Group = dict[int, list[Connection]]  # by the number of their inbox


class Audit:
    """Goes through the connections of this process."""

    def __init__(self, engines: Engines, hub: Hub, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._spawn = spawn

    async def run(self) -> None:
        """Keep at it until cancelled; a store that is away is asked again."""
        while True:
            groups = list(_batches(self._hub))
            for group in groups:
                await self._look(group)
                await self._engines.clock.sleep(INTERVAL_SECONDS / len(groups))
            if not groups:
                await self._engines.clock.sleep(INTERVAL_SECONDS)

    def unsure(self, streams: Collection[Stream]) -> None:
        """Something may have been missed on these streams."""
        if ANNOUNCEMENTS in streams:  # heard again after a break
            connections = set(self._hub)
        else:
            connections = {one for stream in streams for one in self._hub.on(stream)}
        if connections:
            self._spawn(self._look_through(connections))

    async def _look_through(self, connections: Iterable[Connection]) -> None:
        for group in _batches(connections):
            await self._look(group)

    async def _look(self, group: Group) -> None:
        try:
            found = {one.number: one for one in await self._engines.store.inboxes.standings(list(group))}
            behind: dict[str, set[str]] = defaultdict(set)
            for number, connections in group.items():
                for connection in connections:
                    self._compare(connection, found.get(number), behind)
            for tenant, recipients in behind.items():
                await announcements.take_in(self._engines, tenant, sorted(recipients))
        except BellcastError as failure:
            log.warning("audit put off", why=failure.detail)

    def _compare(self, connection: Connection, stands: Standing | None, behind: dict[str, set[str]]) -> None:
        principal = connection.principal
        if stands is None or principal.issued_at < stands.revoked_before:
            self._hub.end(connection, reasons.REVOKED)
            return
        if stands.behind and principal.recipient is not None:
            behind[principal.tenant].add(principal.recipient)
        if connection.phase is Phase.REPLAYING:
            connection.behind = True
        elif connection.phase is Phase.LIVE and _missed(connection, stands):
            self._hub.notices.catch_up(connection)


def _missed(connection: Connection, stands: Standing) -> bool:
    return stands.epoch != connection.epoch or stands.revision > connection.revision


def _batches(connections: Iterable[Connection]) -> Iterable[Group]:
    """Cut into as many inboxes as one query asks for."""
    group: Group = {}
    for connection in connections:
        if connection.inbox and connection.phase is not Phase.ENDED:
            group.setdefault(connection.inbox, []).append(connection)
        if len(group) >= BATCH:
            yield group
            group = {}
    if group:
        yield group
