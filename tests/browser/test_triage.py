"""The stable list, and the effects of keys, touch and undo on its rows."""

import re

import httpx
import pytest
from playwright.sync_api import expect
from tests.browser.shop import PHONE, bell, in_page, row, rows, tab, toasts, wait_live, wait_state, wait_until
from tests.thoroughness import sampled

INBOX = '<bellcast-inbox token="{token}"></bellcast-inbox>'
SCROLL = "bell.shadowRoot.querySelector('.scroll')"
UNREAD = re.compile(r"\bunread\b")


@pytest.fixture
def inbox(app, person, shop):
    """An inbox as a page, with this many notifications."""

    def inbox(count):
        app.bulk({"to": person, "title": f"Order {number}"} for number in range(count))
        page = shop.open(INBOX)
        wait_live(page, "bellcast-inbox")
        expect(row(page, f"Order {count - 1}")).to_be_visible()
        return page

    return inbox


def title(page, number):
    return page.get_by_role("button", name=f"Order {number}", exact=True)


def top_of(page, number):
    return title(page, number).bounding_box()["y"]


def test_double_click_on_an_action_for_all_rows_can_be_undone(app, person, shop):
    app.notify(person, title="Order")
    page = shop.open()
    bell(page, 1).click()
    expect(row(page, "Order")).to_be_visible()
    twice = "{ const button = bell.shadowRoot.querySelector(given); button.click(); button.click() }"
    in_page(page, twice, argument=".read-all")
    expect(page.locator(".notice")).to_contain_text("Marked as read")
    wait_state(page, "state.unread === 0")
    in_page(page, twice, argument=".archive-read")
    expect(row(page, "Order")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row(page, "Order")).to_have_count(1)


@pytest.mark.thorough
def test_rows_are_grouped_by_day(app, person, shop):
    for number in range(3):
        app.notify(person, title=f"Order {number}")

    def age(route):
        page = route.fetch().json()
        for each, time in zip(page["notifications"][1:], ["2026-06-14T09:00:00Z", "2026-05-04T09:00:00Z"], strict=True):
            each["created_at"] = time
        page["notifications"][0]["created_at"] = "2026-06-15T09:00:00Z"
        route.fulfill(json=page)

    shop.context.route("**/v1/inbox?*", age)
    shop.context.add_init_script(
        "const real = Date.now; const shift = Date.parse('2026-06-15T12:00:00Z') - real(); Date.now = () => real() + shift"
    )
    page = shop.open(INBOX)
    headings = page.get_by_role("heading", level=3)
    expect(headings).to_have_text(["Today", "Yesterday", "Monday, May 4"])
    expect(page.get_by_role("list", name="Yesterday")).to_contain_text("Order 1")


@pytest.mark.thorough
def test_reading_moves_no_row_in_any_tab(inbox):
    page = inbox(4)
    for name, number in [("All", 3), ("Unread", 2)]:
        tab(page, name).click()
        there = range(number + 1)
        before = [top_of(page, each) for each in there]
        title(page, number).click()
        expect(row(page, f"Order {number}")).not_to_have_attribute("part", UNREAD)
        assert [top_of(page, each) for each in there] == before
    expect(tab(page, "Unread")).to_have_text("Unread2")
    tab(page, "All").click()
    tab(page, "Unread").click()
    expect(rows(page)).to_have_count(2)


def test_arriving_rows_do_not_move_a_scrolled_list(app, person, inbox):
    page = inbox(40)
    in_page(page, f"{{ {SCROLL}.scrollTop = 700 }}", "bellcast-inbox")
    expect(title(page, 27)).to_be_visible()
    page.wait_for_timeout(200)  # estimated heights have been replaced by measured ones
    before = top_of(page, 27)
    app.notify(person, title="Above", body="Two lines\nof text")
    app.notify(person, title="Above too")
    pill = page.get_by_role("button", name="2 new")
    expect(pill).to_be_visible()
    assert abs(top_of(page, 27) - before) <= 1
    assert in_page(page, "bell.session.state.notifications[0].seen_at", "bellcast-inbox") is None
    pill.click()
    expect(row(page, "Above too")).to_be_in_viewport()
    expect(pill).to_be_hidden()
    wait_until(lambda: in_page(page, f"{SCROLL}.scrollTop", "bellcast-inbox") == 0, lambda: "not at the top")


@pytest.mark.thorough
def test_line_separates_new_rows(app, person, shop):
    app.notify(person, title="Old")
    page = shop.open()
    bell(page, 1).click()
    wait_state(page, "state.unseen === 0")
    expect(page.get_by_role("separator")).to_have_count(0)
    page.keyboard.press("Escape")
    app.notify(person, title="Fresh")
    bell(page, 2).click()
    order = "[...bell.shadowRoot.querySelectorAll('.words, .divider:not([hidden])')].map((each) => each.textContent)"
    expect(page.get_by_role("separator", name="New")).to_be_visible()
    assert in_page(page, order) == ["Fresh", "New", "Old"]


@pytest.mark.thorough
def test_open_panel_does_not_shrink(app, person, shop):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(12))
    page = shop.open()
    bell(page, 12).click()
    dialog = page.get_by_role("dialog")
    expect(title(page, 11)).to_be_visible()
    settle(page)
    height = dialog.bounding_box()["height"]
    tab(page, "Archive").click()
    expect(page.get_by_text("Nothing archived yet")).to_be_visible()
    assert dialog.bounding_box()["height"] == height


def test_letter_keys_move_archive_delete_and_mark(inbox):
    page = inbox(6)
    title(page, 5).focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(title(page, 4)).to_be_focused()
    page.keyboard.press("e")
    expect(row(page, "Order 4")).to_have_count(0)
    expect(title(page, 3)).to_be_focused()
    page.keyboard.press("u")
    expect(row(page, "Order 3")).not_to_have_attribute("part", UNREAD)
    page.keyboard.press("u")
    expect(row(page, "Order 3")).to_have_attribute("part", UNREAD)
    page.keyboard.press("Delete")
    expect(row(page, "Order 3")).to_have_count(0)
    expect(title(page, 2)).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Control+z")
    expect(row(page, "Order 3")).to_be_visible()
    for _ in range(2):
        page.keyboard.press("Control+z")
    expect(row(page, "Order 4")).to_be_visible()
    expect(rows(page)).to_have_count(6)


def test_list_is_one_tab_stop_even_if_its_row_is_scrolled_away(inbox):
    page = inbox(60)
    tab(page, "All").focus()
    page.keyboard.press("Tab")
    expect(title(page, 59)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Preferences")).to_be_focused()
    in_page(page, f"{{ {SCROLL}.scrollTop = 1000 }}", "bellcast-inbox")
    expect(title(page, 59)).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(page.locator("bellcast-inbox .title:focus")).to_be_in_viewport()
    assert in_page(page, "bell.shadowRoot.querySelectorAll('.title[tabindex=\"0\"]').length", "bellcast-inbox") == 1


def test_several_rows_are_selected_and_archived_as_one_step(inbox):
    page = inbox(6)
    title(page, 5).focus()
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_text("3 selected")).to_be_visible()
    expect(row(page, "Order 3")).to_have_attribute("part", re.compile("selected"))
    page.keyboard.press("e")
    expect(rows(page)).to_have_count(3)
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(6)
    title(page, 5).focus()
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    expect(page.get_by_text("1 selected")).to_be_hidden()


def test_click_on_avatars_selects_and_shift_selects_the_rows_between(inbox):
    page = inbox(6)
    row(page, "Order 4").locator(".avatar").click()
    expect(page.get_by_text("1 selected")).to_be_visible()
    row(page, "Order 1").locator(".avatar").click(modifiers=["Shift"])
    expect(page.get_by_text("4 selected")).to_be_visible()
    row(page, "Order 1").locator(".avatar").click()
    expect(page.get_by_text("3 selected")).to_be_visible()
    expect(row(page, "Order 2")).to_have_attribute("part", UNREAD)
    page.keyboard.press("e")
    expect(rows(page)).to_have_count(3)


@pytest.mark.parametrize("count", [5, 60, 260], ids=["all loaded", "some loaded", "marked by one statement"])
def test_mark_all_as_read_is_sent_immediately_and_its_undo_restores_exactly_those_rows(inbox, count):
    page = inbox(count)
    in_page(page, "bell.session.read(bell.session.state.notifications[1].id)", "bellcast-inbox")
    wait_state(page, f"state.unread === {count - 1}", "bellcast-inbox")
    # The clock of the page stands still: nothing is delayed until the undo has expired.
    page.evaluate("globalThis.setTimeout = () => 0")
    with page.expect_response("**/v1/inbox/read") as response:
        page.get_by_role("button", name="Mark all as read").click()
    assert response.value.json()["unread"] == 0
    wait_state(page, "state.unread === 0", "bellcast-inbox")
    expect(page.get_by_text(f"{count - 1} marked as read")).to_be_visible()
    page.keyboard.press("Control+z")
    wait_state(page, f"state.unread === {count - 1}", "bellcast-inbox")
    page.reload()
    wait_state(page, f"state.unread === {count - 1}", "bellcast-inbox")


def test_folded_group_names_its_actors_and_acts_as_one(app, person, shop):
    for name in ["Cleo", "Bo", "Ann", "Nora", "Ben"]:
        app.notify(person, title="A comment", group="gallery", actor={"name": name})
    page = shop.open(INBOX)
    wait_live(page, "bellcast-inbox")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Ben, Nora and 3 others")
    rows(page).hover()
    page.get_by_role("button", name="Mark as read", exact=True).click()
    wait_state(page, "state.unread === 0", "bellcast-inbox")
    page.get_by_role("button", name="A comment").focus()
    page.keyboard.press("Delete")
    expect(rows(page)).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="4 more")).to_be_visible()


@pytest.mark.thorough
def test_question_mark_shows_the_keys(inbox):
    page = inbox(1)
    title(page, 0).focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    expect(title(page, 0)).to_be_focused()


@pytest.fixture
def phone(app, person, open_shop, bellcast_server):
    """A phone with three notifications and an open panel."""
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(3))
    page = open_shop(bellcast_server, person, PHONE, has_touch=True, is_mobile=True).open()
    bell(page, 3).tap()
    expect(title(page, 2)).to_be_visible()
    page.evaluate("import('/bellcast/elements/touch.js')")  # resolves when the panel has loaded it
    settle(page)
    return page


def settle(page):
    """Wait until rows and panel have stopped moving."""
    in_page(page, "Promise.all(bell.shadowRoot.getAnimations().map((each) => each.finished.catch(() => {})))")


def swipe(page, number, pixels):
    """The browser itself moves the finger: a slow test cannot turn the swipe into a long press."""
    box = row(page, f"Order {number}").bounding_box()
    gesture = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "xDistance": pixels, "yDistance": 0}
    touch = page.context.new_cdp_session(page)
    touch.send("Input.synthesizeScrollGesture", {**gesture, "gestureSourceType": "touch", "preventFling": True})
    touch.detach()
    settle(page)


@pytest.mark.thorough
def test_swipe_works_in_both_directions(phone):
    swipe(phone, 2, 160)
    expect(bell(phone, 2)).to_have_count(1)
    swipe(phone, 1, -160)
    expect(row(phone, "Order 1")).to_have_count(0)
    phone.get_by_role("button", name="Undo").tap()
    expect(row(phone, "Order 1")).to_be_visible()
    swipe(phone, 0, 40)  # too short
    expect(rows(phone)).to_have_count(3)
    expect(bell(phone, 2)).to_have_count(1)


def drag_heading(page, pixels):
    box = page.get_by_role("heading", name="Notifications").bounding_box()
    gesture = {"x": box["x"] + 20, "y": box["y"] + box["height"] / 2, "xDistance": 0, "yDistance": pixels}
    touch = page.context.new_cdp_session(page)
    touch.send("Input.synthesizeScrollGesture", {**gesture, "gestureSourceType": "touch", "preventFling": True})
    touch.detach()


@pytest.mark.thorough
def test_sheet_closes_when_dragged_down(phone):
    dialog = phone.get_by_role("dialog")
    drag_heading(phone, 40)  # too short
    settle(phone)
    expect(dialog).to_be_visible()
    assert in_page(phone, "bell.shadowRoot.querySelector('.panel').style.translate") == ""
    drag_heading(phone, 300)
    expect(dialog).to_be_hidden()
    expect(bell(phone, 3)).to_be_focused()
    bell(phone, 3).tap()
    expect(title(phone, 2)).to_be_in_viewport()


@pytest.mark.thorough
def test_long_press_opens_the_menu_and_lifting_keeps_it_open(phone):
    box = row(phone, "Order 0").bounding_box()
    touch = phone.context.new_cdp_session(phone)
    points = [{"x": box["x"] + 100, "y": box["y"] + 20}]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points})
    expect(phone.get_by_role("menu")).to_be_visible()
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    in_page(phone, "bell.shadowRoot.querySelector('.veil').click()")  # as some browsers do when the finger lifts
    phone.get_by_role("menuitem", name="Select").tap()
    expect(phone.get_by_text("1 selected")).to_be_visible()


@pytest.mark.thorough
def test_progress_moves_in_place(app, person, shop):
    sent = app.notify(person, title="Export", data={"progress": 0.25, "image": "/picture.png"})
    shop.context.route("**/picture.png", lambda route: route.fulfill(status=404))
    page = shop.open(INBOX)
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_js_property("value", 0.25)
    in_page(page, "{ globalThis.element = bell.shadowRoot.querySelector('.row') }", "bellcast-inbox")
    app.edit(sent.id, data={"progress": 0.75, "image": "/picture.png"})
    expect(bar).to_have_js_property("value", 0.75)
    assert in_page(page, "element === bell.shadowRoot.querySelector('.row')", "bellcast-inbox")


def test_ended_session_hides_old_rows_and_offers_to_sign_in(app, person, shop):
    app.notify(person, title="Secret")
    page = shop.open('<bellcast-bell token="{token}" sign-in-url="/login"></bellcast-bell>')
    bell(page, 1).click()
    expect(row(page, "Secret")).to_be_visible()
    page.evaluate("globalThis.ends = []; addEventListener('bellcast:sign-in', ({ detail }) => ends.push(detail.code))")
    app.revoke(person)
    expect(page.get_by_role("link", name="Sign in")).to_have_attribute("href", re.compile("/login$"))
    expect(rows(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(bell(page, 0)).to_have_attribute("part", "button offline")
    assert page.evaluate("ends") == ["revoked"]


def test_urgent_toast_survives_a_flood_and_a_seen_toast_closes(app, person, shop):
    page = shop.open(
        '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}" duration="60000"></bellcast-toasts>'
    )
    wait_live(page)
    app.notify(person, title="Fire", priority="urgent")
    expect(toasts(page)).to_have_count(1)
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(29))
    expect(toasts(page)).to_have_count(3)
    expect(toasts(page).filter(has_text="Fire")).to_have_count(1)
    expect(page.get_by_text("+27 more")).to_be_visible()
    bell(page, 30).click()
    in_page(page, "bell.session.seen('all')")
    expect(toasts(page)).to_have_count(0)


@pytest.mark.thorough
def test_elements_follow_the_color_scheme_of_the_page(person, open_shop, bellcast_server):
    page = open_shop(bellcast_server, person, color_scheme="dark").open()
    scheme = "getComputedStyle(bell.shadowRoot.querySelector('.panel')).getPropertyValue('color-scheme')"
    assert in_page(page, scheme) == "normal"
    in_page(page, "{ document.documentElement.style.setProperty('color-scheme', 'dark') }")
    assert in_page(page, scheme) == "dark"


@pytest.mark.thorough
def test_bell_leaves_the_title_of_the_page_unchanged(app, person, shop):
    page = shop.open('<bellcast-bell token="{token}"></bellcast-bell>')
    page.evaluate("document.title = '(2) Drafts'")
    app.notify(person, title="Order")
    expect(bell(page, 1)).to_be_visible()
    expect(page).to_have_title("(2) Drafts")
    in_page(page, "{ bell.toggleAttribute('title-badge', true) }")
    expect(page).to_have_title("(1) (2) Drafts")
    in_page(page, "bell.session.read('all')")
    expect(page).to_have_title("(2) Drafts")


# Note rows that moved on the screen otherwise than the list was scrolled, which is by multiples of `step`. Browsers report such moves as layout shifts
# (CLS), but on a busy machine Chromium also reports rows that a correction of the scroll position keeps in place.
WATCH = f"""
  const scroll = {SCROLL}, frame = new MessageChannel();
  let before = new Map(), ends = [];
  globalThis.moves = [];
  globalThis.samples = 0;
  frame.port1.onmessage = () => {{
    const rows = new Map([...scroll.querySelectorAll('.row')].map((row) => [row, row.getBoundingClientRect().top]));
    // A wheel stops at the end that the list had in the last frame that was drawn, which may be one before the last sample.
    const isStopped = ends.some((end) => Math.abs(scroll.scrollTop + scroll.clientHeight - end) < 2);
    ends = [ends.at(-1), scroll.scrollHeight];
    for (const [row, top] of isStopped ? [] : rows) {{
      const steps = (before.get(row) - top) / step;
      if (before.has(row)) samples++;
      if (before.has(row) && (steps < -0.1 || Math.abs(steps - Math.round(steps)) * Math.abs(step) > 1.5))
        moves.push([row.querySelector('.title').textContent, before.get(row), top]);
    }}
    before = rows;
  }};
  const next = () => (frame.port2.postMessage(''), requestAnimationFrame(next));
  next()"""


def scroll(page, steps):
    """Scroll by these pixels, a step in each frame, and return the rows that moved otherwise."""
    for step in steps:
        page.evaluate(f"globalThis.step = {step}")
        page.mouse.wheel(0, step)
        page.evaluate("new Promise((done) => requestAnimationFrame(done))")
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
    )
    assert page.evaluate("samples") > len(steps)
    return page.evaluate("moves")


@pytest.mark.thorough
@pytest.mark.parametrize("is_loaded", sampled([False, True]), ids=["while older pages load", "loaded"])
def test_scrolling_shifts_nothing(app, person, shop, is_loaded):
    app.bulk({"to": person, "title": f"Order {number}", "body": "Two chairs. " * (number % 9)} for number in range(900))
    page = shop.open(INBOX)
    expect(title(page, 899)).to_be_visible()
    if is_loaded:
        in_page(page, "{ while (bell.session.state.next) await bell.session.view({}).loadMore() }", "bellcast-inbox")
        wait_state(page, "state.notifications.length === 900", "bellcast-inbox")
    page.locator(".scroll").hover()
    page.evaluate("globalThis.step = 400")
    in_page(page, f"{{ {WATCH} }}", "bellcast-inbox")
    assert scroll(page, [400] * 24) == []
    assert scroll(page, [5_000] * (4 if is_loaded else 8)) == []
    assert scroll(page, [-400] * 24) == []
    assert in_page(page, f"{SCROLL}.scrollTop", "bellcast-inbox") > 5_000


@pytest.mark.thorough
def test_fast_scrolling_up_shifts_nothing_on_a_phone(app, person, open_shop, bellcast_server):
    """Rows that were jumped over are higher than estimated when they come into view from above. Jumps of 1,000 px leave rendered rows below the screen."""
    buttons = [{"key": "a", "label": "Accept", "url": "/x"}, {"key": "b", "label": "Suggest a time", "url": "/y"}]
    app.bulk(
        {
            "to": person,
            "title": f"Order {n}",
            "body": "Two chairs. " * (n % 9),
            "actions": buttons if n % 3 == 0 else [],
        }
        for n in range(600)
    )
    page = open_shop(bellcast_server, person, viewport=PHONE).open(INBOX)
    expect(title(page, 599)).to_be_visible()
    in_page(page, "{ while (bell.session.state.next) await bell.session.view({}).loadMore() }", "bellcast-inbox")
    wait_state(page, "state.notifications.length === 600", "bellcast-inbox")
    page.locator(".scroll").hover()
    for _ in range(6):
        page.mouse.wheel(0, 30_000)
        page.evaluate("new Promise((done) => requestAnimationFrame(done))")
    page.evaluate("globalThis.step = -900")
    in_page(page, f"{{ {WATCH} }}", "bellcast-inbox")
    assert scroll(page, [-900] * 15) == []
    assert scroll(page, [-1_000] * 15) == []
    assert in_page(page, f"{SCROLL}.scrollTop", "bellcast-inbox") > 5_000


@pytest.mark.thorough
def test_age_of_rows_shifts_nothing(app, person, open_shop, bellcast_server):
    """After a minute, "1m ago" takes more room than "now"."""
    app.bulk({"to": person, "title": "Order " + "i" * n} for n in range(34, 54))
    page = open_shop(bellcast_server, person, viewport=PHONE).open()
    page.clock.install()
    page.reload()
    bell(page, 20).click()
    expect(rows(page).first.locator("time")).to_have_text("now")
    page.evaluate(
        """globalThis.shifts = []; new PerformanceObserver((list) => shifts.push(...list.getEntries()
          .map(({ value }) => value))).observe({ type: 'layout-shift' })"""
    )
    for minutes in [1, 10, 48]:
        page.clock.fast_forward(minutes * 60_000)
        expect(rows(page).first.locator("time")).not_to_have_text("now")
    expect(rows(page).first.locator("time")).to_have_text("59m ago")
    page.evaluate("new Promise((done) => requestIdleCallback(done))")
    assert page.evaluate("shifts") == []


@pytest.mark.thorough
def test_names_stay_when_a_group_unfolds(app, person, shop):
    for name in ["Cleo Marsh", "Ben Lind"]:
        app.notify(person, title="commented on “Harbour”", group="harbour", actor={"name": name})
    app.notify(person, title="New request", type="booking_created", actor={"name": "Ann Vale"})
    page = shop.open(INBOX)
    expect(rows(page)).to_have_count(2)
    expect(rows(page).first.locator(".title")).to_have_text("Ann Vale · New request")
    expect(rows(page).last.locator(".names")).to_have_text("Ben Lind and Cleo Marsh")
    expect(rows(page).last.locator(".title")).to_have_text("commented on “Harbour”")
    expect(rows(page).last.locator(".avatar")).to_have_text(["BL", "CM"])
    page.get_by_role("button", name="1 more").click()
    titles = ["Ann Vale · New request", "Ben Lind commented on “Harbour”", "Cleo Marsh commented on “Harbour”"]
    expect(page.locator(".row .title")).to_have_text(titles)


@pytest.mark.thorough
def test_icons_of_types_and_low_priority_are_shown(app, person, shop):
    app.notify(person, title="Report", type="weekly_report", priority="low")
    app.notify(person, title="Order")
    page = shop.open(INBOX)
    expect(row(page, "Report").locator(".chip")).to_have_text("Low")
    expect(row(page, "Order").locator(".chip")).to_have_count(0)
    path = "(element) => element.querySelector('path').getAttribute('d')"
    assert row(page, "Report").locator(".avatar").evaluate(path) != row(page, "Order").locator(".avatar").evaluate(path)


@pytest.mark.thorough
def test_notice_covers_no_row(app, person, shop):
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(14))
    page = shop.open()
    bell(page, 14).click()
    settle(page)
    dialog = page.get_by_role("dialog").bounding_box()
    title(page, 13).focus()
    page.keyboard.press("e")
    notice = page.locator(".notice")
    expect(notice).to_be_visible()
    settle(page)
    scroll = page.locator(".scroll").bounding_box()
    assert scroll["y"] + scroll["height"] <= notice.bounding_box()["y"]
    assert page.get_by_role("dialog").bounding_box() == dialog


@pytest.mark.thorough
def test_title_uses_the_width_of_the_row_below_the_time(app, person, shop):
    app.notify(person, title="The contract of the studio for this year’s exhibition needs your signature before Friday")
    page = shop.open()
    bell(page, 1).click()
    text = page.locator(".row .text")
    expect(text).to_be_visible()
    assert text.bounding_box()["width"] > 300
    lines = text.evaluate(
        "(element) => { const range = new Range(); range.selectNodeContents(element.firstChild); return Array.from(range.getClientRects(), ({ right }) => right) }"
    )
    when = page.locator(".row .when").bounding_box()
    assert lines[0] <= when["x"]
    assert max(lines[1:]) > when["x"]


@pytest.mark.thorough
def test_counts_of_an_ended_session_are_hidden(app, person, shop):
    app.notify(person, title="Secret", type="booking")
    page = shop.open('<bellcast-bell token="{token}" tabs="all,unread,type:booking=Bookings"></bellcast-bell>')
    bell(page, 1).click()
    expect(tab(page, "Unread")).to_have_text("Unread1")
    expect(tab(page, "Bookings")).to_have_text("Bookings1")
    app.revoke(person)
    expect(tab(page, "Unread")).to_have_text("Unread")
    expect(tab(page, "Bookings")).to_have_text("Bookings")
    wait_state(page, "state.unread === 0 && state.unseen === 0")


@pytest.mark.thorough
def test_row_menu_names_the_type(app, bellcast_server, person, shop):
    url = f"{bellcast_server.url}/v1/types/billing"
    assert httpx.put(url, headers=bellcast_server.as_app(), json={"name": "Payments and invoices"}).is_success
    app.notify(person, title="Invoice", type="billing")
    page = shop.open(INBOX)
    row(page, "Invoice").hover()
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Mute “Payments and invoices”").click()
    expect(page.locator(".notice")).to_contain_text("Muted")
