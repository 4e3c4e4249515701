"""Find, edit and recall sent items through the server API."""

import msgspec

from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import title_of
from bellcast.engines import Engines
from bellcast.inbox.store.sent_items import SentItems, existing, outside_notification
from bellcast.inbox.types import notifications
from bellcast.inbox.types.notifications import GENERAL, Audience, Draft, Edit, content
from bellcast.inbox.types.sends import SentItem
from bellcast.kernel import ids, times
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.limits import Limits


async def find(engines: Engines, tenant: str, id: str) -> SentItem:
    """Return a notification or announcement. Raises NotFound if the tenant has none with this id."""
    return existing(await SentItems(engines.db).find(tenant, id) if ids.is_id(id) else None)


async def find_outside(engines: Engines, tenant: str, id: str) -> SentItem:
    """Return a send with this id to channels other than the inbox. Raises NotFound."""
    db = engines.db
    fanout = await Fanouts(db).get(id) if ids.is_id(id) else None
    if fanout is not None and fanout.tenant == tenant and not fanout.workflow:
        draft = msgspec.json.decode(fanout.body, type=Draft)
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        shown = outside_notification((id, draft.type, content(draft).title, fanout.created_at))
        return SentItem(
            notification=shown, tenant=tenant, recipient=None, announcement=True, has_row=False, topic=audience.topic
        )
    decisions = await Messages(db).decisions(tenant, id, None, 1) if ids.is_id(id) else []
    first = existing(decisions[0] if decisions else None)
    found = (await Messages(db).page(ListQuery(tenants=[tenant], filters={"notification": id}, limit=1))).items
    title = title_of(found[0].content) if found else ""
    shown = outside_notification((id, found[0].type if found else GENERAL, title, first.decided_at))
    return SentItem(notification=shown, tenant=tenant, recipient=first.recipient, has_row=False)


async def edit(engines: Engines, limits: Limits, tenant: str, id: str, edit: Edit) -> SentItem:
    """Edit an item in all inboxes."""
    now = engines.clock.now()
    notifications.check_edit(edit, limits, times.to_rfc3339(now))
    found, events = existing(await SentItems(engines.db).edit(tenant, id, edit, now) if ids.is_id(id) else None)
    await engines.broker.publish(*events)
    return found


async def recall(engines: Engines, tenant: str, id: str) -> None:
    """Remove an item from all inboxes."""
    report = await engines.webhooks.report(tenant, ["message.cancelled"])
    recalled = await SentItems(engines.db).recall(tenant, id, engines.clock.now(), report) if ids.is_id(id) else None
    events = existing(recalled)
    await engines.broker.publish(*events)
