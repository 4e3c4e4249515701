"""The bell in Chromium, on a page with a strict Content-Security-Policy, against a real server."""

import re

import pytest
from playwright.sync_api import expect
from tests.browser.shop import PHONE, WIDE, bell, in_page, row, rows, wait_live


@pytest.fixture
def open_page(open_shop, bellcast_server, person):
    """Opens the person's page on a device of its own."""
    return lambda viewport=WIDE, **options: open_shop(bellcast_server, person, viewport, **options).open()


def status(page, text):
    return page.locator("bellcast-bell .status").get_by_text(text)


def test_it_rings_at_once_on_every_device_and_all_badges_move(app, person, open_page):
    desk, phone = open_page(), open_page(PHONE)
    expect(bell(desk, 0)).to_be_visible()
    expect(bell(phone, 0)).to_be_visible()
    app.notify(person, title="New order", action_url="/orders/7")
    expect(bell(desk, 1)).to_be_visible()
    expect(bell(phone, 1)).to_be_visible()
    bell(desk).click()
    row(desk, "New order").hover()
    desk.get_by_role("button", name="Mark as read").click()
    expect(bell(phone, 0)).to_be_visible()
    expect(desk.get_by_role("list", name="Earlier")).to_contain_text("New order")


def test_opening_it_is_seeing_what_it_shows(app, person, open_page):
    page = open_page()
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
    bell(page).click()
    expect(row(page, "New order")).to_be_visible()
    assert (
        in_page(page, "{ while (bell.session.state.unseen) await new Promise(requestAnimationFrame); return 0 }") == 0
    )
    expect(bell(page, 1)).to_be_visible()


def test_clicking_one_follows_it_and_marks_it_as_read(app, person, open_page):
    page, other = open_page(), open_page()
    app.notify(person, title="New order", action_url="/orders/7")
    bell(page, 1).click()
    page.get_by_role("link", name="New order").click()
    page.wait_for_url("**/orders/7")
    expect(bell(other, 0)).to_be_visible()


def test_a_page_may_go_there_its_own_way(app, person, open_page):
    page = open_page()
    page.evaluate(
        "addEventListener('bellcast:open-notification', (e) => { e.preventDefault(); document.title = e.detail.notification.title })"
    )
    app.notify(person, title="New order", action_url="/orders/7")
    bell(page, 1).click()
    page.get_by_role("link", name="New order").click()
    expect(page).to_have_title("New order")
    expect(page).to_have_url(re.compile("/shop$"))
    expect(bell(page, 0)).to_have_attribute("aria-expanded", "false")


def test_what_is_marked_read_or_deleted_is_so_everywhere(app, person, open_page):
    page, other = open_page(), open_page()
    for number in range(3):
        app.notify(person, title=f"Order {number}")
    expect(bell(other, 3)).to_be_visible()
    bell(page, 3).click()
    row(page, "Order 1").hover()
    row(page, "Order 1").get_by_role("button", name="Delete").click()
    expect(bell(other, 2)).to_be_visible(timeout=10_000)
    page.get_by_role("button", name="Mark all as read").click()
    expect(bell(other, 0)).to_be_visible()
    expect(rows(page)).to_have_count(2)


def test_a_hand_on_the_keyboard_is_enough(app, person, open_page):
    page = open_page()
    for number in range(2):
        app.notify(person, title=f"Order {number}", action_url=f"/orders/{number}")
    expect(bell(page, 2)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Notifications")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Order 0")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.get_by_role("link", name="Order 1")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(bell(page)).to_be_focused()


def test_hostile_words_are_only_words(app, person, open_page):
    page = open_page()
    app.notify(person, title="<img src=x onerror=alert(1)>", body="<b>bold</b>", icon="javascript:alert(2)")
    bell(page, 1).click()
    expect(row(page, "<img src=x onerror=alert(1)>")).to_contain_text("<b>bold</b>")
    expect(page.locator("bellcast-bell img")).to_have_count(0)
    expect(page.locator("bellcast-bell b")).to_have_count(0)


def test_a_refused_token_is_said_and_not_as_a_broken_network(open_page):
    page = open_page()
    in_page(page, "{ bell.token = 'forged'; bell.open = true }")
    expect(page.get_by_text("Sign in again to see your notifications.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_an_action_after_the_session_ended_says_so(app, person, open_page):
    page = open_page()
    app.notify(person, title="New order")
    bell(page, 1).click()
    problem = '{"code": "unauthenticated", "status": 401}'
    page.route("**/v1/inbox/read", lambda route: route.fulfill(status=401, body=problem))
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".notice")).to_have_text("Your session has ended")


def test_on_a_phone_it_is_a_sheet(app, person, open_page):
    page = open_page(PHONE)
    app.notify(person, title="New order")
    bell(page, 1).click()
    assert in_page(page, "bell.shadowRoot.querySelector('dialog').matches(':modal')")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_moving_it_keeps_its_session_and_removing_it_ends_it(open_page):
    page = open_page()
    expect(bell(page, 0)).to_be_visible()
    assert in_page(
        page,
        "{ const { session } = bell; document.querySelector('main').append(bell); await 0; return bell.session === session }",
    )
    code = "{ const { session } = bell; bell.remove(); await new Promise(setTimeout); return session.state.status }"
    assert in_page(page, code) == "closed"


def test_a_session_a_script_hands_over_is_the_only_one(app, person, open_shop, bellcast_server):
    shop = open_shop(bellcast_server, person)
    app.notify(person, title="Order")
    script = f"""import {{ Session }} from '/bellcast.js';
      const session = new Session({{ token: '{bellcast_server.token(person)}' }}).open();
      for (const each of document.querySelectorAll('bellcast-bell, bellcast-toasts')) each.session = session;"""
    shop.context.route("**/given.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    asked = []
    shop.context.on("request", lambda request: asked.append(request.url) if "/v1/inbox" in request.url else None)
    sockets = []
    shop.fill(
        '<bellcast-bell></bellcast-bell><bellcast-toasts></bellcast-toasts><script type="module" src="/given.js"></script>'
    )
    page = shop.context.new_page()
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto("/shop")
    wait_live(page)
    expect(bell(page, 1)).to_be_visible()
    assert (len(sockets), len(asked)) == (1, 1)


def test_without_a_script_the_cookies_speak_once_the_page_is_read(open_shop, bellcast_server, person):
    shop = open_shop(bellcast_server, person)
    shop.fill("<bellcast-bell></bellcast-bell>")
    page = shop.context.new_page()
    with page.expect_response("**/v1/inbox?*") as answer:
        page.goto("/shop")
    assert answer.value.status == 401  # nobody is signed in here, and it asked
    expect(bell(page)).to_be_visible()
