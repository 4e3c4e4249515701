# ruff: noqa: S101  (tests assert; the folder of the other tests says so for all of them)
"""The bell in Chromium, on a page with a strict Content-Security-Policy, against a real server."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright
from tests.servers import ServerProcess

from bellcast.client import Bellcast

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'"
PAGE = """<!doctype html><html lang="en"><title>Shop</title><script type="module" src="/bellcast.js"></script>
<body><bellcast-bell token="{token}"></bellcast-bell><main>A shop</main>"""
WIDE = {"width": 900, "height": 700}
PHONE = {"width": 390, "height": 780}
# What a browser itself says of a server that is away or refuses is not ours to silence.
BROWSERS_OWN = ("Failed to load resource", "WebSocket connection to")


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    with ServerProcess(tmp_path / "data") as server:
        yield server


@pytest.fixture
def app(server):
    with Bellcast(server.url, server.secret) as app:
        yield app


@pytest.fixture
def open_page(chromium, server):
    """Opens Alice's page on a device of its own; none of them may say anything in its error console."""
    contexts, complaints = [], []

    def open_page(viewport=WIDE, **options):
        context = chromium.new_context(base_url=server.url, viewport=viewport, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        body = PAGE.format(token=server.token("alice"))
        headers = {"content-security-policy": POLICY}
        context.route("**/shop", lambda route: route.fulfill(body=body, content_type="text/html", headers=headers))
        context.route("**/orders/*", lambda route: route.fulfill(body="<h1>An order</h1>", content_type="text/html"))
        page = context.new_page()
        page.goto("/shop")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith(BROWSERS_OWN)] == []


def bell(page, count=None):
    """The bell; with a count, the bell when it shows that many."""
    name = "Notifications" if not count else f"Notifications, {count} unread"
    return page.get_by_role("button", name=name, exact=count is not None)


def rows(page):
    return page.locator("bellcast-bell .row")


def row(page, title):
    return rows(page).filter(has_text=title)


def status(page, text):
    return page.locator("bellcast-bell .status").get_by_text(text)


def in_page(page, code):
    return page.evaluate(f"(async (bell) => {code})(document.querySelector('bellcast-bell'))")


def test_it_rings_at_once_on_every_device_and_all_badges_move(app, open_page):
    desk, phone = open_page(), open_page(PHONE)
    expect(bell(desk, 0)).to_be_visible()
    expect(bell(phone, 0)).to_be_visible()
    app.notify("alice", title="New order", action_url="/orders/7")
    expect(bell(desk, 1)).to_be_visible()
    expect(bell(phone, 1)).to_be_visible()
    bell(desk).click()
    row(desk, "New order").hover()
    desk.get_by_role("button", name="Mark as read").click()
    expect(bell(phone, 0)).to_be_visible()
    expect(desk.get_by_role("list", name="Earlier")).to_contain_text("New order")


def test_opening_it_is_seeing_what_it_shows(app, open_page):
    page = open_page()
    app.notify("alice", title="New order")
    expect(bell(page, 1)).to_be_visible()
    bell(page).click()
    expect(row(page, "New order")).to_be_visible()
    assert (
        in_page(page, "{ while (bell.session.state.unseen) await new Promise(requestAnimationFrame); return 0 }") == 0
    )
    expect(bell(page, 1)).to_be_visible()


def test_clicking_one_follows_it_and_marks_it_as_read(app, open_page):
    page, other = open_page(), open_page()
    app.notify("alice", title="New order", action_url="/orders/7")
    bell(page, 1).click()
    page.get_by_role("link", name="New order").click()
    page.wait_for_url("**/orders/7")
    expect(bell(other, 0)).to_be_visible()


def test_a_page_may_go_there_its_own_way(app, open_page):
    page = open_page()
    page.evaluate(
        "addEventListener('bellcast:open-notification', (e) => { e.preventDefault(); document.title = e.detail.notification.title })"
    )
    app.notify("alice", title="New order", action_url="/orders/7")
    bell(page, 1).click()
    page.get_by_role("link", name="New order").click()
    expect(page).to_have_title("New order")
    expect(page).to_have_url(re.compile("/shop$"))
    expect(bell(page, 0)).to_have_attribute("aria-expanded", "false")


def test_what_is_marked_read_or_deleted_is_so_everywhere(app, open_page):
    page, other = open_page(), open_page()
    for number in range(3):
        app.notify("alice", title=f"Order {number}")
    expect(bell(other, 3)).to_be_visible()
    bell(page, 3).click()
    row(page, "Order 1").hover()
    row(page, "Order 1").get_by_role("button", name="Delete").click()
    expect(bell(other, 2)).to_be_visible()
    page.get_by_role("button", name="Mark all as read").click()
    expect(bell(other, 0)).to_be_visible()
    expect(rows(page)).to_have_count(2)


def test_a_hand_on_the_keyboard_is_enough(app, open_page):
    page = open_page()
    for number in range(2):
        app.notify("alice", title=f"Order {number}", action_url=f"/orders/{number}")
    expect(bell(page, 2)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Notifications")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Order 0")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.get_by_role("link", name="Order 1")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(bell(page)).to_be_focused()


def test_hostile_words_are_only_words(app, open_page):
    page = open_page()
    app.notify("alice", title="<img src=x onerror=alert(1)>", body="<b>bold</b>", icon="javascript:alert(2)")
    bell(page, 1).click()
    expect(row(page, "<img src=x onerror=alert(1)>")).to_contain_text("<b>bold</b>")
    expect(page.locator("bellcast-bell img")).to_have_count(0)
    expect(page.locator("bellcast-bell b")).to_have_count(0)


def test_older_ones_come_when_asked_for(app, open_page):
    for number in range(50):
        app.notify("alice", title=f"Order {number}")
    page = open_page()
    bell(page, 50).click()
    expect(rows(page)).to_have_count(20)
    page.get_by_role("button", name="Load more").click()
    expect(rows(page)).to_have_count(40)
    page.get_by_role("button", name="Load more").click()
    expect(rows(page)).to_have_count(50)
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()


def test_a_killed_server_comes_back_and_nothing_was_missed(server, app, open_page):
    page = open_page()
    app.notify("alice", title="Before")
    bell(page, 1).click()
    server.kill()
    expect(status(page, "Reconnecting…")).to_be_visible()
    server.restart()
    app.notify("alice", title="After")
    expect(row(page, "After")).to_be_visible(timeout=20_000)
    expect(rows(page)).to_have_count(2)
    expect(status(page, "Live")).to_be_visible()


def test_where_websockets_cannot_pass_it_is_live_all_the_same(app, open_page):
    page = open_page()
    page.context.route_web_socket("**/v1/ws?*", lambda socket: socket.close(code=1011))
    page.reload()
    bell(page).click()
    expect(status(page, "Live")).to_be_visible()
    app.notify("alice", title="By events")
    expect(row(page, "By events")).to_be_visible()


def test_a_refused_token_is_said(open_page):
    page = open_page()
    in_page(page, "{ bell.token = 'forged'; bell.open = true }")
    expect(page.get_by_text("Sign in again to see your notifications.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_on_a_phone_it_is_a_sheet(app, open_page):
    page = open_page(PHONE)
    app.notify("alice", title="New order")
    bell(page, 1).click()
    assert in_page(page, "bell.shadowRoot.querySelector('dialog').matches(':modal')")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_moving_it_keeps_its_session_and_removing_it_ends_it(open_page):
    page = open_page()
    expect(bell(page, 0)).to_be_visible()
    assert in_page(
        page,
        "{ const { session } = bell; document.querySelector('main').append(bell); await 0; return bell.session === session }",
    )
    code = "{ const { session } = bell; bell.remove(); await new Promise(setTimeout); return session.state.status }"
    assert in_page(page, code) == "closed"


def test_it_leaves_nothing_behind(open_page):
    page = open_page()
    expect(bell(page, 0)).to_be_visible()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")

    def left():
        devtools.send("HeapProfiler.collectGarbage")
        metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
        return metrics["Nodes"], metrics["JSEventListeners"]

    come_and_go = """{ for (let i = 0; i < 10; i++) {
      const other = bell.cloneNode(); document.body.append(other); other.open = true;
      await new Promise((done) => setTimeout(done, 30)); other.remove(); await new Promise((done) => setTimeout(done, 5)); } }"""
    in_page(page, come_and_go)
    before = left()
    in_page(page, come_and_go)
    for _ in range(50):
        if left() <= before:
            return
        page.wait_for_timeout(100)  # a collector takes its time
    assert left() <= before
