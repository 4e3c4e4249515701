"""Accessibility: axe-core in every state, focus, announcements, and reduced motion."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests import thoroughness
from tests.browser.looks import in_looks, small_targets
from tests.browser.shop import (
    PHONE,
    WIDE,
    bell,
    in_page,
    row,
    tab,
    toasts,
    wait_live,
    wait_page,
    wait_state,
    wait_until,
)
from tests.thoroughness import sampled

AXE = Path(__file__).parents[2] / "client/node_modules/axe-core/axe.min.js"
BELL_AND_TOASTS = '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}" duration="60000"></bellcast-toasts>'
ALL = (
    '<header><bellcast-bell token="{token}"></bellcast-bell></header>'
    '<section aria-label="Inbox"><bellcast-inbox token="{token}"></bellcast-inbox></section>'
    '<bellcast-toasts token="{token}" duration="60000"></bellcast-toasts>'
)
END_OF_MOTION = """Promise.all([document, ...Array.from(document.querySelectorAll('*'), ({ shadowRoot }) => shadowRoot)]
  .flatMap((root) => root?.getAnimations() ?? []).filter(({ effect }) => effect.getComputedTiming().endTime < Infinity)
  .map(({ finished }) => finished.catch(() => {})))"""
# Without what axe found to be right; its transfer takes a sixth of the time.
RUN = """([place, options]) => axe.run(Object.keys(place).length ? place : document, options).then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 200))]))"""


def violations(page, rules=(), within=None, *, menu=False):
    """Return axe-core's violations with their elements, without frames, which show other pages. `rules` are the ids of the
    rules to check, by default all; `within` selects the only element to check. The menu of the console, which takes three
    quarters of the time of a page and is the same on all, is checked with `menu` and in thorough runs. The tool is injected
    past the page's policy, once into each document. A panel that fades in has too little contrast for 0.2 s."""
    if not page.evaluate(f"{END_OF_MOTION}.then(() => 'axe' in window)"):
        world = page.context.new_cdp_session(page)
        world.send("Runtime.evaluate", {"expression": AXE.read_text()})
    # Without loading style sheets and media again, which takes half of the time, for rules that are off or about media.
    options = {"resultTypes": ["violations"], "iframes": False, "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    place = {"include": [[within]]} if within else {}
    if not menu and not thoroughness.is_thorough:
        place["exclude"] = [["#menu"]]
    return [(rule, nodes) for rule, nodes in page.evaluate(RUN, [place, options])]


def dark_violations(page):
    """Return what axe-core finds in the dark scheme of a page without scripts of its own for it: only its colors differ."""
    page.emulate_media(color_scheme="dark")
    found = violations(page, ["color-contrast", "link-in-text-block"])
    page.emulate_media(color_scheme="light")
    return found


def send_some(app, person):
    app.notify(person, title="Read already", body="Long ago", priority="low")
    app.notify(person, title="Comment 1", group="gallery", actor={"name": "Ann Lind"})
    app.notify(person, title="Comment 2", group="gallery", actor={"name": "Ann Lind"})
    app.notify(person, title="Sign it", priority="high", action_url="/orders/1", action_text="Sign")
    app.notify(person, title="Card declined", body="It was declined.", priority="urgent", icon="💳", type="payment")


@in_looks(WIDE, PHONE)
def test_axe_finds_nothing_in_a_full_inbox(app, person, open_shop, bellcast_server, viewport, scheme):
    page = open_shop(bellcast_server, person, viewport, color_scheme=scheme, reduced_motion="reduce").open(ALL)
    wait_live(page)
    send_some(app, person)
    wait_state(page, "state.unread === 5")
    in_page(page, "bell.session.read(bell.session.state.notifications.at(-1).id)")
    wait_state(page, "state.unread === 4")
    assert violations(page) == []
    bell(page, 4).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_menus_buttons_and_preferences(app, person, open_shop, bellcast_server, scheme):
    actions = [{"key": key, "label": key, "url": "#", "style": key} for key in ("primary", "danger", "default")]
    app.notify(person, title="Ann asks", actions=actions)
    page = open_shop(bellcast_server, person, color_scheme=scheme, reduced_motion="reduce").open(
        '<meta name="color-scheme" content="light dark"><bellcast-bell token="{token}"></bellcast-bell>'
    )
    bell(page, 1).click()
    expect(row(page, "Ann asks")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("h")
    expect(page.get_by_role("menu", name="Snooze")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_role("switch", name="All notifications, Inbox")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_controls_of_the_bell_are_large_enough_for_a_finger(app, person, open_shop, bellcast_server):
    phone = open_shop(bellcast_server, person, PHONE, is_mobile=True, has_touch=True).open(
        '<bellcast-bell token="{token}"></bellcast-bell>'
    )
    app.notify(person, title="Ann asks", action_url="/orders/1", action_text="Read", email={"text": "Hello"})
    bell(phone, 1).tap()
    expect(row(phone, "Ann asks")).to_be_visible()
    assert small_targets(phone) == []
    phone.get_by_role("button", name="More actions").tap()
    phone.get_by_role("menuitem", name="Snooze").tap()
    expect(phone.get_by_role("menu", name="Snooze")).to_be_visible()
    assert small_targets(phone) == []
    phone.keyboard.press("Escape")
    phone.get_by_role("button", name="Preferences").tap()
    expect(phone.get_by_role("switch", name="All notifications, Inbox")).to_be_visible()
    assert small_targets(phone) == []


@pytest.mark.thorough
def test_axe_finds_nothing_in_an_empty_inbox(page):
    wait_live(page)
    bell(page).click()
    expect(page.get_by_text("You’re all caught up")).to_be_visible()
    assert violations(page) == []
    tab(page, "Archive").click()
    expect(page.get_by_text("Nothing archived yet")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_axe_finds_nothing_after_a_refused_token(app, person, shop):
    page = shop.open(token="forged")
    bell(page).click()
    expect(page.get_by_text("Your session has ended").first).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_axe_finds_nothing_in_a_right_to_left_page(app, person, shop):
    send_some(app, person)
    page = shop.open(lang="ar", direction="rtl")
    page.get_by_role("button", name="الإشعارات").click()
    expect(row(page, "Sign it")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_forced_colors_show_what_is_unread_and_selected(app, person, open_shop, bellcast_server):
    app.notify(person, title="Export", data={"progress": 0.5})
    send_some(app, person)
    page = open_shop(bellcast_server, person, forced_colors="active").open()
    bell(page, 6).click()
    expect(row(page, "Sign it")).to_be_visible()
    bar = "getComputedStyle(bell.shadowRoot.querySelector('.progress:not([hidden])'))"
    assert in_page(page, f"{bar}.forcedColorAdjust") == "none"  # else its value has the color of its background
    text = in_page(page, "getComputedStyle(bell.shadowRoot.querySelector('.title')).color")
    for selector, pseudo in ((".dot", ""), (".tab[aria-selected=true]", "::after")):
        painted = f"getComputedStyle(bell.shadowRoot.querySelector('{selector}'), '{pseudo}').backgroundColor"
        assert in_page(page, painted) == text, selector
    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_role("switch", name="Quiet hours")).not_to_be_checked()
    color = "getComputedStyle(bell.shadowRoot.querySelector(given)).backgroundColor"
    assert in_page(page, color, argument=".switch:checked") != in_page(page, color, argument="#quiet")


@pytest.mark.thorough
def test_text_of_the_other_direction_starts_at_the_avatar(app, person, shop):
    app.notify(person, title="Sign it", body="Two of three have signed.")
    page = shop.open(lang="ar", direction="rtl")
    page.get_by_role("button", name="الإشعارات").click()
    expect(row(page, "Sign it")).to_be_visible()
    aligned = "['.words', '.body'].map((each) => getComputedStyle(bell.shadowRoot.querySelector(each)).textAlign)"
    assert in_page(page, aligned) == ["right", "right"]


@pytest.mark.thorough
def test_axe_finds_nothing_in_toasts(app, person, shop):
    page = shop.open(BELL_AND_TOASTS)
    wait_live(page)
    send_some(app, person)
    expect(page.get_by_text("+2 more")).to_be_visible()  # no other toast will slide in
    expect(toasts(page)).to_have_count(3)
    wait_page(page, "!document.querySelector('bellcast-toasts').shadowRoot.getAnimations().length")  # fully visible
    assert violations(page) == []


def test_focus_returns_and_is_never_lost(app, person, shop):
    send_some(app, person)
    page = shop.open()
    bell(page, 5).click()
    expect(row(page, "Card declined")).to_be_visible()
    page.get_by_role("dialog").press("ArrowDown")
    focused = page.locator("bellcast-bell :focus")
    expect(focused).to_have_text("Urgent Card declined")
    page.keyboard.press("e")
    expect(row(page, "Card declined")).to_have_count(0)
    expect(page.locator("bellcast-bell :focus")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("dialog")).to_be_focused()
    page.keyboard.press("Escape")
    expect(bell(page)).to_be_focused()


@pytest.mark.thorough
def test_focus_does_not_reach_what_an_overlay_covers(app, person, shop):
    app.notify(person, title="Order")
    page = shop.open()
    bell(page, 1).click()
    expect(row(page, "Order")).to_be_visible()
    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_role("switch", name="All notifications, Inbox")).to_be_visible()
    covered = "['.header', '.stage', '.footer'].map((each) => bell.shadowRoot.querySelector(each).inert)"
    assert in_page(page, covered) == [True, True, True]
    page.keyboard.press("Escape")
    assert in_page(page, covered) == [False, False, False]
    page.keyboard.press("j")
    page.keyboard.press("h")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Order", exact=True)).to_be_focused()


@pytest.mark.thorough
def test_overlay_whose_code_cannot_be_loaded_is_reported(shop):
    page = shop.open()
    bell(page).click()
    expect(page.get_by_role("button", name="Preferences")).to_be_visible()
    page.route("**/preferences-form.js", lambda route: route.abort())
    page.get_by_role("button", name="Preferences").click()
    expect(page.get_by_text("That didn’t work. Please try again.")).to_be_visible()


@pytest.mark.thorough
def test_overlay_that_loads_after_the_panel_was_closed_stays_closed(shop):
    page = shop.open()
    bell(page).click()
    expect(page.get_by_role("button", name="Preferences")).to_be_visible()
    held = []

    def hold(route):
        held.append(route)

    page.route("**/preferences-form.js", hold)
    page.get_by_role("button", name="Preferences").click()
    # Evaluating lets Playwright process its events.
    wait_until(lambda: page.evaluate("1") and held, lambda: "not requested")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Notifications")).to_be_hidden()
    with page.expect_request_finished(lambda request: "preferences-form" in request.url):
        held[0].continue_()
    page.evaluate(
        "import(performance.getEntriesByType('resource').find(({ name }) => name.includes('preferences-form')).name)"
    )
    bell(page).click()
    expect(page.get_by_role("dialog", name="Preferences")).to_have_count(0)


def test_new_notifications_are_announced_politely_and_once(app, person, shop):
    page = shop.open()
    wait_live(page)
    announcement = page.locator("bellcast-bell .live")
    expect(announcement).to_have_attribute("role", "status")
    app.notify(person, title="New order")
    expect(announcement).to_have_text("New notification: New order")
    app.bulk({"to": person, "title": f"Order {number}"} for number in range(5))
    expect(announcement).to_have_text("5 new notifications")


@pytest.mark.parametrize("viewport", sampled([PHONE, WIDE]), ids=["phone", "desktop"])
def test_new_notifications_are_announced_while_the_panel_is_open(app, person, open_shop, bellcast_server, viewport):
    # The panel is a modal dialog on a phone only.
    page = open_shop(bellcast_server, person, viewport).open()
    bell(page, 0).click()
    devtools = page.context.new_cdp_session(page)

    def is_announced(title):  # Playwright's roles include what a modal dialog makes inert
        nodes = devtools.send("Accessibility.getFullAXTree")["nodes"]
        return f"New notification: {title}" in [node["name"]["value"] for node in nodes if not node["ignored"]]

    settings = page.get_by_role("button", name="Preferences")
    expect(settings).to_be_visible()
    app.notify(person, title="Order")
    wait_until(lambda: is_announced("Order"), lambda: "not announced")
    settings.click()
    expect(page.get_by_role("switch", name="All notifications, Inbox")).to_be_visible()
    app.notify(person, title="Another")
    wait_until(lambda: is_announced("Another"), lambda: "not announced while an overlay is open")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    app.notify(person, title="Last")
    wait_until(lambda: is_announced("Last"), lambda: "not announced after the panel was closed")


@pytest.mark.thorough
def test_selected_row_is_described_as_such(app, person, shop):
    app.notify(person, title="Order")
    page = shop.open()
    bell(page, 1).click()
    expect(row(page, "Order")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".title")).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator(".title")).to_have_accessible_description("1 selected, Unread")


@pytest.mark.thorough
def test_notices_appear_in_a_status_that_is_never_hidden(app, person, shop):
    app.notify(person, title="Order")
    page = shop.open()
    bell(page, 1).click()
    expect(row(page, "Order")).to_be_visible()
    status = page.locator("bellcast-bell [role=status]:not(.live, .status)")
    assert status.evaluate("(element) => element.checkVisibility()")
    page.keyboard.press("j")
    page.keyboard.press("e")
    expect(status).to_contain_text("Archived")
    page.get_by_role("button", name="Undo").click()
    expect(status).to_have_text("Undone")


def test_only_one_visible_element_announces_a_notification(app, person, shop):
    page = shop.open(
        '<bellcast-bell token="{token}" hidden></bellcast-bell><bellcast-bell token="{token}"></bellcast-bell>'
        '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}"></bellcast-toasts>'
    )
    page.evaluate("""{ const sheet = new CSSStyleSheet(); document.adoptedStyleSheets = [sheet];
      sheet.replaceSync('[hidden] { display: none !important }') }""")
    wait_live(page)
    app.notify(person, title="New order")
    expect(toasts(page)).to_have_count(1)
    texts = "[...document.querySelectorAll('bellcast-bell')].map((bell) => bell.shadowRoot.querySelector('.live').textContent)"
    assert page.evaluate(texts) == ["", "New notification: New order", ""]
    log = page.locator("bellcast-toasts [role=log]")
    expect(log).to_have_attribute("aria-live", "off")
    page.evaluate("for (const bell of document.querySelectorAll('bellcast-bell')) bell.hidden = true")
    app.notify(person, title="Second order")
    expect(log).to_have_attribute("aria-live", "polite")


@pytest.mark.thorough
def test_reduced_motion_disables_animations(app, person, open_shop, bellcast_server):
    page = open_shop(bellcast_server, person, reduced_motion="reduce").open(BELL_AND_TOASTS)
    wait_live(page)
    app.notify(person, title="New order")
    expect(toasts(page)).to_have_count(1)
    bell(page, 1).click()
    assert page.evaluate("document.getAnimations().length") == 0
    assert in_page(page, "bell.shadowRoot.getAnimations().length") == 0
