"""Links in stored messages: callers that may not change preferences cannot use them."""

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from bellcast.server import api_app as api
from bellcast.server.app import App
from tests.journey.channels_app import app, ended
from tests.journey.operators import OWN, PASSWORD

TOKEN = re.compile(r"/(?:u|preferences)/([A-Za-z0-9_-]{40,})")
WITH_LINKS = {
    "inbox": {"title": "Hi", "body": "Change it: {{ preferences_url }}", "actions": []},
    "email": {
        "subject": "Hi",
        "html": '<a href="https://x.example/?to={{ preferences_url | urlencode }}">here</a> {{ unsubscribe_url }}',
    },
}
# Streams that do not end; their events are read from the feed.
ENDLESS = {"/v1/feed"}
FORMATS = ("application/json", "application/x-ndjson", "text/csv")


class Sent(NamedTuple):
    """A server with a notification and an e-mail to Alice, and the tokens in them."""

    server: App
    project: httpx.AsyncClient
    tokens: set[str]
    paths: dict[str, str]  # the values of path parameters, by the template up to them


@pytest.fixture
async def sent(tmp_path: Path, cheap_hashes: None) -> AsyncIterator[Sent]:
    async with app(tmp_path, PUBLIC_URL="https://bell.example") as (server, client):
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        assert (await client.put("/v1/templates/t", json=WITH_LINKS)).status_code == 201
        await client.put("/v1/workflows/w", json={"steps": [{"key": "mail", "type": "email", "template": "t"}]})
        draft = {"to": "alice", "type": "news", "template": "t", "channels": ["inbox", "email"]}
        created = (await client.post("/v1/notifications", json=draft)).json()["notifications"][0]
        run = (await client.post("/v1/workflows/w/trigger", json={"to": "alice"})).json()["trigger"]
        messages = await ended(client, 2)
        content = [*(str(one["content"]) for one in messages), (await client.get("/v1/notifications")).text]
        tokens = set(TOKEN.findall(" ".join(content)))
        assert len(tokens) >= 3
        paths = {"/v1/messages/": messages[0]["id"], "/v1/notifications/": created["id"], "/v1/runs/": run}
        paths |= {"/v1/recipients/": "alice", "/v1/templates/": "t", "/v1/workflows/": "w"}
        yield Sent(server, client, tokens, paths)


async def with_key(sent: Sent, *scopes: str) -> httpx.AsyncClient:
    key = (await sent.project.post("/v1/keys", json={"name": "k", "scopes": scopes})).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(transport=sent.project._transport, base_url="http://bell", headers=headers)


async def operator(sent: Sent, role: str) -> httpx.AsyncClient:
    body: dict[str, Any] = {"name": role, "role": role, "password": PASSWORD}
    assert (await sent.project.post("/v1/operators", json=body)).status_code == 201
    result = httpx.AsyncClient(transport=sent.project._transport, base_url="https://bell.test", headers=OWN)
    assert (await result.post("/v1/session", json={"name": role, "password": PASSWORD})).status_code == 200
    return result


def paths_of(sent: Sent) -> list[str]:
    """Return the paths of all read operations, with the parameters of what was sent."""
    templates = [one.template for one in api.HANDLERS if one.method == "GET" and one.operation.required_scope]
    found = []
    for template in set(templates) - ENDLESS:
        head, parameter, rest = template.partition("{")
        found.append(head + sent.paths.get(head, "none") + rest.partition("}")[2] if parameter else template)
    return sorted(found)


def text_of(response: httpx.Response) -> str:
    """Return the body, decoded as a mail program decodes it."""
    if response.headers.get("content-type") != "message/rfc822":
        return response.text
    mail = email.message_from_bytes(response.content, policy=email.policy.default)
    parts = [part.get_content() for part in mail.walk() if not part.is_multipart()]
    return " ".join([str(mail["List-Unsubscribe"]), *parts])


async def exposed(sent: Sent, caller: httpx.AsyncClient) -> tuple[set[str], set[str]]:
    """Return the paths with a token in a response to the caller, and all that the caller may read."""
    found, permitted = set(), set()
    for path in paths_of(sent):
        for format in FORMATS:
            response = await caller.get(path, headers={"accept": format})
            if response.status_code == 200:
                permitted.add(path)
            if any(token in text_of(response) for token in sent.tokens):
                found.add(path)
    return found, permitted


@pytest.mark.thorough
async def test_links_are_readable_only_with_permission_to_change_preferences(sent: Sent) -> None:
    with_links, _ = await exposed(sent, sent.project)
    message, parts = f"/v1/messages/{sent.paths['/v1/messages/']}", ("", "/raw", "/eml", "/html")
    lists = {"/v1/messages", "/v1/notifications", "/v1/recipients/alice/export"}
    assert with_links >= lists | {f"{message}{part}" for part in parts}
    for caller in (
        await with_key(sent, "read", "observe", "send", "configure", "admin"),
        await operator(sent, "support"),
    ):
        found, permitted = await exposed(sent, caller)
        assert found == set()
        assert permitted >= {f"{message}/raw", "/v1/recipients/alice/export"}
        # The text stays as it is, and the length of the response too.
        shown = (await caller.get(message)).json()["content"]
        assert re.search(r"https://bell\.example/u/hidden-+", shown["html"])
        for token in TOKEN.findall(str(shown)):
            assert (await caller.post(f"/u/{token}")).status_code == 404
    found, _ = await exposed(sent, await with_key(sent, "read", "manage"))
    assert found == with_links


async def watched(sent: Sent, watcher: httpx.AsyncClient) -> str:
    """Return what the live feed shows of a send with a link, until the server stops."""
    response = asyncio.create_task(watcher.get("/v1/feed"))
    async with asyncio.timeout(60):
        while not sent.server.feed.is_watched:  # noqa: ASYNC110  another component changes it
            await asyncio.sleep(0.01)
    url = (await sent.project.post("/v1/recipients/alice/preferences-link")).json()["url"]
    draft = {"to": "alice", "title": "Hi", "body": f"Change it: {url}", "channels": ["inbox"]}
    await sent.project.post("/v1/notifications", json=draft)
    await sent.server.stop()
    return (await response).text


@pytest.mark.parametrize("scopes", [["observe", "read"], ["observe", "read", "manage"]])
async def test_live_feed_shows_links_only_with_permission_to_change_preferences(sent: Sent, scopes: list[str]) -> None:
    text = await watched(sent, await with_key(sent, *scopes))
    assert "Change it: https://bell.example/preferences/" in text
    assert ("/preferences/hidden-" in text) == ("manage" not in scopes)
