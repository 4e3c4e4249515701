"""The marketplace in Chromium: two persons in one browser, an encrypted chat, and interrupted connections."""

import re
import time
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.marketplaces import marketplace

from bellcast.client import Bellcast

# Messages of the browser itself about an unreachable or refusing server, which a page cannot silence.
BROWSERS_OWN = ("Failed to load resource", "WebSocket connection to")
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 780}
SECRET = "Meet me under the walnut tree at nine"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with marketplace(tmp_path_factory.mktemp("marketplace") / "data", BELLCAST_HEARTBEAT="1") as place:
        yield place


@pytest.fixture
def browse(chromium):
    """Opens browsers; their pages may log only the errors that a test expects."""
    contexts, complaints, expected = [], [], []

    def browse(place, viewport=WIDE, quiet=True, **options):
        context = chromium.new_context(base_url=place.url, viewport=viewport, **options)
        context.set_default_timeout(40_000)
        contexts.append(context)
        said = complaints if quiet else expected
        context.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        return context

    yield browse
    for context in contexts:
        context.close()
    assert complaints == []
    assert [text for text in expected if not text.startswith(BROWSERS_OWN)] == []


@pytest.fixture(autouse=True)
def nothing_unread(place):
    with Bellcast(place.server.url, place.server.secret) as bell:
        for key in ("nora", "samir", "ben", "lucia", "tomasz"):
            bell.inbox(bell.token(key)).clear("all")


@pytest.fixture
def visit(browse, place):
    """Signs a person in with a new browser, and returns a live page."""

    def visit(person, path="/bookings", place=place, **options):
        context = browse(place, **options)
        assert context.request.post(f"/login/{person}").ok
        page = context.new_page()
        page.goto(path)
        is_live(page)
        return page

    return visit


def is_live(page):
    expect(page.locator(".line")).to_have_text("Live")


def bell(page, count):
    return page.get_by_role("button", name=f"Notifications, {count} unread" if count else "Notifications", exact=True)


def message(page):
    return page.get_by_role("textbox", name="Message")


def bubble(page, text):
    return page.get_by_role("log", name="Messages").get_by_role("listitem").filter(has_text=text)


def write(page, text):
    expect(message(page)).to_be_enabled()
    message(page).fill(text)
    message(page).press("Enter")


def book(page, service="boiler"):
    """Return the path of a new booking."""
    asked = {
        "service": service,
        "starts_at": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%dT14:00}",
        "address": "Canal Row 18",
    }
    return f"/bookings/{page.request.post('/api/bookings', data=asked).json()['id']}"


@pytest.fixture
def two(visit):
    """Nora and Ben at the same new booking, each in a separate browser."""

    def two(**options):
        nora = visit("nora", **options)
        path = book(nora)
        nora.goto(path)
        ben = visit("ben", path, **options)
        for page in (nora, ben):
            expect(page.locator(".presence")).to_have_text("Here now")
        return nora, ben

    return two


# --- both sides of a booking


def part(page, name):
    return page.get_by_role("list", name=name)


def test_react_page_shows_the_events_of_both_sides(visit, place):
    nora, ben = visit("nora", "/today"), visit("ben", "/today")
    for page in (nora, ben):
        expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    booking = book(nora).rpartition("/")[2]

    def row(page):
        return part(page, "Open bookings").get_by_role("listitem").filter(has=page.locator(f'[href$="/{booking}"]'))

    expect(part(ben, "What happened")).to_contain_text("Nora asks for")
    row(ben).get_by_role("button", name="Accept").click()
    expect(part(nora, "What happened")).to_contain_text("Ben accepted your booking")
    expect(row(nora)).to_contain_text("Agreed")
    assert nora.request.post(f"/api/bookings/{booking}/payment", data={"card": "4242"}).ok
    expect(part(ben, "What happened")).to_contain_text("Nora paid you")
    expect(part(nora, "What happened")).to_contain_text("You paid Ben")
    for page in (nora, ben):
        expect(row(page)).to_contain_text("Paid")


def test_react_page_shows_its_connection_and_receives_missed_events(visit, place):
    ben = visit("ben", "/today", quiet=False)
    ben.get_by_role("button", name="Ping").click()
    expect(ben.get_by_text(re.compile(r"^Connected, answered in \d+ ms$"))).to_be_visible()
    ben.context.set_offline(offline=True)
    expect(ben.get_by_text(re.compile("^Disconnected"))).to_be_visible()
    with Bellcast(place.server.url, place.server.secret) as bell:
        bell.notify("ben", title="The van is in the yard", type="notification")
    ben.context.set_offline(offline=False)
    expect(ben.get_by_text(re.compile("^Connected"))).to_be_visible()
    expect(part(ben, "What happened")).to_contain_text("The van is in the yard")


def test_booking_and_chat_work_in_two_frames_of_a_page(browse, place):
    page = browse(place).new_page()
    page.goto("/")
    nora, ben = (page.frame_locator(f"iframe[name={key}]") for key in ("nora", "ben"))
    is_live(nora)
    is_live(ben)

    nora.get_by_role("link", name="Boiler service").click()
    nora.get_by_label("Address").fill("Canal Row 18")
    nora.get_by_role("button", name="Ask Ben").click()
    # Ben's list shows it without a reload, and his bell counts it.
    expect(ben.get_by_text("Answer Nora")).to_be_visible()
    bell(ben, 1).click()
    ben.get_by_role("link", name=re.compile("Nora asks for")).first.click()
    ben.get_by_role("button", name="Accept").click()
    expect(nora.get_by_role("heading", name="Pay €150.00")).to_be_visible()
    expect(bell(nora, 1)).to_be_visible()

    for frame in (nora, ben):
        expect(frame.locator(".presence")).to_have_text("Here now")
    message(nora).press_sequentially("Is two fine?")
    expect(ben.get_by_text("Nora is typing")).to_be_visible()
    message(nora).press("Enter")
    expect(bubble(ben, "Is two fine?")).to_be_visible()
    expect(ben.get_by_text("Nora is typing")).to_be_hidden()
    expect(bubble(nora, "Is two fine?")).to_contain_text("Read")
    write(ben, "Perfect.")
    expect(bubble(nora, "Perfect.")).to_be_visible()
    codes = [frame.locator(".code").text_content() for frame in (nora, ben)]
    assert re.fullmatch(r"(\d{5} ){5}\d{5}", codes[0])
    assert codes[0] == codes[1]

    nora.get_by_text("Card ending 0002").click()
    nora.get_by_role("button", name="Pay Ben").click()
    expect(nora.get_by_text("The card ending 0002 was declined.")).to_be_visible()
    nora.get_by_text("Card ending 4242").click()
    nora.get_by_role("button", name="Pay Ben").click()
    expect(nora.get_by_text("Paid", exact=True).first).to_be_visible()
    expect(ben.get_by_role("button", name="Give €150.00 back")).to_be_visible()
    ben.get_by_role("button", name="Mark as done").click()
    expect(nora.get_by_text("Done", exact=True).first).to_be_visible()
    ben.get_by_role("button", name="Give €150.00 back").click()
    expect(nora.get_by_text("Refunded")).to_be_visible()
    # Accepted, failed, confirmed, done, refunded.
    expect(bell(nora, 5)).to_be_visible()


def test_toast_opens_its_booking_and_marks_it_as_read(visit):
    nora, ben = visit("nora"), visit("ben")
    book(nora)
    toast = ben.locator("bellcast-toasts").get_by_role("link", name=re.compile("Nora asks for"))
    toast.click()
    expect(ben.get_by_role("button", name="Accept")).to_be_visible()
    expect(bell(ben, 0)).to_be_visible()


def test_message_to_a_closed_chat_notifies_until_it_is_read(two):
    nora, ben = two()
    path = ben.url
    ben.goto("/payments")
    is_live(ben)
    expect(nora.locator(".presence")).to_have_text("Not here right now")
    write(nora, "One more thing")
    expect(bubble(nora, "One more thing")).to_contain_text("Sent")
    expect(ben.locator("bellcast-toasts")).to_contain_text("Nora wrote to you")
    ben.goto(path)
    expect(bubble(ben, "One more thing")).to_be_visible()
    expect(bubble(nora, "One more thing")).to_contain_text("Read")
    expect(bell(ben, 0)).to_be_visible()


# --- confidentiality


def test_chat_text_is_readable_in_the_two_browsers_only(two, place):
    carried = []

    def listen(page):
        page.on("request", lambda request: carried.append(request.url + (request.post_data or "")))
        page.on("websocket", follow)

    def follow(socket):
        socket.on("framesent", lambda frame: carried.append(frame if isinstance(frame, str) else repr(frame)))
        socket.on("framereceived", lambda frame: carried.append(frame if isinstance(frame, str) else repr(frame)))

    nora, ben = two()
    for page in (nora, ben):
        listen(page)
        page.reload()
        expect(page.locator(".presence")).to_have_text("Here now")
    write(nora, SECRET)
    expect(bubble(ben, SECRET)).to_be_visible()
    number = nora.url.rpartition("/")[2]
    [kept] = nora.request.get(f"/api/bookings/{number}/chat").json()["messages"]

    # The check covers the right places: the encrypted form is in them, the text is not.
    assert any(kept["body"] in text and "chat-message" in text for text in carried)
    for words in (SECRET, b64encode(SECRET.encode()).decode().rstrip("=")):
        assert [text for text in carried if words in text] == []
    memories = {name: memory_of(pid) for name, pid in place.processes.items()}
    assert all(kept["body"].encode() in memory for memory in memories.values())
    assert [name for name, memory in memories.items() if SECRET.encode() in memory] == []
    stored = b"".join(file.read_bytes() for file in place.server.data.rglob("*") if file.is_file())
    assert b"Boiler service" in stored
    assert SECRET.encode() not in stored


def memory_of(pid):
    """Return the memory of a process."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions, *_, name = f"{line} -".split()[:7]
            if not permissions.startswith("rw") or name.startswith("[v"):
                continue
            start, end = (int(place, 16) for place in span.split("-"))
            memory.seek(start)
            with suppress(OSError):  # a guard page
                found.append(memory.read(end - start))
    return b"".join(found)


def test_tampered_message_is_not_shown(two):
    nora, ben = two()
    write(nora, SECRET)
    expect(bubble(ben, SECRET)).to_be_visible()

    def tamper(route):
        answer = route.fetch()
        chat = answer.json()
        body = chat["messages"][0]["body"]
        chat["messages"][0]["body"] = ("B" if body[0] == "A" else "A") + body[1:]
        route.fulfill(response=answer, json=chat)

    ben.route("**/chat", tamper)
    ben.reload()
    expect(ben.get_by_text("was changed on its way")).to_be_visible()
    assert bubble(ben, SECRET).count() == 0


def test_new_device_reads_later_messages_only(two, visit):
    nora, ben = two()
    write(ben, "Before")
    expect(bubble(nora, "Before")).to_be_visible()
    phone = visit("nora", nora.url, viewport=PHONE)
    expect(phone.get_by_text("What was written before cannot be read on this device.")).to_be_visible()
    # Ben's page knows the new device when both show the same code.
    expect(ben.locator(".code")).to_have_text(phone.locator(".code").text_content())
    write(ben, "After")
    expect(bubble(phone, "After")).to_be_visible()
    expect(bubble(nora, "After")).to_be_visible()
    write(phone, "From the phone")
    for page in (nora, ben):
        expect(bubble(page, "From the phone")).to_be_visible()


def test_chat_is_disabled_until_the_other_side_signs_in(visit):
    samir = visit("samir")
    samir.goto(book(samir, "windows"))
    expect(samir.get_by_text("Lucia is not signed in anywhere.")).to_be_visible()
    expect(message(samir)).to_be_disabled()
    visit("lucia")
    expect(message(samir)).to_be_enabled()


# --- interrupted connections


def test_message_written_offline_is_sent_when_online(two):
    nora, ben = two(quiet=False)
    nora.context.set_offline(True)
    expect(nora.locator(".line")).to_have_text("Offline")
    write(nora, "First")
    write(nora, "Second")
    for words in ("First", "Second"):
        expect(bubble(nora, words)).to_contain_text("Waiting for a connection")
    nora.context.set_offline(False)
    is_live(nora)
    expect(bubble(nora, "Second")).to_contain_text("Read")
    assert ben.get_by_role("log").get_by_role("paragraph").all_text_contents() == ["First", "Second"]


def test_pending_message_survives_a_reload(two):
    nora, ben = two(quiet=False)
    nora.route("**/messages", lambda route: route.abort())
    write(nora, "Do not lose me")
    expect(bubble(nora, "Do not lose me")).to_contain_text("Waiting for a connection")
    nora.reload()
    expect(bubble(nora, "Do not lose me")).to_contain_text("Waiting for a connection")
    nora.unroute("**/messages")
    nora.reload()
    expect(bubble(ben, "Do not lose me")).to_be_visible()
    expect(bubble(nora, "Do not lose me")).to_have_count(1)


def test_rate_limited_message_is_sent_after_the_delay(two):
    nora, ben = two(quiet=False)
    asked = []

    def slow_down(route):
        asked.append(time.monotonic())
        if len(asked) > 1:
            return route.continue_()
        return route.fulfill(status=429, headers={"retry-after": "1"}, json={"error": "Please wait a moment."})

    nora.route("**/messages", slow_down)
    write(nora, "Quick, quick")
    expect(nora.get_by_text("Please wait a moment.")).to_be_visible()
    expect(bubble(ben, "Quick, quick")).to_be_visible()
    assert asked[1] - asked[0] > 0.9


def test_page_recovers_after_a_killed_server_and_misses_nothing(two, place):
    nora, ben = two(quiet=False)
    place.server.kill()
    expect(ben.locator(".line")).not_to_have_text("Live")
    write(nora, "Are you there?")
    expect(bubble(nora, "Are you there?")).to_contain_text("Sent")
    place.server.start()
    for page in (nora, ben):
        expect(page.locator(".line")).to_have_text("Live")
    expect(bubble(ben, "Are you there?")).to_be_visible()
    ben.get_by_role("button", name="Accept").click()
    expect(bell(nora, 1)).to_be_visible()


# --- sessions


def test_expired_session_leaves_the_page(visit, tmp_path):
    with marketplace(tmp_path / "data", session=3, BELLCAST_HEARTBEAT="1") as short:
        page = visit("nora", place=short, quiet=False)
        expect(page.get_by_text("Your session has ended.")).to_be_visible()
        assert "/login" in page.url


def test_device_signed_out_by_another_leaves_and_the_other_stays(visit):
    laptop, phone = visit("tomasz", quiet=False), visit("tomasz", quiet=False, viewport=PHONE)
    laptop.goto("/account")
    is_live(laptop)
    laptop.get_by_role("button", name="Sign out").first.click()
    expect(phone.get_by_text("Your session has ended.")).to_be_visible()
    expect(laptop.get_by_role("listitem")).to_have_count(1)
    is_live(laptop)
    laptop.get_by_label("Tomasz Zielinski, provider").click()
    laptop.get_by_role("button", name="Sign out").click()
    expect(laptop.get_by_role("heading", name="Good hands for your home")).to_be_visible()


# --- accessibility and layout


def test_permission_for_desktop_notifications_is_requested_only_on_a_click(visit):
    ben = visit("ben", permissions=["notifications"])
    ben.add_init_script(
        """const asked = Notification.requestPermission.bind(Notification);
           globalThis.asked = 0;
           Notification.requestPermission = () => (globalThis.asked++, asked());"""
    )
    for path in ("/bookings", "/payments", "/account"):
        ben.goto(path)
        is_live(ben)
        assert ben.evaluate("asked") == 0
    ben.get_by_role("button", name=re.compile("^Notifications")).click()
    ben.get_by_role("button", name="Desktop alerts").click()
    expect(ben.get_by_role("button", name="Desktop alerts", pressed=True)).to_be_visible()
    assert ben.evaluate("asked") == 1


def test_marketplace_is_usable_by_keyboard(visit):
    nora = visit("nora")
    nora.keyboard.press("Tab")
    expect(nora.get_by_role("link", name="To the page")).to_be_focused()
    nora.keyboard.press("Enter")
    expect(nora.get_by_role("main")).to_be_focused()
    nora.get_by_label("Nora Achterberg, client").focus()
    nora.keyboard.press("Enter")
    expect(nora.get_by_role("link", name="Account and devices")).to_be_visible()
    nora.keyboard.press("Escape")
    expect(nora.get_by_role("link", name="Account and devices")).to_be_hidden()
    expect(nora.get_by_label("Nora Achterberg, client")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(visit, scheme):
    page = visit("nora", viewport=PHONE, color_scheme=scheme, quiet=False)
    for path in ("/bookings", "/services", "/services/tap", "/payments", "/account", "/bookings/301", "/nowhere"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_empty_page_links_to_the_next_step(visit):
    lucia = visit("lucia", "/payments")
    expect(lucia.get_by_role("link", name="House cleaning")).to_be_visible()
    tomasz = visit("tomasz", "/payments")
    expect(tomasz.get_by_role("heading", name="Nothing here yet")).to_be_visible()
