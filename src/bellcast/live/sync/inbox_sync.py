"""I/O after hub events: fills gaps and materializes announcements."""

import structlog

from bellcast.errors import BellcastError
from bellcast.inbox import announcements
from bellcast.live.config import LiveConfig, Spawn
from bellcast.live.connection.connection import Connection
from bellcast.live.hub.callbacks import ListRecipients
from bellcast.live.sync import resume
from bellcast.model.events import AnnouncementChanged
from bellcast.ports import Context

log = structlog.get_logger(__name__)


class InboxSync:
    def __init__(self, engines: Context, config: LiveConfig, spawn: Spawn) -> None:
        self._engines = engines
        self._config = config
        self._spawn = spawn
        self._materializing: dict[str, bool] = {}  # tenant -> True if another announcement arrived during the run

    def fill_gap(self, connection: Connection) -> None:
        self._spawn(resume.catch_up(self._engines.store, connection, self._config.limits))

    def materialize(self, event: AnnouncementChanged, list_recipients: ListRecipients) -> None:
        """Materialize announcements in every inbox followed here. One run per tenant, repeated if more arrived."""
        if event.tenant in self._materializing:
            self._materializing[event.tenant] = True
        else:
            self._materializing[event.tenant] = False
            self._spawn(self._materialize_tenant(event.tenant, list_recipients))

    async def _materialize_tenant(self, tenant: str, list_recipients: ListRecipients) -> None:
        try:
            more = True
            while more:
                self._materializing[tenant] = False
                for owner, recipients in list_recipients(tenant):
                    await announcements.materialize(self._engines, owner, recipients)
                more = self._materializing[tenant]
        except BellcastError as failure:
            log.warning("announcement_materialize_failed", tenant=tenant, reason=failure.detail)
        finally:
            self._materializing.pop(tenant, None)
