"""Fixtures of the browser tests: Chromium, and a shop page with a bell under a strict Content-Security-Policy."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page
from tests import chromium as browsers
from tests.browser.shop import POLICY, WIDE, Shop
from tests.servers import ServerProcess

from bellcast.client import Bellcast

# Messages of the browser itself about an unreachable or refusing server, which a page cannot silence.
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")  # other modules have async tests
def chromium() -> Iterator[Browser]:
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def full_chromium(chromium: Browser) -> Iterator[Browser]:
    """Chromium with notifications, which the headless shell lacks."""
    browser = chromium.browser_type.launch(executable_path=browsers.FULL, args=browsers.FLAGS)
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

    def open_shop(
        server: ServerProcess,
        person: str,
        viewport: dict[str, int] = WIDE,
        browser: Browser = chromium,
        **options: object,
    ) -> Shop:
        context = browser.new_context(base_url=server.url, viewport=viewport, **options)
        context.set_default_timeout(40_000)
        contexts.append(context)
        context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        return Shop(context, server, person, POLICY)

    yield open_shop
    for context in contexts:
        context.unroute_all(behavior="ignoreErrors")  # a handler in progress fails when its page closes
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
