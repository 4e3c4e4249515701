"""Snoozing, action buttons, archiving all read rows, and muting a type."""

import pytest
from playwright.sync_api import expect
from tests.browser.shop import PHONE, bell, in_page, row, rows, tab, wait_live, wait_state, wait_until

INBOX = '<bellcast-inbox token="{token}"></bellcast-inbox>'
BUTTONS = [
    {"key": "accept", "label": "Accept", "call": "answer", "style": "primary"},
    {"key": "decline", "label": "Decline", "url": "#declined", "style": "danger"},
    {"key": "open", "label": "Open", "url": "#open"},
    {"key": "fourth", "label": "Fourth", "url": "#fourth"},
]

UNTIL_BACK = {
    "de": "Bis du zurück bist",
    "es": "Hasta que vuelvas",
    "fr": "Jusqu’à votre retour",
    "ar": "حتى عودتك",
}
WIDTHS = "(buttons) => buttons.map(({ offsetWidth }) => offsetWidth)"


@pytest.fixture
def inbox(shop):
    def inbox(body=INBOX, **options):
        page = shop.open(body, **options)
        wait_live(page, "bellcast-inbox")
        return page

    return inbox


def title(page, text):
    return page.get_by_role("button", name=text, exact=True)


@pytest.mark.thorough
def test_key_h_snoozes_a_row_and_undo_returns_it(app, person, inbox):
    app.notify(person, title="Order 0")
    app.notify(person, title="Order 1")
    page = inbox()
    title(page, "Order 1").focus()
    page.keyboard.press("h")
    choices = page.get_by_role("menu", name="Snooze").get_by_role("menuitem")
    expect(choices.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.get_by_role("menuitem", name="Tomorrow").click()
    expect(row(page, "Order 1")).to_have_count(0)
    expect(title(page, "Order 0")).to_be_focused()
    expect(page.get_by_text("Snoozed until")).to_be_visible()
    wait_state(page, "state.unread === 1", "bellcast-inbox")
    tab(page, "Snoozed").click()
    expect(row(page, "Order 1")).to_contain_text("8:00")
    tab(page, "All").click()
    title(page, "Order 0").focus()
    page.keyboard.press("Control+z")  # the button is shown for six seconds only
    expect(row(page, "Order 1")).to_be_visible()


@pytest.mark.thorough
def test_snoozed_row_returns_first_and_unread(app, person, inbox):
    for number in range(2):
        app.notify(person, title=f"Order {number}")
    page = inbox()
    expect(rows(page)).to_have_count(2)
    in_page(page, "bell.session.snooze(bell.session.state.notifications[1].id, { for: 1 })", "bellcast-inbox")
    expect(rows(page).first).to_contain_text("Order 0")  # the time before, absent for a second
    wait_state(page, "state.unread === 2", "bellcast-inbox")
    expect(page.get_by_role("heading", level=3)).to_have_text(["Today"])


def snooze_until_back(page, name):
    title(page, name).hover()
    title(page, name).focus()
    page.keyboard.press("h")
    page.get_by_role("menuitem", name="Until I’m back").click()
    expect(row(page, name)).to_have_count(0)


@pytest.mark.thorough
def test_until_i_am_back_lasts_until_the_next_tab(app, person, shop, inbox):
    app.notify(person, title="Order 0")
    page = inbox()
    snooze_until_back(page, "Order 0")
    page.reload()
    wait_live(page, "bellcast-inbox")
    tab(page, "Snoozed").click()
    expect(row(page, "Order 0")).to_contain_text("Until you’re back")
    for lang, text in UNTIL_BACK.items():
        page.locator("bellcast-inbox").evaluate(f"(inbox) => (inbox.lang = '{lang}')")
        expect(row(page, "Order 0").locator(".time")).to_have_text(text)
    page.close()
    expect(row(inbox(), "Order 0")).to_be_visible()


def test_until_i_am_back_ends_in_another_browser_too(app, person, inbox, open_shop, bellcast_server):
    app.notify(person, title="Order 0")
    laptop = inbox()
    snooze_until_back(laptop, "Order 0")
    phone = open_shop(bellcast_server, person, PHONE, has_touch=True, is_mobile=True).open(INBOX)
    for page in (phone, laptop):
        expect(row(page, "Order 0")).to_be_visible()
        wait_state(page, "state.unread === 1", "bellcast-inbox")


def test_action_is_pending_until_the_response_and_then_taken(app, person, inbox):
    app.notify(person, title="Ann asks", actions=BUTTONS)
    page = inbox()
    held = []

    def hold(route):  # Playwright does not accept a bound method of a list
        held.append(route)

    page.route("**/actions/decline", hold)
    group = page.get_by_role("group", name="Actions")
    expect(group.locator(".act")).to_have_text(["Accept", "Decline", "Open"])
    widths = group.locator(".act").evaluate_all(WIDTHS)
    with page.expect_request("**/actions/decline"):
        group.get_by_role("link", name="Decline").click()
    expect(group).to_have_attribute("aria-busy", "true")
    assert group.locator(".act").evaluate_all(WIDTHS) == widths
    held[0].continue_()
    expect(group).to_have_text("Decline")
    expect(group.locator(".taken")).to_be_visible()
    expect(row(page, "Ann asks")).not_to_have_attribute("data-unread", "")


def test_failed_action_can_be_retried(app, person, inbox):
    app.notify(person, title="Ann asks", actions=BUTTONS)  # the server has no handler for its call
    page = inbox()
    accept = page.get_by_role("button", name="Accept")
    accept.click()
    expect(page.get_by_text("That didn’t work. Please try again.")).to_be_visible()
    expect(accept).to_have_attribute("data-state", "failed")
    expect(page.get_by_role("group", name="Actions")).not_to_have_attribute("aria-busy", "true")


@pytest.mark.thorough
def test_all_read_rows_are_archived_and_undo_returns_them(app, person, inbox):
    for number in range(3):
        app.notify(person, title=f"Order {number}")
    page = inbox()
    expect(rows(page)).to_have_count(3)
    archive = page.get_by_role("button", name="Archive all read")
    expect(archive).to_be_hidden()
    in_page(page, "bell.session.read(bell.session.state.notifications.slice(1).map(({ id }) => id))", "bellcast-inbox")
    archive.click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(3)


def test_type_is_muted_from_the_menu_and_undo_unmutes_it(app, person, open_shop, bellcast_server):
    app.notify(person, title="Order 0", type="order")
    page = open_shop(bellcast_server, person, PHONE, has_touch=True, is_mobile=True).open()
    bell(page, 1).tap()
    page.get_by_role("button", name="More actions").tap()
    page.get_by_role("menuitem", name="Mute this type").tap()
    muted = "bell.session.preferences().then(({ muted }) => muted ?? {})"
    wait_until(lambda: in_page(page, muted) == {"order": True}, lambda: str(in_page(page, muted)))
    page.get_by_role("button", name="Undo").tap()
    wait_until(lambda: in_page(page, muted) == {}, lambda: str(in_page(page, muted)))


@pytest.mark.thorough
def test_menu_shows_that_a_type_is_muted(app, person, inbox):
    app.notify(person, title="Order 0", type="order")
    page = inbox()
    muted = "bell.session.preferences({ muted: { order: true } }).then(({ muted }) => muted)"
    assert in_page(page, muted, "bellcast-inbox") == {"order": True}
    row(page, "Order 0").hover()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Unmute this type").click()
    expect(page.get_by_text("Unmuted")).to_be_visible()
    own = "bell.session.preferences().then(({ muted }) => muted ?? {})"
    wait_until(lambda: in_page(page, own, "bellcast-inbox") == {}, lambda: str(in_page(page, own, "bellcast-inbox")))
