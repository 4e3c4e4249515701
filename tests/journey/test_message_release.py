"""A simulated message is released under the same conditions as any delayed message."""

from pathlib import Path

from tests.journey.channels import opened
from tests.smtp_server import smtp_server

UNREACHABLE = "smtp://127.0.0.1:1?from=bells@example.com&tls=off"
LOOPBACK = ("127.0.0.1/32", "::1/128")


async def test_released_message_with_failed_attempts_follows_the_preferences(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, opened(tmp_path, http_allow=LOOPBACK) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        await world.put("/v1/providers/mail", {"channel": "email", "url": UNREACHABLE})
        await world.send(channels=["email"])
        await world.run_due()
        await world.request("DELETE", "/v1/providers/mail")
        await world.advance("1h")
        (message,) = await world.messages()
        assert (message["state"], len(message["attempts"])) == ("simulated", 1)
        await world.put("/v1/recipients/alice/preferences", {"channels": {"email": False}})
        url = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        await world.put("/v1/providers/mail", {"channel": "email", "url": url})
        await world.request("POST", f"/v1/messages/{message['id']}/release")
        await world.run_due()
        (message,) = await world.messages()
        assert (message["state"], message["reason"], mailbox.received) == ("cancelled", "channel", [])


async def test_message_of_a_recalled_notification_is_not_released(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, opened(tmp_path, http_allow=LOOPBACK) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        id = await world.send(channels=["inbox", "email"])
        url = f"smtp://localhost:{mailbox.port}?from=bells@example.com&tls=off"
        await world.put("/v1/providers/mail", {"channel": "email", "url": url})
        await world.request("DELETE", f"/v1/notifications/{id}")
        (message,) = await world.messages()
        assert (message["state"], message["reason"]) == ("simulated", "recalled")
        refused = await world.client.post(f"/v1/messages/{message['id']}/release")
        assert (refused.status_code, refused.json()["detail"]) == (
            409,
            "The notification of this message was recalled.",
        )
