"""The pages of the demo apps load everything from this machine, and report a bundle that was not built."""

import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from bellcast import settings
from bellcast.examples import celebrity_booking, lead_market
from bellcast.examples.app_kit import attempts, command_line, rate_limit

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
    async with client(DEMOS[name], tmp_path, libraries=tmp_path / "missing") as http:
        text = await first_page(http, DEMOS[name])
        # The start page of the demo asks for the library.
        assert (await http.get("/libraries/library.js")).status_code == 404
    assert f"needs {DEMOS[name].bundle}" in text
    assert "npm run build" in text
    assert "/libraries/" not in text


@pytest.mark.parametrize(
    ("name", "paths"), [("lead market", ["/admin", "/provider"]), ("celebrity booking", ["/client", "/admin"])]
)
async def test_page_of_a_role_leads_to_the_page(tmp_path: Path, name: str, paths: list[str]) -> None:
    async with client(DEMOS[name], tmp_path) as http:
        await first_page(http, DEMOS[name])
        for path in paths:
            response = await http.get(path, follow_redirects=True)
            assert (response.status_code, response.url.path) == (200, DEMOS[name].path)


@pytest.mark.parametrize("name", ["celebrity_booking", "lead_market", "photo_studio", "service_marketplace"])
def test_settings_of_an_app_are_variables_of_the_server(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", f"bellcast.examples.{name}", "--settings", "--data", str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    variables = dict(word.split("=", 1) for word in shlex.split(printed) if word != "export")  # as `eval "$(…)"` does
    assert settings.load({}, variables)


def test_settings_keep_the_port_of_the_last_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(command_line, "DEFAULT_PORT", taken.getsockname()[1])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        Path("bellcast-data").mkdir()
        Path("bellcast-data/server.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}"}))
        assert command_line.exports([]) == f"export BELLCAST_PORT={port}"
        with socket.create_server(("127.0.0.1", port)):
            other = command_line.exports([]).removeprefix("export BELLCAST_PORT=")
        assert 0 < int(other) != port
        Path("bellcast-data/server.json").write_text("{}")
        assert int(command_line.exports([]).removeprefix("export BELLCAST_PORT=")) > 0


@pytest.mark.thorough
async def test_wrong_passwords_of_a_person_are_limited(tmp_path: Path) -> None:
    async with client(DEMOS["lead market"], tmp_path) as http:
        for _ in range(attempts.MOST_WRONG):
            assert (await http.post("/login", data={"username": "ruth", "password": "wrong"})).status_code == 401
        refused = await http.post("/login", data={"username": "Ruth", "password": "bellcast"})
        assert (refused.status_code, "Please wait 5 minutes" in refused.text) == (429, True)
        assert 0 < int(refused.headers["retry-after"]) <= attempts.PERIOD_SECONDS
        assert (await http.post("/login", data={"username": "42", "password": "bellcast"})).status_code == 303


def test_rate_limit_forgets_the_senders_that_were_silent_for_longest() -> None:
    limit = rate_limit.RateLimit(max_messages=1, window=60)
    assert [limit.acquire(key) == 0 for key in ("first", "second", "first")] == [True, True, False]
    for number in range(rate_limit.MOST_KEYS - 1):
        assert limit.acquire(str(number)) == 0
    assert limit.acquire("first") > 0
    assert limit.acquire("second") == 0  # it was removed


def test_wrong_passwords_are_forgotten_after_the_period_or_a_sign_in() -> None:
    now = [0.0]
    wrong = attempts.WrongPasswords(lambda: now[0])
    for _ in range(attempts.MOST_WRONG):
        assert wrong.wait("ruth", "127.0.0.1") == 0
        wrong.count("ruth", "127.0.0.1")
    assert wrong.wait("ruth", "127.0.0.1") > 0
    assert wrong.wait("ruth", "127.0.0.2") == 0
    now[0] = attempts.PERIOD_SECONDS
    assert wrong.wait("ruth", "127.0.0.1") == 0
    for _ in range(attempts.MOST_WRONG):
        wrong.count("ruth", "127.0.0.1")
    wrong.forget("ruth", "127.0.0.1")
    assert wrong.wait("ruth", "127.0.0.1") == 0
