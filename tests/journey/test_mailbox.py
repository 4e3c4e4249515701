"""A developer reads the messages that would have been sent."""

from pathlib import Path

from bellcast.kernel import times
from bellcast.kernel.clock import SystemClock
from tests.journey.channels import World, opened


async def test_mailbox_shows_messages_in_isolated_frames(tmp_path: Path) -> None:
    async with opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com", "phone": "+436601234567"})
        link = await world.request("POST", "/v1/mailbox-link", {"ttl": "1h"})
        path = link["url"].removeprefix("https://bell.example")
        assert "No messages yet" in (await world.client.get(path, headers={"authorization": ""})).text
        hostile = {"subject": "<script>alert(1)</script>", "html": '"><script>alert(2)</script>'}
        await world.send(channels=["email"], email=hostile)
        await world.send(title="Second", body="By text", channels=["sms"])
        await world.send(to="bob", channels=["email"])
        await world.run_due()
        sms, mail = (await world.messages())[::-1]
        page = await world.client.get(path)
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "<script" not in page.text
        assert "Second\nBy text" in page.text  # the newest is open
        opened_page = (await world.client.get(f"{path}?message={mail['id']}")).text
        assert '<iframe title="E-mail" sandbox srcdoc="' in opened_page
        assert "&lt;script&gt;alert(1)" in opened_page
        assert "List-Unsubscribe" in opened_page
        assert f'message={mail["id"]}" aria-current=true' in opened_page
        assert "<script" not in opened_page
        assert (await world.client.get(f"{path}?message={'0' * 36}")).status_code == 404
        assert (await world.client.get(path.replace("/mailbox/", "/preferences/"))).status_code == 404
        await world.advance("2h")
        assert (await world.client.get(path)).json()["code"] == "not_found"
        expired = await world.client.get(path, headers={"accept": "text/html"})
        assert (expired.status_code, "Link not valid" in expired.text) == (404, True)
        assert sms["channel"] == "sms"


async def test_link_ends_with_the_key_that_created_it(tmp_path: Path) -> None:
    """Otherwise a key that leaked would open the messages for a year after its revocation."""
    now = times.to_rfc3339(SystemClock().now()).isoformat()  # keys expire by the system's time
    async with opened(tmp_path, now) as world:
        created = [await world.request("POST", "/v1/keys", KEY | more) for more in ({"ttl": "1h"}, {})]
        of_keys = [await link(world, {"authorization": f"Bearer {key['key']}"}) for key in created]
        of_project = await link(world)
        assert [await status(world, path) for path in (*of_keys, of_project)] == [200, 200, 200]
        await world.request("DELETE", f"/v1/keys/{created[1]['id']}")
        assert [await status(world, path) for path in (*of_keys, of_project)] == [200, 404, 200]
        await world.advance("2h")
        assert [await status(world, path) for path in (*of_keys, of_project)] == [404, 404, 200]


KEY = {"name": "developer", "scopes": ["manage"]}


async def link(world: World, headers: dict[str, str] | None = None) -> str:
    created = await world.client.post("/v1/mailbox-link", json={"ttl": "366d"}, headers=headers)
    assert created.status_code == 201, created.text
    path: str = created.json()["url"].removeprefix("https://bell.example")
    return path


async def status(world: World, path: str) -> int:
    return (await world.client.get(path, headers={"authorization": ""})).status_code
