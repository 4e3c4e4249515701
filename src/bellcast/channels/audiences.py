"""The recipients of an audience, page by page."""

from collections.abc import Sequence
from datetime import datetime

from bellcast.inbox.types.notifications import Audience
from bellcast.kernel import patterns, times
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import ListQuery
from bellcast.recipients.store.recipients import Recipients
from bellcast.recipients.store.subscriptions import StoredSubscriptions

# Recipients per page of a fan-out, one transaction of about 10 ms.
FANOUT_PAGE = 250
# Pages per lease, after which other jobs of the same priority can run.
FANOUT_PAGES = 4
# Maximum members of an audience that a dry run counts.
MAX_COUNTED_MEMBERS = 10_000


async def first(db: Engine, tenant: str, audience: Audience, limit: int) -> tuple[int | None, Sequence[str]]:
    """Return the number of members, None above MAX_COUNTED_MEMBERS, and the first keys."""
    if _is_everyone(audience):
        found = await Recipients(db).page(ListQuery(tenants=[tenant], limit=limit, is_counted=True))
        number, keys = found.total.value if found.total else 0, [one.key for one in found.items]
    else:
        keys = [key for key, _ in await _page(db, tenant, audience, None, MAX_COUNTED_MEMBERS + 1)]
        number = len(keys)
    return None if number > MAX_COUNTED_MEMBERS else number, keys[:limit]


async def page(
    db: Engine, tenant: str, audience: Audience, position: str, moment: int, seq: int | None = None
) -> Sequence[str]:
    """Return the next keys after `position`, of members who had joined by a moment (UTC milliseconds); empty at the end.
    With the number of a fan-out, subscribers are those whom the inbox counts: the order of commits decides, no clock."""
    joined_before, is_numbered = times.to_rfc3339(moment), seq is not None and not _is_everyone(audience)
    while True:
        found = await _page(db, tenant, audience, position or None, FANOUT_PAGE, seq)
        keys = [key for key, since in found if is_numbered or since <= joined_before]
        if keys or not found:
            return keys
        position = found[-1][0]


def _is_everyone(audience: Audience) -> bool:
    return audience.topic is None and audience.role is None


async def _page(
    db: Engine, tenant: str, audience: Audience, after: str | None, limit: int, seq: int | None = None
) -> list[tuple[str, datetime]]:
    """Return keys with the times at which they joined."""
    if _is_everyone(audience):
        return [(one.key, one.created_at) for one in await Recipients(db).after(tenant, after, limit)]
    topic = audience.topic if audience.role is None else patterns.role_topic(audience.role)
    subscribed = await StoredSubscriptions(db).page(tenant, topic or "", after, limit, seq)
    return [(one.recipient, one.created_at) for one in subscribed]
