"""Rows with a time beyond the calendar, written by an earlier version, are readable and shown as the end of 9999."""

from datetime import datetime, timedelta, timezone

from bellcast.inbox.types import Edit
from bellcast.kernel import times
from tests.contract.app import App

BEYOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=23, minutes=59)))


async def test_notification_expiring_beyond_the_calendar_is_usable(app: App) -> None:
    id = await app.send("alice", "Hello", expires_at=BEYOND)
    (shown,) = await app.page("alice")
    assert shown.expires_at == times.LATEST
    assert await app.store.sent.edit("", id, Edit(title="Corrected"), app.now) is not None
    assert await app.titles("alice") == ["Corrected"]
    found = await app.store.sent.find("", id)
    assert found is not None
    export = await app.store.exports.recipient("", "alice")
    assert export is not None
    assert [kind async for kind, _ in export].count("notification") == 1
    assert await app.store.maintenance.expire(app.now, 10) == (0, [])
    assert await app.store.sent.recall("", id, app.now) is not None
    assert await app.page("alice") == []


async def test_announcement_expiring_beyond_the_calendar_is_usable(app: App) -> None:
    await app.inbox("alice")
    id = await app.announce("To all", expires_at=BEYOND)
    (shown,) = await app.page("alice")
    assert shown.expires_at == times.LATEST
    assert await app.store.sent.recall("", id, app.now) is not None
    assert await app.page("alice") == []
