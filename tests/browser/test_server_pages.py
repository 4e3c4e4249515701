"""The pages of the server outside of the console: axe finds nothing, they fit a phone, and they have the same icon."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests import thoroughness
from tests.browser.console import DESKTOP
from tests.browser.looks import looks_of, small_targets
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.servers import ServerProcess

from bellcast.client import Bellcast

PATHS = ["/", "/errors", "/errors/invalid", "/nowhere", "/check", "/theme", "/u/AAAA"]


@pytest.fixture(params=looks_of(DESKTOP, PHONE))
def context(
    request: pytest.FixtureRequest, chromium: Browser, bellcast_server: ServerProcess
) -> Iterator[BrowserContext]:
    viewport, scheme = request.param
    context = chromium.new_context(base_url=bellcast_server.url, viewport=viewport, color_scheme=scheme)
    yield context
    context.close()


@pytest.fixture
def email(app: Bellcast, person: str, bellcast_server: ServerProcess) -> dict[str, Any]:
    """A simulated e-mail to the person."""
    address = {"email": f"{person}@example.com", "locale": "ar"}
    httpx.put(f"{bellcast_server.url}/v1/recipients/{person}", headers=bellcast_server.as_app(), json=address)
    app.notify(person, title="Your booking", type="booking", channels=["email"])

    def found() -> list[dict[str, Any]]:
        listed = httpx.get(
            f"{bellcast_server.url}/v1/messages", params={"recipient": person}, headers=bellcast_server.as_app()
        )
        return [one for one in listed.json()["messages"] if one["state"] == "simulated"]

    wait_until(found, lambda: "no e-mail")
    url = f"{bellcast_server.url}/v1/messages/{found()[0]['id']}"
    message: dict[str, Any] = httpx.get(url, headers=bellcast_server.as_app()).json()
    return message


def check(page: Page) -> None:
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    icons = "[...document.querySelectorAll('link[rel=icon]')].map(({ href }) => new URL(href).pathname)"
    assert page.evaluate(icons) == ["/favicon.svg"]


@pytest.mark.parametrize(
    ("path", "name", "source"),
    [
        ("/check", "Copy", "#line"),
        ("/theme", "Copy the CSS", "#css"),
        ("/", "Copy the element", ".code:last-of-type pre"),
    ],
)
def test_text_is_copied_over_plain_http(
    chromium: Browser, bellcast_server: ServerProcess, path: str, name: str, source: str
) -> None:
    context = chromium.new_context(base_url=bellcast_server.url)
    context.add_init_script("delete Navigator.prototype.clipboard")  # as on a page that was loaded over HTTP
    page = context.new_page()
    page.goto(path)
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_text("Copied", exact=True)).to_be_visible()
    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.locator("textarea").focus()
    page.keyboard.press("Control+V")
    expect(page.locator("textarea")).to_have_value(page.locator(source).text_content() or "")
    context.close()


@pytest.mark.thorough
def test_public_pages_have_one_header_and_ground(chromium: Browser, bellcast_server: ServerProcess) -> None:
    context = chromium.new_context(base_url=bellcast_server.url, viewport=DESKTOP)
    page, looks = context.new_page(), set[str]()
    link = httpx.post(f"{bellcast_server.url}/v1/mailbox-link", headers=bellcast_server.as_app()).json()["url"]
    for path in (
        "/",
        "/errors",
        "/errors/invalid",
        "/nowhere",
        "/check",
        "/theme",
        f"/mailbox/{link.rpartition('/')[2]}",
    ):
        page.goto(path)
        style = (
            "const {backgroundColor, fontSize} = getComputedStyle(document.body); return [backgroundColor, fontSize]"
        )
        header = page.get_by_role("navigation", name="Bellcast").inner_text()
        looks.add(f"{header} {page.evaluate(f'(() => {{{style}}})()')}")
        current = page.locator(".site [aria-current=page]").all_inner_texts()
        expected = {
            "/errors": ["Errors"],
            "/errors/invalid": ["Errors"],
            "/check": ["Test a page"],
            "/theme": ["Theme"],
        }
        assert current == expected.get(path, [])
    assert len(looks) == 1, looks
    context.close()


def test_errors_are_searched_and_the_section_in_view_is_marked(
    chromium: Browser, bellcast_server: ServerProcess
) -> None:
    context = chromium.new_context(base_url=bellcast_server.url, viewport=DESKTOP)
    page = context.new_page()
    page.goto("/errors")
    current = page.locator(".index [aria-current]")
    expect(current).to_contain_text("REST")
    page.get_by_role("link", name=re.compile("^Clients and templates")).click()
    expect(current).to_contain_text("Clients and templates")
    rows = page.locator(".errors li:visible")
    page.get_by_role("searchbox", name="Search errors").fill("429 TOO_many")
    expect(rows).to_have_count(1)
    expect(page.get_by_role("heading", level=2)).to_have_text(["REST"])
    page.get_by_role("searchbox").fill("no such code")
    expect(page.get_by_text("No error matches.")).to_be_visible()
    context.close()


@pytest.mark.thorough
def test_pages_have_the_icon_and_axe_finds_nothing(context: BrowserContext, request: pytest.FixtureRequest) -> None:
    page = context.new_page()
    is_dark = request.node.callspec.id.endswith("dark")
    # A run checks each page in one of the two looks.
    for path in PATHS if thoroughness.is_thorough else PATHS[is_dark::2]:
        page.goto(path)
        if path == "/theme":
            expect(page.locator("bellcast-inbox").last.locator(".row")).to_have_count(6)
        check(page)


@pytest.mark.thorough
def test_links_of_a_message_in_the_mailbox_are_large_enough_for_a_finger(
    chromium: Browser, bellcast_server: ServerProcess, email: dict[str, Any]
) -> None:
    created = httpx.post(f"{bellcast_server.url}/v1/mailbox-link", headers=bellcast_server.as_app()).json()["url"]
    context = chromium.new_context(base_url=bellcast_server.url, viewport=PHONE, is_mobile=True, has_touch=True)
    page = context.new_page()
    for query in ("", f"?message={email['id']}"):
        page.goto(f"/mailbox/{created.rpartition('/')[2]}{query}")
        assert small_targets(page) == []
    link = re.search(r"/u/[\w-]+", email["content"]["text"])
    assert link is not None
    page.goto(link[0])
    assert small_targets(page) == []
    context.close()


@pytest.mark.thorough
def test_axe_finds_nothing_in_the_mailbox_and_the_unsubscribe_page(
    context: BrowserContext, bellcast_server: ServerProcess, email: dict[str, Any]
) -> None:
    page = context.new_page()
    created = httpx.post(f"{bellcast_server.url}/v1/mailbox-link", headers=bellcast_server.as_app()).json()["url"]
    page.goto(f"/mailbox/{created.rpartition('/')[2]}?message={email['id']}")
    expect(page.get_by_role("heading", name="Your booking")).to_be_visible()
    check(page)
    link = re.search(r"/u/[\w-]+", email["content"]["text"])
    assert link is not None
    page.goto(link[0])
    assert page.locator("html").get_attribute("dir") == "rtl"
    check(page)
    top = page.locator(".card").evaluate("card => card.getBoundingClientRect().top")
    page.get_by_role("button").click()
    expect(page.locator(".again")).to_be_visible()
    assert page.locator(".card").evaluate("card => card.getBoundingClientRect().top") == top
    check(page)
    page.get_by_role("button").click()
    expect(page.get_by_role("button")).to_have_count(0)
    check(page)
