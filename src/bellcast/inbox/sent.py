"""Find, edit and recall sent items through the server API."""

from bellcast.errors import NotFound
from bellcast.model import ids, times, validation
from bellcast.model.limits import Limits
from bellcast.model.notifications import Edit
from bellcast.ports import Context, SentItem


async def find(engines: Context, tenant: str, id: str) -> SentItem:
    """Return a notification or announcement. Raises NotFound if the tenant has none with this id."""
    found = await engines.store.sends.find(tenant, id) if ids.is_id(id) else None
    if found is None:
        raise NotFound("There is no notification or announcement with this id.")
    return found


async def edit(engines: Context, limits: Limits, tenant: str, id: str, edit: Edit) -> SentItem:
    """Edit an item in all inboxes."""
    now = engines.clock.now()
    validation.check_edit(edit, limits, times.to_rfc3339(now))
    done = await engines.store.sends.edit(tenant, id, edit, now) if ids.is_id(id) else None
    if done is None:
        raise NotFound("There is no notification or announcement with this id.")
    found, events = done
    await engines.broker.publish(*events)
    return found


async def recall(engines: Context, tenant: str, id: str) -> None:
    """Remove an item from all inboxes."""
    events = await engines.store.sends.recall(tenant, id, engines.clock.now()) if ids.is_id(id) else None
    if events is None:
        raise NotFound("There is no notification or announcement with this id.")
    await engines.broker.publish(*events)
