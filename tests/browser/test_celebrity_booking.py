"""The celebrity booking site in Chromium: its pages use the stock Socket.IO client next to the bell."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect
from tests.browser.shop import row_of_dialog
from tests.browser.test_accessibility import violations
from tests.celebrity_booking_app import Agency, day_ahead, free_day
from tests.chromium import prolong

PEOPLE = {"dana": "Dana Whitfield", "iris": "Iris Calloway", "noah": "Noah Beckett"}
# Messages of the browser about a killed server or a refused request, which a page cannot silence.
ALERT_DURATION = 8_000  # ms, as in the site
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to")


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Agency]:
    with Agency(tmp_path_factory.mktemp("agency"), two_workers=two_workers) as agency:
        yield agency


@pytest.fixture
def page(chromium: Browser, agency: Agency) -> Iterator[Page]:
    """A page whose scripts log no error."""
    context = chromium.new_context(base_url=agency.url, viewport={"width": 1500, "height": 900})
    context.set_default_timeout(40_000)
    prolong(context, ALERT_DURATION)
    complaints: list[str] = []
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert [text for text in complaints if not text.startswith(BROWSER_MESSAGES)] == []


def sign_in(page: Page | FrameLocator, person: str) -> None:
    page.get_by_role("button", name=PEOPLE[person]).click()
    expect(page.locator("[data-line]")).to_contain_text("Live")


def desks(page: Page) -> list[FrameLocator]:
    page.goto("/")
    found = [page.frame_locator(f"iframe[name={key}]") for key in PEOPLE]
    for desk in found:
        expect(desk.locator("[data-line]")).to_contain_text("Live")
    return found


def bell(desk: Page | FrameLocator) -> Locator:
    return desk.get_by_role("button", name=re.compile("^Notifications"))


def book(desk: Page | FrameLocator, celebrity: str, occasion: str, day: str = "") -> None:
    desk.locator("[data-stars]").get_by_text(celebrity, exact=True).click()
    desk.get_by_label("Day", exact=True).fill(day or free_day().isoformat())
    desk.get_by_label("Place").fill("Hotel Regent")
    desk.get_by_label("Occasion").fill(occasion)
    desk.get_by_role("button", name="Request booking").click()


@pytest.mark.thorough
def test_booking_request_reaches_the_agency_and_its_confirmation_the_client(page: Page) -> None:
    dana, iris, noah = desks(page)
    for desk in (dana, iris, noah):
        expect(desk.locator("[data-line]")).to_contain_text(re.compile(r"\d+ ms"))

    book(iris, "Dayo Okoro", "A wedding")
    request = dana.get_by_role("listitem").filter(has_text="A wedding")
    expect(request).to_contain_text("pending")
    expect(iris.get_by_role("listitem").filter(has_text="A wedding")).to_be_visible()

    request.get_by_role("button", name="confirm").click()
    expect(iris.get_by_role("listitem").filter(has_text="A wedding")).to_contain_text("confirmed")
    expect(dana.locator("[data-figure=confirmed]")).to_have_text("1")
    expect(noah.get_by_text("A wedding")).to_have_count(0)

    bell(iris).click()
    row_of_dialog(iris, "19:00: confirmed").get_by_role("link").click()
    # The link opens the client's page in its pane.
    expect(iris.get_by_role("heading", name="Who would you like at your party?")).to_be_visible()
    pane = page.frame("iris")  # it may have shown the same heading before
    assert pane is not None
    pane.wait_for_url(re.compile("/as/iris/bookings#booking-"), timeout=40_000)


@pytest.mark.thorough
def test_lists_and_alerts_reach_every_desk(page: Page) -> None:
    dana, iris, noah = desks(page)
    dana.get_by_role("listitem").filter(has_text="Vera Marlowe").get_by_role("button").click()
    for desk in (iris, noah):
        expect(desk.locator("[data-celebrity=marlowe]")).to_contain_text("Fully booked")
    dana.get_by_label("Alert").fill("The phones are down")
    dana.get_by_role("button", name="Send").click()
    for desk in (dana, iris, noah):
        expect(desk.locator("[data-alerts]")).to_contain_text("The phones are down")
        expect(bell(desk)).to_have_attribute("aria-label", re.compile("unread"))


@pytest.mark.thorough
def test_refused_booking_shows_the_reason(page: Page) -> None:
    page.goto("/login")
    sign_in(page, "noah")
    page.locator("[data-day]").evaluate("(input) => input.removeAttribute('min')")
    book(page, "Rico Castellano", "Too late", "2020-01-01")
    expect(page.locator("[data-problem]")).to_contain_text("That time has passed")


@pytest.mark.thorough
def test_page_works_without_bellcast_and_recovers(page: Page, agency: Agency) -> None:
    page.goto("/login")
    sign_in(page, "iris")
    expect(page.locator("[data-stars]").get_by_text("Elsa Lindgren", exact=True)).to_be_visible()
    with agency.server.killed():
        expect(page.locator("[data-line]")).to_contain_text("Reconnecting")
        book(page, "Elsa Lindgren", "A talk")
        expect(page.get_by_role("listitem").filter(has_text="A talk")).to_contain_text("pending")
        expect(page.locator("[data-stored]")).to_contain_text("Your request is stored.")
        page.reload()
        expect(page.locator("[data-stars]").get_by_text("Elsa Lindgren", exact=True)).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text="A talk")).to_be_visible()
        expect(page.locator("[data-line]")).to_have_text("Reconnecting")
    expect(page.locator("[data-line]")).to_contain_text("Live")
    expect(page.locator("[data-stored]")).to_have_text("")


@pytest.mark.thorough
def test_desk_shows_every_booking(page: Page, agency: Agency) -> None:
    with agency.visitor("noah") as noah, agency.visitor("dana") as dana:
        for number in range(30):
            fields = {"celebrity": "castellano", "date": free_day().isoformat(), "occasion": f"Lunch {number:02}"}
            noah.send("POST", "/api/bookings", **fields)
        pages = [dana.send("GET", "/api/bookings").json()]
        while pages[-1]["hasOlder"]:
            pages.append(dana.send("GET", f"/api/bookings?before={pages[-1]['bookings'][-1]['id']}").json())
    oldest = pages[-1]["bookings"][-1]["id"]
    page.goto("/login")
    sign_in(page, "dana")
    expect(page.locator("[data-figure=pending]")).to_have_text(str(pages[0]["figures"]["pending"]))
    expect(page.get_by_text("Lunch 02")).to_have_count(0)
    for _ in pages[1:]:
        count = page.locator("[data-bookings] li").count()
        page.get_by_role("button", name="Show older bookings").click()
        expect(page.locator("[data-bookings] li").nth(count)).to_be_visible()
    expect(page.get_by_text("Lunch 02")).to_be_visible()
    expect(page.get_by_role("button", name="Show older bookings")).to_be_hidden()

    page.goto("/activity")
    page.goto(f"/bookings#booking-{oldest}")  # as a click on a notification does
    expect(page.locator(f"#booking-{oldest}")).to_have_class("opened")
    expect(page.locator(f"#booking-{oldest}")).to_be_in_viewport()


@pytest.mark.thorough
def test_client_cancels_and_a_double_click_confirms_once(page: Page, agency: Agency) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    dana, iris, _ = desks(page)
    book(iris, "Elsa Lindgren", "A premiere", day_ahead(300).isoformat())
    dana.get_by_role("listitem").filter(has_text="A premiere").get_by_role("button", name="confirm").dblclick()
    own = iris.get_by_role("listitem").filter(has_text="A premiere")
    expect(own).to_contain_text("confirmed")
    expect(dana.locator("[data-problem]")).to_have_text("")
    own.get_by_role("button", name="cancel").click()
    expect(dana.get_by_role("listitem").filter(has_text="A premiere")).to_contain_text("cancelled")


@pytest.mark.thorough
def test_sign_out_ends_the_page_on_another_tab(page: Page) -> None:
    page.goto("/login")
    sign_in(page, "noah")
    other = page.context.new_page()
    other.goto("/bookings")
    expect(other.locator("[data-line]")).to_contain_text("Live")
    page.get_by_label("Noah Beckett").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.thorough
def test_change_keeps_the_focus_and_the_opened_booking(page: Page, agency: Agency) -> None:
    with agency.visitor("noah") as noah:
        fields = {"celebrity": "lindgren", "date": free_day().isoformat()}
        booking = noah.send("POST", "/api/bookings", **fields, occasion="A reading").json()["id"]
        page.goto("/login")
        sign_in(page, "dana")
        page.goto("/activity")
        page.goto(f"/bookings#booking-{booking}")
        opened = page.locator(f"#booking-{booking}")
        expect(opened).to_have_class("opened")
        button = page.locator("[data-roster] [data-celebrity=lindgren]").get_by_role("button")
        expect(page.locator("[data-line]")).to_contain_text("Live")
        button.focus()
        noah.send("PATCH", f"/api/bookings/{booking}", action="cancel")
        expect(opened).to_contain_text("cancelled")
        noah.send("POST", "/api/bookings", **fields, occasion="Another reading")
        expect(page.get_by_text("Another reading")).to_be_visible()
        expect(opened).to_have_class("opened")
        expect(button).to_be_focused()


@pytest.mark.thorough
def test_refused_action_and_stored_alert_are_shown_in_an_outage(page: Page, agency: Agency) -> None:
    with agency.visitor("noah") as noah:
        draft = {"celebrity": "lindgren", "date": free_day().isoformat(), "occasion": "A toast"}
        booking = noah.send("POST", "/api/bookings", **draft).json()["id"]
        page.goto("/login")
        sign_in(page, "dana")
        row = page.locator(f"#booking-{booking}")
        expect(row).to_contain_text("pending")
        with agency.server.killed():
            noah.send("PATCH", f"/api/bookings/{booking}", action="cancel")
            row.get_by_role("button", name="confirm").click()
            expect(page.locator("[data-problem]")).to_contain_text("This booking is cancelled")
            expect(row).to_contain_text("cancelled")
            expect(page.locator("[data-line]")).to_have_text("Reconnecting")
            page.get_by_label("Alert").fill("The phones are down")
            page.get_by_role("button", name="Send").click()
            expect(page.locator("[data-stored]")).to_contain_text("The alert is stored.")
        expect(page.locator("[data-stored]")).to_have_text("")


@pytest.mark.thorough
def test_long_word_fits_a_phone_of_starlight(chromium: Browser, agency: Agency) -> None:
    with agency.visitor("noah") as noah, agency.visitor("dana") as dana:
        noah.send("POST", "/api/bookings", celebrity="lindgren", date=free_day().isoformat(), occasion="W" * 200)
        dana.send("POST", "/api/alerts", message="W" * 200, to="agency")
    context = chromium.new_context(base_url=agency.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto("/login")
    sign_in(page, "dana")
    for path in ("/bookings", "/activity"):
        page.goto(path)
        expect(page.get_by_role("listitem").filter(has_text="W" * 200).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    context.close()


@pytest.mark.thorough
def test_pages_of_starlight_fit_a_phone(chromium: Browser, agency: Agency) -> None:
    context = chromium.new_context(base_url=agency.url, viewport={"width": 360, "height": 740}, color_scheme="dark")
    page = context.new_page()
    page.goto("/login")
    sign_in(page, "dana")
    for path in ("/login", "/bookings", "/mail", "/schedules", "/activity"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert violations(page) == violations(page, ["label-content-name-mismatch"]) == [], path
    context.close()
