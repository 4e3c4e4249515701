"""Alice gets one e-mail with all due notifications, not one for each."""

import json
from email import message_from_bytes
from email.policy import compat32, default
from pathlib import Path
from typing import Any

import pytest

from tests.journey.channels import World, opened
from tests.smtp_server import smtp_server

ALICE = {"name": "Alice", "email": "alice@example.com", "timezone": "Europe/Vienna"}


async def prepare(world: World, preferences: dict[str, Any]) -> None:
    await world.put("/v1/recipients/alice", ALICE)
    await world.put("/v1/recipients/alice/preferences", preferences)


async def send(world: World, title: str, **fields: Any) -> str:
    return await world.send(**{"type": "news", "title": title, "channels": ["inbox", "email"], **fields})


@pytest.mark.parametrize(
    ("frequency", "due_at"),
    [
        ("hourly", "2026-06-10T13:00:00Z"),
        ("daily", "2026-06-11T07:30:00Z"),  # 09:30 in Vienna
        ("weekly", "2026-06-15T07:30:00Z"),  # Monday
    ],
)
async def test_digest_is_one_mail_with_all_due_notifications(tmp_path: Path, frequency: str, due_at: str) -> None:
    async with opened(tmp_path) as world:
        await prepare(world, {"digest": {"news": frequency, "offer": frequency}, "digest_at": "09:30"})
        first = await send(world, "First", body="One & only", action_url="https://shop.example/1")
        await send(world, "Second", type="offer")
        await send(world, "Now", type="other")
        await world.run_due()
        assert [(one["state"], one["reason"]) for one in await world.messages()] == [
            ("held", "digest"),
            ("held", "digest"),
            ("simulated", None),
        ]
        assert {one["due_at"] for one in await world.messages(state="held")} == {due_at}
        await world.advance_to(due_at)
        *members, digest = await world.messages()
        assert {one["state"] for one in members} == {"simulated"}
        assert (digest["state"], digest["notification"], digest["to"]) == ("simulated", None, "alice@example.com")
        raw = await world.client.get(f"/v1/messages/{digest['id']}/raw")
        mail = message_from_bytes(raw.content, policy=default)
        text = str(mail.get_body(("plain",)).get_content())
        assert mail["Subject"] == "2 new notifications"
        assert (
            text.index("First") < text.index("One & only") < text.index("https://shop.example/1") < text.index("Second")
        )
        assert "One &amp; only" in digest["content"]["html"]
        what = [
            one["what"]
            for one in (await world.get(f"/v1/notifications/{first}"))["timeline"]
            if one["channel"] == "email"
        ]
        assert what == ["held", "queued", "simulated"]


async def test_digest_of_many_types_has_no_line_that_mail_servers_refuse(tmp_path: Path) -> None:
    """Its link names all types, and the name of the tenant may have any length: a line has at most 998 characters (RFC 5322)."""
    types = [f"notification-of-type-{number}" for number in range(60)]
    async with opened(tmp_path, brand=json.dumps({"name": "Shop " * 300})) as world:
        await prepare(world, {"digest": dict.fromkeys(types, "hourly")})
        for type in types:
            await send(world, "News", type=type)
        await world.advance_to("2026-06-10T13:00:00Z")
        *_, digest = await world.messages()
        raw = (await world.client.get(f"/v1/messages/{digest['id']}/raw")).content
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        mail = message_from_bytes(raw, policy=compat32)
        link = "".join(mail["List-Unsubscribe"].split()).strip("<>")
        page = await world.client.get(link.removeprefix("https://bell.example"), headers={"accept": "text/html"})
        assert (page.status_code, "type 59" in page.text) == (200, True)


async def test_digest_is_sent_once_and_its_messages_take_its_state(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        async with opened(tmp_path, email=(url,)) as world:
            await prepare(world, {"digest": {"news": "daily", "offer": "hourly"}, "digest_at": "15:00"})
            await send(world, "First")
            await send(world, "Second", type="offer")
            await world.advance_to("2026-06-10T13:00:00Z")  # 15:00 in Vienna
            await world.advance_to("2026-06-20T13:00:00Z")
            (mail,) = mailbox.received
            assert mail["Subject"] == "2 new notifications"
            found = await world.messages()
            assert {(one["state"], one["provider"]) for one in found} == {("sent", "env-email-1")}
            assert len({str(one["attempts"]) for one in found}) == 1
            link = mail["List-Unsubscribe"].strip("<>").removeprefix("https://bell.example")
            assert (await world.client.post(link)).status_code == 200
            types = (await world.get("/v1/recipients/alice/preferences"))["types"]
            assert types == {"news": {"email": False}, "offer": {"email": False}}


async def test_digest_omits_notifications_that_are_no_longer_wanted(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await prepare(world, {"digest": {"news": "hourly", "offer": "hourly"}})
        recalled = await send(world, "Recalled")
        await send(world, "Off", type="offer")
        await send(world, "Expires", expires_at="2026-06-10T12:10:00Z")
        await send(world, "Stays")
        await world.client.delete(f"/v1/notifications/{recalled}")
        preferences = {"digest": {"news": "hourly"}, "types": {"offer": {"email": False}}}
        await world.put("/v1/recipients/alice/preferences", preferences)
        await world.advance_to("2026-06-10T12:10:00Z")
        assert [one["state"] for one in await world.messages()] == ["cancelled", "held", "expired", "held"]
        await world.advance_to("2026-06-10T13:00:00Z")
        found = [(one["state"], one["reason"]) for one in await world.messages()]
        assert found == [
            ("cancelled", "recalled"),
            ("cancelled", "type"),
            ("expired", "expired"),
            ("simulated", None),
            ("simulated", None),
        ]
        assert (await world.messages())[-1]["content"]["subject"] == "Stays"


async def test_digest_that_is_due_in_quiet_hours_waits_for_their_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        quiet_hours = {"start": "14:00", "end": "18:00"}
        await prepare(world, {"digest": {"news": "daily"}, "digest_at": "15:00", "quiet_hours": quiet_hours})
        id = await send(world, "First")
        await world.advance_to("2026-06-10T13:00:00Z")
        (held,) = await world.messages()
        assert (held["state"], held["due_at"]) == ("held", "2026-06-10T16:00:00Z")
        await world.advance_to("2026-06-10T16:00:00Z")
        assert {one["state"] for one in await world.messages()} == {"simulated"}
        entries = (await world.get(f"/v1/notifications/{id}"))["timeline"]
        rules = [(one["what"], one["rule"]) for one in entries if one["channel"] == "email"]
        assert rules == [("held", "digest"), ("held", "quiet_hours"), ("queued", None), ("simulated", None)]


async def test_failed_digest_is_retried_as_a_whole(tmp_path: Path) -> None:
    async with opened(tmp_path, email=("smtp://127.0.0.1:1?from=bells@example.com&tls=off",), retries=()) as world:
        await prepare(world, {"digest": {"news": "hourly"}})
        await send(world, "First")
        await world.advance_to("2026-06-10T13:00:00Z")
        member, digest = await world.messages()
        assert (member["state"], digest["state"]) == ("failed", "failed")
        assert (await world.request("POST", "/v1/messages/retry", {}))["retried"] == 1
        await world.run_due()
        assert len((await world.get(f"/v1/messages/{digest['id']}"))["attempts"]) == 2
        assert [one["state"] for one in await world.messages()] == ["failed", "failed"]
        assert (await world.request("POST", f"/v1/messages/{member['id']}/retry")) == {"retried": 1}


async def test_simulated_digest_is_released_as_a_whole(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, opened(tmp_path, http_allow=("127.0.0.1/32", "::1/128")) as world:
        await prepare(world, {"digest": {"news": "daily"}, "digest_at": "15:00"})
        await send(world, "First")
        await send(world, "Second")
        await world.advance_to("2026-06-10T13:00:00Z")
        member, *_, digest = await world.messages()
        assert (member["state"], digest["state"]) == ("simulated", "simulated")
        await world.advance("1m")
        url = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        await world.put("/v1/providers/mail", {"channel": "email", "url": url})
        assert (await world.request("POST", f"/v1/messages/{member['id']}/release")) == {"retried": 1}
        await world.run_due()
        assert [mail["Subject"] for mail in mailbox.received] == ["2 new notifications"]
        assert {one["state"] for one in await world.messages()} == {"sent"}


async def test_urgent_and_required_notifications_are_not_in_a_digest(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/types/invoice", {"required": ["email"]})
        await prepare(world, {"digest": {"news": "daily", "invoice": "daily"}})
        await send(world, "Urgent", priority="urgent")
        await send(world, "Required", type="invoice")
        await world.run_due()
        assert [one["state"] for one in await world.messages()] == ["simulated", "simulated"]


async def test_delay_that_ends_after_a_digest_waits_for_the_next_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await prepare(world, {"digest": {"news": "hourly"}})
        await send(world, "Late", channels=["inbox", {"channel": "email", "after": "90m"}])
        await world.advance_to("2026-06-10T13:30:00Z")
        (held,) = await world.messages()
        assert (held["state"], held["reason"], held["due_at"]) == ("held", "digest", "2026-06-10T14:00:00Z")
        await world.advance_to("2026-06-10T14:00:00Z")
        assert len(await world.messages(state="simulated")) == 2


async def test_digest_has_the_text_after_a_signature_of_the_app(tmp_path: Path) -> None:
    """Only the links that Bellcast adds are left out."""
    async with opened(tmp_path) as world:
        await prepare(world, {"digest": {"news": "hourly"}})
        await send(world, "First", body="Hello\n-- \nThe shop\n\nPS: bring your ticket")
        await world.advance("1h")
        *_, digest = await world.messages()
        own, *links = digest["content"]["text"].split("\n\n-- \n")
        assert own.endswith("Hello\n-- \nThe shop\n\nPS: bring your ticket")
        assert len(links) == 1


async def test_large_notifications_are_sent_in_several_digests(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await prepare(world, {"digest": {"news": "daily"}})
        for number in range(20):
            content = {"subject": f"Mail {number:02}", "text": "x" * 200_000, "html": "<p>x</p>"}
            await send(world, "Large", channels=["email"], email=content)
        await world.advance("24h")
        digests = [one for one in await world.messages() if one["notification"] is None]
        assert [one["state"] for one in digests] == ["simulated"] * 4
        texts = [one["content"]["text"] for one in digests]
        shown = [[number for number in range(20) if f"Mail {number:02}" in text] for text in texts]
        assert shown == [list(range(start, min(start + 6, 20))) for start in range(0, 20, 6)]
