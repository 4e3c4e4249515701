"""Missed events: reconciliation of connections with the store, for events that the broker lost, and announcements.

All connections are checked within INTERVAL_SECONDS, in batches; streams with a suspected gap are checked immediately.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import structlog
from msgspec import Struct

from bellcast.auth import keys
from bellcast.auth.permissions import Grant
from bellcast.auth.store import Keys
from bellcast.engines import Engines
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.types.inboxes import AnnouncementChanged, InboxStatus
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import ANNOUNCEMENTS, Stream, inbox_stream
from bellcast.live.connection import Connection, Phase, close_reasons
from bellcast.live.hub import Hub
from bellcast.live.types import Spawn
from bellcast.recipients.store import StoredSubscriptions
from bellcast.recipients.types import SubscriptionEnded, SubscriptionGrant

log = structlog.get_logger(__name__)

# Longest delay of a lost event. A batch is one query of about 2 ms: 100,000 inboxes are 7 queries per second.
INTERVAL_SECONDS = 30.0
CHECK_BATCH_ROWS = 500

Group = dict[int, list[Connection]]  # by inbox number
Check = Callable[[], Coroutine[Any, Any, None]]


class Reconciler(Struct, eq=False):
    engines: Engines
    hub: Hub
    spawn: Spawn
    _materializing: dict[str, bool] = {}  # tenant -> True if another announcement arrived during the run

    async def run(self) -> None:
        """Check until cancelled; while the store is unavailable, checks are skipped."""
        while True:
            await self._run(self.hub.subscriptions.follow_carried)
            checks = self._checks(self.hub)
            for check in checks:
                await self._run(check)
                await self.engines.clock.sleep(INTERVAL_SECONDS / len(checks))
            if not checks:
                await self.engines.clock.sleep(INTERVAL_SECONDS)

    def mark_suspect(self, streams: Collection[Stream]) -> None:
        """Check the connections on streams that may have lost events."""

        async def check_all() -> None:
            for check in checks:
                await self._run(check)

        if ANNOUNCEMENTS in streams:  # the subscription was interrupted
            checks = self._checks(self.hub)
        else:
            checks = self._checks({one for stream in streams for one in self.hub.subscriptions.connections_on(stream)})
        if checks:
            self.spawn(check_all())

    def _checks(self, connections: Iterable[Connection]) -> list[Check]:
        """Return the checks of connections, and of the subscriptions that grant their topics, of CHECK_BATCH_ROWS each."""
        by_inbox: Group = {}
        grants: set[SubscriptionGrant] = set()
        for connection in connections:
            if connection.inbox and connection.phase is not Phase.CLOSED:
                by_inbox.setdefault(connection.inbox, []).append(connection)
                principal = connection.principal
                for topic, grant in (connection.grants or {}).items():
                    if grant is Grant.SUBSCRIPTION:
                        grants.add(SubscriptionGrant(principal.tenant, principal.recipient or "", topic))
        inboxes, all_grants, size = list(by_inbox.items()), list(grants), CHECK_BATCH_ROWS
        return [
            *(partial(self._check_inboxes, dict(inboxes[at : at + size])) for at in range(0, len(inboxes), size)),
            *(partial(self._check_grants, all_grants[at : at + size]) for at in range(0, len(all_grants), size)),
        ]

    async def _run(self, check: Check) -> None:
        """Run a check; later ones still run if it fails."""
        try:
            await check()
            self.hub.reconciler_checks["ok"] += 1
        except BellcastError as failure:
            self.hub.reconciler_checks["failed"] += 1
            log.warning("reconcile_postponed", reason=failure.detail)
        except Exception:
            self.hub.reconciler_checks["failed"] += 1
            log.exception("reconcile_failed")

    async def _check_inboxes(self, group: Group) -> None:
        statuses = {one.number: one for one in await Inboxes(self.engines.db).statuses(list(group))}
        creators = {key for some in group.values() for one in some if (key := one.principal.key) is not None}
        ended = {key for key in creators if await keys.is_revoked(Keys(self.engines.db), key)}
        behind: dict[str, set[str]] = defaultdict(set)
        for number, connections in group.items():
            for connection in connections:
                status, principal = statuses.get(number), connection.principal
                if status is None or principal.issued_at < status.revoked_before:
                    self.hub.reconciled["revocation"] += 1
                    self.hub.end(connection, close_reasons.REVOKED)
                    continue
                if principal.key in ended:  # its client continues with a token of another key
                    self.hub.end(connection, close_reasons.EXPIRED)
                    continue
                if status.behind and principal.recipient is not None:
                    behind[principal.tenant].add(principal.recipient)
                if connection.phase is Phase.REPLAYING:
                    connection.is_stale = True
                elif connection.phase is Phase.LIVE and _has_missed_changes(connection, status):
                    self.hub.reconciled["change"] += 1
                    self.hub.callbacks.fill_gap(connection)
        for tenant, recipients in behind.items():
            self.hub.reconciled["announcement"] += len(recipients)
            inboxes = Sends(self.engines.db).materialize(tenant, sorted(recipients), self.engines.clock.now())
            async for materialized in inboxes:
                await self.engines.broker.publish(*materialized.events)

    async def _check_grants(self, grants: Sequence[SubscriptionGrant]) -> None:
        """Unfollow topics that only an ended subscription had granted."""
        valid = await StoredSubscriptions(self.engines.db).grants_in_force(grants)
        for grant in grants:
            if grant not in valid:
                self.hub.reconciled["unsubscription"] += 1
                self.hub.dispatch(SubscriptionEnded(*grant))

    # --- announcements

    def materialize(self, event: AnnouncementChanged) -> None:
        """Materialize announcements in every inbox followed here. One run per tenant, repeated if more arrived."""
        if event.tenant in self._materializing:
            self._materializing[event.tenant] = True
        else:
            self._materializing[event.tenant] = False
            self.spawn(self._materialize_tenant(event.tenant))

    async def _materialize_tenant(self, tenant: str) -> None:
        try:
            more = True
            while more:
                self._materializing[tenant] = False
                for owner, recipients in self.hub.subscriptions.recipients(tenant):
                    await self._materialize(owner, recipients)
                more = self._materializing[tenant]
        except BellcastError as failure:
            log.warning("announcement_materialize_failed", tenant=tenant, reason=failure.detail)
        finally:
            self._materializing.pop(tenant, None)

    async def _materialize(self, tenant: str, recipients: Sequence[str]) -> None:
        """Materialize announcements in some inboxes. Every process with connections of a recipient does this: the first
        adds the announcement, and the others compare their connections with the inbox. So an event is published only if
        another process follows the inbox."""
        inboxes = self.hub.subscriptions
        async for batch in Sends(self.engines.db).materialize(tenant, recipients, self.engines.clock.now()):
            for event in batch.events:
                # Followers of the last 50 ms may be unknown (`members.BATCH_MS`).
                if self.hub.groups.is_followed_elsewhere(inbox_stream(tenant, event.inbox.recipient)):
                    await self.engines.broker.publish(event)
                    continue
                try:
                    # No other change of the inbox is expected at this time
                    self.hub.dispatcher.dispatch_change(event, is_single=True)
                except Exception:  # the other recipients must receive theirs
                    log.exception("announcement_dispatch_failed")
            # Send changes that another process added to these inboxes without publishing them
            for start in range(0, len(batch.caught_up), CHECK_BATCH_ROWS):
                streams = [
                    inbox_stream(tenant, recipient) for recipient in batch.caught_up[start : start + CHECK_BATCH_ROWS]
                ]
                connections = [one for stream in streams for one in inboxes.connections_on(stream)]
                numbers = {one.inbox for one in connections if one.inbox}
                statuses = {one.number: one for one in await Inboxes(self.engines.db).statuses(list(numbers))}
                for connection in connections:
                    status = statuses.get(connection.inbox)
                    if connection.phase is not Phase.LIVE:
                        connection.is_stale = True
                    elif status is not None and _has_missed_changes(connection, status):
                        self.hub.callbacks.fill_gap(connection)


def _has_missed_changes(connection: Connection, status: InboxStatus) -> bool:
    return status.epoch != connection.epoch or status.revision > connection.revision
