"""The API reference at /docs: the OpenAPI document as pages of groups and operations."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import DESKTOP, Console, wait_loaded
from tests.browser.looks import in_looks
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.servers import ServerProcess

SEND = "/docs#/post/v1/notifications"


@pytest.mark.thorough
@in_looks(DESKTOP, PHONE)
def test_reference_shows_an_operation_of_a_link(
    chromium: Browser, bellcast_server: ServerProcess, viewport: dict[str, int], scheme: str
) -> None:
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    page, messages = context.new_page(), list[str]()
    page.on("console", lambda message: messages.append(message.text))
    for link, title in (("/docs", "API reference"), ("/docs#/Sending", "Sending"), (SEND, "Send a notification")):
        page.goto(f"{bellcast_server.url}{link}")
        expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
        expect(page).to_have_title(f"{title} · API reference · Bellcast" if "#" in link else "API reference · Bellcast")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), link
        assert violations(page) == [], link
    # The fields of a body are unfolded to any depth.
    page.get_by_text("Fields of Audience").click()
    expect(page.locator(".schema .schema").get_by_text("topic", exact=True).first).to_be_visible()
    expect(page.get_by_label("API key")).to_be_visible()  # without an operator's session
    page.get_by_role("button", name="Python").click()
    expect(page.get_by_role("region", name="Request in Python")).to_contain_text('"title": "New booking"')
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert messages == []  # no violation of the policy, and no request that needs a session
    assert violations(page, menu=True) == []
    page.go_back()
    expect(page.get_by_role("heading", name="Sending", level=1)).to_be_focused()
    context.close()


def test_reference_sends_a_request_as_the_signed_in_operator(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/")
    wait_loaded(page)  # the reference sends with a session that the console has noted
    page.goto(f"{owner.server.url}/docs")
    expect(page.get_by_text("Requests are sent as")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("list the api keys")
    expect(page.get_by_role("link", name="List the API keys")).to_be_visible()
    expect(page.get_by_role("link", name="Create an API key")).to_have_count(0)  # the search hides the others
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="List the API keys")).to_be_focused()
    expect(page.locator(".field-name").filter(has_text="limit").locator(".limits")).to_have_text(
        "1 to 200, default 200"
    )
    page.get_by_text("Optional parameters").click()
    page.get_by_label("limit").fill("1")
    with page.expect_response("**/v1/keys*") as sent:
        page.get_by_role("button", name="Send", exact=True).click()
    assert sent.value.url.endswith("/v1/keys?limit=1")
    assert (sent.value.status, "authorization" in sent.value.request.headers) == (200, False)
    expect(page.get_by_text(re.compile(r"^200 OK .*s$"))).to_be_visible()
    expect(page.get_by_role("region", name="Response", exact=True)).to_contain_text('"keys"')
    assert violations(page) == []
    # What was typed remains while other operations are read.
    page.get_by_role("searchbox").fill("")
    page.get_by_role("link", name="Create an API key").click()
    page.go_back()
    page.get_by_text("Optional parameters").click()
    expect(page.get_by_label("limit")).to_have_value("1")


def test_reference_sends_the_example_of_a_notification(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/")
    wait_loaded(page)  # the reference sends with a session that the console has noted
    page.goto(f"{owner.server.url}{SEND}")
    with page.expect_response("**/v1/notifications*") as sent:
        page.get_by_role("button", name="Send POST").click()
    assert sent.value.status == 201
    expect(page.get_by_text(re.compile(r"^201 Created .*s$"))).to_be_visible()


@pytest.mark.thorough
def test_reference_begins_with_the_menu_and_shows_filled_responses(
    chromium: Browser, bellcast_server: ServerProcess
) -> None:
    context = chromium.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{bellcast_server.url}/docs")
    facts = page.locator(".facts div")
    subjects = ["Base URL", "Authentication", "Tenants", "Errors", "Times and lists", "Exports"]
    expect(facts.locator("dt")).to_have_text(subjects)
    expect(facts.filter(has_text="Errors")).to_have_text(re.compile("json, which names each bad field. All errors"))
    page.get_by_role("main").get_by_role("link", name="Send a notification").click()
    example = page.get_by_role("region", name="Example of a response")
    expect(example).to_contain_text('"notifications": [\n    {')
    search = page.get_by_label("Search operations").bounding_box()
    first = page.get_by_role("link", name="Introduction").bounding_box()
    assert search
    assert first
    assert first["y"] - (search["y"] + search["height"]) < 32
    context.close()


@pytest.mark.thorough
def test_search_key_works_as_soon_as_the_menu_is_there(chromium: Browser, bellcast_server: ServerProcess) -> None:
    page = chromium.new_page()
    page.add_init_script("""new MutationObserver((_, observer) => {
        if (!document.querySelector('[type=search]')) return;
        observer.disconnect();
        document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true }));
        globalThis.focused = document.activeElement.type;
      }).observe(document, { childList: true, subtree: true })""")
    page.goto(f"{bellcast_server.url}/docs")
    expect(page.get_by_role("searchbox")).to_be_visible()
    assert page.evaluate("focused") == "search"
    page.close()


@pytest.mark.thorough
def test_reference_stops_a_stream_of_events(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/")
    wait_loaded(page)  # the reference sends with a session that the console has noted
    page.goto(f"{owner.server.url}/docs#/get/v1/feed")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text(re.compile(r"^200 OK .*s$"))).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


@pytest.mark.thorough
def test_reference_is_searched_on_a_phone(chromium: Browser, bellcast_server: ServerProcess) -> None:
    page, held = chromium.new_page(viewport=PHONE), list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    page.add_init_script(
        "globalThis.shifts = []; new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({ value }) => value)))"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    page.route("**/openapi.json", hold)
    page.goto(f"{bellcast_server.url}/docs")
    expect(page.get_by_text("Loading")).to_be_attached()
    held.pop().continue_()
    expect(page.get_by_role("heading", name="API reference")).to_be_visible()
    assert page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(shifts))))") == []
    page.get_by_role("button", name="Menu and search").click()
    expect(page.get_by_role("searchbox", name="Search operations")).to_be_focused()
    page.keyboard.type("list the api keys")
    expect(page.get_by_role("link", name="Create an API key")).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("link", name="List the API keys").click()
    expect(page.get_by_role("heading", name="List the API keys")).to_be_in_viewport()
    page.close()


@pytest.mark.thorough
@pytest.mark.parametrize("state", ["document", "link"])
def test_reference_tells_what_cannot_be_shown(chromium: Browser, bellcast_server: ServerProcess, state: str) -> None:
    page = chromium.new_page()
    if state == "document":
        page.route("**/openapi.json", lambda route: route.fulfill(status=503))
    page.goto(f"{bellcast_server.url}/docs#/get/v1/nothing")
    expect(page.get_by_role("alert")).to_contain_text("status 503" if state == "document" else "/get/v1/nothing")
    expect(page.get_by_role("main").get_by_role("link", name="openapi.json")).to_be_visible()
    page.close()
