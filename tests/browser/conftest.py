"""Fixtures of the browser tests: Chromium, and a shop page with a bell under a strict Content-Security-Policy."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.browser.shop import FLAGS, POLICY, WIDE, Shop
from tests.servers import ServerProcess

from bellcast.client import Bellcast

# Messages of the browser itself about an unreachable or refusing server, which a page cannot silence.
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to")
_numbers = itertools.count(1)
expect.set_options(timeout=40_000)  # ms; a step takes a tenth of a second, on a loaded machine up to ten


@pytest.fixture(
    scope="module"
)  # Playwright keeps an event loop running, which would conflict with async tests of other modules
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def person() -> str:
    """A recipient that no other test uses, so that tests can share a server."""
    return f"person-{next(_numbers)}"


@pytest.fixture
def app(bellcast_server: ServerProcess) -> Iterator[Bellcast]:
    with Bellcast(bellcast_server.url, bellcast_server.secret) as app:
        yield app


@pytest.fixture
def open_shop(chromium: Browser) -> Iterator[Callable[..., Shop]]:
    """Opens shops on separate devices; no page may log an error."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_shop(server: ServerProcess, person: str, viewport: dict[str, int] = WIDE, **options: object) -> Shop:
        context = chromium.new_context(base_url=server.url, viewport=viewport, **options)
        context.set_default_timeout(40_000)
        contexts.append(context)
        context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        return Shop(context, server, person, POLICY)

    yield open_shop
    for context in contexts:
        context.unroute_all(behavior="wait")  # a handler in progress fails when its page closes
        context.close()
    assert [text for text in complaints if not text.startswith(BROWSER_MESSAGES)] == []


@pytest.fixture
def shop(open_shop: Callable[..., Shop], bellcast_server: ServerProcess, person: str) -> Shop:
    """A device of the person."""
    return open_shop(bellcast_server, person)


@pytest.fixture
def page(shop: Shop) -> Page:
    """A page of the person with a bell."""
    return shop.open()
