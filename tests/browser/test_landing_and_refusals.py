"""The first hour of a developer: the landing page, and readable errors for pages of other origins."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.looks import in_looks
from tests.browser.shop import PHONE, WIDE
from tests.servers import ServerProcess
from tests.wire.app_server import running_app

ELSEWHERE = "http://elsewhere.test"
# Fetches like the browser client, and returns the parts of the response that the page may read.
FETCH = """async ([url, init]) => {
  try {
    const response = await fetch(url, init);
    return {status: response.status, ...(await response.json().catch(() => ({})))};
  } catch (error) { return {blocked: String(error)}; }
}"""


@pytest.fixture
def elsewhere(chromium: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page of another origin, and its console messages."""
    context = chromium.new_context()
    context.route(f"{ELSEWHERE}/**", lambda route: route.fulfill(body="<h1>Elsewhere</h1>", content_type="text/html"))
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.goto(f"{ELSEWHERE}/")
    yield page, messages
    context.close()


def fetched(page: Page, url: str, **init: Any) -> dict[str, Any]:
    response: dict[str, Any] = page.evaluate(FETCH, [url, init])
    return response


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/stream", "/v1/inbox/counts"])
def test_page_without_a_token_can_read_the_reason(
    bellcast_server: ServerProcess, elsewhere: tuple[Page, list[str]], path: str
) -> None:
    page, messages = elsewhere
    response = fetched(page, bellcast_server.url + path, credentials="include")
    assert (response["status"], response["code"]) == (401, "unauthenticated")
    assert "Authorization" in response["detail"]
    assert not any("CORS" in text for text in messages)


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/stream"])
@pytest.mark.parametrize("settings", [{}, {"BELLCAST_ORIGINS": "https://shop.example"}], ids=str)
def test_page_with_a_cookie_of_an_undeclared_origin_can_read_the_reason(
    start_server: Callable[..., ServerProcess],
    elsewhere: tuple[Page, list[str]],
    settings: dict[str, str],
    path: str,
) -> None:
    page, messages = elsewhere
    with running_app(lambda request: (200, json.dumps({"recipient": "alice"}).encode())) as app:
        server = start_server(BELLCAST_SESSION_URL=app.url, **settings)
        page.context.add_cookies([{"name": "session", "value": "x", "url": server.url}])
        response = fetched(page, server.url + path, credentials="include")
    assert (response["status"], response["code"]) == (403, "forbidden")
    assert "BELLCAST_ORIGINS" in response["detail"]
    assert not any("CORS" in text for text in messages)


def test_check_of_a_page_uses_the_cookie_of_the_app(
    start_server: Callable[..., ServerProcess], elsewhere: tuple[Page, list[str]]
) -> None:
    page, _ = elsewhere
    with running_app(lambda request: (200, json.dumps({"recipient": "alice"}).encode())) as app:
        server = start_server(BELLCAST_SESSION_URL=app.url)
        page.context.add_cookies([{"name": "session", "value": "x", "url": server.url}])
        page.goto(f"{server.url}/check")
        check = "async () => (await (await import('/bellcast/check.js')).check({ token: null, show: false })).steps"
        steps = {one["step"]: one for one in page.evaluate(check)}
    assert steps["token"]["detail"] == "The server accepts the cookie of your app."
    assert {steps[name]["state"] for name in ("polling", "event stream", "websocket", "ring")} == {"ok"}


def test_page_with_a_token_of_an_undeclared_origin_can_read_the_reason(
    start_server: Callable[..., ServerProcess], elsewhere: tuple[Page, list[str]]
) -> None:
    page, messages = elsewhere
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    headers = server.as_recipient("alice")  # this header needs a preflight
    response = fetched(page, f"{server.url}/v1/inbox", headers=headers, credentials="omit")
    assert (response["status"], response["code"]) == (403, "forbidden")
    assert "BELLCAST_ORIGINS" in response["detail"]
    assert not any("CORS" in text for text in messages)


def test_page_of_an_undeclared_origin_cannot_read_a_success(
    start_server: Callable[..., ServerProcess], elsewhere: tuple[Page, list[str]]
) -> None:
    page, _ = elsewhere
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    assert "blocked" in fetched(page, f"{server.url}/readyz")
    assert "blocked" in fetched(page, f"{server.url}/readyz", credentials="include")


def test_page_can_read_every_kind_of_error(
    bellcast_server: ServerProcess, elsewhere: tuple[Page, list[str]], person: str
) -> None:
    page, messages = elsewhere
    token = bellcast_server.as_recipient(person)
    for path, init, status in (
        ("/v1/inbox?limit=x", {"headers": token}, 422),
        ("/v1/inbox/unknown", {"headers": token, "method": "PATCH", "body": "{"}, 415),
        ("/v1/recipients/x", {"headers": token}, 403),
        ("/v1/nothing", {}, 404),
        ("/healthz", {"method": "POST"}, 405),
        ("/v1/ws", {}, 426),
        ("/v1/stream", {"method": "POST"}, 405),
    ):
        response = fetched(page, bellcast_server.url + path, **init)
        assert (response.get("status"), bool(response.get("detail"))) == (status, True), (path, response)
    assert not any("CORS" in text for text in messages)


def recipients(server: ServerProcess) -> list[str]:
    response = httpx.get(f"{server.url}/v1/recipients?tenant=*", headers=server.as_app())
    return [one["key"] for one in response.json()["recipients"]]


@in_looks(WIDE, PHONE)
def test_landing_page_sends_a_first_notification(
    chromium: Browser, start_server: Callable[..., ServerProcess], viewport: dict[str, int], scheme: Any
) -> None:
    server = start_server()
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    page, messages = context.new_page(), list[str]()
    page.on("console", lambda message: messages.append(message.text))
    page.goto(f"{server.url}/")
    expect(page.get_by_text("It works")).to_be_visible()
    assert recipients(server) == []
    page.get_by_label("Title").fill("The very first")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
    page.get_by_role("button", name="Notifications, 1 unread").click()
    expect(page.get_by_role("dialog").locator(".row").filter(has_text="The very first")).to_be_visible()
    assert recipients(server) == ["you"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert messages == []  # including policy violations
    context.close()


@pytest.mark.parametrize("path", ["/errors", "/errors/unauthenticated", "/errors/invalid", "/nowhere"])
def test_error_pages_fit_a_phone_and_their_policy(chromium: Browser, bellcast_server: ServerProcess, path: str) -> None:
    context = chromium.new_context(viewport=PHONE)
    page, messages = context.new_page(), list[str]()
    page.on("console", lambda message: messages.append(message.text))
    page.goto(bellcast_server.url + path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [text for text in messages if "404 (Not Found)" not in text] == []
    context.close()
