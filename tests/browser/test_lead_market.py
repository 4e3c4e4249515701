"""The lead market in Chromium: Laravel Echo over pusher-js in its pages, the Python SDK in its back end, and a durable
bell.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Locator, Page, expect
from tests.browser.shop import row_of_dialog, wait_page
from tests.browser.test_accessibility import violations
from tests.lead_market_app import Market

NAMES = {"ruth": "Ruth Adler", "42": "Bright Plumbing", "43": "Oak Roofing"}
# Messages of the browser itself about an unreachable server, which a page cannot silence.
BROWSER_MESSAGES = ("Failed to load resource", "WebSocket connection to")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, two_workers: bool) -> Iterator[Market]:
    with Market(tmp_path_factory.mktemp("market"), two_workers=two_workers) as market:
        yield market


@pytest.fixture
def context(chromium: Browser, market: Market) -> Iterator[BrowserContext]:
    opened = chromium.new_context(base_url=market.url, viewport={"width": 1500, "height": 900})
    opened.set_default_timeout(40_000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("weberror", lambda error: complaints.append(str(error.error)))
    yield opened
    opened.close()
    assert [text for text in complaints if not text.startswith(BROWSER_MESSAGES)] == []


def sign_in(page: Page | FrameLocator, name: str) -> None:
    page.get_by_role("button", name=NAMES[name]).click()
    expect(page.locator(".line")).to_have_text("Live")


def desk(context: BrowserContext, name: str) -> Page:
    """Each desk has its own cookie."""
    page = context.new_page()
    page.goto(f"/as/{name}/login")
    sign_in(page, name)
    return page


def bell(page: Page) -> Locator:
    return page.get_by_role("button", name=re.compile("^Notifications"))


def rings(page: Page) -> None:
    expect(bell(page)).to_have_attribute("aria-label", re.compile("unread"))


def lead(page: Page, customer: str) -> Locator:
    return page.locator(".lead", has_text=customer)


def add(ruth: Page, customer: str, provider: str = "") -> None:
    ruth.get_by_label("Customer").fill(customer)
    ruth.get_by_label("Service").fill("Burst pipe")
    ruth.get_by_label("City").fill("Leeds")
    ruth.locator("form.new").get_by_label("Provider").select_option(provider)
    ruth.get_by_role("button", name="Add lead").click()


# Its sockets never open.
SLOW_SERVER = """
globalThis.opened = [];
globalThis.WebSocket = class { constructor(url) { opened.push(url); } send() {} close() {} };
"""


@pytest.mark.thorough
def test_page_over_http_opens_no_socket_over_tls_beside_a_slow_one(context: BrowserContext) -> None:
    ruth = desk(context, "ruth")
    ruth.add_init_script(SLOW_SERVER)
    ruth.clock.install()
    ruth.reload()
    wait_page(ruth, "opened.some((url) => url.includes('/app/'))")
    ruth.clock.run_for(6_000)  # pusher-js opens its next transport after 2 s
    assert [url for url in ruth.evaluate("opened") if url.startswith("wss:")] == []


def test_new_lead_notifies_and_updates_the_desks_it_concerns(context: BrowserContext) -> None:
    ruth, plumber, roofer = desk(context, "ruth"), desk(context, "42"), desk(context, "43")
    add(ruth, "Ada Byron", "42")
    for page in (ruth, plumber):
        expect(page.locator(".board")).to_contain_text("Ada Byron")
        expect(page.locator(".news .count")).to_have_text("1")
        rings(page)
    expect(roofer.locator(".board")).not_to_contain_text("Ada Byron")
    bell(plumber).click()
    plumber.get_by_role("link", name=re.compile("New lead for you")).first.click()
    expect(plumber).to_have_url(re.compile(r"/as/42/desk#lead-\d+$"))


@pytest.mark.thorough
def test_sign_out_ends_the_live_connection_of_the_other_tab(context: BrowserContext) -> None:
    ruth, plumber = desk(context, "ruth"), desk(context, "42")
    # As from another tab. The page leaves for the sign-in page as soon as its connection ends.
    assert context.request.post("/as/42/logout").ok
    expect(plumber).to_have_url(re.compile("/as/42/login"))
    add(ruth, "Grace Hopper", "42")
    expect(ruth.locator(".board")).to_contain_text("Grace Hopper")
    expect(plumber.get_by_text("Grace Hopper")).to_have_count(0)


@pytest.mark.thorough
def test_page_of_the_admin_joins_the_channel_by_which_a_sign_out_ends_it(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/as/ruth/login")
    with page.expect_response(
        lambda response: "channel_name=private-App.Models.User.ruth" in (response.request.post_data or "")
    ) as authorized:
        sign_in(page, "ruth")
    assert authorized.value.ok


@pytest.mark.thorough
def test_status_change_shows_on_both_boards(context: BrowserContext) -> None:
    ruth, plumber = desk(context, "ruth"), desk(context, "42")
    lead(plumber, "Priya Nair").get_by_role("button", name="Won").click()
    expect(lead(ruth, "Priya Nair").locator(".status")).to_have_text("won")
    ruth.locator(".news summary").click()
    expect(ruth.locator(".news ol")).to_contain_text("Priya Nair: won")
    status = lead(ruth, "Priya Nair").get_by_label("Status")
    status.focus()
    status.select_option("contacted")
    expect(lead(plumber, "Priya Nair").locator(".status")).to_have_text("contacted")
    expect(lead(ruth, "Priya Nair").locator(".status")).to_have_text("contacted")
    expect(status).to_be_focused()


@pytest.mark.thorough
def test_reassigned_lead_leaves_the_old_board_and_notifies_the_new_provider(context: BrowserContext) -> None:
    ruth, plumber, roofer = desk(context, "ruth"), desk(context, "42"), desk(context, "43")
    add(ruth, "Edsger Dijkstra", "42")
    expect(lead(plumber, "Edsger Dijkstra")).to_be_visible()
    number = lead(plumber, "Edsger Dijkstra").get_attribute("id").removeprefix("lead-")
    lead(ruth, "Edsger Dijkstra").get_by_label("Assign to").select_option("43")
    expect(lead(roofer, "Edsger Dijkstra")).to_be_visible()
    expect(lead(plumber, "Edsger Dijkstra")).to_have_count(0)
    plumber.locator(".news summary").click()
    expect(plumber.locator(".news li").first).to_contain_text(f"No. {number} is no longer yours")
    rings(roofer)


@pytest.mark.thorough
def test_bell_receives_notifications_sent_during_an_outage(context: BrowserContext, market: Market) -> None:
    ruth, plumber = desk(context, "ruth"), desk(context, "42")
    with market.server.killed():
        add(ruth, "Barbara Liskov", "42")
        expect(lead(ruth, "Barbara Liskov")).to_be_visible()
    expect(plumber.locator(".line")).to_have_text("Live")
    expect(lead(plumber, "Barbara Liskov")).to_be_visible()
    bell(plumber).click()
    expect(row_of_dialog(plumber, "Barbara Liskov, Leeds")).to_be_visible()


@pytest.mark.thorough
def test_page_loaded_in_an_outage_gets_its_bell_without_a_reload(context: BrowserContext, market: Market) -> None:
    ruth = desk(context, "ruth")
    with market.server.killed():
        ruth.reload()
        expect(lead(ruth, "Priya Nair")).to_be_visible()
        expect(ruth.locator("bellcast-bell:not(:defined)")).to_have_count(1)
    expect(bell(ruth)).to_be_visible()


@pytest.mark.thorough
def test_leads_reach_the_board_over_the_private_channel(context: BrowserContext) -> None:
    page = desk(context, "ruth")
    page.goto("/as/ruth/admin/settings")
    page.get_by_label("Private channel for admins").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Save settings").click()
    ruth, customer = desk(context, "ruth"), context.new_page()
    expect(ruth.locator(".line")).to_have_text("Live")
    customer.goto("/request")
    fields = {"Your name": "Joan Clarke", "Phone or e-mail": "joan@example.com", "What do you need?": "Blocked drain"}
    for label, text in {**fields, "City": "York"}.items():
        customer.get_by_label(label).fill(text)
    customer.get_by_role("button", name="Send request").click()
    expect(customer.get_by_role("status")).to_contain_text("Thank you")
    contact = lead(ruth, "Joan Clarke").get_by_role("link", name="joan@example.com")
    expect(contact).to_have_attribute("href", "mailto:joan@example.com")
    assert violations(customer) == violations(page) == []
    page.get_by_label("Private channel for admins").uncheck()
    with page.expect_navigation():
        page.get_by_role("button", name="Save settings").click()


@pytest.mark.thorough
def test_closed_lead_is_reassigned_after_a_question(context: BrowserContext) -> None:
    ruth = desk(context, "ruth")
    add(ruth, "Margaret Hamilton", "42")
    row = lead(ruth, "Margaret Hamilton")
    row.get_by_label("Status").select_option("won")
    expect(row.locator(".status")).to_have_text("won")
    ruth.once("dialog", lambda dialog: dialog.dismiss())
    row.get_by_label("Assign to").select_option("43")
    expect(row.get_by_label("Assign to")).to_have_value("42")
    ruth.once("dialog", lambda dialog: dialog.accept())
    row.get_by_label("Assign to").select_option("43")
    expect(row.locator(".status")).to_have_text("assigned")


@pytest.mark.thorough
def test_settings_switch_live_updates_off_and_on(context: BrowserContext) -> None:
    ruth = context.new_page()
    with ruth.expect_console_message(lambda message: message.text == "Pusher connected"):
        ruth.goto("/as/ruth/login")
        sign_in(ruth, "ruth")
    ruth.get_by_role("link", name="Settings").click()
    ruth.get_by_role("button", name="Test connection").click()
    expect(ruth.locator("[data-result]")).to_have_text("Connection test successful.")
    for enabled, state in ((False, "Off"), (True, "Live")):
        ruth.get_by_label("Enable Pusher").set_checked(enabled)
        ruth.get_by_role("button", name="Save settings").click()
        expect(ruth.get_by_text("Settings saved.")).to_be_visible()
        expect(ruth.locator(".line")).to_have_text(state)


@pytest.mark.thorough
def test_three_desks_connect_in_one_page(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/")
    for key in NAMES:
        expect(page.frame_locator(f"iframe[name='desk-{key}']").locator(".line")).to_have_text("Live")


@pytest.mark.thorough
def test_pages_of_leadwell_fit_a_phone(chromium: Browser, market: Market) -> None:
    context = chromium.new_context(base_url=market.url, viewport={"width": 360, "height": 740}, color_scheme="dark")
    page = desk(context, "ruth")
    for path in ("login", "desk", "admin/settings", "admin/troubleshooting"):
        page.goto(f"/as/ruth/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    context.close()


@pytest.mark.thorough
def test_long_word_fits_a_phone_of_leadwell(chromium: Browser, context: BrowserContext, market: Market) -> None:
    add(desk(context, "ruth"), "W" * 200, "43")
    phone = chromium.new_context(base_url=market.url, viewport={"width": 390, "height": 844})
    for name in ("ruth", "43"):
        page = phone.new_page()
        page.goto(f"/as/{name}/login")
        sign_in(page, name)
        expect(lead(page, "W" * 200)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    phone.close()


@pytest.mark.thorough
def test_link_to_a_lead_of_another_provider_says_so(context: BrowserContext) -> None:
    roofer = desk(context, "43")
    roofer.goto("/as/43/desk#lead-101")
    roofer.reload()
    problem = roofer.locator(".problem[role=alert]")
    expect(problem).to_have_text("Lead no. 101 is not among your leads.")
    roofer.goto("/as/43/desk#lead-102")
    expect(problem).to_have_text("")


@pytest.mark.thorough
def test_menu_in_use_stays_when_another_lead_arrives(context: BrowserContext) -> None:
    ruth, other = desk(context, "ruth"), desk(context, "ruth")
    menu = lead(ruth, "Tom Baker").get_by_label("Status")
    menu.focus()
    add(other, "Frances Allen")
    expect(lead(ruth, "Frances Allen")).to_be_visible()
    expect(menu).to_be_focused()


@pytest.mark.thorough
def test_menu_of_a_refused_change_shows_the_lead_as_it_is(context: BrowserContext) -> None:
    ruth = desk(context, "ruth")
    refusal = {"message": "Not now."}
    ruth.route("**/api/admin/leads/102", lambda route: route.fulfill(status=409, json=refusal))
    lead(ruth, "Tom Baker").get_by_label("Status").select_option("lost")
    expect(ruth.locator(".problem[role=alert]")).to_have_text("Not now.")
    expect(lead(ruth, "Tom Baker").get_by_label("Status")).to_have_value("assigned")


@pytest.mark.thorough
def test_link_to_a_lead_opens_it_among_many(context: BrowserContext) -> None:
    ruth = desk(context, "ruth")
    for number in range(12):
        add(ruth, f"Customer {number}")
        expect(lead(ruth, f"Customer {number}")).to_have_count(1)
    ruth.goto("/as/ruth/desk#lead-101")  # as the bell does
    ruth.reload()
    opened = ruth.locator("#lead-101")
    expect(opened).to_be_in_viewport()
    expect(opened).to_have_class(re.compile("opened"))
