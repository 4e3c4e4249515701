"""A browser context and its page, which the tests of a module have in turn.

A new context takes a process and its caches, which is half of the CPU time of a first load. A new page has its modules sent
again by the browser, which is a third. Another page, which stays, opens this one, because Chromium keeps its process for both.
"""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize
from tests.browser.shop import WIDE

# A short document of the console's origin and opener policy. Those that it opens without an address have both, too.
OPENER = "/console/storage.js"
# A clock, an exposed function and a script of the context change them in all next documents.
GLOBALS = "[...Object.getOwnPropertyNames(window), String(setTimeout)].join()"
# What these change stays with a page whatever it shows, and only the end of the page takes it back.
LASTING = ("on", "once", "add_init_script", "expose_function", "set_default_timeout", "set_extra_http_headers")


class SharedContext:
    """A context for one test after another, each of which begins with its own cookies, a page without a history, and nothing
    stored."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._page: Page | None = None
        self._is_taken = self._is_changed = False
        self._globals = ""

    def take(self, state: Any, viewport: ViewportSize, color_scheme: Any) -> Page | None:
        """Return a page with the cookies of this state. None while the test has one already."""
        if self._is_taken:
            return None
        page = self._page = self._page or self._open()
        self._is_taken = True
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme, reduced_motion="null", forced_colors="null")
        page.context.clear_cookies()
        page.context.add_cookies(state["cookies"])
        return page

    def leave(self) -> None:
        """Close the other pages of the test, and take back what it changed. Refuse a change that cannot be taken back."""
        if self._page is None or not self._is_taken:
            return
        page, self._page, self._is_taken = self._page, None, False
        context = page.context
        context.unroute_all(behavior="ignoreErrors")
        context.clear_permissions()
        context.set_offline(False)
        opener, *pages = context.pages
        for each in pages:
            if each != page or self._is_changed:
                each.close()
        if page.is_closed():
            page = self._new_page(opener)
        else:
            page.unroute_all(behavior="ignoreErrors")
            self._empty(page)
        if self._read_globals(page) == self._globals:
            self._page = page
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
        self._is_changed = False
        for name in LASTING:
            setattr(page, name, self._noting(getattr(page, name)))
        self._empty(page)
        return page

    def _noting(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*values: Any, **options: Any) -> Any:
            self._is_changed = True
            return change(*values, **options)

        return noted

    def _empty(self, page: Page) -> None:
        """Show a page without scripts, with the pointer outside and an empty storage, as the first of its history."""
        page.mouse.move(-1, -1)
        page.goto(OPENER)
        page.evaluate("localStorage.clear(); sessionStorage.clear(); name = ''")
        devtools = page.context.new_cdp_session(page)
        devtools.send("Page.resetNavigationHistory")
        devtools.detach()

    def _read_globals(self, page: Page) -> str:
        found: str = page.evaluate(GLOBALS)
        return found
