"""A delayed message is sent only if the recipient still wants and needs it when it is due."""

from pathlib import Path
from typing import Any

import pytest

from bellcast.channels import releases
from bellcast.channels.catalog import Catalog
from bellcast.channels.types import ChannelConfig, MessageUpdate, StoredMessage
from bellcast.kernel.times import milliseconds, to_rfc3339
from tests.clock import FakeClock
from tests.contexts import NO_FEED
from tests.journey.channels import World, opened
from tests.journey.test_email import app


async def released(world: World, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The message that waited while the request at `path` was made, and its notification."""
    await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
    sent = await world.send(channels=["inbox", {"channel": "email", "after": "1s"}])
    (waiting,) = await world.messages()
    assert waiting["state"] == "held"
    await world.put(path, body)
    await world.advance("1s")
    return await world.get(f"/v1/messages/{waiting['id']}"), sent


@pytest.mark.parametrize(
    ("path", "body", "state", "rule"),
    [
        ("/v1/recipients/alice/preferences", {"channels": {"email": False}}, "cancelled", "channel"),
        ("/v1/suppressions/email/alice@example.com", {}, "suppressed", "suppressed"),
        ("/v1/recipients/alice", {"name": "Alice"}, "cancelled", "no_address"),
    ],
)
async def test_message_that_is_unwanted_when_it_is_due_is_not_sent(
    tmp_path: Path, path: str, body: dict[str, Any], state: str, rule: str
) -> None:
    async with opened(tmp_path) as world:
        message, sent = await released(world, path, body)
        assert (message["state"], message["reason"]) == (state, rule)
        email = (await world.get("/v1/explain", recipient="alice", notification=sent))["channels"][-1]
        assert (email["channel"], email["outcome"], email["rule"]) == ("email", "skip", rule)
        entries = (await world.get(f"/v1/notifications/{sent}"))["timeline"]
        about_email = [(one["what"], one["rule"]) for one in entries if one["channel"] == "email"]
        assert about_email == [("scheduled", None), (state, rule)]


async def test_released_message_goes_to_the_current_address(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        message, _ = await released(world, "/v1/recipients/alice", {"email": "new@example.com"})
        assert (message["state"], message["to"]) == ("simulated", "new@example.com")


async def test_digest_that_is_due_in_quiet_hours_waits_once(tmp_path: Path) -> None:
    async with app(tmp_path) as (server, client):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        preferences = {"digest": {"booking": "hourly"}, "quiet_hours": {"start": "00:00", "end": "12:00"}}
        await client.put("/v1/recipients/alice/preferences", json=preferences)
        clock = FakeClock(1_750_032_000_000)  # 2025-06-16 00:00 UTC
        catalog = Catalog(server.db, clock, ChannelConfig(), NO_FEED)
        message = StoredMessage(
            id="m", tenant="", recipient="alice", notification="n", channel="email", type="booking",
            priority="normal", address="alice@example.com", state="sending", reason="digest",
            due_at=clock.now(), created_at=clock.now() - 60_000, content=b"{}",
        )  # fmt: skip
        update = await releases.decide(server.db, catalog, message, clock.now())
        assert isinstance(update, MessageUpdate)
        assert (update.message.state, update.message.reason) == ("held", "digest")
        assert update.decision is not None
        assert update.decision.rule == "quiet_hours"
        noon = to_rfc3339(clock.now()).replace(hour=12)
        assert update.message.due_at == milliseconds(noon)
        again = await releases.decide(server.db, catalog, update.message, milliseconds(noon))
        assert isinstance(again, StoredMessage)


async def test_timeline_keeps_the_rule_that_held_a_message_that_is_skipped_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        preferences = {"quiet_hours": {"start": "12:00", "end": "13:00"}}
        await world.put("/v1/recipients/alice/preferences", preferences)
        id = await world.send(channels=["inbox", "email"])
        await world.put("/v1/recipients/alice/preferences", {**preferences, "channels": {"email": False}})
        await world.advance_to("2026-06-10T13:00:00Z")
        entries = (await world.get(f"/v1/notifications/{id}"))["timeline"]
        about_email = [(one["what"], one["rule"], one["by"]) for one in entries if one["channel"] == "email"]
        assert about_email == [("held", "quiet_hours", "recipient"), ("cancelled", "channel", "recipient")]
        explained = await world.get("/v1/explain", recipient="alice", notification=id)
        assert [(one["outcome"], one["rule"]) for one in explained["channels"]][-1] == ("skip", "channel")
