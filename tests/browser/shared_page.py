"""A page of the console that the tests of a module have in turn.

A new browser context takes a process and its caches, which is half of the CPU time of a first load. A test that changes more
than `leave()` undoes has the page as its last one.
"""

from contextlib import suppress
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Error, Page, ViewportSize
from tests.browser.shop import WIDE

# A short document of the same origin and opener policy, for which Chromium keeps the process.
BETWEEN = "/console/storage.js"
DEFAULT_MEDIA: dict[str, Any] = {
    "media": "null",
    "color_scheme": "light",
    "reduced_motion": "no-preference",
    "forced_colors": "none",
    "contrast": "no-preference",
}
# What outlasts a document, and cannot be taken back or read.
LASTING = {"add_init_script", "clock", "expose_binding", "expose_function", "on", "once", "route_web_socket"}
LASTING |= {"grant_permissions", "route", "set_extra_http_headers", "set_geolocation", "set_offline"}
TAKEN_BACK = {"route"}  # of a page


class _NotedPage(Page):
    """Notes whether a test changed what outlasts the documents of its page."""

    is_changed = False

    def __getattribute__(self, name: str) -> Any:
        if name in LASTING - TAKEN_BACK:
            self.is_changed = True
        return super().__getattribute__(name)


class _NotedContext(BrowserContext):
    is_changed = False

    def __getattribute__(self, name: str) -> Any:
        if name in LASTING:
            self.is_changed = True
        return super().__getattribute__(name)


class SharedPage:
    """A page for one test after another, each of which begins with its own cookies and without anything stored."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._page: Page | None = None
        self._complaints: list[str] = []  # of the test that has the page
        self._is_free = True

    def take(self, state: Any, viewport: ViewportSize, color_scheme: str, complaints: list[str]) -> Page | None:
        """Return the page with the cookies of this state. Its errors and dialogs become complaints. None while the test has it
        already."""
        if not self._is_free:
            return None
        self._page = self._page or self._open()
        self._is_free, self._complaints = False, complaints
        if self._page.viewport_size != viewport:
            self._page.set_viewport_size(viewport)
        self._page.emulate_media(**{**DEFAULT_MEDIA, "color_scheme": color_scheme})
        context = self._page.context
        context.clear_cookies()
        context.add_cookies(state["cookies"])
        return self._page

    def leave(self) -> None:
        """End the documents of the test, and take back what it changed."""
        if self._page is not None and not self._is_free:
            with suppress(Error):
                if self._reset(self._page):
                    return
            self._page.context.close()
            self._page, self._is_free = None, True

    def _open(self) -> Page:
        context = self._browser.new_context(base_url=self._url, viewport=WIDE)
        context.set_default_timeout(40_000)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.__class__, context.__class__ = _NotedPage, _NotedContext
        return page

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complaints.append(message.text)

    def _dismiss(self, dialog: Dialog) -> None:
        if self._is_free:  # the question whether to leave unsaved changes
            dialog.accept()
        else:
            self._complaints.append(dialog.message)
            dialog.dismiss()

    def _reset(self, page: Page) -> bool:
        """Return whether the page is as a new one for the next test."""
        context = page.context
        if page.is_closed() or page.is_changed or context.is_changed:
            return False
        for other in context.pages:
            if other is not page:
                other.close()
        page.unroute_all(behavior="ignoreErrors")
        # Errors of requests that the end of the document cancels are no matter of the test.
        self._is_free, self._complaints = True, []
        page.goto(BETWEEN, wait_until="commit")
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.mouse.move(-1, -1)
        return True
