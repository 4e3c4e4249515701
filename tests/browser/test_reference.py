"""The API reference at /docs: a viewer over the OpenAPI document."""

from collections.abc import Callable

from playwright.sync_api import Browser, Page, expect
from tests.browser.console import DESKTOP, Console
from tests.browser.looks import in_looks
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.servers import ServerProcess


@in_looks(DESKTOP, PHONE)
def test_reference_shows_an_operation_of_a_link(
    chromium: Browser, bellcast_server: ServerProcess, viewport: dict[str, int], scheme: str
) -> None:
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    page, messages = context.new_page(), list[str]()
    page.on("console", lambda message: messages.append(message.text))
    page.goto(f"{bellcast_server.url}/docs#?route=post-/v1/notifications")
    expect(page.get_by_text("Idempotency-Key").first).to_be_visible()
    expect(page.locator("header [role=status]")).to_contain_text(
        "Sign in to the console to send requests with your session"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [text for text in messages if "401" not in text] == []  # also violations of the policy
    assert violations(page) == []
    context.close()


def test_reference_sends_a_request_as_the_signed_in_operator(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/")
    page.goto(f"{owner.server.url}/docs")
    expect(page.locator("header [role=status]")).to_contain_text("Requests are sent as")
    page.get_by_placeholder("Filter").fill("list the api keys")
    page.get_by_text("List the API keys").first.click()
    expect(page.get_by_text("List the API keys")).to_have_count(2)  # in the list and as the title
    expect(page.get_by_text("Create an API key")).to_have_count(0)  # the search hides the others
    with page.expect_response("**/v1/keys*") as sent:
        page.get_by_role("button", name="Execute").click()
    assert (sent.value.status, "authorization" in sent.value.request.headers) == (200, False)
    expect(page.get_by_text("Response Status: OK (200)")).to_be_visible()
    expect(page.get_by_text('"keys"').first).to_be_visible()
    assert violations(page) == []


def test_reference_is_searched_on_a_phone(chromium: Browser, bellcast_server: ServerProcess) -> None:
    page = chromium.new_page(viewport=PHONE)
    page.goto(f"{bellcast_server.url}/docs")
    page.get_by_role("searchbox", name="Search operations").fill("list the api keys")
    expect(page.get_by_text("List the API keys")).to_be_in_viewport()
    expect(page.get_by_text("Create an API key")).to_have_count(0)
    assert violations(page) == []
    page.close()


def test_reference_sends_the_example_of_a_notification(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/")
    page.goto(f"{owner.server.url}/docs#?route=post-/v1/notifications")
    with page.expect_response("**/v1/notifications*") as sent:
        page.get_by_role("button", name="Execute").click()
    assert sent.value.status == 201
    expect(page.get_by_text("Response Status: Created (201)")).to_be_visible()


def test_reference_tells_that_its_viewer_was_not_built(chromium: Browser, bellcast_server: ServerProcess) -> None:
    page = chromium.new_page()
    page.route("**/docs/openapi-explorer.js", lambda route: route.fulfill(status=404))
    page.goto(f"{bellcast_server.url}/docs")
    expect(page.get_by_role("alert")).to_contain_text("The reference cannot be shown")
    expect(page.get_by_role("alert").get_by_role("link", name="openapi.json")).to_be_visible()
    page.close()
