"""A console in Chromium: its setup, and the shared parts of its tests."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
from playwright.sync_api import Browser, Locator, Page, expect
from tests import thoroughness
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.servers import ServerProcess

from bellcast.operators import factors

PASSWORD = "correct horse battery"
DESKTOP = {"width": 1440, "height": 900}
LAPTOP = {"width": 960, "height": 700}  # the narrowest that has the whole menu
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HOSTILE = "<img src=x onerror=\"alert('XSS')\">'\"><script>alert('XSS')</script>${alert(1)}{{7*7}}"
PAGES = {
    "/": "Overview",
    "/live": "Live",
    "/notifications": "Notifications",
    "/announcements": "Announcements",
    "/recipients": "Recipients",
    "/connections": "Connections",
    "/topics": "Topics",
    "/tenants": "Tenants",
    "/messages": "Messages",
    "/mail": "Mail",
    "/failures": "Failures",
    "/suppressions": "Suppressions",
    "/jobs": "Dead jobs",
    "/requests": "Requests",
    "/workflows": "Workflows",
    "/templates": "Templates",
    "/types": "Types",
    "/schedules": "Schedules",
    "/sources": "Event sources",
    "/preference-defaults": "Preference defaults",
    "/runs": "Workflow runs",
    "/playground": "Playground",
    "/setup": "Setup",
    "/settings": "Settings",
    "/providers": "Providers",
    "/pusher-apps": "Pusher apps",
    "/git": "Git",
    "/webhooks": "Webhooks",
    "/keys": "API keys",
    "/operators": "Operators",
    "/secrets": "Encryption keys",
    "/audit": "Audit",
    "/health": "Health",
    "/account": "Account",
}


class Console:
    """A server with a console, for the tests of the console."""

    def __init__(self, server: ServerProcess, setup_code: str) -> None:
        self.server = server
        self.setup_code = setup_code
        self.state: Any = None  # cookies of the owner's browser after the setup
        self.notification = self.message = self.run = ""

    def send(self, method: str, path: str, body: Any = None) -> Any:
        response = httpx.request(method, f"{self.server.url}{path}", headers=self.server.as_app(), json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None


@contextmanager
def start_console(data: Path, environ: dict[str, str] | None = None, *options: str) -> Iterator[Console]:
    """Start a server with a console that has not been set up."""
    with ServerProcess(data, environ or {}, *options) as server:
        code = re.search(r"/console/setup#code=(\S+)", server.log.read_text())
        assert code
        yield Console(server, code[1])


def create_owner(console: Console, chromium: Browser) -> None:
    """Set the console up, as test_console_setup.py does in its page."""
    context = chromium.new_context(base_url=console.server.url)
    body = {"code": console.setup_code, "name": "olive@example.com", "password": PASSWORD}
    assert context.request.post("/v1/setup", data=body, headers={"origin": console.server.url}).ok
    console.state = context.storage_state()
    context.close()


def state_of_operator(
    console: Console, chromium: Browser, name: str, role: str, tenants: list[str] | None = None
) -> Any:
    """Create an operator, and return the state of a browser that it is signed in with."""
    console.send("POST", "/v1/operators", {"name": name, "role": role, "password": PASSWORD, "tenants": tenants})
    context = chromium.new_context(base_url=console.server.url)
    body = {"name": name, "password": PASSWORD}
    assert context.request.post("/v1/session", data=body, headers={"origin": console.server.url}).ok
    state = context.storage_state()
    context.close()
    return state


def add_hostile_texts(console: Console) -> None:
    """Add hostile texts in every field."""
    console.send("PUT", "/v1/recipients/evil", {"name": HOSTILE, "email": "evil@example.com", "data": {"a": HOSTILE}})
    sent = console.send(
        "POST", "/v1/notifications", {"to": "evil", "title": HOSTILE, "body": HOSTILE, "channels": ["inbox", "email"]}
    )
    console.notification = sent["notifications"][0]["id"]
    console.send("PUT", "/v1/recipients/%3Cimg%20src%3Dx%3E", {"name": HOSTILE})
    console.send("POST", "/v1/notifications", {"to": {"all": True}, "title": HOSTILE})
    console.send("PUT", "/v1/tenants/evil", {"name": HOSTILE, "settings": {"plan": HOSTILE}})
    console.send("PUT", "/v1/topics/evil/subscriptions/evil", {})
    console.send("POST", "/v1/keys", {"name": HOSTILE, "scopes": ["send"]})
    httpx.post(
        f"{console.server.url}/v1/session",
        json={"name": HOSTILE[:90], "password": "x"},
        headers={"origin": console.server.url},
    )
    console.message = console.send("GET", "/v1/messages")["messages"][0]["id"]
    text = HOSTILE.partition("{{")[0]
    for subject in ("First", text):
        steps = [
            {"key": "bell", "type": "inbox", "title": text},
            {"key": "mail", "type": "email", "subject": subject, "text": "{{ data.a }}"},
            {"key": "later", "type": "delay", "for": "1h"},
        ]
        console.send("PUT", "/v1/workflows/evil", {"steps": steps})
    template = {"email": {"subject": "{{ data.name }}", "text": text}}
    console.send("PUT", "/v1/templates/evil", {**template, "translations": {"de": {"email": {"subject": "Hallo"}}}})
    started = console.send("POST", "/v1/workflows/evil/trigger", {"to": "runner", "data": {"a": HOSTILE}})
    console.run = started["run"]
    wait_until(lambda: run_state(console) == "waiting", lambda: run_state(console))


def run_state(console: Console) -> str:
    state: str = console.send("GET", f"/v1/runs/{console.run}")["state"]
    return state


def wait_loaded(page: Page) -> None:
    expect(page.locator("h1")).to_be_visible()  # nothing is busy before the page is rendered
    expect(page.locator("[aria-busy], .skeleton")).to_have_count(0)


def go(page: Page, path: str) -> None:
    """Navigate as a link does, without loading the modules again."""
    page.evaluate("path => history.pushState(null, '', path)", f"/console{path}")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")


def looks(page: Page, only: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """Show the page at both widths and in both themes, without loading it again: a light desktop and a dark phone, or only
    one of the two, and in a thorough run every width in every theme. Yields the name of the look, and the rules of axe that
    it needs, none for all: the second theme of a width differs in its colours only."""
    for width, viewport in enumerate((DESKTOP, PHONE)):
        is_skipped = only is not None and width != only % 2 and not thoroughness.is_thorough
        for number, theme in enumerate((THEMES[width], THEMES[1 - width])[: 2 if thoroughness.is_thorough else 1]):
            if not is_skipped:
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=theme)
                yield f"{viewport['width']} px, {theme}", ["color-contrast"] if number else []


def check_looks(page: Page, of: str, only: int | None = None, within: str | None = None) -> None:
    """Check in its looks that the page, or the part `within` it, is accessible and has no part outside of the window."""
    for look, rules in looks(page, only):
        found = violations(page, rules, within)
        assert not found, f"{of}, {look}: {found}"
        assert excess_width(page) == 0, f"{of}, {look}"


def excess_width(page: Page) -> int:
    """Return the pixels of the page beyond the window."""
    excess: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return excess


def open_own_menu(page: Page) -> None:
    """Open the menu of the operator: account, time zone, theme, sign-out."""
    page.locator("button.own").click()


def sign_out(page: Page) -> None:
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():  # on a phone
        menu.click()
    open_own_menu(page)
    page.get_by_role("button", name="Sign out", exact=True).click()


def menu_titles(page: Page) -> list[str]:
    """Return the pages of the menu, and then those of the server. The menu of the server is open at the end."""
    wait_loaded(page)
    titles = page.locator("#menu a .title")
    first = titles.all_inner_texts()
    page.locator("#menu").get_by_role("link", name="Configure").click()
    expect(page.locator("#menu .turn")).to_contain_text("Back to")
    return [*first, *titles.all_inner_texts()]


def choose_tenant(page: Page, tenant: str) -> None:
    """Choose the tenant of all pages."""
    page.locator("button.tenant").click()
    page.get_by_label("Search tenants").fill(tenant)
    page.get_by_label("Search tenants").press("Enter")


def act_on_row(page: Page, name: str, action: str) -> None:
    """Choose an action from the menu of a row."""
    page.get_by_role("button", name=f"Actions of {name}", exact=True).click()
    page.get_by_role("button", name=action, exact=True).click()


def open_more(page: Page) -> None:
    """Open the menu of the object that is shown."""
    page.locator("#main .heading").get_by_role("button", name="More for").click()


def confirm(button: Locator) -> None:
    """Press a button, and answer its question with yes."""
    button.click()
    dialog = button.page.get_by_role("dialog").filter(visible=True)
    dialog.locator("button[type=submit]").click()
    expect(dialog).to_have_count(0)


def add_filter(page: Page, label: str, value: str) -> None:
    """Add a filter to the list, by keyboard."""
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label("Filter by").fill(label)
    page.get_by_label("Filter by").press("Enter")
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_label(label, exact=True).press("Enter")


def change_filter(page: Page, label: str, value: str) -> None:
    """Change the value of a filter that is used."""
    page.get_by_role("button", name=f"{label} is").click()
    page.get_by_label(label, exact=True).fill(value)
    page.get_by_label(label, exact=True).press("Enter")


def used_filter(page: Page, label: str, value: str) -> Locator:
    """The chip of a filter that is used."""
    return page.get_by_role("button", name=f"{label} is {value}", exact=True)


def code_now(secret: str) -> str:
    return factors.code_of(secret, time.time_ns() // 1_000_000 // factors.PERIOD_MS)


def edit_yaml(page: Page, before: str, after: str) -> None:
    """Replace a part of the definition that the YAML view shows."""
    text = page.get_by_label("Definition as YAML")
    text.fill(text.input_value().replace(before, after))


def review(page: Page) -> None:
    page.get_by_role("button", name="Review changes").click()
