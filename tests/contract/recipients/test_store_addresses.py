"""Push endpoints and chat addresses of recipients, on every engine."""

from typing import Any

from msgspec.structs import replace

from bellcast.recipients.types import ChatAddresses, PushEndpoint, RecipientFields
from tests.contract.app import App
from tests.contract.channels.test_store_messages import NOW


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


async def test_known_endpoint_moves_with_its_id_and_the_oldest_are_deleted(app: App) -> None:
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
    await endpoints.delete_gone("", endpoint(4).address)
    assert len(await endpoints.page("acme", "alice")) == 1
    await endpoints.delete_gone("acme", endpoint(4).address)
    assert await endpoints.page("acme", "alice") == []


async def test_new_endpoint_stays_if_the_clock_was_set_back(app: App) -> None:
    endpoints = app.store.push_endpoints
    for number in (1, 2):
        await endpoints.put("", "alice", endpoint(number), 2)
    new = endpoint(3, registered_at=NOW - 1)
    assert await endpoints.put("", "alice", new, 2) == (new.id, True)
    assert [one.id for one in await endpoints.page("", "alice")] == [endpoint(2).id, new.id]


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
