"""The playground of the console: stock clients of all four dialects, and code that does the same."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import HOSTILE, Console
from tests.browser.shop import row, wait_live, wait_until
from tests.browser.test_accessibility import violations

CLIENT = Path(__file__).parents[2] / "client"
LIBRARIES = ("pusher-js", "socket.io-client")
# Each interpreter reads the code from standard input. Node finds `bellcast/server` from the folder of its package.
PROGRAMS = {"curl": ["sh", "-e"], "Python": [sys.executable], "Node": ["node", "--input-type=module"], "PHP": ["php"]}
SITE = "http://localhost:5999"  # the app's own origin
TEXT = 'it\'s "quoted" \\ $HOME `id` <b>'


@pytest.fixture
def page(open_console: Callable[..., Page]) -> Page:
    page = open_console("/playground")
    page.get_by_label("Recipient", exact=True).fill("player")
    return page


@pytest.mark.thorough
def test_playground_shows_its_streams_and_its_forms_before_it_connects(page: Page) -> None:
    for name in ("Send", "Publish"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    steps = page.get_by_role("region", name="Connect and send").get_by_role("heading")
    expect(steps).to_have_text(["1Connect a recipient", "2Send, and compare what arrives"])
    coming = page.get_by_role("region", name="Pusher").locator(".coming")
    expect(coming).to_have_text(["reset after step 1", "notification after step 2", "lead.assigned after step 2"])
    styles = [
        page.get_by_role("button", name=name, exact=True).evaluate("(one) => getComputedStyle(one).backgroundColor")
        for name in ("Send", "Publish")
    ]
    assert styles[0] == styles[1]
    assert violations(page) == []
    heights = page.locator(".frames").evaluate_all("all => all.map((one) => one.offsetHeight)")
    page.get_by_role("button", name="Connect").click()
    expect(page.locator(".pane").get_by_text("connected", exact=True)).to_have_count(4)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    expect(coming).to_have_count(0)
    assert page.locator(".frames").evaluate_all("all => all.map((one) => one.offsetHeight)") == heights


def test_playground_shows_a_notification_and_an_event_in_the_stock_clients_of_all_four_dialects(page: Page) -> None:
    loaded: set[str] = set()

    def keep(name: str) -> None:
        loaded.add(name)

    page.on("response", lambda response: keep(response.url.rpartition("/vendor/")[2]))
    page.get_by_role("button", name="Connect").click()
    panes = page.locator(".pane")
    expect(panes.get_by_text("connected", exact=True)).to_have_count(4)
    expect(page.locator("button.primary")).to_have_text(["Send"])
    assert panes.evaluate_all("all => all.every((one) => one.offsetHeight < innerHeight / 2)")
    assert {f"{name}.js" for name in LIBRARIES} <= loaded
    page.get_by_role("button", name="protocol events").click()
    expect(
        page.locator(".frames li").filter(
            has_text=re.compile("^pusher_internal:subscription_succeeded.* private-playground")
        )
    ).to_be_visible()
    expect(page.get_by_text("pusher:signin_success")).to_be_visible()
    page.get_by_label("Title").fill(HOSTILE)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(panes.filter(has_text="onerror=")).to_have_count(4)
    expect(panes.filter(has_text=re.compile(r"notification.*\+\d+ ms"))).to_have_count(4)
    expect(page.locator(".pane .bell-row")).to_have_count(4)
    expect(panes.locator("h2 b")).to_have_text([re.compile(r"^\d+ ms$")] * 4)
    stored = page.get_by_role("status").filter(has_text="Stored as").get_by_role("link")
    expect(stored).to_have_attribute("href", re.compile("^/console/notifications/[0-9a-f-]{36}"))
    page.get_by_role("button", name="Publish").click()
    expect(panes.filter(has_text="lead.assigned")).to_have_count(4)
    panes.filter(has_text="EventSource").locator("summary").first.click()
    expect(panes.filter(has_text="EventSource").locator("pre").first).to_contain_text('"lead": 7')
    assert violations(page) == []
    assert page.locator("img:not([src$='favicon.svg'])").count() == 0
    page.get_by_role("button", name="Connect").click()  # the first connections close without a message
    expect(panes.get_by_text("connected", exact=True)).to_have_count(4)


@pytest.mark.thorough
def test_form_that_sends_is_within_a_screen_of_the_first_frames_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.get_by_role("button", name="Connect").click()
    panes = page.locator(".pane")
    expect(panes.get_by_text("connected", exact=True)).to_have_count(4)
    expect(page.get_by_role("region", name="SSE")).to_be_visible()
    page.get_by_role("group", name="Client").get_by_role("button", name="Pusher").click()
    expect(page.get_by_role("button", name="protocol events")).to_be_attached()
    assert page.locator(".panes").bounding_box()["height"] < 900
    for name in ("SSE", "WebSocket", "Socket.IO"):
        expect(page.get_by_role("region", name=name, exact=True)).to_be_hidden()
    expect(page.get_by_role("region", name="Pusher")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_code_of_each_language_sends_what_is_typed(page: Page, owner: Console) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Connect").click()
    panes = page.locator(".pane")
    expect(panes.get_by_text("connected", exact=True)).to_have_count(4)
    page.get_by_label("Data").fill('{"none": null, "map": {}, "list": [true, 1.5, "it\'s"]}')
    environment = {**os.environ, "BELLCAST_SECRET": owner.server.secret}
    for language, program in PROGRAMS.items():
        title = f"{TEXT} from {language}"
        page.get_by_label("Title").fill(title)
        page.get_by_label("Event", exact=True).fill(f"event.{language}")
        page.get_by_role("button", name=language, exact=True).click()
        page.get_by_role("button", name="Copy the code").click()
        code = page.evaluate("navigator.clipboard.readText()")
        assert code == page.locator("pre").last.inner_text()
        ended = subprocess.run(
            program, input=code, cwd=CLIENT, env=environment, capture_output=True, text=True, timeout=60
        )
        assert (ended.returncode, ended.stderr.count("rror")) == (0, 0), ended.stderr
        expect(panes.filter(has_text=f"from {language}")).to_have_count(4)
        expect(panes.filter(has_text=f"event.{language}")).to_have_count(4)
        sent = owner.send("GET", "/v1/notifications?recipient=player&limit=1")["notifications"][0]
        assert sent["title"] == title
        event = owner.send("GET", "/v1/topics/private-playground/events")["events"][-1]
        assert event["data"] == {"none": None, "map": {}, "list": [True, 1.5, "it's"]}
    assert violations(page) == []


@pytest.mark.thorough
def test_browser_code_is_a_page_that_receives_what_is_sent(page: Page, owner: Console, chromium: Browser) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    topic = "private-play,ground;1@a"
    page.get_by_label("Topic", exact=True).fill(topic)
    page.get_by_role("button", name="Connect").click()
    expect(page.locator(".pane").get_by_text("connected", exact=True)).to_have_count(4)
    page.get_by_role("button", name="Browser").click()
    page.get_by_role("button", name="Copy the code").click()
    code = page.evaluate("navigator.clipboard.readText()")
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"origins": SITE}})

    def serve(route: Route) -> None:
        if route.request.url == f"{SITE}/bell-token":
            route.fulfill(json=owner.send("POST", "/v1/tokens", {"recipient": "player", "topics": [topic]}))
        else:
            route.fulfill(body=f"<!doctype html><title>Shop</title>{code}", content_type="text/html; charset=utf-8")

    context = chromium.new_context()
    context.route(f"{SITE}/**", serve)
    app = context.new_page()
    logged: list[str] = []
    app.on("console", lambda message: logged.append(message.text))
    app.on("pageerror", lambda error: logged.append(str(error)))
    app.goto(f"{SITE}/")
    wait_live(app)
    page.get_by_label("Title").fill(TEXT)
    page.get_by_role("button", name="Send", exact=True).click()
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".pane").filter(has_text="lead.assigned")).to_have_count(4)
    app.get_by_role("button", name="Notifications").click()
    expect(row(app, TEXT).first).to_be_visible()
    wait_until(lambda: logged == ["lead.assigned {lead: 7}"], lambda: str(logged))
    context.close()


@pytest.mark.thorough
def test_pane_names_the_library_that_an_installation_without_node_lacks(page: Page, owner: Console) -> None:
    page.route(re.compile("/console/.+/vendor/"), lambda route: route.continue_(url=f"{route.request.url}.missing.js"))
    page.get_by_role("button", name="Connect").click()
    for dialect, library in (("Socket.IO", "socket.io-client"), ("Pusher", "pusher-js")):
        pane = page.get_by_role("region", name=dialect, exact=True)
        expect(pane.locator("h2").get_by_text("error")).to_be_visible()
        expect(pane).to_contain_text(f"{library} could not be loaded")
        expect(pane).to_contain_text("npm ci && npm run build")
    expect(page.locator(".pane").get_by_text("connected", exact=True)).to_have_count(2)


def test_double_click_sends_once(page: Page) -> None:
    page.get_by_role("button", name="Connect", exact=True).click()
    send = page.get_by_role("button", name="Send", exact=True)
    expect(send).to_be_enabled()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    place = send.bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.click(x, y)
    expect(page.get_by_text("Stored as")).to_be_visible()  # the answer comes between both clicks
    expect(send).to_be_enabled()
    page.mouse.move(x, y)
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    page.get_by_role("button", name="Publish").click()
    wait_until(lambda: any(url.endswith("/v1/events") for url in sent), lambda: "not published")
    assert len([url for url in sent if url.endswith("/v1/notifications")]) == 1
