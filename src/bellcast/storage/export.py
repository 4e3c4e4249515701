"""Export all data of one recipient or tenant, in bounded reads while the server runs."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from bellcast.model import times
from bellcast.model.identities import Recipient, Subscription, Tenant
from bellcast.model.notifications import Notification
from bellcast.storage import profiles, recipient_scripts, rows, tenants
from bellcast.storage.engine import Engine
from bellcast.storage.script import Script, Statement, fetch

EXPORT_BATCH_ROWS = 500  # rows of one read: about 2 ms


async def export(engine: Engine, tenant: str, key: str) -> AsyncIterator[tuple[str, Any]] | None:
    """Yield the record, preferences, subscriptions and notifications, oldest first; None if the recipient does not exist."""
    recipient = await engine.read(recipient_scripts.get, tenant, key)
    return None if recipient is None else _pairs(engine, tenant, recipient)


async def _pairs(engine: Engine, tenant: str, recipient: Recipient) -> AsyncIterator[tuple[str, Any]]:
    yield "recipient", recipient
    own = await engine.read(profiles.preferences, tenant, recipient.key)
    if own is not None:
        updated_at = times.to_rfc3339_or_null(own.updated_at)
        yield "preferences", {**msgspec.json.decode(own.document), "updated_at": updated_at}
    for subscription in await engine.read(_subscriptions, tenant, recipient.key):
        yield "subscription", subscription
    after = ""
    while step := await engine.read(_notifications, tenant, recipient.key, after):
        for notification in step:
            yield "notification", notification
        after = step[-1].id


async def export_tenant(engine: Engine, key: str) -> AsyncIterator[tuple[str, Any]] | None:
    """Yield the record, announcements, last events of topics, then every recipient with its data."""
    tenant = await engine.read(tenants.get, key)
    return None if tenant is None else _tenant_pairs(engine, key, tenant)


async def _tenant_pairs(engine: Engine, key: str, tenant: Tenant) -> AsyncIterator[tuple[str, Any]]:
    yield "tenant", tenant
    last = -1
    while announced := await engine.read(fetch, _page("export_announcements", key, last)):
        for row in announced:
            yield "announcement", {"topic": row[TOPIC], **msgspec.to_builtins(rows.notification(row))}
        last = announced[-1][TOPIC + 1]
    topic = ""
    while events := await engine.read(fetch, _page("export_last_events", key, topic)):
        for topic, name, data, at in events:
            yield "event", {"topic": topic, "name": name, "data": data, "told_at": times.to_rfc3339(at)}
    after = None
    while recipients := await engine.read(recipient_scripts.page, key, after, EXPORT_BATCH_ROWS, None):
        for recipient in recipients:
            async for pair in _pairs(engine, key, recipient):
                yield pair
        after = recipients[-1].key


# The column of an announcement's topic, after those of a notification; its number follows.
TOPIC = rows.ENTRY_COLUMNS


def _page(name: str, tenant: str, after: int | str) -> Statement:
    return Statement(name, {"tenant": tenant, "after": after, "limit": EXPORT_BATCH_ROWS})


def _subscriptions(tenant: str, key: str) -> Script[list[Subscription]]:
    found = yield Statement("export_subscriptions", {"tenant": tenant, "key": key})
    return [rows.subscription(row) for row in found]


def _notifications(tenant: str, key: str, after: str) -> Script[list[Notification]]:
    params = {"tenant": tenant, "key": key, "after": after, "limit": EXPORT_BATCH_ROWS}
    found = yield Statement("export_notifications", params)
    return [rows.notification(row) for row in found]
