"""A shop page with our elements, and locators for their parts."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page
from tests.chromium import prolong
from tests.servers import ServerProcess

POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'"
PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shop</title><script type="module" src="{script}"></script><body>{body}<main><h1>A shop</h1></main>"""
BELL = '<bellcast-bell token="{token}"></bellcast-bell>'
NOTICE_DURATION = 6_000  # ms; also of toasts, as in the elements
WIDE = {"width": 900, "height": 700}
PHONE = {"width": 390, "height": 780}
SMALL_PHONE = {"width": 360, "height": 640}


class Shop:
    """A device: a browser context in which tabs can be opened."""

    def __init__(self, context: BrowserContext, server: ServerProcess, person: str, policy: str) -> None:
        self.context = context
        self.server = server
        self.person = person
        self._policy = policy
        self._page = ""
        prolong(context, NOTICE_DURATION)
        context.route("**/shop", self._serve)
        context.route("**/orders/*", lambda route: route.fulfill(body="<h1>An order</h1>", content_type="text/html"))

    def open(
        self, body: str = BELL, *, lang: str = "en", direction: str = "ltr", token: str | None = None, **claims: object
    ) -> Page:
        """Open another tab."""
        self.fill(body, lang=lang, direction=direction, token=token, **claims)
        page = self.context.new_page()
        page.goto("/shop")
        return page

    def fill(
        self,
        body: str,
        *,
        lang: str = "en",
        direction: str = "ltr",
        token: str | None = None,
        script: str = "/bellcast.js",
        **claims: object,
    ) -> None:
        """Set the content of the page for later visits."""
        token = token or self.server.token(self.person, **claims)
        self._page = PAGE.format(body=body.replace("{token}", token), lang=lang, dir=direction, script=script)

    def _serve(self, route: Any) -> None:
        headers = {"content-security-policy": self._policy}
        route.fulfill(body=self._page, content_type="text/html; charset=utf-8", headers=headers)

    def expect_lines(self, count: int) -> None:
        """Wait until the server counts this many live connections of the person."""
        url, params = f"{self.server.url}/v1/connections", {"recipient": self.person, "limit": 200}

        def lines() -> int:
            return len(httpx.get(url, params=params, headers=self.server.as_app()).json()["connections"])

        wait_until(lambda: lines() == count, lambda: f"{lines()} lines, not {count}")


def bell(page: Page, count: int | str | None = None) -> Locator:
    """Locate the bell; with a count, the bell with that many unread notifications."""
    name = "Notifications" if not count else f"Notifications, {count} unread"
    return page.get_by_role("button", name=name, exact=count is not None)


def rows(page: Page) -> Locator:
    return page.locator(".row")


def row(page: Page, title: str) -> Locator:
    return rows(page).filter(has_text=title)


def row_of_dialog(page: Page | FrameLocator, text: str) -> Locator:
    """Locate a row of the open bell, not the status text for screen readers, which also contains the title."""
    return page.get_by_role("dialog").get_by_role("listitem").filter(has_text=text)


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name)


def toasts(page: Page) -> Locator:
    return page.locator("bellcast-toasts .toast")


def in_page(page: Page, code: str, element: str = "bellcast-bell", argument: object = None) -> Any:
    """Run code in the page, with the element as `bell` and the argument as `given`."""
    return page.evaluate(
        f"(async (bell, given) => {code})(document.querySelector('{element}'), {json.dumps(argument)})"
    )


def enable_alert(page: Page, name: str) -> None:
    """Turn on a kind of alert in the preferences of the open panel."""
    page.get_by_role("button", name="Preferences").click()
    page.get_by_role("switch", name=name).check()


def close_panel(page: Page) -> None:
    """Close the preferences and the panel."""
    for _ in range(2):
        page.keyboard.press("Escape")


def session_state(page: Page, field: str, element: str = "bellcast-bell") -> Any:
    return in_page(page, f"bell.session.state.{field}", element)


def wait_until(true: Callable[[], object], otherwise: Callable[[], str], within: float = 40) -> None:
    """Poll until `true` holds; fail with the text of `otherwise` after `within` seconds."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, otherwise()
        time.sleep(0.03)


def wait_page(page: Page, code: str, within: float = 40) -> None:
    """Wait until an expression in the page is true."""
    wait_until(lambda: page.evaluate(f"Boolean({code})"), lambda: code, within)


def wait_state(page: Page, test: str, element: str = "bellcast-bell", within: float = 40) -> None:
    """Wait until an expression about `state` is true."""
    state = f"document.querySelector('{element}').session?.state"
    shown_state = f"({{...{state}, notifications: 0, error: {state}?.error?.code}})"
    wait_until(
        lambda: page.evaluate(f"Boolean((state => state && ({test}))({state}))"),
        lambda: f"{test}: {page.evaluate(shown_state)}",
        within,
    )


def wait_live(page: Page, element: str = "bellcast-bell") -> None:
    """Wait until the connection is live."""
    wait_state(page, "state.status === 'live'", element)
