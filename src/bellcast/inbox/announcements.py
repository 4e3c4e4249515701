"""Announcements reach those who look now; everyone else takes them in at the next look."""

from collections.abc import Sequence

from bellcast.ports import Engines

# One commit of many inboxes holds up the others behind it; 500 take about 5 ms.
SLICE = 500


async def take_in(engines: Engines, tenant: str, recipients: Sequence[str]) -> None:
    """Take pending announcements into these inboxes and tell their devices."""
    for start in range(0, len(recipients), SLICE):
        events = await engines.store.sends.take_in(tenant, recipients[start : start + SLICE], engines.clock.now())
        await engines.broker.publish(*events)
