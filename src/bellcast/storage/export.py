"""Everything kept of one recipient, read in bounded steps while the store goes on."""

from collections.abc import AsyncIterator
from typing import Any

from bellcast.model.notifications import Notification
from bellcast.model.people import Recipient, Subscription
from bellcast.storage import people, rows
from bellcast.storage.engine import Engine, Script, Statement

STEP = 500  # rows a read: about 2 ms


async def export(engine: Engine, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
    """Its record, its subscriptions, its notifications, oldest first; None if there is none."""
    recipient = await engine.read(people.get, tenant, key)
    return None if recipient is None else _pairs(engine, tenant, recipient)


async def _pairs(engine: Engine, tenant: str, recipient: Recipient) -> AsyncIterator[tuple[str, Any]]:
    yield "recipient", recipient
    for subscription in await engine.read(_subscriptions, tenant, recipient.key):
        yield "subscription", subscription
    after = ""
    while step := await engine.read(_notifications, tenant, recipient.key, after):
        for notification in step:
            yield "notification", notification
        after = step[-1].id


def _subscriptions(tenant: str, key: str) -> Script[list[Subscription]]:
    found = yield Statement("export_subscriptions", {"tenant": tenant, "key": key})
    return [rows.subscription(row) for row in found]


def _notifications(tenant: str, key: str, after: str) -> Script[list[Notification]]:
    params = {"tenant": tenant, "key": key, "after": after, "limit": STEP}
    found = yield Statement("export_notifications", params)
    return [rows.notification(row) for row in found]
