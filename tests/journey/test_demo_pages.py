"""The pages of the demo apps load everything from this machine, and name a bundle that was not built."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from bellcast.examples import celebrity_booking, lead_market

BELLCAST = "http://127.0.0.1:8787"


class Demo(NamedTuple):
    """An app, and the first page of a person."""

    create_app: Callable[..., Any]
    options: dict[str, str]
    person: str
    path: str
    bundle: str


DEMOS = {
    "lead market": Demo(lead_market.create_app, {"app_id": "1", "key": "key"}, "ruth", "/desk", "pusher-js"),
    "celebrity booking": Demo(celebrity_booking.create_app, {}, "dana", "/bookings", "socket.io-client"),
}


def client(demo: Demo, data: Path, **options: Path) -> httpx.AsyncClient:
    app = demo.create_app(BELLCAST, "a secret of at least forty characters in all", data, **demo.options, **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://demo.test")


async def first_page(http: httpx.AsyncClient, demo: Demo) -> str:
    signed_in = await http.post("/login", data={"username": demo.person, "password": "bellcast"})
    assert signed_in.headers["location"] == demo.path
    return (await http.get(demo.path)).text


@pytest.mark.parametrize("name", DEMOS)
async def test_demo_page_loads_nothing_from_the_web(tmp_path: Path, name: str) -> None:
    async with client(DEMOS[name], tmp_path) as http:
        pages = [(await http.get("/login")).text, await first_page(http, DEMOS[name])]
        sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', "".join(pages))
        assert [source for source in sources if "//" in source and not source.startswith(BELLCAST)] == []
        own = [source for source in sources if source.startswith("/")]
        assert any(source.startswith("/libraries/") for source in own)
        for source in own:
            assert (await http.get(source)).status_code == 200, source


@pytest.mark.parametrize("name", DEMOS)
async def test_demo_page_names_the_missing_library(tmp_path: Path, name: str) -> None:
    async with client(DEMOS[name], tmp_path, libraries=tmp_path) as http:
        text = await first_page(http, DEMOS[name])
    assert f"needs {DEMOS[name].bundle}" in text
    assert "npm run build" in text
    assert "/libraries/" not in text
