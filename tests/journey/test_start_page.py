"""The start page of the demo: five apps, their e-mails, and Reset."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from bellcast.client import AsyncBellcast
from bellcast.examples import start_page
from bellcast.examples.demo.apps import APPS
from bellcast.examples.start_page import network
from tests.servers import ServerProcess


@pytest.fixture
def resets() -> list[bool]:
    return []


@pytest.fixture
async def page(bellcast_server: ServerProcess, resets: list[bool]) -> AsyncIterator[httpx.AsyncClient]:
    # Privileged ports, on which no server listens.
    urls = {name: f"http://127.0.0.1:{port}" for port, name in enumerate(APPS, 1)}
    app = start_page.create_app(
        bellcast_server.url, bellcast_server.secret, bellcast_server.key, urls, {"reset": lambda: resets.append(True)}
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://demo.test") as page,
    ):
        yield page


async def test_start_page_links_to_the_five_apps_and_loads_nothing_from_the_web(page: httpx.AsyncClient) -> None:
    text = (await page.get("/")).text
    for port in range(1, 6):
        assert f'href="http://127.0.0.1:{port}"' in text
    sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', text)
    own = [source for source in sources if source.startswith("/")]
    assert len(own) == 4
    for source in own:
        assert (await page.get(source)).status_code == 200, source
    # The other files are those of the server and of the two apps with stock clients.
    assert all(source.startswith("http://127.0.0.1:") for source in sources if source not in own)


async def test_start_page_lists_the_emails_of_all_apps(page: httpx.AsyncClient, bellcast_server: ServerProcess) -> None:
    async with AsyncBellcast(bellcast_server.url, bellcast_server.secret) as bell:
        for tenant in ("starlight", "gable"):
            await bell.recipients.put("eve", tenant=tenant, email=f"eve@{tenant}.example")
            await bell.notify("eve", tenant=tenant, title=f"For {tenant}", channels=["email"])
    emails = (await page.get("/api/emails")).json()["emails"]
    assert {(email["app"], email["to"], email["subject"]) for email in emails} >= {
        ("Starlight", "eve@starlight.example", "For starlight"),
        ("Gable", "eve@gable.example", "For gable"),
    }
    assert all(email["mailbox"].startswith("http") for email in emails)


async def test_reset_is_requested_once_by_this_page_only(page: httpx.AsyncClient, resets: list[bool]) -> None:
    foreign = await page.post("/api/reset", headers={"origin": "https://evil.example"})
    assert (foreign.status_code, resets) == (403, [])
    assert (await page.post("/api/reset")).status_code == 202
    assert resets == [True]


async def test_ring_is_requested_by_this_page_only_and_names_an_unavailable_app(page: httpx.AsyncClient) -> None:
    foreign = await page.post("/api/apps/oriel/ring", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await page.post("/api/apps/ghost/ring")).status_code == 404
    away = await page.post("/api/apps/oriel/ring")
    assert (away.status_code, "127.0.0.1:1 does not respond" in away.json()["error"]) == (502, True)
    assert (await page.get("/api/apps/oriel/token")).status_code == 502


async def test_network_that_a_closed_page_has_cut_comes_back_by_itself(
    bellcast_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert network.LONGEST_CUT <= 15  # the page cuts for 10
    monkeypatch.setattr(network, "LONGEST_CUT", 0)
    again = httpx.AsyncHTTPTransport(retries=5)
    async with network.Network(bellcast_server.url) as relay:
        await relay.cut(is_cut=True)
        async with httpx.AsyncClient(base_url=relay.url, transport=again) as client:
            assert (await client.get("/healthz")).is_success
