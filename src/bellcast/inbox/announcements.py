"""Announcements reach those who look now; everyone else takes them in at the next look."""

from collections.abc import Sequence

from bellcast.ports import Context

# One commit of many inboxes holds up the others behind it; 500 take about 5 ms.
MATERIALIZE_BATCH_RECIPIENTS = 500


async def materialize(engines: Context, tenant: str, recipients: Sequence[str]) -> None:
    """Take pending announcements into these inboxes and tell their devices."""
    for start in range(0, len(recipients), MATERIALIZE_BATCH_RECIPIENTS):
        events = await engines.store.sends.materialize(
            tenant, recipients[start : start + MATERIALIZE_BATCH_RECIPIENTS], engines.clock.now()
        )
        await engines.broker.publish(*events)
