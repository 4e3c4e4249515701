"""Announcements are added to the inboxes of connected recipients immediately, and to other inboxes when they are
opened."""

from collections.abc import Sequence

from bellcast.context import Context
from bellcast.inbox.store.sends import Sends


async def materialize(engines: Context, tenant: str, recipients: Sequence[str]) -> None:
    """Add pending announcements to these inboxes and publish them."""
    async for materialized in Sends(engines.db).materialize(tenant, recipients, engines.clock.now()):
        await engines.broker.publish(*materialized.events)
