"""The inbox: tabs, groups, undo, older pages, keyboard, languages."""

import pytest
from playwright.sync_api import expect
from tests.browser.shop import (
    PHONE,
    bell,
    in_page,
    row,
    rows,
    session_state,
    tab,
    wait_live,
    wait_page,
    wait_state,
    wait_until,
)

INBOX = '<bellcast-inbox token="{token}" tabs="all,unread,type:booking=Bookings,tag:vip=VIP,archived"></bellcast-inbox>'


@pytest.fixture
def inbox(shop):
    """Opens a page with an inbox."""

    def inbox(body=INBOX, **options):
        page = shop.open(body, **options)
        wait_live(page, "bellcast-inbox")
        return page

    return inbox


@pytest.mark.thorough
def test_tab_shows_and_counts_its_notifications(app, person, inbox):
    app.notify(person, title="Booked", type="booking")
    app.notify(person, title="Booked by Ann", type="booking", tags=["vip"])
    app.notify(person, title="Paid", type="payment")
    page = inbox()
    expect(tab(page, "All")).to_have_text("All")
    expect(tab(page, "Unread")).to_have_text("Unread3")
    expect(tab(page, "Bookings")).to_have_text("Bookings2")
    expect(tab(page, "VIP")).to_have_text("VIP1")
    tab(page, "Bookings").click()
    expect(rows(page)).to_have_count(2)
    app.notify(person, title="Booked again", type="booking", tags=["vip"])
    expect(rows(page)).to_have_count(3)
    expect(tab(page, "Bookings")).to_have_text("Bookings3")
    expect(tab(page, "VIP")).to_have_text("VIP2")
    expect(tab(page, "Unread")).to_have_text("Unread4")
    tab(page, "VIP").click()
    row(page, "Booked by Ann").hover()
    row(page, "Booked by Ann").get_by_role("button", name="Mark as read").click()
    expect(tab(page, "VIP")).to_have_text("VIP1")
    expect(tab(page, "Bookings")).to_have_text("Bookings2")


def test_archived_notification_moves_to_the_archive_and_back(app, person, inbox):
    app.notify(person, title="Old story")
    page = inbox()
    row(page, "Old story").hover()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.get_by_text("You’re all caught up")).to_be_visible()
    tab(page, "Archive").click()
    expect(row(page, "Old story")).to_be_visible()
    row(page, "Old story").hover()
    page.get_by_role("button", name="Move to inbox").click()
    expect(page.get_by_text("Nothing archived yet")).to_be_visible()
    tab(page, "All").click()
    expect(row(page, "Old story")).to_be_visible()
    expect(tab(page, "Unread")).to_have_text("Unread1")


@pytest.mark.parametrize("verb", ["Archive", "Delete"])
def test_archive_and_delete_can_be_undone(app, person, inbox, verb):
    app.notify(person, title="Not this one")
    page = inbox()
    row(page, "Not this one").hover()
    page.get_by_role("button", name=verb, exact=True).click()
    expect(rows(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row(page, "Not this one")).to_be_visible()
    page.reload()
    expect(row(page, "Not this one")).to_be_visible()


def test_deletion_survives_leaving_the_page_immediately(app, person, inbox):
    app.notify(person, title="Away with it")
    page = inbox()
    row(page, "Away with it").hover()
    page.get_by_role("button", name="Delete").click()
    page.goto("/orders/1")
    page.goto("/shop")
    wait_state(page, "state.loaded && state.unread === 0", "bellcast-inbox")
    expect(rows(page)).to_have_count(0)


@pytest.mark.thorough
def test_page_that_was_left_offers_no_undo(app, person, inbox):
    """The browser may restore the page, but its actions were sent."""
    app.notify(person, title="Order")
    page = inbox()
    row(page, "Order").hover()
    row(page, "Order").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    with page.expect_response("**/v1/inbox/delete"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert page.get_by_role("button", name="Undo").count() == 0  # immediately: it would disappear after six seconds
    page.keyboard.press("Control+z")
    assert page.locator(".notice").count() == 0
    expect(rows(page)).to_have_count(0)


@pytest.mark.thorough
def test_tab_that_does_not_exist_is_reported_and_not_shown(app, person, shop):
    warnings = []
    shop.context.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
    app.notify(person, title="Order")
    page = shop.open(
        '<bellcast-inbox token="{token}" tabs="all,foo,typ:booking=Bookings,type:,unread"></bellcast-inbox>'
    )
    expect(row(page, "Order")).to_be_visible()
    expect(page.get_by_role("tab")).to_have_text(["All", "Unread1"])
    assert [text.partition(" A tab is")[0] for text in warnings] == [
        'Bellcast: there is no tab {"view":"foo"}.',
        'Bellcast: there is no tab {"typ":"booking","label":"Bookings"}.',
        'Bellcast: there is no tab {"type":""}.',
    ]


def test_refused_action_is_reverted_and_reported(app, person, inbox):
    app.notify(person, title="Stays")
    page = inbox()
    page.route("**/v1/inbox/read", lambda route: route.fulfill(status=403, body='{"code": "forbidden"}'))
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_text("That didn’t work. Please try again.")).to_be_visible()
    expect(tab(page, "Unread")).to_have_text("Unread1")


def test_group_is_one_row_until_unfolded(app, person, inbox):
    for number in range(4):
        app.notify(person, title=f"Comment {number}", group="gallery:118")
    app.notify(person, title="Something else")
    page = inbox()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="3 more").click()
    expect(rows(page)).to_have_count(5)
    page.get_by_role("button", name="Show less").click()
    expect(rows(page)).to_have_count(2)
    app.notify(person, title="Comment 4", group="gallery:118")
    expect(row(page, "Comment 4")).to_be_visible()
    expect(page.get_by_role("button", name="4 more")).to_be_visible()


def test_older_rows_load_on_scroll_and_few_are_in_the_dom(app, person, inbox):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(300))
    page = inbox()
    expect(row(page, "Order 299")).to_be_visible()
    page.mouse.move(300, 300)
    last = page.get_by_role("button", name="Order 0", exact=True)

    def scrolled_to_it():
        page.mouse.wheel(0, 1500)
        return last.count()

    wait_until(scrolled_to_it, lambda: "the last is not there")
    expect(last).to_be_visible()
    assert rows(page).count() < 60
    wait_state(page, "state.next === null", "bellcast-inbox")


def focused(page, number):
    return expect(page.get_by_role("button", name=f"Order {number}", exact=True))


def test_inbox_is_usable_by_keyboard(app, person, inbox):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(60))
    page = inbox()
    expect(row(page, "Order 59")).to_be_visible()
    tab(page, "All").focus()
    page.keyboard.press("ArrowRight")
    expect(tab(page, "Unread")).to_be_focused()
    expect(tab(page, "Unread")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    focused(page, 59).to_be_focused()
    for _ in range(30):
        page.keyboard.press("ArrowDown")
    focused(page, 29).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Mark as read").and_(page.locator(":focus"))).to_have_count(1)
    page.keyboard.press("Enter")
    expect(row(page, "Order 29")).to_have_attribute("part", "row normal")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Preferences")).to_be_focused()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "key", "number"),
    [
        ("Mark as read", "Enter", 1),
        ("Archive", "Enter", 0),
        pytest.param("Clear selection", "Enter", 1, marks=pytest.mark.thorough),
        ("Archive", "Escape", 1),
    ],
)
def test_focus_returns_to_the_list_when_the_selection_ends(app, person, inbox, name, key, number):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(3))
    page = inbox()
    expect(row(page, "Order 2")).to_be_visible()
    tab(page, "All").focus()
    for press in ("Tab", "ArrowDown", "x"):
        page.keyboard.press(press)
    bar = page.get_by_role("toolbar")
    bar.get_by_role("button", name=name).focus()
    page.keyboard.press(key)
    expect(bar).to_be_hidden()
    focused(page, number).to_be_focused()


def test_rows_are_reported_as_seen_after_a_restart_between_two_reports(app, person, shop, inbox):
    longer = "{ const set = setTimeout; globalThis.setTimeout = (run, ms, ...args) => set(run, ms === 300 ? 30_000 : ms, ...args) }"
    shop.context.add_init_script(longer)  # the interval between two reports
    app.notify(person, title="Order 0")
    page = inbox()
    wait_state(page, "!state.unseen", "bellcast-inbox")
    app.notify(person, title="Order 1")
    expect(row(page, "Order 1")).to_be_visible()
    assert session_state(page, "unseen", "bellcast-inbox") == 1
    in_page(page, "{ bell.messages = {} }", "bellcast-inbox")
    wait_state(page, "state.loaded && !state.unseen", "bellcast-inbox", within=10)


@pytest.mark.thorough
def test_key_presses_faster_than_the_server_are_not_lost(app, person, inbox):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(60))
    page = inbox()
    expect(row(page, "Order 59")).to_be_visible()
    held, slow = [], [True]
    page.route("**/v1/inbox?*before=*", lambda route: held.append(route) if slow else route.continue_())
    page.get_by_role("button", name="Order 59", exact=True).focus()
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    last = in_page(page, "bell.session.state.notifications.length", "bellcast-inbox")
    assert last < 40
    focused(page, 60 - last).to_be_focused()
    page.keyboard.press("ArrowUp")  # undoes one of the pending steps
    slow.clear()
    for route in held:
        route.continue_()
    focused(page, 20).to_be_focused()
    for _ in range(30):
        page.keyboard.press("ArrowDown")  # more than the 20 remaining rows
    focused(page, 0).to_be_focused()
    page.keyboard.press("ArrowUp")
    focused(page, 1).to_be_focused()
    page.keyboard.press("Home")
    focused(page, 59).to_be_focused()


@pytest.mark.parametrize(
    ("lang", "title", "all_read"),
    [
        pytest.param("de", "Mitteilungen", "Alle als gelesen markieren", marks=pytest.mark.thorough),
        ("es-MX", "Notificaciones", "Marcar todas como leídas"),
        pytest.param("fr", "Notifications", "Tout marquer comme lu", marks=pytest.mark.thorough),
        ("ar", "الإشعارات", "وضع علامة مقروء على الكل"),
    ],
)
def test_inbox_uses_the_language_of_the_page(app, person, inbox, lang, title, all_read):
    app.notify(person, title="Order")
    page = inbox(lang=lang)
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_role("button", name=all_read)).to_be_visible()
    direction = page.locator("bellcast-inbox .panel").evaluate("(panel) => getComputedStyle(panel).direction")
    assert direction == ("rtl" if lang == "ar" else "ltr")


@pytest.mark.thorough
def test_messages_of_another_language_can_be_set(person, inbox):
    page = inbox(lang="pt")
    expect(page.get_by_text("You’re all caught up")).to_be_visible()
    in_page(page, "{ bell.messages = { title: 'Notificações', empty: 'Tudo em dia' } }", "bellcast-inbox")
    expect(page.get_by_role("heading", name="Notificações")).to_be_visible()
    expect(page.get_by_text("Tudo em dia")).to_be_visible()


def test_page_can_fill_slots_and_style_parts_and_properties(app, person, shop):
    page = shop.open(
        '<bellcast-bell token="{token}"><b slot="icon">!</b><a slot="header" href="/settings">Settings</a><p slot="empty">No bookings yet</p></bellcast-bell>'
    )
    in_page(
        page,
        "{ const sheet = new CSSStyleSheet(); sheet.replaceSync('bellcast-bell { --bellcast-size: 60px } bellcast-bell::part(button) { color: rgb(1, 2, 3) }');"
        " document.adoptedStyleSheets.push(sheet) }",
    )
    button = bell(page)
    expect(page.get_by_text("!")).to_be_visible()
    expect(button).to_have_css("color", "rgb(1, 2, 3)")
    expect(button).to_have_css("width", "60px")
    button.click()
    expect(page.get_by_role("link", name="Settings")).to_be_visible()
    expect(page.get_by_text("No bookings yet")).to_be_visible()
    expect(page.get_by_text("You’re all caught up")).to_be_hidden()
    app.notify(person, title="Order")
    expect(row(page, "Order")).to_be_visible()
    expect(page.get_by_text("No bookings yet")).to_be_hidden()


@pytest.mark.thorough
def test_relative_times_are_updated(app, person, shop):
    app.notify(person, title="Order")
    page = shop.open()
    page.clock.install()
    page.reload()
    wait_live(page)
    bell(page, 1).click()
    expect(page.locator("time")).to_have_text("now")
    page.clock.fast_forward(5 * 60_000)
    expect(page.locator("time")).to_have_text("5m ago")


@pytest.mark.thorough
def test_buttons_are_large_enough_for_touch_on_a_phone(app, person, open_shop, bellcast_server):
    shop = open_shop(bellcast_server, person, PHONE, has_touch=True, is_mobile=True)
    app.notify(person, title="Order")
    page = shop.open()
    bell(page, 1).tap()
    row(page, "Order").get_by_role("button", name="More actions").tap()
    for name in ["Mark as read", "Archive", "Select", "Delete"]:
        entry = page.get_by_role("menuitem", name=name, exact=True)
        expect(entry).to_be_visible()
        box = entry.bounding_box()
        assert min(box["width"], box["height"]) >= 36
    page.get_by_role("menuitem", name="Mark as read").tap()
    expect(bell(page, 0)).to_have_count(1)


def test_title_badge_changes_while_the_tab_is_hidden(app, person, shop):
    page = shop.open('<bellcast-bell title-badge token="{token}"></bellcast-bell>')
    wait_live(page)
    # A hidden tab draws no frames; Playwright's pages are never hidden.
    page.evaluate(
        "{ Object.defineProperty(document, 'hidden', { value: true }); globalThis.requestAnimationFrame = () => 1 }"
    )
    app.notify(person, title="Order")
    expect(page).to_have_title("(1) Shop")


def test_title_badge_shows_the_count(app, person, shop):
    page = shop.open('<bellcast-bell title-badge token="{token}"></bellcast-bell>')
    app.notify(person, title="Order")
    expect(page).to_have_title("(1) Shop")
    in_page(page, "bell.session.read('all')")
    expect(page).to_have_title("Shop")


@pytest.mark.thorough
def test_title_badge_of_a_page_without_a_title_is_replaced_and_removed(app, person, shop):
    page = shop.open('<bellcast-bell title-badge token="{token}"></bellcast-bell>')
    page.evaluate("document.title = ''")
    for number in [1, 2]:
        app.notify(person, title=f"Order {number}")
        expect(page).to_have_title(f"({number})")
    in_page(page, "bell.session.read('all')")
    expect(page).to_have_title("")


@pytest.mark.thorough
def test_app_badge_shows_the_count(app, person, shop):
    shop.context.add_init_script(
        "globalThis.badges = []; navigator.setAppBadge = async (count) => { badges.push(count) }"
    )
    page = shop.open()
    wait_page(page, "badges[0] === 0")  # a push may have put a dot on the icon before
    app.notify(person, title="Order")
    wait_page(page, "badges.at(-1) === 1")
    in_page(page, "bell.session.read('all')")
    wait_page(page, "badges.at(-1) === 0")
