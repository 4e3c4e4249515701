"""The PushEndpoints and WebhookEvents ports, chat addresses, and receipts of messages, on every engine."""

from typing import Any

from msgspec.structs import replace

from bellcast.model.identities import ChatAddresses, RecipientFields
from bellcast.ports import PushEndpoint
from bellcast.ports.messages import MessageUpdate, with_outcome
from bellcast.ports.webhooks import WebhookEvent
from tests.contract.app import App
from tests.contract.test_store_messages import NOW, add, begin, message


def endpoint(number: int, address: str | None = None, **fields: Any) -> PushEndpoint:
    base = {
        "id": f"00000000-0000-7000-8000-{number:012}",
        "kind": "web",
        "address": address or f"https://push.example/{number}",
        "p256dh": "key",
        "auth": "secret",
        "registered_at": NOW + number,
    }
    return PushEndpoint(**{**base, **fields})


def event(number: int, **fields: Any) -> WebhookEvent:
    base = {"id": f"00000000-0000-7000-9000-{number:012}", "tenant": "", "type": "message.sent", "body": b"{}"}
    return WebhookEvent(**{**base, **fields})


async def test_known_endpoint_moves_with_its_id_and_the_oldest_leave(app: App) -> None:
    endpoints = app.store.push_endpoints
    first = endpoint(1)
    assert await endpoints.put("", "alice", first, 2) == (first.id, True)
    again = endpoint(2, first.address, kind="fcm", p256dh=None, auth=None)
    assert await endpoints.put("", "alice", again, 2) == (first.id, False)
    assert await endpoints.page("", "alice") == [replace(again, id=first.id)]
    await endpoints.put("", "alice", endpoint(3), 2)
    await endpoints.put("", "alice", endpoint(4), 2)
    assert [one.id for one in await endpoints.page("", "alice")] == [endpoint(4).id, endpoint(3).id]
    assert await endpoints.put("", "bob", endpoint(5, endpoint(3).address), 2) == (endpoint(3).id, False)
    assert await endpoints.put("acme", "alice", endpoint(6, endpoint(4).address), 2) == (endpoint(4).id, False)
    assert await endpoints.addresses("", ["alice", "bob", "carol"]) == {"bob": (endpoint(3).address,)}
    assert not await endpoints.delete("", "alice", endpoint(3).id)
    assert await endpoints.delete("", "bob", endpoint(3).id)
    await endpoints.forget("", endpoint(4).address)
    assert len(await endpoints.page("acme", "alice")) == 1
    await endpoints.forget("acme", endpoint(4).address)
    assert await endpoints.page("acme", "alice") == []


async def test_chat_addresses_are_replaced_as_a_whole(app: App) -> None:
    recipients = app.store.recipients
    chat = ChatAddresses(slack="https://hooks.slack.com/x", telegram=-100)
    await recipients.put("", "alice", RecipientFields(chat=chat), NOW, replace=True)
    found = await recipients.get("", "alice")
    assert found is not None
    assert found.chat == chat
    assert (await recipients.profiles("", ["alice"]))["alice"].chat == chat
    await recipients.put("", "alice", RecipientFields(chat=ChatAddresses(telegram="@shop")), NOW, replace=False)
    await recipients.put("", "alice", RecipientFields(name="Alice"), NOW, replace=False)
    assert (await recipients.profiles("", ["alice"]))["alice"].chat == ChatAddresses(telegram="@shop")
    await recipients.put("", "alice", RecipientFields(), NOW, replace=True)
    assert (await recipients.profiles("", ["alice"]))["alice"].chat == ChatAddresses()


async def test_events_are_added_with_their_jobs_and_read_in_order(app: App) -> None:
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


async def test_receipt_changes_a_sent_message_once_and_adds_its_event_then(app: App) -> None:
    messages = app.store.messages
    await add(app, message())
    (sending,) = await begin(app)
    assert not await messages.settle(message().id, "delivered", None, [event(1)], NOW)
    sent = with_outcome(sending, state="sent", provider="env-email-1", reference="R1")
    await messages.finish([MessageUpdate(message=sent)], NOW)
    found = await messages.find_reference("env-email-1", "R1")
    assert found is not None
    assert found.id == message().id
    assert await messages.find_reference("other", "R1") is None
    assert await messages.settle(message().id, "delivered", None, [event(1)], NOW)
    assert not await messages.settle(message().id, "failed", "late", [event(2)], NOW)
    (stored,) = await messages.find([message().id])
    assert (stored.state, stored.reason) == ("delivered", None)
    assert [one.id for one in await app.store.webhook_events.page(None, "", 10)] == [event(1).id]
    assert await messages.tenants_of("email", "env-email-1", "alice@example.com") == [""]
