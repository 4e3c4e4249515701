"""React apps, built by Vite with the packed package, against a real server."""

import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests import npm_packages
from tests.browser.shop import bell, row, tab, toasts
from tests.thoroughness import sampled

BROWSER_MESSAGES = ("Failed to load resource", "Download the React DevTools")
CLIENT = Path(__file__).parents[2] / "client"


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server without a request log."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module", params=sampled(["19", "18"]), ids=["React 19", "React 18"])
def site(request, tmp_path_factory):
    """The URL of the built app."""
    folder = tmp_path_factory.mktemp("packed")
    npm_packages.installed(CLIENT / "test" / "react18")
    subprocess.run(["node", "test/app/pack.js", folder, request.param], cwd=CLIENT, check=True, timeout=120)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder / "app/dist")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def desk(site, chromium, bellcast_server, person):
    context = chromium.new_context()
    context.set_default_timeout(40_000)
    complaints, sockets = [], []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.on("websocket", lambda socket: sockets.append(socket.url))
    token = bellcast_server.token(person, topics=["presence-room"])
    page.goto(f"{site}#server={bellcast_server.url}&token={token}")
    expect(output(page, "connected")).to_have_text("true")
    yield page
    context.close()
    assert len(sockets) == 1, "the bell is on the line of its provider"
    assert complaints == []


def output(page, name):
    return page.get_by_label(name, exact=True)


def test_hooks_and_bell_show_one_inbox(app, person, desk):
    app.notify(person, title="Paid")
    app.notify(person, title="Booked", type="booking")
    expect(output(desk, "unread")).to_have_text("2")
    expect(output(desk, "badge")).to_have_text("2")
    expect(output(desk, "bookings")).to_have_text("1")
    expect(bell(desk, 2)).to_be_visible()
    desk.get_by_role("button", name="Read all").click()
    expect(output(desk, "badge")).to_have_text("0")
    expect(bell(desk, 0)).to_have_count(1)


def test_topic_event_and_its_members_are_shown(app, person, desk):
    expect(output(desk, "members")).to_have_text(person)
    app.publish("presence-room", "word", {"word": "hello"})
    expect(output(desk, "word")).to_have_text("hello")


def test_marketplace_hook_separates_kinds_of_events(app, person, desk):
    app.publish({"recipient": person}, "new_booking", {"bookingId": "7", "message": "New booking received"})
    app.notify(person, title="Paid", body="150.00", type="payment_received")
    app.notify(person, title="Hello")
    expected = ["booking new_booking New booking received", "payment payment_received 150.00", "other general Hello"]
    expect(output(desk, "received")).to_have_text(", ".join(expected))
    desk.get_by_role("button", name="accept").click()
    expect(output(desk, "result")).to_have_text("no_handler")
    desk.get_by_role("button", name="ping").click()
    expect(output(desk, "result")).to_have_text("ping handled")


def test_queries_touched_by_a_notification_are_refetched(app, person, desk):
    expect(output(desk, "fetches")).to_have_text("1 1")
    app.notify(person, title="Moved", data={"touches": ["booking:7"]})
    expect(output(desk, "fetches")).to_have_text("2 2")
    app.notify(person, title="Another", data={"touches": ["booking:8"]})
    expect(output(desk, "unread")).to_have_text("2")
    expect(output(desk, "fetches")).to_have_text("2 2")


@pytest.fixture
def hydrated(site, chromium, bellcast_server, person):
    """A page that a server rendered and React hydrated, in StrictMode."""
    context = chromium.new_context()
    context.set_default_timeout(40_000)
    complaints = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page = context.new_page()
    page.goto(f"{site}hydrated.html#server={bellcast_server.url}&token={bellcast_server.token(person)}")
    yield page
    context.close()
    # React reports differences from the server's page, and what StrictMode rejects.
    assert [text for text in complaints if not text.startswith(BROWSER_MESSAGES)] == []


def test_components_work_after_hydration_in_strict_mode(app, person, hydrated):
    expect(output(hydrated, "status")).to_have_text("connected")
    app.notify(person, title="Paid", type="order", action_url="/orders/7")
    expect(bell(hydrated, 1)).to_be_visible()
    expect(toasts(hydrated)).to_have_count(1)
    expect(hydrated).to_have_title("(1) Shop")
    hydrated.get_by_role("button", name="List").click()
    expect(row(hydrated.locator("#inbox"), "Paid")).to_be_visible()
    hydrated.get_by_role("button", name="List").click()
    expect(hydrated.locator("#inbox")).to_have_count(0)
    expect(hydrated.locator("#preferences").get_by_role("switch", name="All notifications, Inbox")).to_be_checked()
    assert hydrated.locator("bellcast-bell").evaluate("(bell) => [bell.className, bell.open]") == ["place", False]
    hydrated.locator("bellcast-bell").get_by_role("button").first.click()
    row(hydrated.locator("bellcast-bell"), "Paid").get_by_role("link", name="Paid").click()
    expect(output(hydrated, "opened")).to_have_text("Paid")
    expect(bell(hydrated, 0)).to_have_count(1)


def test_properties_of_components_change(hydrated):
    expect(output(hydrated, "status")).to_have_text("connected")
    hydrated.get_by_role("button", name="Tabs").click()
    hydrated.get_by_role("button", name="Open", exact=True).click()
    expect(tab(hydrated.locator("bellcast-bell"), "Orders")).to_be_visible()
    hydrated.get_by_role("button", name="Tabs").dispatch_event("click")  # the panel may be above it
    expect(tab(hydrated.locator("bellcast-bell"), "Unread")).to_be_visible()


def test_hook_with_familiar_names_reads_and_removes(app, person, hydrated):
    expect(output(hydrated, "status")).to_have_text("connected")
    app.notify(person, title="Paid", body="150.00")
    app.notify(person, title="Booked")
    expect(output(hydrated, "count")).to_have_text("2")
    feed = hydrated.get_by_label("feed").get_by_role("listitem")
    expect(feed).to_have_text(["Read BookedRemove Booked", "Read 150.00Remove 150.00"])
    hydrated.get_by_role("button", name="Read 150.00").click()
    expect(feed.last).to_have_attribute("data-read", "true")
    hydrated.get_by_role("button", name="Remove 150.00").click()
    expect(feed).to_have_count(1)
    hydrated.get_by_label("feed").get_by_role("button", name="Read all").click()
    expect(output(hydrated, "count")).to_have_text("0")
