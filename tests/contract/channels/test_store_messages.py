"""Messages and documents in the store, on every engine."""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import pytest
from msgspec.structs import replace

from bellcast.channels.delivery import outdated, with_report
from bellcast.channels.types import (
    Attempt,
    MessageUpdate,
    NewDecision,
    NewMessage,
    RecordedAction,
    State,
    StoredMessage,
)
from bellcast.documents import store as document_store
from bellcast.kernel.db import lists
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange, ListQuery, ListTotal, RecentCount
from bellcast.kernel.jobs import Job, in_line
from bellcast.kernel.times import to_rfc3339
from bellcast.webhooks.types import EventReport, WebhookEvent
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import StoredRun, TriggerRequest
from tests.clock import FakeClock
from tests.contract.app import App, wanted

NOW = FakeClock().now()
MAX_BYTES = 1_000_000


def message(number: int = 1, **fields: Any) -> NewMessage:
    base = {
        "id": f"00000000-0000-7000-8000-{number:012}",
        "tenant": "",
        "recipient": "alice",
        "notification": "n1",
        "channel": "email",
        "type": "booking",
        "priority": "normal",
        "address": "alice@example.com",
        "due_at": NOW,
        "created_at": NOW,
        "content": b'{"subject":"Hi"}',
    }
    return NewMessage(**{**base, **fields})


async def add(app: App, *messages: NewMessage, **fields: Any) -> Any:
    """Send to alice with these messages and return the result."""
    decision = NewDecision(
        tenant="", notification="n1", recipient="alice", channel="email", outcome="send", decided_at=NOW
    )
    request = replace(app.send_request("alice", **fields), messages=messages, decisions=(decision,))
    outcomes = [outcome async for some in app.store.sends.add([request]) for outcome in some]
    assert len(outcomes) == 1
    return outcomes[0]


async def begin(app: App, number: int = 1, now: int = NOW) -> list[StoredMessage]:
    return await app.store.messages.begin([message(number).id], now)


async def test_message_is_added_with_its_inbox_row_and_its_job(app: App) -> None:
    await add(app, message())
    (found,) = await app.store.messages.find([message().id])
    assert (found.state, found.content, found.attempts) == ("queued", b'{"subject":"Hi"}', ())
    (job,) = await app.lease(NOW, NOW + 1000, 10)
    assert (job.kind, job.payload.decode()) == (in_line("message", "email"), found.id)
    assert (await app.inbox("alice")).state.unread == 1


async def test_recent_messages_and_sends_are_counted_by_tenant_and_object(app: App) -> None:
    of = (("", "a"), ("acme", "b"), ("acme", "a"))
    await app.store.messages.add([message(n, tenant=tenant, created_at=NOW + n) for n, (tenant, _) in enumerate(of)])
    begun = await app.store.messages.begin([message(n).id for n in range(3)], NOW)
    await app.store.messages.finish(
        [
            MessageUpdate(message=replace(one, state="bounced" if provider == "b" else "sent", provider=provider))
            for one, (_, provider) in zip(sorted(begun, key=lambda one: one.id), of, strict=True)
        ],
        NOW,
    )
    of_acme = {("acme", "a"): RecentCount(1, NOW + 2), ("acme", "b"): RecentCount(1, NOW + 1, 1)}
    counts, is_exact = await app.store.messages.recent(0, ["acme", "globex"])
    assert ({place: counts[place] for place in of_acme}, is_exact) == (of_acme, True)
    assert counts[None, "a"] == RecentCount(1, NOW + 2)
    assert (await app.store.messages.recent(0, None))[0][None, "a"] == RecentCount(2, NOW + 2)
    await app.announce()
    sends, is_exact = await app.store.sent.recent(0)
    assert ([one.value for one in sends.values()], is_exact) == ([1, 1], True)


async def test_request_without_inbox_rows_adds_its_messages(app: App) -> None:
    request = replace(app.send_request("alice"), recipients=(), ids=(), messages=(message(),))
    decision = NewDecision(
        tenant="", notification="n1", recipient="alice", channel="inbox", outcome="skip", decided_at=1
    )
    outcomes = [o async for some in app.store.sends.add([replace(request, decisions=(decision,))]) for o in some]
    assert outcomes[0].events == ()
    assert len(await app.store.messages.find([message().id])) == 1


async def test_repeated_idempotency_key_adds_no_second_message(app: App) -> None:
    await add(app, message(1), key="k")
    await add(app, message(2), key="k")
    assert await app.store.messages.find([message(2).id]) == []


async def test_page_is_limited_to_a_range_of_time(app: App) -> None:
    early, late = (message(id=f"00000000-{time:04x}-7000-8000-000000000000") for time in (1_000, 2_000))
    await add(app, early, late)
    for filters in ({}, {"recipient": "alice"}, {"notification": "n1"}, {"state": "queued"}):
        since = wanted(created=CreatedRange(1_500, ANY_TIME.until), **filters)
        until = wanted(created=CreatedRange(0, 1_500), **filters)
        assert [one.id for one in (await app.store.messages.page(since)).items] == [late.id]
        assert [one.id for one in (await app.store.messages.page(until)).items] == [early.id]


async def test_begin_returns_due_open_messages_only(app: App) -> None:
    await add(app, message(1), message(2, due_at=NOW + 1000, state="held"))
    (begun,) = await app.store.messages.begin([message(1).id, message(2).id], NOW)
    assert (begun.id, begun.state) == (message(1).id, "sending")
    assert [m.id for m in await begin(app, 2, NOW + 1000)] == [message(2).id]
    await app.store.messages.finish([MessageUpdate(message=replace(begun, state="sent"))], NOW)
    assert await begin(app) == []


async def test_begin_returns_messages_of_a_clock_that_was_ahead(app: App) -> None:
    await add(app, message(1, due_at=NOW + 1000), message(2, state="held", reason="digest"))
    assert await begin(app, 1, NOW) == []
    assert [m.id for m in await begin(app, 1, NOW - 10_800_000)] == [message(1).id]
    assert await begin(app, 2, NOW - 10_800_000) == []


async def test_finish_stores_the_attempt_and_suppresses_the_address(app: App) -> None:
    await add(app, message())
    (begun,) = await begin(app)
    attempt = Attempt(at=to_rfc3339(NOW), provider="env-email-1", outcome="permanent", code="550", response="No.")
    bounced = replace(begun, state="bounced", reason="No.", attempts=(attempt,), provider="env-email-1", rounds=1)
    await app.store.messages.finish([MessageUpdate(message=bounced, suppress="bounce")], NOW)
    (found,) = await app.store.messages.find([begun.id])
    assert (found.state, found.attempts, found.rounds) == ("bounced", (attempt,), 1)
    pairs = [("email", "ALICE@example.com"), ("sms", "alice@example.com"), ("email", "bob@example.com")]
    assert await app.store.suppressions.find("", pairs) == {("email", "ALICE@example.com")}
    assert await app.store.suppressions.find("acme", pairs) == frozenset()


@pytest.mark.parametrize("has_row", [True, False])
async def test_recall_is_recorded_once(app: App, has_row: bool) -> None:
    """A send that does not include the inbox has no row; its recall is recorded too."""
    request = app.send_request("alice")
    (id,) = request.ids
    decision = NewDecision(
        tenant="", notification=id, recipient="alice", channel="email", outcome="send", decided_at=app.now
    )
    request = replace(request, messages=(message(notification=id),), decisions=(decision,))
    if not has_row:
        request = replace(request, recipients=(), ids=())
    async for _ in app.store.sends.add([request]):
        pass
    assert await app.store.sent.recall("acme", id, NOW) is None
    assert await app.store.sent.recall("", id, app.now) is not None
    assert await app.store.sent.recall("", id, app.now + 1) is None
    (recorded,) = await app.store.messages.actions("", id, None, 10)
    assert recorded == RecordedAction(what="recalled", at=app.now)
    assert await app.store.messages.decisions("", id, None, 10) == [decision]


async def test_recall_cancels_messages_without_attempts(app: App) -> None:
    request = app.send_request("alice")
    id = request.ids[0]
    messages = tuple(message(n, notification=id) for n in (1, 2))
    decision = NewDecision(tenant="", notification=id, recipient="alice", channel="email", outcome="send", decided_at=1)
    async for _ in app.store.sends.add([replace(request, messages=messages, decisions=(decision,))]):
        pass
    (begun,) = await begin(app, 1)
    await app.store.sent.recall("", id, NOW)
    states = {m.id: m.state for m in await app.store.messages.find([m.id for m in messages])}
    assert states == {messages[0].id: "sending", messages[1].id: "cancelled"}
    await app.store.messages.finish([MessageUpdate(message=replace(begun, state="sent"))], NOW)
    assert await begin(app, 2) == []


@pytest.mark.parametrize("outcome", [None, "queued", "held", "simulated"])
async def test_message_that_is_recalled_while_it_is_sent_has_no_further_attempt(
    app: App, outcome: State | None
) -> None:
    """It waits for a slot of its provider, is tried again or held, or only simulated."""
    request = app.send_request("alice")
    id = request.ids[0]
    decision = NewDecision(tenant="", notification=id, recipient="alice", channel="email", outcome="send", decided_at=1)
    waiting = replace(request, messages=(message(1, notification=id),), decisions=(decision,))
    async for _ in app.store.sends.add([waiting]):
        pass
    (begun,) = await begin(app, 1)
    await app.store.sent.recall("", id, NOW)
    if outcome is not None:
        reason = None if outcome == "simulated" else "busy"
        ended_attempt = replace(begun, state=outcome, reason=reason, due_at=NOW + 10, rounds=1)
        await app.store.messages.finish([MessageUpdate(message=ended_attempt)], NOW)
    if outcome == "simulated":
        (simulated,) = await app.store.messages.find([begun.id])
        assert simulated.reason == "recalled"
        return
    (again,) = await begin(app, 1, NOW + 10)
    ended = outdated(again, NOW + 10)
    assert ended is not None
    assert (ended.message.state, ended.message.reason) == ("cancelled", "recalled")
    await app.store.messages.finish([ended], NOW + 10)
    assert await begin(app, 1, NOW + 10) == []


@pytest.mark.parametrize("first", ["sent", "queued"])
async def test_two_outcomes_of_a_message_in_one_commit_count_as_in_two(app: App, first: State) -> None:
    """A process that lost its lease for a while leases the message again: it must not be sent another time."""
    await add(app, message(1))
    (begun,) = await begin(app)
    states: list[State] = ["sent", "queued"]
    outcomes = [
        MessageUpdate(message=replace(begun, state=state)) for state in sorted(states, key=lambda one: one != first)
    ]
    written = await app.store.messages.finish(outcomes, NOW)
    assert [one.message.state for one in written] == ["sent"]
    assert [one.state for one in await app.store.messages.find([begun.id])] == ["sent"]


async def test_failed_message_of_a_recalled_notification_is_not_retried(app: App) -> None:
    await add(app, message(1), message(2, notification="n2"))
    for number in (1, 2):
        (begun,) = await begin(app, number)
        await app.store.messages.finish([MessageUpdate(message=replace(begun, state="failed"))], NOW)
    await app.store.sent.recall("", "n1", NOW)
    assert await app.store.messages.retry("", [message(1).id, message(2).id], NOW) == [message(2).id]


async def test_retry_queues_failed_messages_with_their_jobs(app: App) -> None:
    await add(app, message())
    (begun,) = await begin(app)
    await app.store.messages.finish([MessageUpdate(message=replace(begun, state="failed"))], NOW)
    await app.store.jobs.done(await app.lease(NOW + 4, NOW + 1000, 10))
    assert await app.store.messages.retry("acme", [begun.id], NOW + 5) == []
    assert await app.store.messages.retry("", [begun.id], NOW + 5) == [begun.id]
    assert await app.store.messages.retry("", [begun.id], NOW + 5) == []
    jobs: list[Job] = await app.lease(NOW + 5, NOW + 1000, 10)
    assert begun.id in [job.id for job in jobs]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [3, 2, 1]),
        ({"recipient": "bob"}, [2]),
        ({"channel": "sms"}, [3]),
        ({"state": "held"}, [3]),
        ({"notification": "n1", "channel": "email"}, [2, 1]),
        ({"run": "r1"}, [2]),
        ({"notification": "n1", "run": "r1"}, [2]),
        ({"run": "r1", "recipient": "alice"}, []),
        ({"before": message(3).id, "limit": 1}, [2]),
        ({"tenant": "acme"}, []),
        ({"tenant": "*"}, [3, 2, 1]),
        ({"tenant": "*", "channel": "sms", "state": "held"}, [3]),
        ({"provider": "smtp"}, []),
        ({"tenant": "*", "provider": "smtp"}, []),
    ],
)
async def test_page_lists_the_newest_first(app: App, query: dict[str, Any], numbers: list[int]) -> None:
    await add(
        app,
        message(1),
        message(2, recipient="bob", run="r1"),
        message(3, channel="sms", state="held", due_at=NOW + 1000),
    )
    found = await app.store.messages.page(wanted(**query))
    assert [int(m.id[-3:]) for m in found.items] == numbers


@pytest.mark.parametrize("tenant", ["", "*"])
async def test_page_compares_a_bounded_number_of_messages(
    app: App, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.kernel.db.lists.MAX_SCANNED_ROWS", 2)
    await add(app, message(1, channel="sms"), message(2), message(3))
    page = await app.store.messages.page(wanted(tenant, channel="sms"))
    assert (page.items, page.scanned_until) == ([], (message(2).id,))
    further = await app.store.messages.page(wanted(tenant, channel="sms", before=message(2).id))
    assert ([one.id for one in further.items], further.scanned_until) == ([message(1).id], None)
    counted = await app.store.messages.page(wanted(tenant, limit=1))
    assert counted.total == ListTotal(3, exact=True)
    monkeypatch.setattr(lists, "MAX_COUNTED_ITEMS", 2)
    assert (await app.store.messages.page(wanted(tenant, limit=1))).total == ListTotal(2, exact=False)


async def test_erasing_a_recipient_deletes_its_messages_and_decisions(app: App) -> None:
    await add(app, message())
    assert len(await app.store.messages.decisions("", "n1", None, 10)) == 1
    await app.store.recipients.delete("", "alice", NOW)
    assert await app.store.messages.find([message().id]) == []
    assert await app.store.messages.decisions("", "n1", None, 10) == []


async def test_messages_have_the_seen_and_read_times_of_the_inbox_item(app: App) -> None:
    request = app.send_request("alice")
    id = request.ids[0]
    decision = NewDecision(tenant="", notification=id, recipient="alice", channel="email", outcome="send", decided_at=1)
    sent = replace(request, messages=(message(notification=id, unless="read"),), decisions=(decision,))
    async for _ in app.store.sends.add([sent]):
        pass
    (found,) = await app.store.messages.find([message().id])
    assert (found.seen_at, found.read_at) == (None, None)
    await app.store.recipients.delete("", "bob", NOW)
    await app.store.sent.recall("", id, NOW)
    (found,) = await app.store.messages.find([message().id])
    assert (found.seen_at, found.read_at) == (0, 0)


async def test_profiles_and_preferences_of_recipients(app: App) -> None:
    recipients = app.store.recipients
    await app.store.preferences.put("", "alice", b'{"channels":{"inbox":false}}', NOW, switches_inbox=True)
    assert await app.store.preferences.get("", "alice") == (b'{"channels":{"inbox":false}}', NOW)
    assert await app.store.preferences.get("", "bob") == (None, None)
    found = await recipients.profiles("", ["alice", "bob"])
    assert set(found) == {"alice"}
    assert found["alice"].preferences == b'{"channels":{"inbox":false}}'
    assert await app.store.preferences.any_switches_inbox("")
    assert not await app.store.preferences.any_switches_inbox("acme")


async def test_documents_are_separate_per_kind_and_tenant(app: App) -> None:
    documents = app.store.documents
    _, is_new = await documents.put("types", "", "b", b'{"name":"B"}', NOW)
    assert is_new
    changed, is_new = await documents.put("types", "", "b", b"{}", NOW + 1)
    assert (changed.body, changed.created_at, changed.updated_at, is_new) == (b"{}", NOW, NOW + 1, False)
    await documents.put("types", "", "a", b"{}", NOW)
    await documents.put("types", "acme", "b", b"{}", NOW)
    assert [d.key for d in await documents.page("types", "", "", 10)] == ["a", "b"]
    assert [d.key for d in await documents.page("types", "", "a", 10)] == ["b"]
    assert await documents.get("templates", "", "b") is None
    assert await documents.delete("types", "", "b")
    assert not await documents.delete("types", "", "b")
    assert await documents.get("types", "acme", "b") is not None


def waiting(number: int, **fields: Any) -> NewMessage:
    return message(number, state="held", reason="digest", due_at=NOW + 1000, **fields)


@pytest.mark.parametrize(("max_bytes", "count"), [(1, 1), (1_000, 1), (1_001, 2), (24_999, 25), (MAX_BYTES, 45)])
async def test_digest_ends_with_the_message_that_reaches_its_size(app: App, max_bytes: int, count: int) -> None:
    all_messages = [waiting(number, content=b'{"text":"%s"}' % (b"x" * 989)) for number in range(45)]
    assert {len(one.content) for one in all_messages} == {1_000}
    await add(app, *all_messages)
    found = await app.store.messages.digest_members("", "alice", NOW + 1000, 100, max_bytes)
    assert [one.id for one in found] == [one.id for one in all_messages[:count]]


async def test_digest_takes_its_messages_in_one_transaction(app: App) -> None:
    store = app.store.messages
    await add(app, waiting(1), waiting(2), message(3))
    (group,) = [one for one in await app.store.jobs.due(NOW + 1000) if one.kind == "digest"]
    assert group.run_at == NOW + 1000  # one job for both messages
    assert await begin(app, 1, NOW + 1000) == []
    assert await store.digest_members("", "alice", NOW, 10, MAX_BYTES) == []
    first, second = await store.digest_members("", "alice", NOW + 1000, 10, MAX_BYTES)
    digest = message(9, digest=message(9).id, due_at=NOW + 1000)
    skipped = MessageUpdate(message=replace(second, state="cancelled", reason="type"))
    assert not await store.add_digest(digest, [first.id, message(3).id], [skipped], NOW)
    assert await store.find([digest.id]) == []
    assert await store.add_digest(digest, [first.id], [skipped], NOW)
    assert not await store.add_digest(digest, [first.id], [], NOW)
    assert [m.state for m in await store.find([first.id])] == ["queued"]
    assert await begin(app, 1, NOW + 1000) == []
    (begun,) = await begin(app, 9, NOW + 1000)
    await store.finish([MessageUpdate(message=replace(begun, state="failed", provider="p"))], NOW)
    states = {m.id: m.state for m in (await store.page(wanted())).items}
    assert states == {
        message(9).id: "failed", first.id: "failed", second.id: "cancelled", message(3).id: "queued"
    }  # fmt: skip
    assert await store.retry("", [first.id], NOW) == []
    assert await store.retry("", [digest.id], NOW) == [digest.id]
    assert [m.state for m in await store.find([first.id])] == ["queued"]


class ReportedChanges:
    """Reports changes of messages as events, and records the changes."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []

    def __call__(self, type: str, change: dict[str, Any]) -> tuple[WebhookEvent, ...]:
        self.changes.append((type, change["id"]))
        id = f"00000000-0000-7000-9000-{len(self.changes):012}"
        return (WebhookEvent(id=id, tenant="", type=type, body=b"{}"),)

    async def report(self, tenant: str, types: Sequence[str]) -> EventReport:
        """As a WebhookSink of which a webhook wants all types."""
        return lambda type, change: self(type, change) if type in types else ()

    async def stored_types(self, app: App) -> list[str]:
        return [event.type for event in await app.store.webhook_events.page(None, "", 100)]


async def test_events_of_a_digest_are_those_of_its_messages_too(app: App) -> None:
    store, report = app.store.messages, ReportedChanges()
    await add(app, waiting(1), waiting(2))
    first, second = await store.digest_members("", "alice", NOW + 1000, 10, MAX_BYTES)
    expired = replace(second, state="expired", reason="expired")
    left_out = MessageUpdate(message=expired, report=report)
    digest = message(9, digest=message(9).id, due_at=NOW + 1000)
    assert await store.add_digest(digest, [first.id], [left_out], NOW + 1000)
    (begun,) = await begin(app, 9, NOW + 1000)
    sent = replace(begun, state="sent", provider="p", reference="R1")
    await store.finish([MessageUpdate(message=sent, report=report)], NOW + 1000)
    assert await store.settle(digest.id, "delivered", None, report, NOW + 1000)
    both = [first.id, digest.id]
    assert report.changes[0] == ("message.expired", second.id)
    assert sorted(report.changes[1:3]) == [("message.sent", id) for id in both]
    assert sorted(report.changes[3:]) == [("message.delivered", id) for id in both]
    assert await report.stored_types(app) == [type for type, _ in report.changes]


@pytest.mark.parametrize("first", ["queued", "held", "failed", "cancelled", "sent", "bounced", "delivered"])
@pytest.mark.parametrize("late", ["queued", "failed", "cancelled", "sent", "bounced"])
async def test_late_outcome_counts_only_if_a_provider_reports_the_first(app: App, first: str, late: str) -> None:
    """A worker whose lease ended reports after another one; the messages of the digest keep the digest's state."""
    store, report = app.store.messages, ReportedChanges()
    await add(app, waiting(1))
    await store.add_digest(message(9, digest=message(9).id), [message(1).id], [], NOW)
    (begun,) = await begin(app, 9)
    accepted = "sent" if first == "delivered" else first
    await store.finish([MessageUpdate(message=replace(begun, state=accepted))], NOW)
    if first == "delivered":
        await store.settle(begun.id, "delivered", None, report, NOW)
    report.changes.clear()
    late_update = MessageUpdate(message=replace(begun, state=late), suppress="bounce", report=report)
    written = await store.finish([late_update], NOW)
    counts = late in ("sent", "bounced") and first not in ("sent", "bounced", "delivered")
    found = {one.id: one.state for one in await store.find([begun.id, message(1).id])}
    assert written == ([late_update] if counts else [])
    ended = late if counts else first
    # A cancelled message of a digest stays cancelled.
    assert found == {begun.id: ended, message(1).id: first if first == "cancelled" else ended}
    assert bool((await app.store.suppressions.page(ListQuery(tenants=[""]))).items) == counts
    assert (f"message.{late}" in await report.stored_types(app)) == counts


@pytest.mark.parametrize("state", ["queued", "sending", "sent"])
async def test_recall_withdraws_a_digest_that_waits_for_another_attempt(app: App, state: str) -> None:
    """The digest's content shows the recalled notification, so its other messages wait for a new digest."""
    store, report = app.store.messages, ReportedChanges()
    await add(app, waiting(1, notification="n1"), waiting(2, notification="n2"))
    first, second = await store.digest_members("", "alice", NOW + 1000, 10, MAX_BYTES)
    digest = message(9, digest=message(9).id, due_at=NOW + 1000, notification=None)
    await store.add_digest(digest, [first.id, second.id], [], NOW + 1000)
    (begun,) = await begin(app, 9, NOW + 1000)
    if state != "sending":
        await store.finish([MessageUpdate(message=replace(begun, state=state, rounds=1))], NOW + 1000)
    now = NOW + 2000
    await app.store.sent.recall("", "n1", now, report)
    found = {m.id: m for m in await store.find([first.id, second.id, digest.id])}
    if state != "queued":
        assert found[digest.id].state == state
        assert await store.digest_members("", "alice", now, 10, MAX_BYTES) == []
        return
    assert [found[one].state for one in (first.id, digest.id, second.id)] == ["cancelled", "cancelled", "held"]
    assert report.changes == [("message.cancelled", first.id), ("message.cancelled", digest.id)]
    assert [m.id for m in await store.digest_members("", "alice", now, 10, MAX_BYTES)] == [second.id]
    # The first digest's job, and one for the other message.
    assert [job.kind for job in await app.lease(now, now + 1000, 10)].count("digest") == 2


@pytest.mark.parametrize("state", ["queued", "failed", "bounced", "simulated"])
@pytest.mark.parametrize("recalled", [1, 2])
async def test_digest_that_shows_what_was_recalled_is_not_sent_again(app: App, state: State, recalled: int) -> None:
    """The first notification is recalled while the digest is sent, the second after that."""
    store, report = app.store.messages, ReportedChanges()
    for number in (1, 2, 3):
        decision = NewDecision(
            tenant="", notification=f"n{number}", recipient="alice", channel="email", outcome="hold", decided_at=NOW
        )
        request = replace(app.send_request("alice"), recipients=(), ids=(), decisions=(decision,))
        request = replace(request, messages=(waiting(number, notification=f"n{number}"),))
        async for _ in app.store.sends.add([request]):
            pass
    members = await store.digest_members("", "alice", NOW + 1000, 10, MAX_BYTES)
    digest = message(9, digest=message(9).id, due_at=NOW + 1000, notification=None)
    await store.add_digest(digest, [one.id for one in members], [], NOW + 1000)
    (begun,) = await begin(app, 9, NOW + 1000)
    now = NOW + 2000
    await app.store.sent.recall("", "n1", now, report)
    outcome = MessageUpdate(message=replace(begun, state=state, rounds=1))
    await store.finish([await with_report(cast(Any, report), outcome)], now)
    if state == "queued":
        assert ("message.cancelled", digest.id) in report.changes
        left = [message(2).id, message(3).id]
    else:
        left = [message(3).id]
        if recalled == 2:
            await app.store.sent.recall("", "n2", now, report)
        else:
            left.insert(0, message(2).id)
        again = store.release("", digest.id, now) if state == "simulated" else store.retry("", [digest.id], now)
        assert await again
        again = store.release("", digest.id, now) if state == "simulated" else store.retry("", [digest.id], now)
        assert not await again
    assert await begin(app, 9, now) == []
    assert [one.id for one in await store.digest_members("", "alice", now, 10, MAX_BYTES)] == left
    # The first digest's job, and one for the other messages.
    assert [job.kind for job in await app.lease(now, now + 1000, 10)].count("digest") == 2


@pytest.mark.parametrize("is_recalled", [False, True])
async def test_failed_digest_is_sent_again_without_what_was_recalled_or_cancelled_since(
    app: App, is_recalled: bool
) -> None:
    """The notification is recalled after the attempt, or the run is cancelled meanwhile."""
    store = app.store.messages
    run = StoredRun(
        id=message(7).id, trigger="t", tenant="", workflow="w", owner="", version=1, recipient="alice", state="waiting",
        reason=None, created_at=NOW, ended_at=None, body=runs.encode(runs.RunState()),
    )  # fmt: skip
    await app.store.runs.start(TriggerRequest(tenant="", created_at=NOW, runs=(run,)))
    await add(app, waiting(1, run=run.id), waiting(2, notification="n2"))
    members = await store.digest_members("", "alice", NOW + 1000, 10, MAX_BYTES)
    digest = message(9, digest=message(9).id, due_at=NOW + 1000, notification=None)
    await store.add_digest(digest, [one.id for one in members], [], NOW + 1000)
    (begun,) = await begin(app, 9, NOW + 1000)
    if not is_recalled:
        assert await app.store.runs.cancel("", run.id, NOW + 1000) == 1
    await store.finish([MessageUpdate(message=replace(begun, state="failed", rounds=1))], NOW + 1000)
    if is_recalled:
        await app.store.sent.recall("", "n1", NOW + 1000, ReportedChanges())
    assert await store.retry("", [digest.id], NOW + 2000)
    assert [one.id for one in await store.digest_members("", "alice", NOW + 2000, 10, MAX_BYTES)] == [message(2).id]


@pytest.mark.parametrize("state", ["failed", "simulated"])
@pytest.mark.parametrize("has_begun", [False, True])
async def test_digest_that_is_sent_again_is_withdrawn_only_before_its_attempt(
    app: App, state: State, has_begun: bool
) -> None:
    """Two operators retry or release it, and one of its notifications is recalled after the first did."""
    store = app.store.messages
    again = (
        partial(store.release, "", message(9).id) if state == "simulated" else partial(store.retry, "", [message(9).id])
    )
    await add(app, waiting(1, notification="n1"), waiting(2, notification="n2"))
    members = await store.digest_members("", "alice", NOW + 1000, 10, MAX_BYTES)
    digest = message(9, digest=message(9).id, due_at=NOW + 1000, notification=None)
    await store.add_digest(digest, [one.id for one in members], [], NOW + 1000)
    (begun,) = await begin(app, 9, NOW + 1000)
    await store.finish([MessageUpdate(message=replace(begun, state=state, rounds=1))], NOW + 1000)
    assert await again(NOW + 2000)
    attempts = await begin(app, 9, NOW + 2000) if has_begun else []
    await app.store.sent.recall("", "n1", NOW + 2000, ReportedChanges())
    assert not await again(NOW + 2000)
    left = [one.id for one in await store.digest_members("", "alice", NOW + 2000, 10, MAX_BYTES)]
    assert left == ([] if has_begun else [message(2).id])
    await store.finish([MessageUpdate(message=replace(one, state="sent")) for one in attempts], NOW + 2000)
    found = {one.id: one.state for one in await store.find([message(2).id, digest.id])}
    assert found == {message(2).id: "sent" if has_begun else "held", digest.id: "sent" if has_begun else "cancelled"}


async def test_message_that_expires_before_it_is_due_is_begun_when_it_expires(app: App) -> None:
    await add(app, waiting(1, expires_at=NOW + 10))
    jobs = {group.kind: group.run_at for group in await app.store.jobs.due(NOW + 1000)}
    assert jobs == {in_line("message", "email"): NOW + 10, "digest": NOW + 1000}
    assert await begin(app, 1, NOW + 9) == []
    assert [m.id for m in await begin(app, 1, NOW + 10)] == [message(1).id]


async def test_documents_of_all_tenants_are_read_in_pages_by_tenant_and_key(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = app.store.documents
    for tenant, key in (("", "a"), ("", "b"), ("acme", "a")):
        await documents.put("types", tenant, key, b"{}", NOW)
    monkeypatch.setattr(document_store, "READ_OBJECTS", 2)
    found = [(tenant, document.key) async for tenant, document in documents.every("types")]
    assert found == [("", "a"), ("", "b"), ("acme", "a")]
