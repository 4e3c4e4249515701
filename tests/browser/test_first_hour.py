"""What a developer's browser shows in the first hour: the landing page, and the real reason when a page may not ask."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.shop import PHONE, WIDE
from tests.servers import ServerProcess
from tests.wire.app_server import serving

ELSEWHERE = "http://elsewhere.test"
# Fetches as the browser client does, and tells what the page may read of the response.
FETCH = """async ([url, init]) => {
  try {
    const response = await fetch(url, init);
    return {status: response.status, ...(await response.json().catch(() => ({})))};
  } catch (error) { return {blocked: String(error)}; }
}"""


@pytest.fixture
def elsewhere(chromium: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page of another origin, and what its console says."""
    context = chromium.new_context()
    context.route(f"{ELSEWHERE}/**", lambda route: route.fulfill(body="<h1>Elsewhere</h1>", content_type="text/html"))
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{ELSEWHERE}/")
    yield page, said
    context.close()


def fetched(page: Page, url: str, **init: Any) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(FETCH, [url, init])
    return answer


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/stream", "/v1/inbox/counts"])
def test_page_that_forgot_its_token_reads_why(
    bellcast_server: ServerProcess, elsewhere: tuple[Page, list[str]], path: str
) -> None:
    page, said = elsewhere
    answer = fetched(page, bellcast_server.url + path, credentials="include")
    assert (answer["status"], answer["code"]) == (401, "unauthenticated")
    assert "Authorization" in answer["detail"]
    assert not any("CORS" in text for text in said)


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/stream"])
@pytest.mark.parametrize("settings", [{}, {"BELLCAST_ORIGINS": "https://shop.example"}], ids=str)
def test_page_with_a_cookie_of_an_undeclared_origin_reads_why(
    start_server: Callable[..., ServerProcess],
    elsewhere: tuple[Page, list[str]],
    settings: dict[str, str],
    path: str,
) -> None:
    page, said = elsewhere
    with serving(lambda asked: (200, json.dumps({"recipient": "alice"}).encode())) as app:
        server = start_server(BELLCAST_SESSION_URL=app.url, **settings)
        page.context.add_cookies([{"name": "session", "value": "x", "url": server.url}])
        answer = fetched(page, server.url + path, credentials="include")
    assert (answer["status"], answer["code"]) == (403, "forbidden")
    assert "BELLCAST_ORIGINS" in answer["detail"]
    assert not any("CORS" in text for text in said)


def test_page_with_a_token_of_an_undeclared_origin_reads_why(
    start_server: Callable[..., ServerProcess], elsewhere: tuple[Page, list[str]]
) -> None:
    page, said = elsewhere
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    headers = server.as_recipient("alice")  # this header needs a preflight
    answer = fetched(page, f"{server.url}/v1/inbox", headers=headers, credentials="omit")
    assert (answer["status"], answer["code"]) == (403, "forbidden")
    assert "BELLCAST_ORIGINS" in answer["detail"]
    assert not any("CORS" in text for text in said)


def test_page_of_an_undeclared_origin_reads_no_success(
    start_server: Callable[..., ServerProcess], elsewhere: tuple[Page, list[str]]
) -> None:
    page, _ = elsewhere
    server = start_server(BELLCAST_ORIGINS="https://shop.example")
    assert "blocked" in fetched(page, f"{server.url}/readyz")
    assert "blocked" in fetched(page, f"{server.url}/readyz", credentials="include")


def test_page_reads_every_kind_of_error(
    bellcast_server: ServerProcess, elsewhere: tuple[Page, list[str]], person: str
) -> None:
    page, said = elsewhere
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
        answer = fetched(page, bellcast_server.url + path, **init)
        assert (answer.get("status"), bool(answer.get("detail"))) == (status, True), (path, answer)
    assert not any("CORS" in text for text in said)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_landing_page_rings_the_first_bell(
    chromium: Browser, start_server: Callable[..., ServerProcess], viewport: dict[str, int], scheme: Any
) -> None:
    server = start_server()
    context = chromium.new_context(viewport=viewport, color_scheme=scheme)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{server.url}/")
    expect(page.get_by_text("It works")).to_be_visible()
    page.get_by_label("Title").fill("The very first")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
    page.get_by_role("button", name="Notifications, 1 unread").click()
    expect(page.locator(".row").filter(has_text="The very first")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert said == []  # nor does its own policy refuse anything of it
    context.close()


@pytest.mark.parametrize("path", ["/errors", "/errors/unauthenticated", "/errors/invalid", "/docs"])
def test_reference_pages_fit_a_phone_and_their_policy(
    chromium: Browser, bellcast_server: ServerProcess, path: str
) -> None:
    context = chromium.new_context(viewport=PHONE)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.goto(bellcast_server.url + path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [text for text in said if "favicon" not in text and "404" not in text] == []
    context.close()
