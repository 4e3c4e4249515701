"""The recipients of an audience, page by page."""

from collections.abc import Sequence
from datetime import datetime

from bellcast.model import patterns, times
from bellcast.model.notifications import Audience
from bellcast.ports import Store

# Recipients of a page of a fan-out, one transaction of about 10 ms.
FANOUT_PAGE = 250
# Pages of one lease: other jobs of the same priority run in between.
FANOUT_PAGES = 4


async def page(store: Store, tenant: str, audience: Audience, position: str, moment: int) -> Sequence[str]:
    """Return the next keys after `position` of those that had joined at a moment (UTC milliseconds); none at the
    end."""
    joined_before = times.to_rfc3339(moment)
    while True:
        found = await _page(store, tenant, audience, position or None)
        keys = [key for key, since in found if since <= joined_before]
        if keys or not found:
            return keys
        position = found[-1][0]


async def _page(store: Store, tenant: str, audience: Audience, after: str | None) -> list[tuple[str, datetime]]:
    """Keys with the times at which they joined."""
    recipients = store.recipients
    if audience.topic is None and audience.role is None:
        return [(one.key, one.created_at) for one in await recipients.page(tenant, after, FANOUT_PAGE)]
    topic = audience.topic if audience.role is None else patterns.role_topic(audience.role)
    subscribed = await recipients.subscriptions(tenant, topic or "", after, FANOUT_PAGE)
    return [(one.recipient, one.created_at) for one in subscribed]
