"""The marketplace in Chromium: two users in one browser, an encrypted chat, and interrupted connections."""

import re
import subprocess
import time
from base64 import b64encode

import pytest
from playwright.sync_api import expect
from tests.browser.looks import small_targets
from tests.browser.push import endpoints, push_to
from tests.browser.shop import NOTICE_DURATION, wait_until
from tests.browser.test_accessibility import dark_violations, violations
from tests.chromium import prolong
from tests.journey.marketplace_client import free_time
from tests.process_memory import memory_of
from tests.push_browser import stand_in
from tests.service_marketplace_app import marketplace

from bellcast.client import Bellcast

# Messages of the browser itself about an unreachable or refusing server, which a page cannot silence.
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to")
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 780}
SECRET = "Meet me under the walnut tree at nine"


@pytest.fixture(scope="module")
def site(tmp_path_factory, two_workers):
    with marketplace(
        tmp_path_factory.mktemp("marketplace") / "data", two_workers=two_workers, BELLCAST_HEARTBEAT="1"
    ) as site:
        yield site


@pytest.fixture
def browse(chromium):
    """Opens browsers; their pages may log only the errors that a test expects."""
    contexts, complaints, expected = [], [], []

    def browse(site, viewport=WIDE, quiet=True, **options):
        context = chromium.new_context(base_url=site.url, viewport=viewport, **options)
        context.set_default_timeout(40_000)
        prolong(context, NOTICE_DURATION)
        contexts.append(context)
        console_errors = complaints if quiet else expected
        context.on("console", lambda message: console_errors.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        return context

    yield browse
    for context in contexts:
        context.close()
    assert complaints == []
    assert [text for text in expected if not text.startswith(BROWSER_MESSAGES)] == []


@pytest.fixture(autouse=True)
def nothing_unread(site):
    site.empty_outbox()
    with Bellcast(site.server.url, site.server.secret) as bell:
        for key in ("nora", "samir", "ben", "lucia", "tomasz"):
            bell.inbox(bell.token(key, tenant="gable")).clear("all")


@pytest.fixture
def sign_in(browse, site):
    """Signs a person in with a new browser, and returns a live page."""

    def sign_in(person, path="/bookings", site=site, **options):
        context = browse(site, **options)
        assert context.request.post("/login", form={"username": person, "password": "bellcast"}).ok
        page = context.new_page()
        page.goto(path)
        is_live(page)
        return page

    return sign_in


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
    draft = {
        "service": service,
        "starts_at": free_time(),
        "address": "Canal Row 18",
    }
    return f"/bookings/{page.request.post('/api/bookings', data=draft).json()['id']}"


@pytest.fixture
def nora_and_ben(sign_in):
    """Nora and Ben at the same new booking, each in a separate browser."""

    def nora_and_ben(**options):
        nora = sign_in("nora", **options)
        path = book(nora)
        nora.goto(path)
        ben = sign_in("ben", path, **options)
        for page in (nora, ben):
            expect(page.locator(".presence")).to_have_text("Here now")
        return nora, ben

    return nora_and_ben


# --- on a phone, and with no page open


@pytest.mark.parametrize("color_scheme", ["light", pytest.param("dark", marks=pytest.mark.thorough)])
@pytest.mark.thorough
def test_urgent_toast_leaves_the_navigation_of_a_phone_free(sign_in, site, color_scheme):
    page = sign_in("ben", viewport=PHONE, color_scheme=color_scheme)
    with Bellcast(site.server.url, site.server.secret) as bell:
        bell.notify("ben", tenant="gable", title="Water everywhere", priority="urgent")
    toast = page.locator("bellcast-toasts").get_by_text("Water everywhere")
    expect(toast).to_be_visible()
    bar = page.get_by_role("navigation", name="Main").bounding_box()
    assert page.locator("bellcast-toasts").bounding_box()["y"] < bar["y"]
    toasts = page.locator("bellcast-toasts").bounding_box()
    assert toasts["y"] + toasts["height"] <= bar["y"]
    page.get_by_role("link", name="Earnings").click()
    expect(page.get_by_role("heading", name="Earnings")).to_be_visible()


@pytest.mark.parametrize("viewport", [pytest.param(WIDE, marks=pytest.mark.thorough), PHONE], ids=["desktop", "phone"])
@pytest.mark.thorough
def test_axe_finds_nothing_on_the_pages_of_gable(sign_in, viewport):
    page = sign_in("ben", viewport=viewport)
    for path in ("/bookings", "/account"):
        page.goto(path)
        is_live(page)
        page.get_by_label("Ben Marlowe").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], path
        assert violations(page) == violations(page, ["label-content-name-mismatch"]) == dark_violations(page) == [], (
            path
        )


@pytest.mark.thorough
def test_push_switch_registers_the_browser_and_its_worker_shows_messages_of_gable(full_chromium, site):
    context = full_chromium.new_context(base_url=site.url, viewport=PHONE, permissions=["notifications"])
    context.add_init_script(stand_in("https://push.example/ben"))
    try:
        assert context.request.post("/login", form={"username": "ben", "password": "bellcast"}).ok
        page = context.new_page()
        page.goto("/account")
        switch = page.get_by_label("Push messages on this device")
        switch.check()
        wait_until(
            lambda: endpoints(site.server, "gable", "ben") == ["https://push.example/ben"], lambda: "no endpoint"
        )
        assert push_to(page, site.url, {"id": "n1", "title": "Nora requested Friday", "url": "/bookings/301"})
        page.reload()
        expect(switch).to_be_checked()  # the page knows the state of this device
        switch.uncheck()
        wait_until(lambda: endpoints(site.server, "gable", "ben") == [], lambda: "the endpoint is still there")
    finally:
        context.close()


# --- both sides of a booking


def named_list(page, name):
    return page.get_by_role("list", name=name)


@pytest.mark.thorough
def test_react_page_shows_the_events_of_both_sides(sign_in, site):
    nora, ben = sign_in("nora", "/today"), sign_in("ben", "/today")
    for page in (nora, ben):
        expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    booking = book(nora).rpartition("/")[2]

    def row(page):
        return (
            named_list(page, "Open bookings").get_by_role("listitem").filter(has=page.locator(f'[href$="/{booking}"]'))
        )

    expect(named_list(ben, "Recent activity")).to_contain_text("Nora requested")
    row(ben).get_by_role("button", name="Accept").click()
    expect(named_list(nora, "Recent activity")).to_contain_text("Ben accepted your booking")
    expect(row(nora)).to_contain_text("Accepted")
    assert nora.request.post(f"/api/bookings/{booking}/payment", data={"card": "4242"}).ok
    expect(named_list(ben, "Recent activity")).to_contain_text("Nora paid you")
    expect(named_list(nora, "Recent activity")).to_contain_text("You paid Ben")
    for page in (nora, ben):
        expect(row(page)).to_contain_text("Paid")


@pytest.mark.thorough
def test_react_page_shows_its_connection_and_receives_missed_events(sign_in, site):
    ben = sign_in("ben", "/today", quiet=False)
    ben.get_by_role("button", name="Ping").click()
    expect(ben.get_by_text(re.compile(r"^Connected, ping \d+ ms$"))).to_be_visible()
    ben.context.set_offline(offline=True)
    expect(ben.get_by_text(re.compile("^Disconnected"))).to_be_visible()
    with Bellcast(site.server.url, site.server.secret) as bell:
        bell.notify("ben", tenant="gable", title="The van is in the yard", type="notification")
    ben.context.set_offline(offline=False)
    expect(ben.get_by_text(re.compile("^Connected"))).to_be_visible()
    expect(named_list(ben, "Recent activity")).to_contain_text("The van is in the yard")


@pytest.mark.thorough
def test_form_that_the_back_button_restores_books_again(sign_in):
    nora = sign_in("nora", "/services/tap")
    # A response without content leaves the page as it was, as do browsers that keep it for their Back button.
    nora.route(re.compile(r"/bookings/\d+$"), lambda route: route.fulfill(status=204))
    nora.get_by_label("Day").fill(free_time().partition("T")[0])
    nora.get_by_label("Address").fill("Canal Row 18")
    numbers = set()
    for time_of_day in ("08:00", "18:00"):
        nora.get_by_text(time_of_day).click()
        with nora.expect_response("**/api/bookings") as response:
            nora.get_by_role("button", name="Request Ben").click()
        numbers.add(response.value.json()["id"])
    assert len(numbers) == 2


@pytest.mark.thorough
def test_react_page_shows_bookings_while_bellcast_is_unreachable_and_says_so_of_the_site(sign_in, site):
    ben = sign_in("ben", quiet=False)
    ben.context.route(f"{site.server.url}/**", lambda route: route.abort())
    ben.goto("/today")
    job = named_list(ben, "Open bookings").get_by_role("listitem").filter(has_text="Samir Haddad").first
    expect(job).to_be_visible()
    expect(ben.get_by_text(re.compile("^Disconnected"))).to_be_visible()
    expect(ben.get_by_role("button", name="Ping")).to_be_disabled()
    ben.context.route("**/api/bookings/*/*", lambda route: route.abort())
    job.get_by_role("button", name="Cancel booking").click()
    expect(job.get_by_role("alert")).to_have_text("No connection. Please try again.")
    ben.context.unroute_all()
    expect(ben.get_by_text("Connected", exact=True)).to_be_visible()


@pytest.mark.thorough
def test_booking_and_chat_work_in_two_frames_of_a_page(browse, site):
    page = browse(site).new_page()
    page.goto("/")
    nora, ben = (page.frame_locator(f"iframe[name={key}]") for key in ("nora", "ben"))
    for frame in (nora, ben):
        is_live(frame)

    nora.get_by_role("link", name="Find help").first.click()
    # Otherwise the click could hit a link of the previous page while the navigation begins.
    expect(nora.get_by_role("heading", name="What does your home need?")).to_be_visible()
    nora.get_by_role("link", name="Boiler service").click()
    # Work within a day would send its reminder at once.
    nora.get_by_label("Day").fill(free_time().partition("T")[0])
    nora.get_by_label("Address").fill("Canal Row 18")
    nora.get_by_role("button", name="Request Ben").click()
    # Ben's list shows it without a reload, and his bell counts it.
    expect(ben.get_by_role("listitem").filter(has_text="Boiler service").get_by_text("Reply to Nora")).to_be_visible()
    bell(ben, 1).click()
    ben.get_by_role("link", name=re.compile("Nora requested")).first.click()
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

    site.begin(int(ben.locator("[data-booking]").first.get_attribute("data-booking")))
    nora.get_by_text("Card ending 0002").click()
    nora.get_by_role("button", name="Pay Ben").click()
    expect(nora.get_by_text("The card ending 0002 was declined.")).to_be_visible()
    nora.get_by_text("Card ending 4242").click()
    nora.get_by_role("button", name="Pay Ben").click()
    expect(nora.get_by_text("Paid", exact=True).first).to_be_visible()
    expect(ben.get_by_role("button", name="Refund €150.00")).to_be_visible()
    ben.get_by_role("button", name="Mark as done").click()
    expect(nora.get_by_text("Done", exact=True).first).to_be_visible()
    ben.get_by_role("button", name="Refund €150.00").click()
    expect(nora.get_by_text("Refunded", exact=True)).to_be_visible()
    # Accepted, failed, confirmed, done, refunded.
    expect(bell(nora, 5)).to_be_visible()


@pytest.mark.thorough
def test_toast_opens_its_booking_and_marks_it_as_read(sign_in):
    nora, ben = sign_in("nora"), sign_in("ben")
    book(nora)
    toast = ben.locator("bellcast-toasts").get_by_role("link", name=re.compile("Nora requested"))
    toast.click()
    expect(ben.get_by_role("button", name="Accept")).to_be_visible()
    expect(bell(ben, 0)).to_be_visible()


@pytest.mark.thorough
def test_message_to_a_closed_chat_notifies_until_it_is_read(nora_and_ben):
    nora, ben = nora_and_ben()
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


# --- languages


@pytest.fixture
def arabic(sign_in):
    """Samir's page, in Arabic until the end of the test."""
    page = sign_in("samir", "/services/tap", quiet=False)
    page.get_by_label("Language").click()
    page.get_by_role("button", name="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator(".line")).to_have_text("متصل")
    yield page
    page.request.post("/language", form={"language": "en"})


@pytest.mark.thorough
def test_booking_and_its_notification_are_in_arabic_from_right_to_left(arabic, sign_in):
    ben = sign_in("ben")
    assert arabic.get_by_role("link", name="Gable").bounding_box()["x"] > WIDE["width"] / 2
    arabic.locator("[name=day]").fill(free_time().partition("T")[0])
    arabic.get_by_label("العنوان").fill(" ")
    arabic.get_by_role("button", name="إرسال الطلب إلى Ben").click()
    expect(arabic.get_by_role("alert")).to_have_text("يُرجى إدخال العنوان.")
    arabic.get_by_label("العنوان").fill("Mill Lane 4")
    arabic.get_by_role("button", name="إرسال الطلب إلى Ben").click()
    expect(arabic.get_by_text("وصل طلبك إلى Ben")).to_be_visible()
    ben.goto(arabic.url)
    ben.get_by_role("button", name="Accept").click()
    expect(arabic.get_by_role("heading", name="دفع")).to_contain_text("65.00")
    arabic.get_by_role("button", name="الإشعارات، 1 غير مقروءة").click()
    row = arabic.locator("bellcast-bell").get_by_role("link", name=re.compile("تم قبول حجزك لدى Ben"))
    expect(row).to_be_visible()
    assert row.evaluate("element => getComputedStyle(element).direction") == "rtl"


# --- confidentiality


@pytest.mark.thorough
def test_chat_text_is_readable_in_the_two_browsers_only(nora_and_ben, site):
    carried = []

    def listen(page):
        page.on("request", lambda request: carried.append(request.url + (request.post_data or "")))
        page.on("websocket", follow)

    def follow(socket):
        socket.on("framesent", lambda frame: carried.append(frame if isinstance(frame, str) else repr(frame)))
        socket.on("framereceived", lambda frame: carried.append(frame if isinstance(frame, str) else repr(frame)))

    nora, ben = nora_and_ben()
    for page in (nora, ben):
        listen(page)
        page.reload()
        expect(page.locator(".presence")).to_have_text("Here now")
    write(nora, SECRET)
    expect(bubble(ben, SECRET)).to_be_visible()
    number = nora.url.rpartition("/")[2]
    [chat_message] = nora.request.get(f"/api/bookings/{number}/chat").json()["messages"]

    # The check covers the right places: the encrypted form is in them, the text is not.
    assert any(chat_message["body"] in text and "chat-message" in text for text in carried)
    for secret_form in (SECRET, b64encode(SECRET.encode()).decode().rstrip("=")):
        assert [text for text in carried if secret_form in text] == []
    memories = {name: b"".join(map(memory_of, pids)) for name, pids in site.processes.items()}
    assert all(chat_message["body"].encode() in memory for memory in memories.values())
    assert [name for name, memory in memories.items() if SECRET.encode() in memory] == []
    stored = stored_by(site.server)
    assert b"Boiler service" in stored
    assert SECRET.encode() not in stored


def stored_by(server):
    """Return the files of a server, and the dump of its database if that is PostgreSQL."""
    files = b"".join(file.read_bytes() for file in server.data.rglob("*") if file.is_file())
    store = server.environ.get("BELLCAST_STORE")
    return files + (subprocess.check_output(["pg_dump", "--dbname", store]) if store else b"")


@pytest.mark.thorough
def test_tampered_message_is_not_shown(nora_and_ben):
    nora, ben = nora_and_ben()
    write(nora, SECRET)
    expect(bubble(ben, SECRET)).to_be_visible()

    def tamper(route):
        response = route.fetch()
        chat = response.json()
        body = chat["messages"][0]["body"]
        chat["messages"][0]["body"] = ("B" if body[0] == "A" else "A") + body[1:]
        route.fulfill(response=response, json=chat)

    ben.route("**/chat", tamper)
    ben.reload()
    expect(ben.get_by_text("was altered in transit")).to_be_visible()
    assert bubble(ben, SECRET).count() == 0
    ben.unroute_all(behavior="wait")  # closing the page would fail a fetch in progress


@pytest.mark.thorough
def test_new_device_reads_later_messages_only(nora_and_ben, sign_in):
    nora, ben = nora_and_ben()
    write(ben, "Before")
    expect(bubble(nora, "Before")).to_be_visible()
    phone = sign_in("nora", nora.url, viewport=PHONE)
    expect(phone.get_by_text("Earlier messages cannot be read on this device.")).to_be_visible()
    # Ben's page knows the new device when both show the same code.
    expect(ben.locator(".code")).to_have_text(phone.locator(".code").text_content())
    write(ben, "After")
    expect(bubble(phone, "After")).to_be_visible()
    expect(bubble(nora, "After")).to_be_visible()
    write(phone, "From the phone")
    for page in (nora, ben):
        expect(bubble(page, "From the phone")).to_be_visible()


@pytest.mark.thorough
def test_chat_is_disabled_until_the_other_side_signs_in(sign_in):
    samir = sign_in("samir")
    samir.goto(book(samir, "windows"))
    expect(samir.get_by_text("Lucia is not signed in anywhere.")).to_be_visible()
    expect(message(samir)).to_be_disabled()
    sign_in("lucia")
    expect(message(samir)).to_be_enabled()


# --- interrupted connections


@pytest.mark.thorough
def test_message_written_offline_is_sent_when_online(nora_and_ben):
    nora, ben = nora_and_ben(quiet=False)
    nora.context.set_offline(True)
    expect(nora.locator(".line")).to_have_text("Offline")
    write(nora, "First")
    write(nora, "Second")
    for text in ("First", "Second"):
        expect(bubble(nora, text)).to_contain_text("Waiting for a connection")
    nora.context.set_offline(False)
    is_live(nora)
    expect(bubble(nora, "Second")).to_contain_text("Read")
    assert ben.get_by_role("log").get_by_role("paragraph").all_text_contents() == ["First", "Second"]


@pytest.mark.thorough
def test_pending_message_survives_a_reload(nora_and_ben):
    nora, ben = nora_and_ben(quiet=False)
    nora.route("**/messages", lambda route: route.abort())
    write(nora, "Do not lose me")
    expect(bubble(nora, "Do not lose me")).to_contain_text("Waiting for a connection")
    nora.reload()
    expect(bubble(nora, "Do not lose me")).to_contain_text("Waiting for a connection")
    nora.unroute("**/messages")
    nora.reload()
    expect(bubble(ben, "Do not lose me")).to_be_visible()
    expect(bubble(nora, "Do not lose me")).to_have_count(1)


@pytest.mark.thorough
def test_rate_limited_message_is_sent_after_the_delay(nora_and_ben):
    nora, ben = nora_and_ben(quiet=False)
    attempts = []

    def slow_down(route):
        attempts.append(time.monotonic())
        if len(attempts) > 1:
            return route.continue_()
        return route.fulfill(status=429, headers={"retry-after": "1"}, json={"error": "Please wait a moment."})

    nora.route("**/messages", slow_down)
    write(nora, "Quick, quick")
    expect(nora.get_by_text("Please wait a moment.")).to_be_visible()
    expect(bubble(ben, "Quick, quick")).to_be_visible()
    assert attempts[1] - attempts[0] > 0.9


@pytest.mark.thorough
def test_page_recovers_after_a_killed_server_and_misses_nothing(nora_and_ben, site):
    nora, ben = nora_and_ben(quiet=False)
    with site.server.killed():
        expect(ben.locator(".line")).not_to_have_text("Live")
        write(nora, "Are you there?")
        expect(bubble(nora, "Are you there?")).to_contain_text("Sent")
    for page in (nora, ben):
        expect(page.locator(".line")).to_have_text("Live")
    expect(bubble(ben, "Are you there?")).to_be_visible()
    ben.get_by_role("button", name="Accept").click()
    expect(bell(nora, 1)).to_be_visible()


# --- sessions


@pytest.mark.thorough
def test_expired_session_leaves_the_page(sign_in, tmp_path, two_workers):
    # A session is long enough for the page to open on a loaded machine.
    with marketplace(tmp_path / "data", two_workers=two_workers, session=20, BELLCAST_HEARTBEAT="1") as short:
        page = sign_in("nora", site=short, quiet=False)
        expect(page.get_by_text("Your session has ended.")).to_be_visible()
        assert "/login" in page.url


@pytest.mark.thorough
def test_device_signed_out_by_another_leaves_and_the_other_stays(sign_in):
    laptop, phone = sign_in("tomasz", quiet=False), sign_in("tomasz", quiet=False, viewport=PHONE)
    laptop.goto("/account")
    is_live(laptop)
    laptop.get_by_role("button", name="Sign out", exact=True).first.click()
    expect(phone.get_by_text("Your session has ended.")).to_be_visible()
    expect(laptop.get_by_role("listitem")).to_have_count(1)
    is_live(laptop)
    laptop.get_by_label("Tomasz Zielinski, provider").click()
    laptop.get_by_role("button", name="Sign out", exact=True).click()
    expect(laptop.get_by_role("heading", name="Good hands for your home")).to_be_visible()


# --- accessibility and layout


@pytest.mark.thorough
def test_permission_for_desktop_notifications_is_requested_only_on_a_click(sign_in):
    ben = sign_in("ben", permissions=["notifications"])
    ben.add_init_script(
        """const request = Notification.requestPermission.bind(Notification);
           globalThis.prompts = 0;
           Notification.requestPermission = () => (globalThis.prompts++, request());"""
    )
    for path in ("/bookings", "/payments", "/account"):
        ben.goto(path)
        is_live(ben)
        assert ben.evaluate("prompts") == 0
    ben.get_by_role("button", name=re.compile("^Notifications")).click()
    ben.get_by_role("button", name="Preferences").click()
    ben.get_by_role("switch", name="Desktop alerts").click()
    expect(ben.get_by_role("switch", name="Desktop alerts")).to_be_checked()
    assert ben.evaluate("prompts") == 1


@pytest.mark.thorough
def test_double_click_on_the_second_of_two_buttons_sends_one_request(sign_in):
    path = book(sign_in("nora"))
    ben = sign_in("ben", path)
    sent = []
    ben.on("request", lambda request: sent.append(request.url) if request.method == "PUT" else None)
    ben.get_by_role("button", name="Decline").dblclick()
    expect(ben.locator(".chip").first).to_have_text("Declined")
    assert [url.rpartition("/")[2] for url in sent if "/bookings/" in url] == ["decline"]


@pytest.mark.thorough
def test_marketplace_is_usable_by_keyboard(sign_in):
    nora = sign_in("nora")
    nora.keyboard.press("Tab")
    expect(nora.get_by_role("link", name="Skip to content")).to_be_focused()
    nora.keyboard.press("Enter")
    expect(nora.get_by_role("main")).to_be_focused()
    nora.get_by_label("Nora Achterberg, client").focus()
    nora.keyboard.press("Enter")
    expect(nora.get_by_role("link", name="Account and devices")).to_be_visible()
    nora.keyboard.press("Escape")
    expect(nora.get_by_role("link", name="Account and devices")).to_be_hidden()
    expect(nora.get_by_label("Nora Achterberg, client")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.thorough)])
@pytest.mark.thorough
def test_pages_fit_a_phone(sign_in, scheme):
    page = sign_in("nora", viewport=PHONE, color_scheme=scheme, quiet=False, is_mobile=True, has_touch=True)
    for path in (
        "/bookings",
        "/today",
        "/services",
        "/services/tap",
        "/payments",
        "/account",
        "/bookings/301",
        "/nowhere",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert small_targets(page) == [], path
    for menu in ("Language", "Nora Achterberg, client"):
        page.get_by_label(menu).tap()
        assert small_targets(page) == [], menu


@pytest.mark.thorough
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["desktop", "phone"])
def test_toasts_cover_no_button_and_no_field_of_a_booking(sign_in, site, viewport):
    nora = sign_in("nora", viewport=viewport)
    path = book(nora)
    with site.visitor("ben") as ben:
        ben.put(f"/api{path}/accept", json={})
    nora.goto(path)
    is_live(nora)
    with Bellcast(site.server.url, site.server.secret) as bell:
        for number in range(3):
            bell.notify("nora", tenant="gable", title=f"News {number}", body="Of today")
    expect(nora.locator("bellcast-toasts")).to_contain_text("News 2")
    nora.get_by_role("button", name="Pay Ben").click(trial=True)
    message(nora).click(trial=True)


@pytest.mark.thorough
def test_empty_page_links_to_the_next_step(sign_in):
    lucia = sign_in("lucia", "/payments")
    expect(lucia.get_by_role("link", name="House cleaning")).to_be_visible()
    tomasz = sign_in("tomasz", "/payments")
    expect(tomasz.get_by_role("heading", name="Nothing here yet")).to_be_visible()
