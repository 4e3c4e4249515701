"""A browser context that the tests of a module have in turn, each with a page of its own.

A new context takes a process and its caches, which is half of the CPU time of a first load. Here a page that stays opens the
pages of the tests, because Chromium keeps its process for them.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize
from tests.browser.shop import WIDE

# A short document of the console's origin and opener policy. Those that it opens without an address have both, too.
OPENER = "/console/storage.js"
# A clock, an exposed function and a script of the context change them in all next documents.
GLOBALS = "[...Object.getOwnPropertyNames(window), String(setTimeout)]"


class SharedContext:
    """A context for one test after another, each of which begins with its own cookies and without anything stored."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._next: Page | None = None
        self._context: BrowserContext | None = None  # while a test has it
        self._globals: list[str] = []

    def take(self, state: Any, viewport: ViewportSize, color_scheme: Any) -> Page | None:
        """Return a page with the cookies of this state. None while the test has one already."""
        if self._context is not None:
            return None
        page = self._next or self._open()
        self._next, self._context = None, page.context
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        self._context.clear_cookies()
        self._context.add_cookies(state["cookies"])
        return page

    def leave(self) -> None:
        """Close the pages of the test, and take back what it changed. Refuse a change that cannot be taken back."""
        if self._context is None:
            return
        context, self._context = self._context, None
        context.unroute_all(behavior="ignoreErrors")
        context.clear_permissions()
        context.set_offline(False)
        opener, *pages = context.pages
        for page in pages:
            page.close()
        page = self._new_page(opener)
        if self._read_globals(page) == self._globals:
            self._next = page
        else:
            context.close()
            pytest.fail("The test changes all documents of its context: it needs open_console(…, is_alone=True).")

    def _open(self) -> Page:
        context = self._browser.new_context(base_url=self._url, viewport=WIDE)
        context.set_default_timeout(40_000)
        opener = context.new_page()
        opener.goto(OPENER)
        page = self._new_page(opener)
        self._globals = self._read_globals(page)
        return page

    def _new_page(self, opener: Page) -> Page:
        """Open an empty page in the process of the opener."""
        with opener.context.expect_page() as opened:
            opener.evaluate("void open('about:blank')")
        page = opened.value
        page.wait_for_load_state()
        page.evaluate("localStorage.clear()")
        return page

    def _read_globals(self, page: Page) -> list[str]:
        return page.evaluate(GLOBALS)
