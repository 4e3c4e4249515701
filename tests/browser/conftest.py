"""Fixtures of the browser tests: Chromium, and a shop page with a bell under a strict Content-Security-Policy."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests import chromium as browsers
from tests.browser.console import DESKTOP, LAPTOP, Console, add_hostile_texts, create_owner, start_console
from tests.browser.shared_context import SharedContext
from tests.browser.shop import POLICY, WIDE, Shop
from tests.browser.template_editor import store_designed
from tests.browser.workflow_editor import Editor
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
        context.cookies()  # process the events that have arrived
    errors = [text for text in complaints if not text.startswith(BROWSER_MESSAGES)]
    # Later errors are no matter of the page: without its routes, it loads other modules than before.
    for context in contexts:
        context.unroute_all(behavior="ignoreErrors")  # a running handler fails when its page closes
        context.close()
    assert errors == []


@pytest.fixture
def shop(open_shop: Callable[..., Shop], bellcast_server: ServerProcess, person: str) -> Shop:
    """A device of the person."""
    return open_shop(bellcast_server, person)


@pytest.fixture
def page(shop: Shop) -> Page:
    """A page with a bell, on a device of the person."""
    return shop.open()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with start_console(tmp_path_factory.mktemp("console") / "data") as console:
        yield console


@pytest.fixture(scope="module")
def owner(console: Console, chromium: Browser) -> Console:
    """The console after its setup in the browser, with hostile texts in every field."""
    create_owner(console, chromium)
    add_hostile_texts(console)
    return console


@pytest.fixture
def designed(owner: Console) -> dict[str, Any]:
    """The template `designed`, which has blocks and no draft."""
    return store_designed(owner)


@pytest.fixture(scope="module")
def shared_context(chromium: Browser, owner: Console) -> SharedContext:
    return SharedContext(chromium, owner.server.url)


@pytest.fixture
def open_console(chromium: Browser, owner: Console, shared_context: SharedContext) -> Iterator[Callable[..., Page]]:
    """Opens pages as the owner, the first one in the shared context unless it is alone or of another server. Without a path, the
    page is empty, for a test that changes what it will load. No page may log an error, open a browser dialog, or violate its
    policy."""
    contexts, complaints = [], []
    # Of all pages of a context, whose own listeners would stay for the next test.
    listeners = {
        "console": lambda message: complaints.append(message.text) if message.type == "error" else None,
        "dialog": lambda dialog: (complaints.append(dialog.message), dialog.dismiss()),
        "weberror": lambda error: complaints.append(str(error.error)),
    }
    watched: list[BrowserContext] = []

    def open_page(
        path: str | None = "/",
        *,
        state: Any = None,
        viewport: dict[str, int] = LAPTOP,
        color_scheme: str = "light",
        is_alone: bool = False,
        of: Console = owner,
        **options: Any,
    ) -> Page:
        state = state or of.state
        page = None if options or is_alone or of is not owner else shared_context.take(state, viewport, color_scheme)
        if page is None:
            context = chromium.new_context(
                base_url=of.server.url,
                storage_state=state,
                viewport=viewport,
                color_scheme=color_scheme,
                **options,
            )
            context.set_default_timeout(40_000)
            contexts.append(context)
            page = context.new_page()
        if page.context not in watched:
            watched.append(page.context)
            for event, listener in listeners.items():
                page.context.on(event, listener)
        if path is not None:
            page.goto(f"/console{path}")
        return page

    yield open_page
    for context in watched:
        context.cookies()  # process the events that have arrived
        for event, listener in listeners.items():
            context.remove_listener(event, listener)
    shared_context.leave()
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def edit(open_console: Callable[..., Page], owner: Console) -> Callable[..., Editor]:
    """Opens the editor of a workflow, after writing it with these steps."""

    def open_editor(key: str, steps: list[dict[str, Any]] | None = None, **options: Any) -> Editor:
        if steps is not None:
            owner.send("PUT", f"/v1/workflows/{key}", {"steps": steps})
        options = {"viewport": DESKTOP, **options}
        page = open_console(f"/workflows/{key}?edit=yes", **options)
        editor = Editor(page, key)
        expect(page.get_by_role("heading", level=1, name=key)).to_be_visible()
        return editor

    return open_editor
