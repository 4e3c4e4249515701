"""Pages of the console that are loading, failing, refreshed without success, and used by keyboard."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.browser.console import PAGES, Console, wait_loaded
from tests.browser.shop import PHONE
from tests.browser.test_everyone import violations

API = re.compile(r"/v1/(?!me$|me\?|session)|/readyz")
PROBLEM = {"title": "Temporarily unavailable", "detail": "The store is away.", "status": 503}
# They read nothing from the server, or nothing that a page is drawn from.
STATIC = {"/live", "/playground", "/account"}


class Server:
    """The API as a page sees it: it answers, fails, or does not answer yet."""

    def __init__(self, page: Page) -> None:
        self.fails = self.waits = False
        self.held: list[Route] = []
        page.route(API, self.answer)

    def answer(self, route: Route) -> None:
        if self.waits:
            self.held.append(route)
        elif self.fails:
            route.fulfill(status=503, json=PROBLEM, headers={"x-request-id": "req-7"})
        else:
            route.fallback()

    def go_on(self) -> None:
        self.waits = False
        for route in self.held:
            route.fallback()
        self.held.clear()


def go(page: Page, path: str) -> None:
    """Navigate as a link does, without loading the modules again."""
    page.evaluate("path => history.pushState(null, '', path)", f"/console{path}")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")


def active(page: Page) -> Locator:
    return page.locator(":focus")


def test_every_page_shows_that_it_loads_and_why_it_failed_and_keeps_old_data(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/account")
    wait_loaded(page)
    server = Server(page)
    paths = [*(PAGES.keys() - STATIC), f"/notifications/{owner.notification}", f"/runs/{owner.run}", "/recipients/evil"]
    for path in paths:
        server.waits = True
        go(page, path)
        expect(page.locator(".skeleton").first, path).to_be_visible()
        server.go_on()
        wait_loaded(page)
        page.evaluate("for (const one of document.querySelector('#main').children) one.isOld = true")
        server.fails = True
        page.keyboard.press("r")
        mark = page.locator("#main > .stale")
        expect(mark, path).to_contain_text("The store is away.")
        expect(mark).to_contain_text("req-7")
        expect(mark).to_contain_text(re.compile(r"Shown as of \d\d:\d\d:\d\d"))
        old = page.evaluate("[...document.querySelector('#main').children].filter((one) => one.isOld).length")
        assert old == page.locator("#main > *").count() - 1, path
        server.fails = False
        mark.get_by_role("button", name="Retry").click()
        expect(mark, path).to_have_count(0)
        server.fails = True
        go(page, path)
        failures = page.locator(".failure")
        expect(failures.first, path).to_contain_text("req-7")
        wait_loaded(page)
        count = failures.count()
        server.fails = False
        failures.first.get_by_role("button", name="Retry").click()
        expect(failures, path).to_have_count(count - 1)
        go(page, "/account")
