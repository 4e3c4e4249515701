"""I/O after hub events: fills gaps and materializes announcements."""

from collections.abc import Sequence

import structlog

from bellcast.context import Context
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.store.sends import Sends
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import inbox_stream
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection.connection import Connection, Phase
from bellcast.live.hub.callbacks import FollowedInboxes, SendChange
from bellcast.live.sync import resume
from bellcast.live.sync.reconciler import CHECK_BATCH_ROWS, has_missed_changes
from bellcast.live.types.events import AnnouncementChanged

log = structlog.get_logger(__name__)


class InboxSync:
    def __init__(self, engines: Context, config: LiveConfig, spawn: Spawn) -> None:
        self._engines = engines
        self._config = config
        self._spawn = spawn
        self._materializing: dict[str, bool] = {}  # tenant -> True if another announcement arrived during the run

    def fill_gap(self, connection: Connection) -> None:
        self._spawn(resume.catch_up(self._engines.db, connection, self._config.limits))

    def materialize(self, event: AnnouncementChanged, inboxes: FollowedInboxes, send: SendChange) -> None:
        """Materialize announcements in every inbox followed here. One run per tenant, repeated if more arrived."""
        if event.tenant in self._materializing:
            self._materializing[event.tenant] = True
        else:
            self._materializing[event.tenant] = False
            self._spawn(self._materialize_tenant(event.tenant, inboxes, send))

    async def _materialize_tenant(self, tenant: str, inboxes: FollowedInboxes, send: SendChange) -> None:
        try:
            more = True
            while more:
                self._materializing[tenant] = False
                for owner, recipients in inboxes.recipients(tenant):
                    await self._materialize(owner, recipients, inboxes, send)
                more = self._materializing[tenant]
        except BellcastError as failure:
            log.warning("announcement_materialize_failed", tenant=tenant, reason=failure.detail)
        finally:
            self._materializing.pop(tenant, None)

    async def _materialize(
        self, tenant: str, recipients: Sequence[str], inboxes: FollowedInboxes, send: SendChange
    ) -> None:
        """Materialize announcements in some inboxes. Every process with connections of a recipient does this: the first
        adds the announcement, and the others compare their connections with the inbox. So an event is published only if
        another process follows the inbox."""
        async for batch in Sends(self._engines.db).materialize(tenant, recipients, self._engines.clock.now()):
            elsewhere = inboxes.followed_elsewhere(tenant, [event.inbox.recipient for event in batch.events])
            for event in batch.events:
                if event.inbox.recipient in elsewhere:
                    await self._engines.broker.publish(event)
                    continue
                try:
                    send(event)
                except Exception:  # the other recipients must receive theirs
                    log.exception("announcement_dispatch_failed")
            # Send changes that another process added to these inboxes without publishing them
            for start in range(0, len(batch.caught_up), CHECK_BATCH_ROWS):
                streams = [
                    inbox_stream(tenant, recipient) for recipient in batch.caught_up[start : start + CHECK_BATCH_ROWS]
                ]
                connections = [one for stream in streams for one in inboxes.connections_on(stream)]
                numbers = {one.inbox for one in connections if one.inbox}
                statuses = {one.number: one for one in await Inboxes(self._engines.db).statuses(list(numbers))}
                for connection in connections:
                    status = statuses.get(connection.inbox)
                    if connection.phase is not Phase.LIVE:
                        connection.is_stale = True
                    elif status is not None and has_missed_changes(connection, status):
                        self.fill_gap(connection)
