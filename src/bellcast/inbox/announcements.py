"""Announcements are added to the inboxes of connected recipients immediately, and to other inboxes when they are
opened."""

from collections.abc import Sequence

from bellcast.context import Context


async def materialize(engines: Context, tenant: str, recipients: Sequence[str]) -> None:
    """Add pending announcements to these inboxes and publish them."""
    async for materialized in engines.store.sends.materialize(tenant, recipients, engines.clock.now()):
        await engines.broker.publish(*materialized.events)
