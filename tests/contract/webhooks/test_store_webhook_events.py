"""Events for webhooks: their jobs, and the changes with which they are committed, on every engine."""

from typing import Any

import pytest
from msgspec.structs import replace

from bellcast.channels.types import MessageUpdate, with_outcome
from bellcast.inbox.types import ActionButton
from bellcast.inbox.types.inboxes import Marking
from bellcast.kernel.ids import Ids
from bellcast.recipients.types import RecipientOfLink
from bellcast.webhooks import store
from bellcast.webhooks.types import WebhookEvent
from tests.contract.app import App
from tests.contract.channels.test_store_messages import NOW, add, begin, message


def event(number: int, **fields: Any) -> WebhookEvent:
    base = {"id": f"00000000-0000-7000-9000-{number:012}", "tenant": "", "type": "message.sent", "body": b"{}"}
    return WebhookEvent(**{**base, **fields})


async def test_events_are_added_with_their_jobs_and_read_in_order(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    events = app.store.webhook_events
    await events.add([event(1), event(2, tenant="acme", recipient="alice")], NOW)
    jobs = await app.lease(NOW, NOW + 1000, 10)
    assert sorted((job.kind, job.payload.decode()) for job in jobs) == [
        ("webhook-event", event(1).id),
        ("webhook-event", event(2).id),
    ]
    assert await events.find(event(2).id) == event(2, tenant="acme", recipient="alice")
    assert await events.find(event(3).id) is None
    assert [one.id for one in await events.page(None, "", 10)] == [event(1).id, event(2).id]
    assert [one.id for one in await events.page(None, event(1).id, 10)] == [event(2).id]
    assert [one.id for one in await events.page("acme", "", 10)] == [event(2).id]
    newest = event(3, id=Ids().new(NOW))
    await events.add([newest], NOW)
    assert await events.recent(NOW, None) == ([(newest.id, "", "message.sent")], True)
    assert await events.recent(0, ["acme"]) == ([(event(2).id, "acme", "message.sent")], True)
    monkeypatch.setattr(store, "MAX_RECENT", 2)
    found, is_exact = await events.recent(0, None)
    assert ([id for id, *_ in found], is_exact) == ([newest.id, event(2).id], False)
    # Each tenant has its share.
    assert await events.recent(0, ["globex", "acme"]) == ([(event(2).id, "acme", "message.sent")], False)


async def test_receipt_changes_a_sent_message_once_and_adds_its_event_then(app: App) -> None:
    messages = app.store.messages
    await add(app, message())
    (sending,) = await begin(app)
    changes: list[dict[str, Any]] = []

    def report(type: str, change: dict[str, Any]) -> tuple[WebhookEvent, ...]:
        changes.append(change)
        return (event(len(changes), type=type),)

    assert not await messages.settle(message().id, "delivered", None, report, NOW)
    sent = with_outcome(sending, state="sent", provider="env-email-1", reference="R1")
    await messages.finish([MessageUpdate(message=sent)], NOW)
    assert [one.id for one in await messages.of_reference("env-email-1", "R1", "")] == [message().id]
    assert await messages.of_reference("env-email-1", "R1", "acme") == []
    assert await messages.of_reference("other", "R1", "") == []
    assert await messages.settle(message().id, "delivered", None, report, NOW)
    assert not await messages.settle(message().id, "failed", "late", report, NOW)
    (stored,) = await messages.find([message().id])
    assert (stored.state, stored.reason) == ("delivered", None)
    assert await app.store.webhook_events.page(None, "", 10) == [event(1, type="message.delivered")]
    assert [(change["id"], change["state"]) for change in changes] == [(message().id, "delivered")]
    assert await messages.tenants_of("email", "env-email-1", "alice@example.com") == [""]


class Report:
    """An EventReport that numbers the events and records their subjects."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.changes: list[tuple[str, dict[str, Any]]] = []
        self.failure = failure

    def __call__(self, type: str, change: dict[str, Any]) -> tuple[WebhookEvent, ...]:
        if self.failure is not None:
            raise self.failure
        self.changes.append((type, change))
        return (event(len(self.changes), type=type, recipient=change["recipient"]),)


async def test_actions_of_recipients_commit_with_the_events_of_their_rows(app: App) -> None:
    report, inboxes = Report(), app.store.inboxes
    first, second = await app.send("alice", title="1"), await app.send("alice", title="2")
    inbox = (await app.open("alice")).inbox
    ids = (first, second)
    await inboxes.mark(inbox.number, Marking(actions=("read",), ids=ids[:1]), app.now, report)
    await inboxes.mark(inbox.number, Marking(actions=("read",), ids=ids), app.now, report)
    await inboxes.mark(inbox.number, Marking(actions=("unread", "archive"), ids=ids), app.now, report)
    await inboxes.mark(inbox.number, Marking(actions=("unarchive",)), app.now, report)
    await inboxes.mark(inbox.number, Marking(actions=("seen",)), app.now, report)
    await inboxes.mark(inbox.number, Marking(actions=("read",)), app.now, report)
    # Rows that were already read are in no event, and other actions have none. A row that is read for the first time counts as seen.
    assert report.changes == [
        ("notification.seen", {"recipient": "alice", "id": ids[0]}),
        ("notification.read", {"recipient": "alice", "id": ids[0]}),
        ("notification.seen", {"recipient": "alice", "id": ids[1]}),
        ("notification.read", {"recipient": "alice", "id": ids[1]}),
        ("notification.read", {"recipient": "alice", "id": None, "all": True, "changed": 2}),
    ]
    stored = await app.store.webhook_events.page(None, "", 10)
    assert [(one.type, one.recipient) for one in stored] == [(type, "alice") for type, _ in report.changes]
    assert len(await app.lease(app.now, app.now + 1000, 10)) == 5


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_reading_all_reports_the_rows_that_are_seen_with_it(
    app: App, is_bulk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_bulk:
        monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", 1)
    report, inboxes = Report(), app.store.inboxes
    seen = await app.send("alice", title="1")
    await app.mark("alice", "seen", ids=(seen,))
    await app.send("alice", title="2")
    number = (await app.inbox("alice")).number
    await inboxes.mark(number, Marking(actions=("read",)), app.now, report)
    every = {"recipient": "alice", "id": None, "all": True}
    assert report.changes == [
        ("notification.seen", {**every, "changed": 1}),
        ("notification.read", {**every, "changed": 2}),
    ]


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_reading_the_archive_reports_the_rows_that_are_seen_with_it(
    app: App, is_bulk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_bulk:
        monkeypatch.setattr("bellcast.inbox.store.marking.MAX_ROW_EVENTS", 1)
    ids = tuple([await app.send("alice", title=title) for title in ("1", "2", "3")])
    await app.mark("alice", "seen", ids=ids[:1])
    await app.mark("alice", "archive", ids=ids)
    report, number = Report(), (await app.inbox("alice")).number
    await app.store.inboxes.mark(number, Marking(actions=("read",), view="archived"), app.now, report)
    every = {"recipient": "alice", "id": None, "all": True}
    assert report.changes == [
        ("notification.seen", {**every, "changed": 2}),
        ("notification.read", {**every, "changed": 3}),
    ]


async def test_button_commits_with_its_event_once(app: App) -> None:
    report, buttons = Report(), (ActionButton(key="accept", label="Accept"),)
    sent = await app.send("alice", actions=buttons)
    number = (await app.open("alice")).inbox.number
    for _ in range(2):
        await app.store.inboxes.act(number, sent, "accept", app.now, report)
    row = {"recipient": "alice", "id": sent}
    read = [("notification.seen", row), ("notification.read", row)]
    assert report.changes == [("notification.acted", {**row, "action": "accept"}), *read]
    assert len(await app.store.webhook_events.page(None, "", 10)) == 3


@pytest.mark.parametrize("is_bulk", [False, True])
async def test_failing_event_leaves_the_rows_as_they_were(app: App, is_bulk: bool) -> None:
    sent = await app.send("alice", actions=(ActionButton(key="accept", label="Accept"),))
    inbox = (await app.open("alice")).inbox
    ids = None if is_bulk else (sent,)
    with pytest.raises(ValueError, match="no event"):
        await app.store.inboxes.mark(
            inbox.number, Marking(actions=("read",), ids=ids), app.now, Report(ValueError("no event"))
        )
    with pytest.raises(ValueError, match="no event"):
        await app.store.inboxes.act(inbox.number, sent, "accept", app.now, Report(ValueError("no event")))
    assert (await app.open("alice")).inbox.state == inbox.state
    found = await app.store.inboxes.get(inbox.number, sent)
    assert found is not None
    assert (found.read_at, found.acted) == (None, None)
    assert await app.store.webhook_events.page(None, "", 10) == []


async def test_preferences_and_announcements_commit_with_their_events(app: App) -> None:
    await app.store.preferences.put("", "alice", b"{}", NOW, switches_inbox=False, events=[event(1)])
    link = RecipientOfLink("", "alice", NOW + 1)
    assert await app.store.preferences.put(
        "", "alice", b"{}", NOW, switches_inbox=False, events=[event(2)], before=b"{}", link=link
    )
    stranger = RecipientOfLink("", "bob", NOW + 1)
    assert not await app.store.preferences.put(
        "", "bob", b"{}", NOW, switches_inbox=False, events=[event(3)], link=stranger
    )
    request = replace(app.announce_request(key="k"), events=(event(4),))
    await app.store.sends.announce(request)
    again = replace(request, events=(event(5),))
    await app.store.sends.announce(again)  # the stored response to a repeated request
    stored = await app.store.webhook_events.page(None, "", 10)
    assert [one.id for one in stored] == [event(1).id, event(2).id, event(4).id]
