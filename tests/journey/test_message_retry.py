"""Retries of messages that failed."""

from pathlib import Path

from bellcast.channels.types import NewMessage
from bellcast.kernel import ids
from tests.journey.channels import opened


async def test_message_whose_template_could_not_be_rendered_is_not_retried(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        template = {"email": {"subject": "Hi {{ recipient.data.nick }}", "text": "Hi"}}
        await world.put("/v1/templates/hi", template)
        await world.put("/v1/recipients/alice", {"email": "alice@example.com", "data": {"nick": "Al"}})
        await world.put("/v1/recipients/bob", {"email": "bob@example.com"})
        send = {"to": {"all": True}, "title": "Hi", "template": "hi", "channels": ["inbox", "email"]}
        await world.request("POST", "/v1/notifications", send)
        await world.run_due()
        (failed,) = await world.messages(state="failed")
        assert (failed["recipient"], failed["content"]) == ("bob", {})
        for params in ({"dry_run": "true"}, {}):
            refused = await world.client.post(f"/v1/messages/{failed['id']}/retry", params=params)
            assert refused.status_code == 409
            assert "send the notification again" in refused.json()["detail"]
        await world.request("POST", "/v1/messages/retry")
        await world.run_due()
        (replay,) = (await world.get("/v1/replays"))["replays"]
        assert (replay["state"], replay["examined"], replay["retried"]) == ("done", 1, 0)
        assert [one["id"] for one in await world.messages(state="failed")] == [failed["id"]]


async def test_queued_message_without_content_fails_without_an_attempt(tmp_path: Path) -> None:
    """An earlier version queued such messages."""
    async with opened(tmp_path) as world:
        now = world.clock.now()
        id = f"{ids.uuid7_floor(now)}-7000-8000-000000000001"  # an older one would have expired
        await world.store.messages.add(
            [
                NewMessage(
                    id=id,
                    tenant="",
                    recipient="alice",
                    notification=None,
                    channel="email",
                    type="general",
                    priority="normal",
                    address="alice@example.com",
                    due_at=now,
                    created_at=now,
                    content=b"{}",
                )
            ]
        )
        await world.run_due()
        (message,) = await world.messages()
        assert (message["state"], message["attempts"]) == ("failed", [])
        assert "could not be rendered" in message["reason"]
