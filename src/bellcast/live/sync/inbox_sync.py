"""I/O after hub events: fills gaps, materializes announcements, revokes ended grants."""

import structlog

from bellcast.auth.permissions import Grant
from bellcast.errors import BellcastError
from bellcast.inbox import announcements
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection.connection import Connection
from bellcast.live.hub.hub import Hub
from bellcast.live.sync import resume
from bellcast.model.events import AnnouncementChanged, SubscriptionEnded
from bellcast.ports import Context

log = structlog.get_logger(__name__)


class InboxSync:
    """Background work started by the hub."""

    def __init__(self, engines: Context, hub: Hub, rules: LiveConfig, spawn: Spawn) -> None:
        self._engines = engines
        self._hub = hub
        self._rules = rules
        self._spawn = spawn
        self._materializing: dict[str, bool] = {}  # tenant -> True if another announcement arrived meanwhile

    def fill_gap(self, connection: Connection) -> None:
        """Send a connection the changes it missed, from the store."""
        self._spawn(resume.catch_up(self._engines.store, connection, self._rules.limits))

    def materialize(self, event: AnnouncementChanged) -> None:
        """Materialize announcements in every inbox followed here. One run per tenant, repeated if more arrived."""
        if event.tenant in self._materializing:
            self._materializing[event.tenant] = True
        else:
            self._materializing[event.tenant] = False
            self._spawn(self._materialize_tenant(event.tenant))

    async def _materialize_tenant(self, tenant: str) -> None:
        try:
            more = True
            while more:
                self._materializing[tenant] = False
                for owner, recipients in self._hub.recipients(tenant):
                    await announcements.materialize(self._engines, owner, recipients)
                more = self._materializing[tenant]
        except BellcastError as failure:
            log.warning("announcement not taken in; the next look will", tenant=tenant, why=failure.detail)
        finally:
            self._materializing.pop(tenant, None)

    def recheck_grant(self, event: SubscriptionEnded) -> None:
        """Unfollow the topic on connections whose grant was the ended subscription."""
        for connection in self._hub.followers(event.tenant, event.topic):
            by_it = connection.grants is not None and connection.grants.get(event.topic) is Grant.SUBSCRIPTION
            if by_it and connection.principal.recipient == event.recipient:
                self._hub.unfollow(connection, (event.topic,))
