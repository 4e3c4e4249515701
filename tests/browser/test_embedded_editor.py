"""An app embeds the template editor in a page of its own origin."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, Route, expect
from tests.browser.shop import PHONE, wait_page, wait_until
from tests.browser.test_accessibility import violations
from tests.servers import ServerProcess

from bellcast.client import Bellcast

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The app</title>
<script type="module" src="{server}/bellcast/template-editor.js"></script></head>
<body><main><h1>Your e-mails</h1>
<bellcast-template-editor server="{server}" template="{template}" {token}></bellcast-template-editor></main>
<script>
window.events = [];
for (const type of ['save', 'publish', 'close', 'error', 'expired'])
  document.querySelector('bellcast-template-editor').addEventListener(type, (event) => events.push([type, event.detail]));
</script></body></html>"""
BLOCKS = [
    {"type": "heading", "text": "Booked", "key": "title"},
    {"type": "text", "text": "See you, {{ data.client }}."},
]


class Site:
    """The app's server: a page, and the tokens that it gives out."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, str]] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # a method of http.server
                kind, text = site.pages.get(self.path, ("text/plain", ""))
                self.send_response(200 if text else 404)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *values: object) -> None:
                """Logs nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://localhost:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("embedded") / "data"
    with ServerProcess(folder, {"BELLCAST_ORIGINS": site.origin}) as server:
        yield server


@pytest.fixture(scope="module")
def bell(server: ServerProcess) -> Iterator[Bellcast]:
    with Bellcast(server.url, server.secret) as bell:
        bell.templates.put("booking", {"email": {"subject": "Booked", "blocks": BLOCKS}})
        bell.templates.put("secret", {"sms": {"text": "x"}})
        yield bell


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(40_000)
    yield context
    context.close()


def token_of(bell: Bellcast, site: Site, tenant: str, **fields: Any) -> str:
    wanted: dict[str, Any] = {"can": ["edit", "publish", "test"], "origin": site.origin, "name": "Ann", **fields}
    return bell.editor_token(tenant, wanted.pop("templates", ["booking"]), **wanted)


def opened(context: BrowserContext, server: ServerProcess, site: Site, token: str, template: str = "booking") -> Page:
    site.pages["/"] = ("text/html; charset=utf-8", PAGE.format(server=server.url, template=template, token=token))
    page = context.new_page()
    page.goto(site.origin)
    return page


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator("bellcast-template-editor iframe")


def events(page: Page, type: str) -> list[Any]:
    found: list[Any] = page.evaluate("type => events.filter(([one]) => one === type).map(([, detail]) => detail)", type)
    return found


def test_user_of_an_app_edits_previews_and_publishes(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    requests: list[str] = []
    context.on("request", lambda request: requests.append(request.url))
    token = token_of(bell, site, "acme", email="ann@example.com")
    page = opened(context, server, site, f'token="{token}"')
    frame = frame_of(page)
    heading = frame.get_by_role("textbox", name="Heading")
    heading.fill("Thank you, {{ data.client }}")
    shown = frame.frame_locator("iframe[name=template-preview]")
    expect(shown.get_by_role("heading", name="Thank you, Ann Lind")).to_be_visible()
    expect(frame.locator("[data-save]")).to_have_attribute("data-save", "saved")
    wait_page(page, "events.some(([type]) => type === 'save')")
    assert violations(page) == []
    frame.get_by_role("button", name="Send me a test").click()
    expect(frame.get_by_text("Simulated: no e-mail provider is set up.")).to_be_visible()
    frame.get_by_role("button", name="Review and publish").click()
    frame.get_by_role("dialog").get_by_role("button", name="Publish", exact=True).click()
    wait_page(page, "events.some(([type]) => type === 'publish')")
    assert events(page, "publish") == [{"template": "booking", "version": 1}]
    own = bell.templates.get("booking", tenant="acme")
    assert own["email"]["blocks"][0]["text"] == "Thank you, {{ data.client }}"
    assert bell.templates.get("booking")["email"]["blocks"] == BLOCKS
    frame.get_by_role("button", name="Close").click()
    wait_page(page, "events.some(([type]) => type === 'close')")
    assert not [url for url in requests if token in url]
    assert context.cookies() == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


@pytest.mark.parametrize(
    ("fields", "template"),
    [({"templates": ["other"]}, "booking"), ({}, "secret")],
    ids=["other template", "other path"],
)
def test_token_for_something_else_opens_no_editor(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast, fields: dict[str, Any], template: str
) -> None:
    token = token_of(bell, site, "refused", **fields)
    page = opened(context, server, site, f'token="{token}"', template)
    expect(frame_of(page).get_by_text("This editor token is for other templates.")).to_be_visible()
    wait_page(page, "events.some(([type, { message }]) => type === 'error' && message.includes('other templates'))")


def test_token_of_another_origin_is_not_used(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    sent: list[str] = []
    context.on("request", lambda request: sent.append(request.url))
    token = token_of(bell, site, "acme", origin="https://elsewhere.example")
    page = opened(context, server, site, f'token="{token}"')
    expect(frame_of(page).get_by_text("This page may not use this token.")).to_be_visible()
    wait_page(page, "events.some(([type]) => type === 'error')")
    assert not [url for url in sent if "/v1/" in url]


def test_editor_waits_for_a_token_that_the_page_sets_later(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    page = opened(context, server, site, "")
    frame_of(page).locator("#app").wait_for(state="attached")
    page.evaluate(
        "token => document.querySelector('bellcast-template-editor').setAttribute('token', token)",
        token_of(bell, site, "later"),
    )
    expect(frame_of(page).get_by_role("button", name="Review and publish")).to_be_visible()
    assert not events(page, "error")


def test_page_of_an_undeclared_origin_cannot_show_the_editor(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    token = token_of(bell, site, "acme", origin=site.origin.replace("localhost", "127.0.0.1"))
    opened(context, server, site, f'token="{token}"')
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(site.origin.replace("localhost", "127.0.0.1"))
    expect(page.locator("bellcast-template-editor iframe")).to_have_count(1)
    wait_page(page, "document.querySelector('iframe').contentDocument === null")
    expect(frame_of(page).locator("#app")).to_have_count(0)
    # Evaluating lets Playwright process its events.
    wait_until(lambda: page.evaluate("1") and any("frame-ancestors" in text for text in refused), lambda: str(refused))


@pytest.mark.thorough
def test_expired_token_is_replaced_by_the_token_url(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    def serve_new_token() -> None:
        site.pages["/token"] = ("application/json", json.dumps({"token": token_of(bell, site, "renewed")}))

    serve_new_token()
    page = opened(context, server, site, 'token-url="/token"')
    frame = frame_of(page)
    subject = frame.get_by_label("Subject")
    expect(subject).to_have_value("Booked")
    bell.end_editor_tokens("renewed")
    serve_new_token()
    subject.fill("Still here")
    wait_page(page, "events.some(([type]) => type === 'expired')")
    expect(frame.locator("[data-save]")).to_have_attribute("data-save", "saved")
    url = f"{server.url}/v1/templates/booking/draft?tenant=renewed"
    assert httpx.get(url, headers=server.as_app()).json()["values"]["email"]["subject"] == "Still here"


@pytest.mark.thorough
def test_next_token_repeats_all_requests_that_the_ended_one_was_refused(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    page = opened(context, server, site, f'token="{token_of(bell, site, "ended")}"')
    frame = frame_of(page)
    expect(frame.get_by_label("Subject")).to_have_value("Booked")
    bell.end_editor_tokens("ended")
    with page.expect_response(lambda response: "/draft" in response.url and response.status == 401):
        frame.get_by_label("Subject").fill("Still here")
    element = page.locator("bellcast-template-editor")
    element.evaluate("(one, token) => one.setAttribute('token', token)", token_of(bell, site, "ended"))
    expect(frame.locator("[data-save]")).to_have_attribute("data-save", "saved")
    assert events(page, "expired") == [{}]


def test_refusal_of_the_former_token_does_not_end_the_next_one(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    page = opened(context, server, site, f'token="{token_of(bell, site, "late")}"')
    frame = frame_of(page)
    # The preview that is held must be that of the change: a change cancels the preview before it.
    expect(frame.frame_locator("iframe[name=template-preview]").get_by_role("heading", name="Booked")).to_be_visible()
    bell.end_editor_tokens("late")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/booking/preview*", hold)
    with page.expect_response(lambda response: "/draft" in response.url and response.status == 401):
        frame.get_by_label("Subject").fill("Still here")
    element = page.locator("bellcast-template-editor")
    element.evaluate("(one, token) => one.setAttribute('token', token)", token_of(bell, site, "late"))
    expect(frame.locator("[data-save]")).to_have_attribute("data-save", "saved")
    with page.expect_response(lambda response: "/booking/preview" in response.url and response.ok):
        held[0].continue_()
    assert events(page, "expired") == [{}]


def test_user_without_the_right_to_html_sees_no_way_to_it(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    page = opened(context, server, site, f'token="{token_of(bell, site, "acme", can=["edit"])}"')
    frame = frame_of(page)
    expect(frame.get_by_label("Subject")).to_be_visible()
    for name in ("HTML", "Import", "Review and publish", "Send me a test"):
        expect(frame.get_by_role("button", name=name, exact=True)).to_have_count(0)


def test_user_without_the_right_to_edit_reads_the_template(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    refused: list[str] = []
    context.on("response", lambda response: refused.append(response.url) if response.status == 403 else None)
    page = opened(context, server, site, f'token="{token_of(bell, site, "reader", can=["html", "test"])}"')
    frame = frame_of(page)
    subject = frame.get_by_label("Subject")
    expect(subject).to_have_value("Booked")
    expect(subject).not_to_be_editable()
    expect(frame.frame_locator("iframe[name=template-preview]").get_by_role("heading", name="Booked")).to_be_visible()
    expect(frame.get_by_role("button", name="Checks: ")).to_be_visible()  # requested a second after the last change
    frame.get_by_role("button", name="YAML").click()
    expect(frame.get_by_label("Definition as YAML")).not_to_be_editable()
    assert violations(page) == []
    assert refused == []


@pytest.mark.thorough
def test_user_changes_the_brand_and_the_preview_follows(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    page = opened(context, server, site, f'token="{token_of(bell, site, "branded", can=["edit", "brand"])}"')
    frame = frame_of(page)
    frame.get_by_role("button", name="Brand").click()
    dialog = frame.get_by_role("dialog", name="Brand")
    dialog.get_by_label("Name in e-mails").fill("Harbour Studio")
    assert violations(page) == []
    dialog.get_by_role("button", name="Save for all e-mails").click()
    expect(dialog).to_have_count(0)
    expect(frame.frame_locator("iframe[name=template-preview]").get_by_text("Harbour Studio")).to_be_visible()


@pytest.mark.thorough
def test_editor_works_where_the_browser_denies_storage_to_frames(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    denied = "{ get() { throw new DOMException('denied', 'SecurityError') } }"
    for name in ("localStorage", "sessionStorage"):
        context.add_init_script(f"Object.defineProperty(window, '{name}', {denied})")
    page = opened(context, server, site, f'token="{token_of(bell, site, "private")}"')
    frame = frame_of(page)
    frame.get_by_label("Subject").fill("Stored on the server")
    expect(frame.locator("[data-save]")).to_have_attribute("data-save", "saved")
    wait_page(page, "events.some(([type]) => type === 'save')")


def test_messages_of_other_windows_open_nothing(
    context: BrowserContext, server: ServerProcess, site: Site, bell: Bellcast
) -> None:
    token = token_of(bell, site, "acme")
    page = opened(context, server, site, "")
    expect(page.locator("iframe")).to_have_count(1)
    # The page itself is the parent, but a message that it sends to itself is none of the frame's.
    page.evaluate("token => window.postMessage({ type: 'bellcast:publish', detail: { token } }, '*')", token)
    page.evaluate(
        """token => {
          const other = document.createElement('iframe');
          document.body.append(other);
          const script = other.contentDocument.createElement('script');
          script.textContent = `parent.frames[0].postMessage({ type: 'bellcast:token', token: '${token}' }, '*')`;
          other.contentDocument.body.append(script);
        }""",
        token,
    )
    expect(frame_of(page).get_by_label("Subject")).to_have_count(0)
    assert events(page, "publish") == []
