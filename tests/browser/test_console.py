"""The console in Chromium: set-up, sign-in, every page by role, hostile texts, keys, themes and accessibility."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.shop import PHONE, WIDE, wait_until
from tests.browser.test_everyone import violations
from tests.servers import ServerProcess
from tests.wire.clients import websocket

from bellcast.auth import totp

PASSWORD = "correct horse battery"
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
    "/requests": "Requests",
    "/workflows": "Workflows",
    "/templates": "Templates",
    "/runs": "Workflow runs",
    "/playground": "Playground",
    "/setup": "Setup",
    "/settings": "Settings",
    "/providers": "Providers",
    "/keys": "API keys",
    "/operators": "Operators",
    "/secrets": "Encryption keys",
    "/audit": "Audit",
    "/health": "Health",
    "/account": "Account",
}


class Console:
    """A server with a console, and what its tests share."""

    def __init__(self, server: ServerProcess, setup_code: str) -> None:
        self.server = server
        self.setup_code = setup_code
        self.state: Any = None  # of the owner's browser after set-up
        self.notification = self.message = self.run = ""

    def send(self, method: str, path: str, body: Any = None) -> Any:
        response = httpx.request(method, f"{self.server.url}{path}", headers=self.server.as_app(), json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with ServerProcess(tmp_path_factory.mktemp("console") / "data") as server:
        code = re.search(r"/console/setup#code=(\S+)", server.log.read_text())
        assert code
        yield Console(server, code[1])


@pytest.fixture(scope="module")
def owner(console: Console, chromium: Browser) -> Console:
    """The console after set-up in the browser, with hostile texts in every field."""
    context = chromium.new_context(base_url=console.server.url)
    context.set_default_timeout(40_000)
    page = context.new_page()
    page.goto(f"/console/setup#code={console.setup_code}")
    expect(page.get_by_role("heading", name="Set up the console")).to_be_visible()
    expect(page.get_by_label("Code")).to_have_value(console.setup_code)
    page.get_by_label("Name").fill("Olive@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create owner").click()
    expect(page.get_by_role("heading", name="Setup", exact=True)).to_be_visible()
    assert "code" not in page.url
    console.state = context.storage_state()
    context.close()
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
    return console


def run_state(console: Console) -> str:
    state: str = console.send("GET", f"/v1/runs/{console.run}")["state"]
    return state


@pytest.fixture
def open_console(chromium: Browser, owner: Console) -> Iterator[Callable[..., Page]]:
    """Opens pages as the owner. No page may log an error, open a dialog of the browser, or break its policy."""
    contexts, complaints = [], []

    def open_page(path: str = "/", *, state: Any = None, viewport: dict[str, int] = WIDE, **options: Any) -> Page:
        context = chromium.new_context(
            base_url=owner.server.url, storage_state=state or owner.state, viewport=viewport, **options
        )
        context.set_default_timeout(40_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"/console{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def wait_loaded(page: Page) -> None:
    expect(page.locator("h1")).to_be_visible()  # nothing is busy before the page is drawn
    expect(page.locator("[aria-busy], .skeleton")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", PHONE)], ids=["light", "dark-phone"])
def test_every_page_opens_by_its_link_and_is_accessible(
    open_console: Callable[..., Page], owner: Console, scheme: str, viewport: dict[str, int]
) -> None:
    page = open_console(viewport=viewport, color_scheme=scheme)
    details = {
        f"/notifications/{owner.notification}": HOSTILE,
        "/recipients/evil": "evil",
        "/recipients/%3Cimg%20src%3Dx%3E": "<img src=x>",
        f"/messages/{owner.message}": None,
        f"/mail/{owner.message}": None,
        f"/runs/{owner.run}": "evil for runner",
        "/workflows/evil": "evil",
        "/templates/evil": "evil",
        "/tenants/evil": HOSTILE,
        "/topics/evil": "evil",
        "/connections?state=closed": "Connections",
        "/setup/pusher": "Pusher troubleshooting",
    }
    for path, title in {**PAGES, **details}.items():
        page.goto(f"/console{path}")
        wait_loaded(page)
        if title:
            expect(page.locator("h1")).to_have_text(title)
        expect(page.locator(".failure")).to_have_count(0)
        assert page.locator("img").count() == 0
        assert violations(page) == [], path
        width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width == 0, path


def test_link_survives_sign_in_and_sign_out_ends_the_session(open_console: Callable[..., Page]) -> None:
    page = open_console("/recipients?search=ev", state={"cookies": [], "origins": []})
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Name").fill("olive@example.com")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="evil", exact=True)).to_be_visible()
    expect(page.get_by_label("Key begins with")).to_have_value("ev")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.context.add_cookies([cookie])  # a stolen copy
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_owner_explains_a_notification_and_follows_it_to_its_message(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/recipients")
    page.get_by_role("link", name="evil", exact=True).click()
    page.get_by_label("Notification").fill(owner.notification)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".text")).not_to_be_empty()
    page.get_by_role("link", name="Messages").last.click()
    page.locator(".row-link").first.click()
    page.get_by_role("link", name=owner.notification).click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


def test_owner_filters_notifications_and_recalls_one(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/notifications", {"to": "walter", "title": "Mistake", "type": "mistake"})
    page = open_console("/notifications")
    page.get_by_label("Type").fill("mistake")
    page.get_by_label("Type").press("Enter")
    expect(page.locator(".row-link")).to_have_text(["Mistake"])
    page.get_by_label("Time").select_option("1h")
    expect(page).to_have_url(re.compile("type=mistake.*range=1h"))
    page.locator(".row-link").click()
    page.get_by_role("button", name="Recall this notification").click()
    page.get_by_role("button", name="Recall this notification").click()
    expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    page.goto("/console/notifications?type=mistake")
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()


def test_email_is_shown_in_a_frame_that_runs_and_loads_nothing(
    open_console: Callable[..., Page], owner: Console
) -> None:
    requests: list[str] = []
    page = open_console(f"/messages/{owner.message}")
    page.on("request", lambda request: requests.append(request.url))
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="alert").first).to_be_visible()
    handle = page.locator("iframe").element_handle()
    assert handle is not None
    content = handle.content_frame()
    assert content is not None
    assert content.evaluate("origin") == "null"
    page.get_by_role("button", name="Source").click()
    expect(page.locator("pre")).to_contain_text("Subject:")
    page.get_by_role("button", name="Text").click()
    expect(page.locator("pre")).not_to_contain_text("Subject:")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download .eml").click()
    assert download.value.suggested_filename == f"{owner.message}.eml"
    assert [url for url in requests if not url.startswith(owner.server.url)] == []


def test_keyboard_opens_pages_and_rows(open_console: Callable[..., Page]) -> None:
    page = open_console()
    wait_loaded(page)
    # In one task: the second letter must follow within a second.
    page.evaluate(
        "for (const key of 'gr') document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    )
    expect(page.get_by_role("link", name="evil", exact=True)).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".row-link").first).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("audit")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    expect(page.get_by_text("POST /v1/setup")).to_be_visible()


def test_owner_adds_a_viewer_who_sees_numbers_only(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/operators")
    page.get_by_label("Name").fill("vera")
    page.get_by_label("First password").fill(PASSWORD)
    page.get_by_role("button", name="Add operator").click()
    expect(page.get_by_label("Role of vera")).to_have_value("viewer")
    viewer = open_console("/recipients", state={"cookies": [], "origins": []})
    viewer.get_by_label("Name").fill("vera")
    viewer.get_by_label("Password").fill(PASSWORD)
    viewer.get_by_role("button", name="Sign in").click()
    expect(viewer.get_by_text("Your role, viewer, does not permit this page.")).to_be_visible()
    expect(viewer.locator("#menu a")).to_have_text(["Overview", "Health", "Account"])
    viewer.get_by_role("link", name="Overview").click()
    expect(viewer.get_by_role("heading", name="Stored")).to_be_visible()


def test_health_shows_nodes_and_streams_the_findings_of_the_doctor(open_console: Callable[..., Page]) -> None:
    page = open_console("/health")
    expect(page.locator(".big")).to_have_text("✓ ready")
    expect(page.get_by_role("region", name="Nodes").locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Run the doctor").click()
    expect(page.get_by_role("status").filter(has_text="checks.")).to_be_visible()
    expect(page.locator(".findings b").filter(has_text="open files")).to_be_visible()
    assert violations(page) == []
    refusal = {"title": "Too many", "detail": "The doctor is running: one run at a time.", "code": "too_many"}
    page.route("**/v1/doctor", lambda route: route.fulfill(status=429, json=refusal))
    page.get_by_role("button", name="Run the doctor").click()
    expect(page.get_by_role("alert")).to_contain_text("one run at a time")
    page.unroute("**/v1/doctor")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".findings b").filter(has_text="open files")).to_be_visible()


def test_overview_charts_numbers_against_the_day_before(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    step, metrics = 900_000, ["connections", "sends", "publishes", "deliveries", "refusals", "failures"]
    latest = time.time_ns() // 1_000_000 // step * step
    numbers = [(latest - 86_400_000, 3, 7), (latest - step, 4.5, 8), (latest, 5, 1)]
    points = [[*one, *[0] * 6] for one in numbers]
    series = {"step": "15m", "metrics": [*metrics, "latency_p95", "queue_age"], "points": points}
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("img", name="Connections: 5 on average in 15 min, the day before 3")).to_be_visible()
    expect(page.get_by_role("img", name="Sends: 9 in 24 hours, the day before 7")).to_be_visible()
    page.locator("summary").filter(has_text="Table").nth(1).click()
    rows = page.get_by_role("region", name="Sends as a table").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first.locator("td")).to_have_text([re.compile(r"\d\d:\d\d"), "1", "7"])
    assert violations(page) == []
    with page.expect_request(lambda request: "step=1m" in request.url):
        page.get_by_role("navigation", name="Range").get_by_role("link", name="1h").click()
    expect(page.get_by_role("heading", name="Last hour")).to_be_visible()
    expect(page.get_by_role("link", name="1h")).to_have_attribute("aria-current", "page")
    with page.expect_request(lambda request: "step=1h" in request.url and "tenant=evil" in request.url):
        page.get_by_label("Tenant").fill("evil")
        page.get_by_label("Tenant").press("Enter")
    expect(page.get_by_role("img", name="Sends: 9 in 24 hours, the day before 7")).to_be_visible()
    expect(page.get_by_role("heading", name="Queue age")).to_have_count(0)
    with page.expect_request(lambda request: "step=1h" in request.url and "tenant=evil" in request.url):
        page.goto("/console/tenants/evil")


def test_selected_range_of_a_chart_opens_what_happened(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    latest = time.time_ns() // 1_000_000 // 900_000 * 900_000
    series = {"step": "15m", "metrics": ["sends", "refusals"], "points": [[latest - 900_000, 3, 0], [latest, 1, 2]]}
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    page.goto("/console/?range=24h")
    box = page.get_by_role("img", name="Sends:").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 5, box["y"] + 20, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"/console/notifications\?from=.*&to="))
    expect(page.locator(".row-link").first).to_be_visible()
    assert selected_hours(page.url) == pytest.approx(12, abs=0.5)
    page.get_by_label("Type").fill("mistake")
    page.get_by_label("Type").press("Enter")
    expect(page).to_have_url(re.compile(r"from=.*type=mistake"))
    page.get_by_role("link", name="Show all times").click()
    expect(page).to_have_url(re.compile(r"/notifications\?[^f]*type=mistake[^f]*$"))
    # The same with the keyboard: the last interval and the two before.
    page.goto("/console/?range=24h")
    page.get_by_role("img", name="Refusals:").focus()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.get_by_role("status").filter(has_text="Enter opens it.")).to_be_attached()
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/console/requests\?status=4xx&from="))
    assert selected_hours(page.url) == 0.75


def selected_hours(url: str) -> float:
    query = parse_qs(urlsplit(url).query)
    begin, end = (datetime.fromisoformat(query[name][0]) for name in ("from", "to"))
    return (end - begin).total_seconds() / 3600


def test_created_key_is_shown_once_and_revoked_after_a_second_click(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/keys")
    page.get_by_label("Name").fill("shop")
    page.get_by_role("button", name="Create key").click()
    key = page.locator(".panel code").inner_text()
    assert httpx.get(f"{owner.server.url}/v1/keys", headers={"authorization": f"Bearer {key}"}).status_code == 403
    page.reload()
    revoke = page.get_by_role("button", name="Revoke shop")
    expect(revoke).to_be_visible()
    assert key not in page.content()
    revoke.click()
    expect(revoke).to_have_text("Revoke: sure?")
    revoke.click()
    expect(revoke).to_have_count(0)
    assert httpx.get(f"{owner.server.url}/v1/keys", headers={"authorization": f"Bearer {key}"}).status_code == 401


def test_operator_adds_an_authenticator_app_and_signs_in_with_its_code(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/operators", {"name": "mia", "role": "developer", "password": PASSWORD})
    page = open_console("/account", state={"cookies": [], "origins": []}, viewport=PHONE)
    page.get_by_label("Name").fill("mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Set up an authenticator app").click()
    secret = page.locator(".steps .id code").inner_text()
    image = page.get_by_role("img", name="QR code of the key")
    width = "image => image.decode().then(() => image.naturalWidth)"
    assert image.evaluate(width) > 100
    assert violations(page) == []
    page.get_by_label("Code").fill(code_now(secret))
    page.get_by_role("button", name="Confirm").click()
    codes = page.locator(".steps pre").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("button", name="I have stored them").click()
    expect(page.get_by_role("button", name="New recovery codes")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The code is wrong")
    assert violations(page) == []
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def code_now(secret: str) -> str:
    return totp.code_of(secret, time.time_ns() // 1_000_000 // totp.PERIOD_MS)


def test_password_is_typed_again_for_a_sensitive_action(open_console: Callable[..., Page]) -> None:
    page = open_console("/keys")
    refusal = {"code": "password_required", "detail": "Type your password again.", "status": 403}
    page.route(
        "**/v1/keys",
        lambda route: (
            route.fulfill(status=403, json=refusal, content_type="application/problem+json")
            if route.request.method == "POST"
            else route.fallback()
        ),
    )
    page.get_by_label("Name").fill("after a while")
    page.get_by_role("button", name="Create key").click()
    dialog = page.get_by_role("dialog", name="Password")
    dialog.get_by_label("Current password").fill("not the password")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    assert violations(page) == []
    page.unroute("**/v1/keys")
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".panel code").last).to_contain_text("bc_")


def test_failed_load_names_the_request_and_can_be_repeated(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    wait_loaded(page)
    problem = {"title": "Temporarily unavailable", "detail": "The store is away.", "status": 503}
    page.route(
        "**/v1/recipients*", lambda route: route.fulfill(status=503, json=problem, headers={"x-request-id": "req-7"})
    )
    page.get_by_role("link", name="Recipients").click()
    expect(page.get_by_role("alert")).to_contain_text("The store is away.")
    expect(page.get_by_role("alert")).to_contain_text("req-7")
    page.unroute("**/v1/recipients*")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("link", name="evil", exact=True)).to_be_visible()


def test_console_cannot_be_framed(chromium: Browser, owner: Console) -> None:
    context = chromium.new_context(storage_state=owner.state)
    page = context.new_page()
    page.route(
        "https://evil.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<iframe src="{owner.server.url}/console"></iframe>'
        ),
    )
    page.goto("https://evil.test/")
    # Evaluating lets Playwright process its events.
    refused = "chrome-error://chromewebdata/"
    wait_until(lambda: page.evaluate("1") and page.frames[-1].url == refused, lambda: page.frames[-1].url)
    context.close()


def test_first_load_is_small() -> None:
    import gzip

    files = Path(__file__).parents[2] / "src/bellcast/api/console/files"

    def loaded(name: str) -> set[str]:
        """The module with those that it imports at once."""
        imported = re.findall(r"^(?:import|export) .*from '\./(.+?)';", (files / name).read_text(), re.MULTILINE)
        return {name}.union(*map(loaded, imported))

    first = loaded("console.js")
    assert {"server.js", "pages.js"} <= first
    assert not {"recipients.js", "runs.js", "settings.js"} & first
    size = {name: len(gzip.compress((files / name).read_bytes())) for name in (*first, "console.css")}
    assert size.pop("console.css") <= 12_000
    assert sum(size.values()) <= 75_000


def test_live_page_shows_what_happens_and_why_it_was_refused(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/live?recipient=wanda")
    expect(page.get_by_role("status").first).to_have_text("Live")
    expect(page.get_by_text("No event matches yet.")).to_be_visible()
    owner.send("POST", "/v1/notifications", {"to": "wanda", "title": HOSTILE, "type": "greeting"})
    page.get_by_role("button", name="greeting to wanda").click()
    expect(page.locator(".details pre")).to_contain_text("onerror=")
    page.get_by_role("button", name="Pause").click()
    owner.send("POST", "/v1/notifications", {"to": "wanda", "title": "Second"})
    expect(page.get_by_role("status").first).to_have_text("Paused, 1 new")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".row-link")).to_have_count(2)
    page.get_by_role("searchbox", name="Recipient").fill("")
    page.get_by_label("Kind").select_option("refused")
    expect(page).to_have_url(re.compile("kind=refused"))
    expect(page.get_by_role("status").first).to_have_text("Live")
    httpx.post(f"{owner.server.url}/v1/notifications", headers=owner.server.as_app(), json={"to": "a", HOSTILE: 1})
    page.get_by_role("button", name="POST /v1/notifications 422").first.click()
    expect(page.locator(".details").first).to_contain_text("is not a known field")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Causes and fixes").click()
    expect(opened.value).to_have_url(re.compile("/errors/invalid$"))
    assert page.locator("img").count() == 0


def test_request_has_a_page_with_its_reason_and_its_body(open_console: Callable[..., Page], owner: Console) -> None:
    headers = owner.server.as_app() | {"x-request-id": "lost-send"}
    httpx.post(f"{owner.server.url}/v1/notifications", headers=headers, json={"to": HOSTILE[:50], "titel": HOSTILE})
    page = open_console("/requests?status=422")
    page.get_by_role("link", name="POST /v1/notifications").first.click()
    expect(page.get_by_text("did you mean")).to_be_visible()
    page.goto("/console/requests/lost-send")
    expect(page.locator(".panel pre")).to_contain_text("onerror=")
    assert page.locator("img").count() == 0


def test_closed_connection_moves_to_the_recently_closed_with_its_reason(
    open_console: Callable[..., Page], owner: Console
) -> None:
    claims = {"tenant": "evil", "topics": ["*"], "name": HOSTILE}
    with websocket(owner.server, "evil", topics="presence-evil", claims=claims) as client:
        client.until("ready")
        page = open_console("/topics/presence-evil?tenant=evil")
        expect(page.locator(".members")).to_have_text(HOSTILE)
        page.get_by_role("link", name="Connections").last.click()
        expect(page.get_by_role("link", name="evil", exact=True)).to_be_visible()
        close = page.get_by_role("button", name="Close the connection")
        close.click()
        close.click()
        expect(
            page.get_by_text("No page is connected in this tenant.").or_(page.get_by_text("Nothing matches"))
        ).to_be_visible()
    page.get_by_role("link", name="Recently closed").click()
    expect(page.get_by_text("reconnect_requested (1012)")).to_be_visible()
    assert page.locator("img").count() == 0


def test_owner_changes_a_setting_restores_it_and_tests_pusher(open_console: Callable[..., Page]) -> None:
    page = open_console("/settings")
    page.get_by_label("limit_tags").fill("-1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".error").first).to_contain_text("set.limit_tags must be")
    page.get_by_label("limit_tags").fill("9")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Revision 1")).to_be_visible()
    expect(page.get_by_label("limit_tags")).to_have_value("9")
    page.get_by_label("limit_tags").fill("20")
    page.get_by_role("button", name="Save").click()
    restore = page.get_by_role("button", name="Restore revision 1")
    restore.click()
    restore.click()
    expect(page.get_by_text("Revision 3")).to_be_visible()
    expect(page.get_by_label("limit_tags")).to_have_value("9")
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("Pusher connected").first).to_be_visible()
    expect(page.get_by_text("This browser is connected.")).to_be_visible()
    assert violations(page) == []


def test_owner_adds_a_pusher_app_after_a_test_of_its_values(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/settings")
    page.get_by_text("Add an app").click()
    page.get_by_label("App name").fill(HOSTILE[:90])
    page.get_by_label("Tenant").fill("leads")
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_label("App secret")).not_to_have_value("")
    # Another test may have used the server's one test in six seconds.
    outcome = page.get_by_text("Pusher connected").or_(page.get_by_text("A test may run every 6 seconds."))
    expect(outcome.first).to_be_visible()
    page.get_by_role("button", name="Create app").click()
    expect(page.locator(".notice pre")).to_contain_text("PUSHER_APP_SECRET=")
    secret = page.locator(".notice .id code").inner_text()
    assert violations(page) == []
    disable = page.get_by_role("button", name="Disable")
    disable.click()
    disable.click()
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    assert secret not in page.content()
    assert page.locator("img").count() == 0


def test_playground_shows_a_notification_and_an_event_on_all_four_dialects(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/playground")
    page.get_by_label("Recipient", exact=True).fill("player")
    page.get_by_role("button", name="Connect").click()
    panes = page.locator(".pane")
    expect(panes.get_by_text("✓ connected")).to_have_count(4)
    expect(page.get_by_text("pusher_internal:subscription_succeeded")).to_be_visible()
    expect(page.get_by_text("pusher:signin_success")).to_be_visible()
    page.get_by_label("Title").fill(HOSTILE)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(panes.filter(has_text="onerror=")).to_have_count(4)
    page.get_by_role("button", name="Publish").click()
    expect(panes.filter(has_text="lead.assigned")).to_have_count(4)
    page.get_by_role("button", name="PHP").click()
    expect(page.get_by_text("Pusher\\Pusher(")).to_be_visible()
    assert violations(page) == []
    assert page.locator("img").count() == 0


def test_check_names_why_a_page_does_not_connect(chromium: Browser, owner: Console) -> None:
    """On a page of another origin, which imports the check from the server."""
    token = owner.server.token("checked")
    context = chromium.new_context()
    page = context.new_page()
    page.route("http://app.test/", lambda route: route.fulfill(content_type="text/html", body="<h1>App</h1>"))
    page.goto("http://app.test/")
    run = """async ([server, token]) => {
        const { check } = await import(`${server}/bellcast/check.js`);
        const { state, steps, text } = await check({ token, topics: ["not.allowed"] });
        return { state, text, steps: Object.fromEntries(steps.map((one) => [one.step, one])) };
    }"""
    report = page.evaluate(run, [owner.server.url, token])
    states = {name: one["state"] for name, one in report["steps"].items() if name != "alerts"}
    assert {name for name, state in states.items() if state != "ok"} == {"topics"}
    assert token not in report["text"]
    expect(page.get_by_role("dialog", name="Bellcast check")).to_contain_text("not.allowed")
    report = page.evaluate(run, [owner.server.url, "not a token"])
    assert (report["steps"]["token"]["state"], report["steps"]["websocket"]["state"]) == ("failed", "skipped")
    assert owner.server.key in report["steps"]["token"]["fix"]
    paths = (f"{owner.server.url}/{path}" for path in ("healthz", "v1/check", "v1/inbox/counts"))
    policy = f"default-src 'none'; script-src {owner.server.url}; connect-src {' '.join(paths)}"
    page.route(
        "http://app.test/strict",
        lambda route: route.fulfill(body="<h1>App</h1>", headers={"content-security-policy": policy}),
    )
    page.goto("http://app.test/strict")
    report = page.evaluate(run, [owner.server.url, token])
    for step in ("event stream", "websocket"):
        assert "Content-Security-Policy blocks it" in report["steps"][step]["detail"]
    assert token not in report["text"]
    page.goto(f"{owner.server.url}/check")
    assert violations(page) == []
    page.get_by_label("Session token").fill(token)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("For checked.")).to_be_visible()
    context.close()


def test_owner_reads_and_changes_all_about_a_recipient_and_erases_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/rita", {"name": "Rita"})
    owner.send("POST", "/v1/notifications", {"to": "rita", "title": "Hello Rita", "type": "greeting"})
    page = open_console("/recipients/rita")
    expect(page.get_by_role("link", name="Hello Rita")).to_be_visible()
    expect(page.get_by_role("link", name="Live").last).to_have_attribute("href", re.compile(r"live\?recipient=rita"))
    page.get_by_role("button", name="Mute everything").click()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    page.get_by_label("Quiet from").fill("22:00")
    page.get_by_label("until").fill("07:00")
    page.get_by_role("button", name="Save quiet hours").click()
    expect(page.get_by_text("What the recipient set")).to_be_visible()
    expect(page.get_by_label("Quiet from")).to_have_value("22:00")
    page.get_by_label("Subscribe to").fill("news")
    page.get_by_role("button", name="Subscribe", exact=True).click()
    expect(page.get_by_role("link", name="news")).to_be_visible()
    stored = owner.send("GET", "/v1/recipients/rita/preferences")
    assert (stored["muted"], stored["quiet_hours"]) == ({"*": True}, {"start": "22:00", "end": "07:00"})
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert download.value.suggested_filename == "rita.json"
    page.get_by_text("Erase this recipient").click()
    assert violations(page) == []
    page.get_by_label("Type rita to confirm").fill("rit")
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_text("This is not the key of the recipient.")).to_be_visible()
    page.get_by_label("Type rita to confirm").fill("rita")
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("heading", name="Recipients")).to_be_visible()
    gone = httpx.get(f"{owner.server.url}/v1/recipients/rita", headers=owner.server.as_app())
    assert gone.status_code == 404
    actions = [entry["action"] for entry in owner.send("GET", "/v1/audit")["entries"]]
    assert {"DELETE /v1/recipients/{key}", "PATCH /v1/recipients/{key}/preferences"} <= set(actions)


def test_run_is_a_waterfall_of_steps_with_inputs_and_is_cancelled(
    open_console: Callable[..., Page], owner: Console
) -> None:
    started = owner.send("POST", "/v1/workflows/evil/trigger", {"to": "rudi", "data": {"a": "1"}})
    page = open_console(f"/runs/{started['run']}", viewport=PHONE)
    expect(page.locator(".waterfall .row-link")).to_have_text(["bell", "mail", "later"])
    page.get_by_role("button", name="mail").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".waterfall .details pre")).to_contain_text('"subject"')
    assert violations(page) == []
    cancel = page.get_by_role("button", name="Cancel this run")
    cancel.click()
    cancel.click()
    expect(page.locator(".facts").get_by_text("cancelled")).to_be_visible()
    assert owner.send("GET", f"/v1/runs/{started['run']}")["state"] == "cancelled"


def test_owner_replays_a_failed_run_by_its_cause(open_console: Callable[..., Page], owner: Console) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/greeting", {"type": "greeting", "steps": [step]})
    owner.send("POST", "/v1/workflows/greeting/trigger", {"to": "evil", "data": {}})
    wait_until(lambda: owner.send("GET", "/v1/failures?workflow=greeting")["failures"], lambda: "the run did not fail")
    page = open_console("/failures")
    page.get_by_label("Kind").select_option("run")
    page.get_by_role("row", name="Run of greeting").get_by_role("link").click()
    wait_loaded(page)
    page.get_by_role("checkbox", name="Select evil").check()
    page.get_by_role("button", name="Replay 1 selected…").click()
    dialog = page.get_by_role("dialog", name="Replay the selected failures")
    expect(dialog.get_by_text("Continues 1 run of greeting at the step that failed")).to_be_visible()
    assert violations(page) == []
    dialog.get_by_role("button", name="Replay 1", exact=True).click()
    expect(page.get_by_text("1 failure retried")).to_be_visible()
    page.goto(f"{owner.server.url}/console/failures?channel=push")
    expect(page.get_by_text("Nothing that failed matches these filters.")).to_be_visible()


def test_corrected_notification_has_the_new_title(open_console: Callable[..., Page], owner: Console) -> None:
    sent = owner.send("POST", "/v1/notifications", {"to": "walter", "title": "Tuseday", "type": "corrected"})
    page = open_console(f"/notifications/{sent['notifications'][0]['id']}")
    page.get_by_text("Correct it").click()
    page.get_by_label("Title").fill("Tuesday")
    page.get_by_role("button", name="Correct in every inbox").click()
    expect(page.locator("h1")).to_have_text("Tuesday")


def test_workflow_is_compared_with_the_version_before_and_rolled_back(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for title in ("Before", "After"):
        owner.send("PUT", "/v1/workflows/rolled", {"steps": [{"key": "bell", "type": "inbox", "title": title}]})
    page = open_console("/workflows/rolled")
    page.get_by_role("button", name="Changes of version 2").click()
    expect(page.locator(".diff .ok")).to_contain_text("title: After")
    expect(page.locator(".diff .bad")).to_contain_text("title: Before")
    page.get_by_role("textbox", name="Recipient").fill("rudi")
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.locator(".panel .tag").filter(has_text="inbox").last).to_be_visible()
    assert violations(page) == []
    restore = page.get_by_role("button", name="Make current: version 1")
    restore.click()
    restore.click()
    expect(page.locator(".diagram")).to_contain_text("Before")
    assert owner.send("GET", "/v1/workflows/rolled")["version"] == 1


def test_template_is_previewed_by_language_and_tested(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/templates/evil")
    expect(page.get_by_label("Data as JSON").first).to_have_value(re.compile('"name": "name"'))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".panel dd").first).to_have_text("name")
    expect(page.frame_locator("iframe").get_by_text("alert")).to_be_visible()
    page.get_by_label("Language").select_option("de")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".panel dd").first).to_have_text("Hallo")
    page.get_by_label("To recipient").fill("evil")
    page.get_by_role("button", name="Send test").click()
    page.get_by_role("link", name="Open the message").click()
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


def test_topic_is_published_to_and_tenant_gets_limits(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/topics/published?tenant=evil")
    page.get_by_label("Event").fill("lead.assigned")
    page.get_by_label("Data as JSON").fill('{"lead": 7}')
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("summary").filter(has_text="lead.assigned")).to_be_visible()
    page.get_by_role("link", name="Tenants").click()
    page.get_by_role("link", name="evil", exact=True).click()
    page.get_by_label("Retention in days").fill("90")
    page.get_by_role("button", name="Save limits").click()
    expect(page.locator("pre")).to_contain_text('"retention_days": 90')
    assert owner.send("GET", "/v1/tenants/evil")["settings"] == {"plan": HOSTILE, "retention_days": 90}


def test_times_are_in_utc_by_the_url_on_all_pages(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console(f"/runs/{owner.run}", timezone_id="Asia/Tokyo")
    expect(page.locator(".facts time").first).to_contain_text("GMT+9")
    page.get_by_role("button", name="Show times in UTC").click()
    expect(page).to_have_url(re.compile("tz=utc"))
    expect(page.locator(".facts time").first).to_contain_text("UTC")
    page.get_by_role("link", name="Mail").click()
    expect(page).to_have_url(re.compile("/mail.*tz=utc"))
    page.locator(".row-link").first.click()
    expect(page.locator(".facts time").first).to_contain_text("UTC")


def test_object_that_does_not_exist_has_a_heading_and_a_reason(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    for kind in ("recipients", "runs", "mail", "workflows", "templates", "tenants"):
        page.evaluate("path => history.pushState(null, '', path)", f"/console/{kind}/no-{kind}")
        page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
        expect(page.locator("h1")).to_have_text(f"no-{kind}")
        expect(page.get_by_role("alert")).to_contain_text("Request")


def test_rows_have_two_lines_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/mail", viewport=PHONE)
    expect(page.locator(".row-link").first).to_be_visible()
    for path in (
        "/messages",
        "/notifications",
        "/runs",
        "/workflows",
        "/templates",
        "/recipients",
        "/topics",
    ):
        heights = page.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.offsetHeight)")
        assert 40 <= min(heights) <= max(heights) <= 60, (page.url, heights)
        page.goto(f"/console{path}")
        expect(page.locator(".row-link").first).to_be_visible()


def test_long_run_begins_with_its_last_steps_and_folds_the_wait(
    open_console: Callable[..., Page], owner: Console
) -> None:
    run = owner.send("GET", f"/v1/runs/{owner.run}")
    at = "2026-06-01T{}Z".format
    times = [(at("10:00:00"), at("10:00:01"))] * 129 + [(at("10:00:01"), at("12:00:01"))]
    steps = [
        {**run["steps"][0], "key": f"step-{number}", "started_at": started_at, "ended_at": ended_at}
        for number, (started_at, ended_at) in enumerate(times)
    ]
    run |= {"created_at": at("10:00:00"), "ended_at": at("12:00:01"), "state": "completed", "steps": steps}
    page = open_console("/account")
    page.route("**/v1/runs/long", lambda route: route.fulfill(json=run))
    page.evaluate("history.pushState(null, '', '/console/runs/long')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator(".waterfall .row-link")).to_have_count(100)
    expect(page.locator(".waterfall .folded")).to_have_text("2 h")
    expect(page.locator(".waterfall .took").last).to_have_text("2 h")
    assert violations(page) == []
    page.get_by_role("button", name="Show the 30 steps before").click()
    expect(page.locator(".waterfall .row-link")).to_have_count(130)
    expect(page.locator(".waterfall .row-link").first).to_have_text("step-0")


def test_owner_encrypts_the_secrets_again(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/webhooks", {"url": "https://app.example.com/hook", "events": ["message.sent"]})
    page = open_console("/secrets")
    row = page.get_by_role("region", name="Keys").locator("tbody tr").first
    expect(row).to_contain_text("active encrypts")
    expect(row).not_to_contain_text(" 0 secrets")
    rotate = page.get_by_role("button", name="Rotate all secrets")
    rotate.click()
    rotate.click()
    expect(page.get_by_role("status").filter(has_text="encrypted again.")).to_be_visible()
