"""A shop as a team would write it: a page with our elements, and how a test finds things in them."""

import json
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page

from tests.servers import ServerProcess

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # A page a test makes up has no address; Chromium would take its calls to a local server for an attack.
    "--disable-features=LocalNetworkAccessChecks",
]
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'"
PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shop</title><script type="module" src="/bellcast.js"></script><body>{body}<main>A shop</main>"""
BELL = '<bellcast-bell token="{token}"></bellcast-bell>'
WIDE = {"width": 900, "height": 700}
PHONE = {"width": 390, "height": 780}


class Shop:
    """One device: a browser of its own, in which any number of tabs can be opened."""

    def __init__(self, context: BrowserContext, server: ServerProcess, person: str, policy: str) -> None:
        self.context = context
        self.server = server
        self.person = person
        self.sockets: list[Any] = []
        self._policy = policy
        self._page = ""
        context.route("**/shop", self._serve)
        context.route("**/orders/*", lambda route: route.fulfill(body="<h1>An order</h1>", content_type="text/html"))

    def open(
        self, body: str = BELL, *, lang: str = "en", direction: str = "ltr", token: str | None = None, **claims: object
    ) -> Page:
        """Another tab."""
        token = token or self.server.token(self.person, **claims)
        self._page = PAGE.format(body=body.replace("{token}", token), lang=lang, dir=direction)
        page = self.context.new_page()
        page.on("websocket", lambda socket: self.sockets.append(socket))
        page.goto("/shop")
        return page

    def _serve(self, route: Any) -> None:
        headers = {"content-security-policy": self._policy}
        route.fulfill(body=self._page, content_type="text/html; charset=utf-8", headers=headers)

    @property
    def lines(self) -> int:
        """How many WebSockets of ours are open."""
        return sum(not socket.is_closed() for socket in self.sockets)


def bell(page: Page, count: int | str | None = None) -> Locator:
    """The bell; with a count, the bell when it shows that many."""
    name = "Notifications" if not count else f"Notifications, {count} unread"
    return page.get_by_role("button", name=name, exact=count is not None)


def rows(page: Page) -> Locator:
    return page.locator(".row")


def row(page: Page, title: str) -> Locator:
    return rows(page).filter(has_text=title)


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name)


def toasts(page: Page) -> Locator:
    return page.locator("bellcast-toasts .toast")


def in_page(page: Page, code: str, element: str = "bellcast-bell", given: object = None) -> Any:
    """Runs code in the page; `bell` is our element there, `given` what the test hands over."""
    return page.evaluate(f"(async (bell, given) => {code})(document.querySelector('{element}'), {json.dumps(given)})")


def session_state(page: Page, field: str, element: str = "bellcast-bell") -> Any:
    return in_page(page, f"bell.session.state.{field}", element)


def wait_live(page: Page, element: str = "bellcast-bell") -> None:
    """Until its line holds."""
    page.wait_for_function(f"document.querySelector('{element}').session?.state.status === 'live'")


def wait_state(page: Page, test: str, element: str = "bellcast-bell") -> None:
    """Until something is true of `state`."""
    page.wait_for_function(f"(state => {test})(document.querySelector('{element}').session.state)")
