"""The pages of the demo apps load everything from this machine, and name a library that was not built."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.examples import celebrity_booking, lead_market

BELLCAST = "http://127.0.0.1:8787"
PAGES: dict[str, tuple[Callable[..., Any], dict[str, str], str, str]] = {
    "lead market": (lead_market.create_app, {"app_id": "1", "key": "key"}, "/ruth", "pusher-js"),
    "celebrity booking": (celebrity_booking.create_app, {}, "/as/dana", "socket.io-client"),
}


def page(folder: Path | None, name: str) -> tuple[httpx.AsyncClient, str]:
    create_app, options, path, _ = PAGES[name]
    app = create_app(
        BELLCAST, "a secret of at least forty characters in all", **options, **({"libraries": folder} if folder else {})
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://demo.test"), path


@pytest.mark.parametrize("name", PAGES)
async def test_demo_page_loads_nothing_from_the_web(name: str) -> None:
    client, path = page(None, name)
    async with client:
        text = (await client.get(path)).text
        sources = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', text)
        assert [source for source in sources if "//" in source and not source.startswith(BELLCAST)] == []
        own = [source for source in sources if source.startswith("/")]
        assert any(source.startswith("/libraries/") for source in own)
        for source in own:
            assert (await client.get(source)).status_code == 200, source


@pytest.mark.parametrize("name", PAGES)
async def test_demo_page_names_the_missing_library(tmp_path: Path, name: str) -> None:
    client, path = page(tmp_path, name)
    async with client:
        text = (await client.get(path)).text
    assert f"needs {PAGES[name][3]}" in text
    assert "npm run build" in text
    assert "/libraries/" not in text
