"""What has just come: toasts, a sound, the desktop; as often as the person allowed."""

from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, toasts, until, wait_live, wait_page, wait_state

BOTH = '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}" duration="{duration}"></bellcast-toasts>'
# What the desktop was shown; a page cannot look at it.
DESKTOP = """globalThis.desktop = []; globalThis.gone = []; globalThis.asked = 0;
globalThis.Notification = class { static permission = 'default';
  static async requestPermission() { asked++; return (Notification.permission = 'granted') }
  constructor(title, { tag }) { this.title = title; this.tag = tag; desktop.push(title); globalThis.latest = this }
  close() { gone.push(this.title) } };"""
NOTES = "globalThis.notes = 0; const start = OscillatorNode.prototype.start; OscillatorNode.prototype.start = function (...at) { notes++; return start.apply(this, at) };"


def open_both(shop, duration=60_000):
    page = shop.open(BOTH.replace("{duration}", str(duration)))
    wait_live(page)
    return page


def test_a_toast_says_what_came_and_goes_where_it_leads(app, person, shop):
    page = open_both(shop)
    app.notify(person, title="New order", body="Two chairs", action_url="/orders/7", action_text="Look")
    expect(toasts(page)).to_contain_text("Two chairs")
    toasts(page).get_by_role("link", name="Look").click()
    page.wait_for_url("**/orders/7")
    page.goto("/shop")
    expect(bell(page, 0)).to_have_count(1)


def test_toasts_go_by_themselves_but_an_urgent_one_stays(app, person, shop):
    page = open_both(shop, duration=2_500)
    app.bulk([{"to": person, "title": "By the way"}, {"to": person, "title": "Now!", "priority": "urgent"}])
    expect(toasts(page)).to_have_count(2)
    expect(toasts(page)).to_have_count(1)
    expect(toasts(page)).to_contain_text("Now!")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(toasts(page)).to_have_count(0)


def test_a_toast_goes_when_it_is_read_elsewhere(app, person, shop):
    page = open_both(shop)
    app.notify(person, title="New order")
    expect(toasts(page)).to_have_count(1)
    in_page(page, "bell.session.read('all')")
    expect(toasts(page)).to_have_count(0)


def test_what_is_looked_at_already_needs_no_toast(app, person, shop):
    page = open_both(shop)
    bell(page).click()
    app.notify(person, title="New order")
    expect(page.locator("bellcast-bell .row")).to_have_count(1)
    page.wait_for_timeout(300)  # longer than a toast takes to come
    expect(toasts(page)).to_have_count(0)


def test_a_flood_is_three_toasts(app, person, shop):
    page = open_both(shop)
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(50))
    expect(bell(page, 50)).to_be_visible()
    expect(toasts(page)).to_have_count(3)


def test_a_sound_is_made_once_and_only_where_it_was_wished(app, person, shop):
    shop.context.add_init_script(NOTES)
    pages = [open_both(shop) for _ in range(3)]
    app.notify(person, title="Silent")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()
    bell(pages[0]).click()
    pages[0].get_by_role("button", name="Sound").click()
    wait_page(pages[0], "notes === 2")  # what it will be like
    pages[0].keyboard.press("Escape")
    app.notify(person, title="Heard")
    for page in pages:
        expect(bell(page, 2)).to_be_visible()

    def notes():
        return sum(page.evaluate("notes") for page in pages)

    until(lambda: notes() == 4, lambda: f"{notes()} notes, not 4")
    pages[0].wait_for_timeout(700)  # the tab that would be last to tell has had its turn
    assert notes() == 4


def test_the_desktop_is_asked_for_on_a_click_only_and_closed_when_seen(app, person, shop):
    shop.context.add_init_script(DESKTOP)
    page = open_both(shop)
    app.notify(person, title="Before")
    expect(bell(page, 1)).to_be_visible()
    assert page.evaluate("asked") == 0
    bell(page).click()
    page.get_by_role("button", name="Desktop alerts").click()
    expect(page.get_by_role("button", name="Desktop alerts")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("[asked, desktop]") == [1, []]
    page.keyboard.press("Escape")
    # The person looks at another window.
    page.evaluate("document.hasFocus = () => false")
    app.notify(person, title="While elsewhere")
    wait_page(page, "desktop.includes('While elsewhere')")
    other = shop.open()
    in_page(other, "bell.session.seen('all')")
    wait_page(page, "gone.includes('While elsewhere')")
    assert page.evaluate("desktop") == ["While elsewhere"]


def test_a_click_on_a_desktop_notification_marks_it_as_read(app, person, shop):
    shop.context.add_init_script(DESKTOP)
    page = open_both(shop)
    bell(page, 0).click()
    page.get_by_role("button", name="Desktop alerts").click()
    expect(page.get_by_role("button", name="Desktop alerts")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    page.evaluate("document.hasFocus = () => false")
    app.notify(person, title="While elsewhere")
    wait_page(page, "globalThis.latest")
    page.evaluate("latest.onclick()")
    wait_state(page, "state.unread === 0")
