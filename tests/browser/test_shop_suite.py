"""The shop suite in Chromium, in the order of its document: the bell in the header, the old front end, preferences, the
admin."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.looks import small_targets
from tests.browser.shop import row_of_dialog, wait_page
from tests.example_apps import PASSWORD
from tests.shop_suite_app import Suite

PAGES = ("/sales/", "/inventory/", "/customers/", "/security/", "/system/", "/preferences/", "/classic/")
IS_LIVE = "document.querySelector('bellcast-bell').session?.state.status === 'live'"
# Messages of the browser itself about an unreachable server, which a page cannot silence.
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to", "[DOM]")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Suite]:
    with Suite(tmp_path_factory.mktemp("suite"), two_workers=two_workers) as suite:
        yield suite


@pytest.fixture
def nadia(chromium: Browser, suite: Suite) -> Iterator[Page]:
    """A signed-in page; no page may log an error."""
    context: BrowserContext = chromium.new_context(base_url=suite.url, viewport={"width": 1200, "height": 800})
    context.set_default_timeout(40_000)
    complaints: list[str] = []
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.goto("/")
    page.fill("[name=username]", "nadia")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Sales")).to_be_visible()
    yield page
    context.close()
    assert [text for text in complaints if not text.startswith(BROWSER_MESSAGES)] == []


def record_sale(page: Page, quantity: int) -> None:
    page.select_option("[name=product]", label="Hand grinder")
    page.fill("[name=quantity]", str(quantity))
    page.get_by_role("button", name="Record sale").click()
    expect(page.get_by_text(f"Sold {quantity} × Hand grinder")).to_be_visible()


@pytest.mark.thorough
def test_bell_in_the_header_shows_a_sale_and_its_low_stock(nadia: Page) -> None:
    record_sale(nadia, 3)
    nadia.get_by_role("button", name="Notifications").click()
    sale = row_of_dialog(nadia, "New Sale")
    expect(sale).to_contain_text("A sale of $300.00 was completed by Nadia")
    expect(row_of_dialog(nadia, "Low Stock Alert").get_by_text("High", exact=True)).to_be_visible()
    sale.get_by_role("link", name="View Sale").click()
    expect(nadia.get_by_role("heading", name="Sale 1")).to_be_visible()
    for path in ("/inventory/", "/customers/", "/security/", "/system/", "/preferences/"):
        nadia.goto(path)
        expect(nadia.locator("bellcast-bell")).to_be_visible()


@pytest.mark.thorough
def test_old_front_end_works_on_the_same_paths(nadia: Page, suite: Suite) -> None:
    nadia.goto("/classic/")
    expect(nadia.locator("#state")).to_have_text("connected")
    badge = nadia.locator("#center .badge")
    with suite.visitor("nadia") as other:
        other.api("POST", "notifications/mark_as_read/")
        expect(badge).to_be_hidden()
        other.submit("/customers/", name="Bakery Ost", email="")
    expect(badge).to_have_text("1")
    nadia.get_by_role("button", name="Notifications, 1 unread").click()
    newest = nadia.locator(".classic-panel article").first
    expect(newest).to_contain_text("New customer")
    newest.get_by_role("button", name="Mark as read").click()
    expect(badge).to_be_hidden()
    expect(nadia.locator(".classic-panel h2")).to_have_text(["Read"])


@pytest.mark.thorough
def test_old_front_end_opens_without_a_server_and_leaves_an_ended_session(nadia: Page) -> None:
    recent = "**/notifications/recent/"
    nadia.goto("/classic/")
    nadia.route(recent, lambda route: route.fulfill(status=503, json={"detail": "Bellcast does not respond."}))
    button = nadia.get_by_role("button", name="Notifications")
    with nadia.expect_response(recent):
        button.click()
    button.click()
    nadia.unroute(recent)
    button.click()
    expect(nadia.locator(".classic-panel")).to_contain_text(re.compile(r"Unread|Read|No notifications"))
    nadia.route(recent, lambda route: route.fulfill(status=401, json={"detail": "Sign in."}))
    button.click()
    button.click()
    nadia.wait_for_url("**/login*")


@pytest.mark.thorough
def test_old_front_end_reconnects_after_a_restart_of_bellcast(nadia: Page, suite: Suite) -> None:
    nadia.goto("/classic/")
    expect(nadia.locator("#state")).to_have_text("connected")
    suite.server.restart()
    with suite.visitor("nadia") as other:
        other.submit("/customers/", name="Harbour Kiosk", email="")
    expect(nadia.locator("#center .badge")).to_have_text(re.compile(r"[1-9]"))


@pytest.mark.thorough
def test_preference_is_saved_and_enforced(nadia: Page, suite: Suite) -> None:
    nadia.goto("/preferences/")
    box = nadia.get_by_label("Customers in the app")
    expect(box).to_be_checked()
    box.uncheck()
    expect(nadia.get_by_text("Saved.")).to_be_visible()
    nadia.reload()
    expect(nadia.get_by_label("Customers in the app")).not_to_be_checked()
    nadia.get_by_label("Customers in the app").check()
    expect(nadia.get_by_text("Saved.")).to_be_visible()


@pytest.mark.thorough
def test_preferences_are_not_changeable_until_they_are_known_and_show_what_is_saved(nadia: Page) -> None:
    path = "**/notification-preferences/"
    outage = {"status": 503, "json": {"detail": "Notifications are not available at the moment."}}
    nadia.route(path, lambda route: route.fulfill(**outage))
    nadia.goto("/preferences/")
    expect(nadia.locator("#preferences [role=status]")).to_have_text("Notifications are not available at the moment.")
    form, box = nadia.locator("#preferences"), nadia.get_by_label("Sales in the app")
    assert form.evaluate("form => form.inert")
    nadia.unroute(path)
    expect(box).to_be_checked()
    assert not form.evaluate("form => form.inert")
    nadia.route(path, lambda route: route.fulfill(**outage) if route.request.method == "PUT" else route.continue_())
    box.click()
    expect(nadia.locator("#preferences [role=status]")).to_have_text("Notifications are not available at the moment.")
    expect(box).to_be_checked()


@pytest.mark.thorough
def test_sign_out_on_one_device_leaves_the_other_signed_in_and_live(
    nadia: Page, chromium: Browser, suite: Suite
) -> None:
    phone = chromium.new_context(base_url=suite.url, viewport={"width": 390, "height": 844}).new_page()
    phone.goto("/login?enter=nadia")
    nadia.fill("[name=quantity]", "7")
    wait_page(nadia, IS_LIVE)
    phone.get_by_role("button", name="Nadia").click()
    with nadia.expect_response("**/api/notifications/token/"):
        phone.get_by_role("button", name="Sign out", exact=True).click()
    wait_page(nadia, IS_LIVE)
    expect(nadia.locator("[name=quantity]")).to_have_value("7")
    phone.context.close()


@pytest.mark.thorough
def test_admin_lists_the_notifications_of_a_user(nadia: Page) -> None:
    record_sale(nadia, 1)
    nadia.goto("/admin/bellcast/notification/")
    nadia.get_by_role("link", name="omar").click()
    expect(nadia.get_by_role("link", name="New Sale").first).to_be_visible()


@pytest.mark.thorough
def test_phone_shows_every_page_without_scrolling_sideways(chromium: Browser, suite: Suite) -> None:
    long = "Donaudampfschifffahrtsgesellschaft" * 2
    with suite.visitor("nadia") as nadia:
        nadia.submit("/customers/", name=long, email=f"{long[:50]}@{long[:60]}.example")
        customer = re.search(rf"(/customers/(\d+)/)\">{long}", nadia.http.get("/customers/").text)
        product = re.search(r'<option value="(\d+)">Filter', nadia.http.get("/sales/").text)
        nadia.submit("/sales/", product=product[1], quantity=1, customer=customer[2])
        sale = re.search(r"/sales/\d+/", nadia.http.get("/sales/").text)
    context = chromium.new_context(
        base_url=suite.url, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True
    )
    phone = context.new_page()
    phone.goto("/login?enter=nadia")
    for path in (customer[1], sale[0], *PAGES):
        phone.goto(path)
        assert phone.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390], path
        assert small_targets(phone) == [], path
    phone.locator(".classic-bell").tap()
    expect(phone.locator(".classic-panel")).to_contain_text(long)
    assert phone.locator(".classic-panel").evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    phone.get_by_role("button", name="Nadia").tap()
    assert small_targets(phone) == []
    phone.touchscreen.tap(100, 820)
    expect(phone.get_by_role("link", name="Security")).to_be_hidden()
    context.close()


@pytest.mark.thorough
def test_tables_follow_the_changes_of_others(nadia: Page, suite: Suite) -> None:
    def number(name: str) -> str:
        return re.search(rf'<option value="(\d+)">{name}', omar.http.get("/sales/").text)[1]

    with suite.visitor("omar") as omar:
        omar.submit("/sales/", product=number("Espresso beans"), quantity=5)
        expect(nadia.get_by_role("rowheader", name="5 × Espresso beans")).to_be_visible()
        nadia.goto("/customers/")
        expect(nadia.get_by_text("Harbour Hotel")).to_be_visible()
        omar.submit("/customers/", name="Library Café")
        expect(nadia.get_by_role("link", name="Library Café")).to_be_visible()
        nadia.goto("/inventory/")
        beans, papers = nadia.get_by_label("Stock of Espresso beans"), nadia.get_by_label("Stock of Filter papers")
        expect(beans).to_have_value("13")
        papers.fill("33")  # not saved yet
        expect(papers).to_be_focused()
        with suite.server.killed():
            omar.submit("/sales/", product=number("Espresso beans"), quantity=10)
        expect(beans).to_have_value("3")
        expect(nadia.get_by_role("row", name="Espresso beans").get_by_text("Low")).to_be_visible()
        expect(papers).to_have_value("33")
        expect(papers).to_be_focused()
        beans.fill("20")
        beans.press("Enter")  # a row that came later has a form with a valid token
        expect(nadia.get_by_text("Espresso beans, 1 kg: 20 in stock.")).to_be_visible()


@pytest.mark.thorough
def test_page_loaded_in_an_outage_gets_its_bell_without_a_reload_in_the_suite(nadia: Page, suite: Suite) -> None:
    with suite.server.killed():
        nadia.goto("/sales/")
        expect(nadia.get_by_role("heading", name="Sales")).to_be_visible()
        expect(nadia.locator("bellcast-bell button")).to_have_count(0)
    expect(nadia.get_by_role("button", name="Notifications")).to_be_visible()


@pytest.mark.thorough
def test_sign_out_in_another_tab_leaves_the_page(nadia: Page) -> None:
    other = nadia.context.new_page()
    other.goto("/security/")
    other.get_by_text("N", exact=True).click()
    other.get_by_role("button", name="Sign out", exact=True).click()
    expect(nadia.get_by_role("heading", name="Sign in")).to_be_visible()
