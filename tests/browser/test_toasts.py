"""Alerts for new notifications: toasts, a sound, and desktop notifications, if the user allowed them."""

import pytest
from playwright.sync_api import expect
from tests.browser.shop import (
    bell,
    close_panel,
    enable_alert,
    in_page,
    toasts,
    wait_live,
    wait_page,
    wait_state,
    wait_until,
)

BELL_AND_TOASTS = '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}" duration="{duration}"></bellcast-toasts>'
# Records desktop notifications, which a page cannot query.
DESKTOP = """globalThis.desktop = []; globalThis.gone = []; globalThis.prompts = 0;
globalThis.Notification = class { static permission = 'default';
  static async requestPermission() { prompts++; return (Notification.permission = 'granted') }
  constructor(title, { tag }) {
    this.title = title; this.tag = tag;
    if (Notification.permission === 'granted') { desktop.push(title); globalThis.latest = this }
  }
  close() { gone.push(this.title) } };"""
# As on Android, also where the browser names itself a desktop's.
THROWING = DESKTOP.replace(
    "constructor(title, { tag }) {", "constructor() { throw new TypeError('Illegal constructor');", 1
)
NOTES = "globalThis.notes = 0; const start = OscillatorNode.prototype.start; OscillatorNode.prototype.start = function (...at) { notes++; return start.apply(this, at) };"


def open_both(shop, duration=60_000):
    page = shop.open(BELL_AND_TOASTS.replace("{duration}", str(duration)))
    wait_live(page)
    return page


def test_toast_shows_the_notification_and_opens_its_url(app, person, shop):
    page = open_both(shop)
    app.notify(person, title="New order", body="Two chairs", action_url="/orders/7", action_text="Look")
    expect(toasts(page)).to_contain_text("Two chairs")
    toasts(page).get_by_role("link", name="Look").click()
    page.wait_for_url("**/orders/7")
    page.goto("/shop")
    expect(bell(page, 0)).to_have_count(1)


def test_toast_closes_after_its_duration_unless_urgent(app, person, shop):
    page = open_both(shop, duration=50)
    page.evaluate("{ globalThis.offered = 0; addEventListener('bellcast:toast', () => offered++) }")
    app.bulk([{"to": person, "title": "By the way"}, {"to": person, "title": "Now!", "priority": "urgent"}])
    wait_page(page, "offered === 2")  # the first one closes sooner than a loaded machine can look
    expect(toasts(page)).to_have_count(1)
    expect(toasts(page)).to_contain_text("Now!")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(toasts(page)).to_have_count(0)


@pytest.mark.thorough
def test_toast_of_an_infinite_duration_stays(app, person, shop):
    page = open_both(shop, duration="Infinity")
    page.evaluate("{ globalThis.offered = 0; addEventListener('bellcast:toast', () => offered++) }")
    app.notify(person, title="New order")
    wait_page(page, "offered === 1")
    page.evaluate(
        "() => new Promise((done) => setTimeout(done, 20))"
    )  # after the timer of the toast, if that were due at once
    expect(toasts(page)).to_have_count(1)


@pytest.mark.thorough
def test_page_that_shows_its_own_toasts_sees_no_number_of_further_ones(app, person, shop):
    page = open_both(shop)
    page.evaluate(
        "globalThis.offered = 0; addEventListener('bellcast:toast', (event) => (offered++, event.preventDefault()))"
    )
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(5))
    wait_page(page, "offered >= 3")  # a busy machine may deliver two batches, of which each offers 3
    expect(toasts(page)).to_have_count(0)
    expect(page.locator("bellcast-toasts .toast-more")).to_be_hidden()


def test_toast_closes_when_its_notification_is_read(app, person, shop):
    page = open_both(shop)
    app.notify(person, title="New order")
    expect(toasts(page)).to_have_count(1)
    in_page(page, "bell.session.read('all')")
    expect(toasts(page)).to_have_count(0)


@pytest.mark.thorough
def test_closed_toasts_leave_nothing_behind(app, person, shop):
    shop.context.add_init_script("""globalThis.endings = 0; const { addEventListener } = EventTarget.prototype;
      EventTarget.prototype.addEventListener = function (type, ...more) {
        if (type === 'abort' && this instanceof AbortSignal) endings++;
        return addEventListener.call(this, type, ...more) };""")
    page = open_both(shop, duration=50)
    page.evaluate("{ globalThis.offered = 0; addEventListener('bellcast:toast', () => offered++) }")
    after = []
    for number in range(3):
        app.notify(person, title=f"Order {number}")
        wait_page(page, f"offered > {number}")
        expect(toasts(page)).to_have_count(0)
        after.append(page.evaluate("endings"))
    assert after[1] == after[2]  # the first one also loads the parts that come later


def test_focus_moves_to_the_next_toast(app, person, shop):
    page = open_both(shop)
    for number in range(2):
        app.notify(person, title=f"Order {number}")
    expect(toasts(page)).to_have_count(2)
    toasts(page).filter(has_text="Order 0").get_by_role("button", name="Close").press("Enter")
    expect(toasts(page)).to_have_count(1)
    expect(toasts(page).get_by_role("button", name="Close")).to_be_focused()


def test_open_bell_shows_no_toast(app, person, shop):
    page = open_both(shop)
    bell(page).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    app.notify(person, title="New order")
    expect(page.locator("bellcast-bell .row")).to_have_count(1)
    page.wait_for_timeout(300)  # longer than a toast takes to appear
    expect(toasts(page)).to_have_count(0)


def test_flood_shows_three_toasts(app, person, shop):
    page = open_both(shop)
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(50))
    expect(bell(page, 50)).to_be_visible()
    expect(toasts(page)).to_have_count(3)


@pytest.mark.thorough
def test_number_of_further_toasts_leaves_out_what_was_read(app, person, shop):
    page = open_both(shop)
    for number in range(5):
        app.notify(person, title=f"Order {number}", priority="urgent" if number == 0 else "normal")
    expect(page.get_by_text("+2 more")).to_be_visible()
    rest = "bell.session.state.notifications.filter(({ title }) => /[12]/.test(title)).map(({ id }) => id)"
    in_page(page, f"bell.session.read({rest}.slice(1))")
    expect(page.get_by_text("+1 more")).to_be_visible()
    in_page(page, f"bell.session.read({rest})")
    expect(page.get_by_text("more")).to_be_hidden()
    expect(toasts(page)).to_have_count(3)


@pytest.mark.thorough
def test_sound_is_played_once_and_only_if_enabled(app, person, shop):
    shop.context.add_init_script(NOTES)
    pages = [open_both(shop) for _ in range(3)]
    app.notify(person, title="Silent")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()
    bell(pages[0]).click()
    enable_alert(pages[0], "Sound")
    wait_page(pages[0], "notes === 2")  # a sample of the sound
    close_panel(pages[0])
    app.notify(person, title="Heard")
    for page in pages:
        expect(bell(page, 2)).to_be_visible()

    def notes():
        return sum(page.evaluate("notes") for page in pages)

    wait_until(lambda: notes() == 4, lambda: f"{notes()} notes, not 4")
    pages[0].wait_for_timeout(700)  # longer than the last tab waits before it alerts
    assert notes() == 4


@pytest.mark.thorough
def test_sounds_that_the_browser_held_back_are_not_played_later(app, person, shop):
    """Web Audio: `resume()` stays pending until the user has clicked in the page."""
    held = """globalThis.asked = 0;
      AudioContext.prototype.resume = () => { asked++; return new Promise((done) => addEventListener('click', done)) };"""
    shop.context.add_init_script(NOTES + held)
    page = shop.open()
    wait_live(page)
    page.evaluate("localStorage.setItem('bellcast sound', 'on')")
    app.notify(person, title="Order")
    wait_page(page, "asked === 1")
    page.evaluate(
        "{ const now = performance.now(); performance.now = () => now + 2_000; dispatchEvent(new Event('click')) }"
    )
    page.evaluate("new Promise((done) => setTimeout(done))")
    assert page.evaluate("notes") == 0


@pytest.mark.thorough
def test_sound_whose_code_cannot_be_loaded_fails_silently(app, person, shop):
    """The page of every test must not have errors."""
    page = shop.open()
    bell(page).click()
    failed = []
    page.route("**/desktop-notifications.js", lambda route: (failed.append(route), route.abort()))
    enable_alert(page, "Sound")
    # Evaluating lets Playwright process its events.
    wait_until(lambda: page.evaluate("1") and len(failed) == 1, lambda: "not loaded")
    close_panel(page)
    app.notify(person, title="Order")
    wait_until(lambda: page.evaluate("1") and len(failed) == 2, lambda: "not loaded again")
    expect(bell(page, 1)).to_be_visible()


@pytest.mark.thorough
def test_desktop_notification_needs_a_click_for_permission_and_closes_when_seen(app, person, shop):
    shop.context.add_init_script(DESKTOP)
    page = open_both(shop)
    app.notify(person, title="Before")
    expect(bell(page, 1)).to_be_visible()
    assert page.evaluate("prompts") == 0
    bell(page).click()
    enable_alert(page, "Desktop alerts")
    expect(page.get_by_role("switch", name="Desktop alerts")).to_be_checked()
    assert page.evaluate("[prompts, desktop]") == [1, []]
    close_panel(page)
    # The window is not in focus.
    page.evaluate("document.hasFocus = () => false")
    app.notify(person, title="While elsewhere")
    wait_page(page, "desktop.includes('While elsewhere')")
    other = shop.open()
    in_page(other, "bell.session.seen('all')")
    wait_page(page, "gone.includes('While elsewhere')")
    assert page.evaluate("desktop") == ["While elsewhere"]


@pytest.mark.thorough
def test_desktop_alerts_stay_off_where_the_browser_can_show_none(shop):
    shop.context.add_init_script(THROWING)
    page = open_both(shop)
    bell(page).click()
    page.get_by_role("button", name="Preferences").click()
    page.get_by_role("switch", name="Desktop alerts").click()
    expect(page.get_by_text("through a service worker only")).to_be_visible()
    expect(page.get_by_role("switch", name="Desktop alerts")).not_to_be_checked()
    assert page.evaluate("[prompts, localStorage.getItem('bellcast desktop')]") == [0, "off"]


@pytest.mark.thorough
def test_desktop_notification_uses_the_texts_of_the_elements_of_the_page(app, person, shop):
    shop.context.add_init_script(DESKTOP)
    page = shop.open(BELL_AND_TOASTS.replace("{duration}", "60000"), lang="de")
    wait_live(page)
    page.evaluate(
        "{ localStorage.setItem('bellcast desktop', 'on'); Notification.permission = 'granted'; document.hasFocus = () => false }"
    )
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(5))
    wait_page(page, "globalThis.latest")
    assert page.evaluate("desktop") == ["5 neue Mitteilungen"]
    in_page(page, "bell.remove()")
    page.evaluate("latest.onclick()")
    wait_state(page, "state.unread === 4", "bellcast-toasts")


def test_click_on_a_desktop_notification_marks_it_as_read(app, person, shop):
    shop.context.add_init_script(DESKTOP)
    page = open_both(shop)
    bell(page, 0).click()
    enable_alert(page, "Desktop alerts")
    expect(page.get_by_role("switch", name="Desktop alerts")).to_be_checked()
    close_panel(page)
    page.evaluate("document.hasFocus = () => false")
    app.notify(person, title="While elsewhere")
    wait_page(page, "globalThis.latest")
    page.evaluate("latest.onclick()")
    wait_state(page, "state.unread === 0")
