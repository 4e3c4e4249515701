"""The photo studio in Chromium: three users in one browser notify each other."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Error, expect
from tests.app_servers import app_server
from tests.browser.push import endpoints, push_to
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import dark_violations, violations
from tests.photo_studio_app import Studio, free_time
from tests.push_browser import stand_in

from bellcast.client import Bellcast
from bellcast.examples.photo_studio.bookings import now_here


@pytest.fixture
def server(tmp_path, two_workers):
    with app_server(tmp_path / "data", {}, two_workers=two_workers) as server:
        yield server


@pytest.fixture
def studio(server, tmp_path):
    with Studio(tmp_path, server=server).running() as studio:
        yield studio.url


@pytest.fixture
def page(chromium, studio):
    """A page that may not log errors."""
    context = chromium.new_context(base_url=studio, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(40_000)
    complaints = []
    context.on(
        "console",
        lambda message: complaints.append(f"{message.text} {message.location}") if message.type == "error" else None,
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert complaints == []


def bell(desk, count=None):
    """Locate a person's bell; with a count, the bell with that many unread notifications."""
    name = "Notifications" if count is None else f"Notifications, {count} unread" if count else "Notifications"
    return desk.get_by_role("button", name=name, exact=count is not None)


def open_notification(desk, title):
    """Open the bell, and follow a notification."""
    bell(desk).click()
    desk.get_by_role("link", name=re.compile(title)).first.click()


def natural_width(image):
    """Return the width of a loaded picture; 0 while it loads, or while its page is replaced by the one that was opened."""
    try:
        return image.evaluate("(image) => image.naturalWidth")
    except Error:
        return 0


def book(desk, place):
    desk.get_by_role("link", name="Book a session").first.click()
    desk.get_by_text("Family", exact=True).click()
    desk.get_by_role("button", name="Continue").click()
    # A session within a day would send its reminder at once.
    desk.get_by_label("Day").fill(free_time().partition("T")[0])
    desk.get_by_label("Place").fill(place)
    desk.get_by_role("button", name="Continue").click()
    expect(desk.locator(".summary")).to_contain_text(place)
    desk.get_by_role("button", name="Book this session").click()
    expect(desk.get_by_role("heading", name="Family session")).to_be_visible()


def sign_in(page, name):
    page.goto("/login")
    page.get_by_role("button", name=re.compile(name)).click()
    expect(page.get_by_role("heading", name=f"Hello, {name.split()[0]}")).to_be_visible()


@pytest.mark.thorough
def test_three_people_notify_each_other(page, tmp_path):
    picture = tmp_path / "picture.png"
    page.goto("/")
    page.locator("header").screenshot(path=picture)
    clara, mira, theo = (page.frame_locator(f"iframe[name={key}]") for key in ("clara", "mira", "theo"))
    for desk in (clara, mira, theo):
        expect(bell(desk, 0)).to_be_visible()

    book(clara, "The old orchard")
    expect(bell(mira, 1)).to_be_visible()
    # The list shows it without a reload.
    expect(mira.get_by_text("The old orchard").first).to_be_visible()
    open_notification(mira, "New booking from Clara Jensen")
    expect(mira.get_by_role("heading", name="Assign a photographer")).to_be_visible()
    expect(bell(mira, 0)).to_be_visible()

    mira.get_by_text("Theo Lindqvist").click()
    mira.get_by_role("button", name="Assign").click()
    expect(bell(theo, 1)).to_be_visible()
    expect(clara.get_by_text("Theo will photograph this session")).to_be_visible()
    expect(bell(clara, 1)).to_be_visible()
    open_notification(clara, "Your booking is accepted")
    expect(bell(clara, 0)).to_be_visible()
    open_notification(theo, "Family session for Clara Jensen")
    expect(bell(theo, 0)).to_be_visible()

    theo.get_by_label("Title of the gallery").fill("Under the apple trees")
    theo.get_by_label("Photographs").fill("9")
    theo.get_by_label("Pictures from your card").set_input_files(picture)
    theo.get_by_role("button", name="Deliver to Clara").click()
    expect(bell(clara, 1)).to_be_visible()
    open_notification(clara, "Your photographs are ready")
    expect(clara.get_by_role("heading", name="Under the apple trees")).to_be_visible()
    expect(bell(clara, 0)).to_be_visible()
    photographs = clara.get_by_role("img", name=re.compile("Photograph"))
    expect(photographs).to_have_count(9)
    wait_until(lambda: natural_width(photographs.first) > 1000, lambda: "the picture is not loaded")

    photographs.first.click()
    expect(clara.get_by_role("dialog", name="Photograph")).to_be_visible()
    clara.get_by_role("button", name="Close").click()
    expect(clara.get_by_role("dialog", name="Photograph")).to_be_hidden()


@pytest.mark.thorough
def test_push_switch_registers_the_browser_and_its_worker_shows_messages(full_chromium, server, studio):
    context = full_chromium.new_context(base_url=studio, permissions=["notifications"])
    context.add_init_script(stand_in("https://push.example/clara"))
    try:
        with Bellcast(server.url, server.secret) as app:
            page = context.new_page()
            sign_in(page, "Clara Jensen")
            page.get_by_label("Clara Jensen").click()
            switch = page.get_by_label("Push messages on this device")
            switch.check()
            wait_until(
                lambda: endpoints(server, "oriel", "clara") == ["https://push.example/clara"], lambda: "no endpoint"
            )
            app.notify("clara", tenant="oriel", title="Ready", channels=["inbox", "push"])
            wait_until(lambda: app.messages.list(channel="push", tenant="oriel").messages, lambda: "no push message")

            page.reload()
            page.get_by_label("Clara Jensen").click()
            expect(switch).to_be_checked()
            assert push_to(page, studio, {"id": "n1", "title": "Your photographs are ready", "url": "/bookings/1041"})

            switch.uncheck()
            wait_until(lambda: endpoints(server, "oriel", "clara") == [], lambda: "the endpoint is still there")
    finally:
        context.close()


@pytest.mark.thorough
def test_signed_out_page_goes_to_the_sign_in_page(chromium, studio):
    context = chromium.new_context(base_url=studio)  # the browser logs the refused token
    page = context.new_page()
    sign_in(page, "Jonas Weber")
    other = context.new_page()
    other.goto("/bookings")
    expect(bell(other, 0)).to_be_visible()
    page.get_by_label("Jonas Weber").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()


@pytest.mark.thorough
def test_client_cancels_a_booking_in_the_page(page):
    page.on("dialog", lambda dialog: dialog.accept())
    sign_in(page, "Clara Jensen")
    book(page, "The old orchard")
    page.get_by_role("button", name="Cancel this booking").click()
    expect(page.get_by_text("The client cancelled this booking.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel this booking")).to_have_count(0)


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.thorough)])
@pytest.mark.thorough
def test_axe_finds_nothing_on_the_pages_of_oriel(chromium, studio, width):
    context = chromium.new_context(base_url=studio, viewport={"width": width, "height": 800})
    page = context.new_page()
    sign_in(page, "Clara Jensen")
    for path in ("/bookings", "/bookings/new", "/bookings/1044"):
        page.goto(path)
        expect(bell(page, 0)).to_be_visible()
        page.get_by_label("Clara Jensen").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert violations(page) == violations(page, ["label-content-name-mismatch"]) == dark_violations(page) == [], (
            path
        )
    context.close()


@pytest.mark.thorough
def test_list_is_current_after_going_back_and_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, "Clara Jensen")
    book(page, "W" * 100)
    sign_in(page, "Mira Okafor")
    card = page.locator("li.card", has_text="W" * 100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    card.get_by_role("link").click()
    page.get_by_text("Ines Duarte").click()
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_role("button", name="Change")).to_be_visible()
    page.go_back()
    expect(card).to_contain_text("Ines Duarte")


@pytest.mark.thorough
def test_page_from_the_back_forward_cache_is_loaded_again(page):
    sign_in(page, "Clara Jensen")
    page.goto("/bookings/new")
    with page.expect_navigation():  # Chromium without a window has no such cache
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


@pytest.mark.thorough
def test_suggested_day_of_a_booking_is_a_week_ahead(page):
    sign_in(page, "Clara Jensen")
    page.goto("/bookings/new")
    expect(page.locator("[name=day]")).to_have_value(f"{now_here() + timedelta(weeks=1):%Y-%m-%d}")


@pytest.mark.thorough
def test_form_in_use_is_not_replaced(page, server):
    sign_in(page, "Theo Lindqvist")
    page.get_by_role("link", name="Portrait").click()
    page.get_by_label("Title of the gallery").fill("Half a title")
    with Bellcast(server.url, server.secret) as app:
        app.notify("theo", tenant="oriel", title="Something else")
    expect(bell(page, 1)).to_be_visible()
    expect(page.get_by_label("Title of the gallery")).to_have_value("Half a title")


@pytest.mark.thorough
def test_read_mark_reaches_the_other_device(chromium, page, server, studio):
    sign_in(page, "Mira Okafor")
    phone = chromium.new_context(base_url=studio, viewport={"width": 390, "height": 800})
    try:
        other = phone.new_page()
        sign_in(other, "Mira Okafor")
        with Bellcast(server.url, server.secret) as app:
            app.notify("mira", tenant="oriel", title="Look", action_url="/bookings/1044")
        expect(bell(page, 1)).to_be_visible()
        expect(bell(other, 1)).to_be_visible()
        open_notification(other, "Look")
        expect(other.get_by_role("heading", name="Wedding session")).to_be_visible()
        expect(bell(page, 0)).to_be_visible()
    finally:
        phone.close()


@pytest.mark.thorough
def test_open_page_recovers_after_a_killed_server(chromium, server, studio):
    context = chromium.new_context(base_url=studio)
    try:
        page, stream = context.new_page(), "**/api/notifications/stream"
        with page.expect_response(stream):
            sign_in(page, "Mira Okafor")
        expect(bell(page, 0)).to_be_visible()
        with page.expect_response(stream):  # the response in the outage
            server.kill()
        server.start()
        with page.expect_request(page.url), Bellcast(server.url, server.secret) as app:  # the page refreshes itself
            app.notify("mira", tenant="oriel", title="Still here")
        expect(bell(page, 1)).to_be_visible()
    finally:
        context.close()


@pytest.mark.thorough
def test_open_page_recovers_after_a_response_of_a_proxy(chromium, studio):
    context = chromium.new_context(base_url=studio)  # the browser logs the 502
    try:
        page, stream = context.new_page(), "**/api/notifications/stream"
        page.clock.install()
        context.route(stream, lambda route: route.fulfill(status=502))
        with page.expect_response(stream):
            sign_in(page, "Mira Okafor")
        context.unroute(stream)
        with page.expect_response(stream) as response:
            page.clock.run_for(10_000)
        assert response.value.status == 200
    finally:
        context.close()


@pytest.mark.thorough
def test_polling_bell_is_later_than_the_live_bell(page, server):
    sign_in(page, "Mira Okafor")
    page.clock.install()
    page.get_by_label("Mira Okafor").click()
    page.get_by_role("link", name="Old and new bell").click()
    old = page.get_by_role("region", name="Polls every 30 seconds")
    new = page.get_by_role("region", name="Receives live events")
    page.clock.run_for(1_000)
    expect(old.get_by_role("list")).to_contain_text("an empty inbox")
    expect(new.get_by_role("list")).to_contain_text("connected")

    with Bellcast(server.url, server.secret) as app:
        app.notify("mira", tenant="oriel", title="The lights are on")
    expect(new.get_by_role("list")).to_contain_text("The lights are on")
    expect(new.get_by_role("status")).to_have_text("1")
    expect(old.get_by_role("status")).to_have_text("0")

    page.clock.run_for(30_000)
    expect(old.get_by_role("list")).to_contain_text("The lights are on")
    expect(old.get_by_role("status")).to_have_text("1")
    page.clock.run_for(30_000)
    expect(old.get_by_role("list")).to_contain_text("nothing new")


@pytest.mark.thorough
def test_booking_without_a_place_is_not_continued(page):
    sign_in(page, "Clara Jensen")
    page.get_by_role("link", name="Book a session").first.click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Place").fill("   ")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Place")).to_be_focused()
    expect(page.get_by_text("Step 2 of 3")).to_be_visible()


@pytest.mark.thorough
def test_failed_request_is_explained_in_its_form(chromium, studio):
    context = chromium.new_context(base_url=studio)
    context.set_default_timeout(40_000)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    sign_in(page, "Clara Jensen")
    page.goto("/bookings/1044")
    answers = {
        "The studio can’t be reached. Please try again.": lambda route: route.abort(),
        "Something went wrong. Please try again.": lambda route: route.fulfill(
            status=500, body="Internal Server Error"
        ),
    }
    for text, answer in answers.items():
        page.unroute_all()
        page.route("**/api/bookings/1044", answer)
        page.get_by_role("button", name="Cancel this booking").click()
        expect(page.get_by_role("alert")).to_have_text(text)
    context.close()
