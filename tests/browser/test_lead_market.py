"""The lead market in Chromium: Laravel Echo over pusher-js in its pages, the Python SDK in its backend, and a
durable bell.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.servers import ServerProcess, free_port
from tests.wire.pusher_clients import installed

SETTINGS = {"BELLCAST_PUBLIC_TOPICS": "admin", "BELLCAST_PUSHER_ALIASES": "private-provider.{recipient}"}
# Messages of the browser itself about an unreachable server, which a page cannot silence.
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", SETTINGS) as server:
        yield server


@pytest.fixture
def market(server: ServerProcess) -> Iterator[str]:
    port = free_port()
    project = f"{server.project}:{server.key}:{server.secret}"
    options = ["--bellcast", server.url, "--project", project, "--port", str(port)]
    options += ["--libraries", str(installed() / "node_modules")]
    process = subprocess.Popen([sys.executable, "-m", "examples.lead_market", *options], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=90)


@pytest.fixture
def context(chromium: Browser, market: str) -> Iterator[BrowserContext]:
    opened = chromium.new_context(base_url=market, viewport={"width": 1500, "height": 900})
    opened.set_default_timeout(40_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("weberror", lambda error: complaints.append(str(error.error)))
    yield opened
    opened.close()
    assert [text for text in complaints if not text.startswith(BROWSER_MESSAGES)] == []


def desk(context: BrowserContext, name: str) -> Page:
    page = context.new_page()
    page.goto(f"/{name}")
    expect(page.locator(".line")).to_have_text("Live")
    return page


def bell(page: Page, unread: int) -> Any:
    name = f"Notifications, {unread} unread" if unread else "Notifications"
    return page.get_by_role("button", name=name, exact=True)


def test_new_lead_notifies_and_updates_the_desks_it_concerns(context: BrowserContext) -> None:
    ruth, plumber, roofer = desk(context, "ruth"), desk(context, "42"), desk(context, "43")
    ruth.get_by_label("Customer").fill("Ada Byron")
    ruth.get_by_label("Service").fill("Burst pipe")
    ruth.get_by_label("City").fill("Leeds")
    ruth.get_by_label("Provider", exact=True).select_option("42")
    ruth.get_by_role("button", name="Add lead").click()
    for page in (ruth, plumber):
        expect(page.locator(".board")).to_contain_text("Ada Byron")
        expect(page.locator(".news .count")).to_have_text("1")
        expect(bell(page, 1)).to_be_visible()
    expect(roofer.locator(".board")).not_to_contain_text("Ada Byron")
    expect(bell(roofer, 0)).to_be_visible()


def test_status_change_shows_on_both_boards(context: BrowserContext) -> None:
    ruth, plumber = desk(context, "ruth"), desk(context, "42")
    lead = plumber.locator(".lead", has_text="Priya Nair")
    lead.get_by_role("button", name="Won").click()
    expect(ruth.locator(".lead", has_text="Priya Nair").locator(".status")).to_have_text("won")
    expect(bell(ruth, 1)).to_be_visible()
    expect(bell(plumber, 0)).to_be_visible()  # the author of the change gets no notification
    ruth.locator(".news summary").click()
    expect(ruth.locator(".news ol")).to_contain_text("Priya Nair: won")


def test_reassigned_lead_notifies_the_new_provider(context: BrowserContext) -> None:
    ruth, roofer = desk(context, "ruth"), desk(context, "43")
    ruth.locator(".lead", has_text="Sofia Rossi").get_by_label("Assign to").select_option("43")
    expect(roofer.locator(".board")).to_contain_text("Sofia Rossi")
    expect(bell(roofer, 1)).to_be_visible()


def test_bell_receives_notifications_sent_during_an_outage(
    context: BrowserContext, server: ServerProcess, market: str
) -> None:
    ruth, plumber = desk(context, "ruth"), desk(context, "42")
    httpx.patch(f"{market}/ruth/api/admin/leads/103", json={"provider": "42"}).raise_for_status()
    expect(bell(plumber, 1)).to_be_visible()
    server.restart()
    expect(plumber.locator(".line")).to_have_text("Live")
    httpx.patch(f"{market}/ruth/api/admin/leads/103", json={"status": "lost"}).raise_for_status()
    expect(bell(plumber, 2)).to_be_visible()
    expect(plumber.locator(".lead", has_text="Sofia Rossi").locator(".status")).to_have_text("lost")
    expect(ruth.locator(".line")).to_have_text("Live")


def test_provider_cannot_use_another_provider_s_channel(market: str) -> None:
    form = {"socket_id": "1.2", "channel_name": "private-provider.43"}
    assert httpx.post(f"{market}/42/broadcasting/auth", data=form).status_code == 403
    assert httpx.post(f"{market}/43/broadcasting/auth", data=form).status_code == 200
    assert httpx.patch(f"{market}/42/api/provider/leads/102", json={"status": "won"}).status_code == 404
    assert httpx.patch(f"{market}/42/api/admin/leads/102", json={"status": "won"}).status_code == 403
    assert httpx.post(f"{market}/ruth/api/leads", json={"customer": ""}).status_code == 422


def test_three_desks_connect_in_one_page(context: BrowserContext, tmp_path: Path) -> None:
    page = context.new_page()
    page.goto("/")
    for key in ("ruth", "42", "43"):
        expect(page.frame_locator(f"iframe[name='desk-{key}']").locator(".line")).to_have_text("Live")
    page.screenshot(path=tmp_path / "desks.png")
