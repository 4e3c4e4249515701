"""The bell in Chromium, on a page with a strict Content-Security-Policy, against a real server."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from tests.browser.shop import PHONE, WIDE, bell, in_page, row, rows, wait_live, wait_until

FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def open_page(open_shop, bellcast_server, person):
    """Opens a page of the person on a new device."""
    return lambda viewport=WIDE, **options: open_shop(bellcast_server, person, viewport, **options).open()


def status(page, text):
    return page.locator("bellcast-bell .status").get_by_text(text)


def test_notification_and_read_mark_reach_every_device(app, person, open_page):
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
    expect(desk.get_by_role("list", name="Today")).to_contain_text("New order")
    expect(row(desk, "New order")).to_have_attribute("part", "row normal")


def test_opened_bell_marks_its_rows_as_seen(app, person, open_page):
    page = open_page()
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
    bell(page).click()
    expect(row(page, "New order")).to_be_visible()
    assert (
        in_page(page, "{ while (bell.session.state.unseen) await new Promise(requestAnimationFrame); return 0 }") == 0
    )
    expect(bell(page, 1)).to_be_visible()


def test_clicked_notification_opens_its_url_and_is_marked_as_read(app, person, open_page):
    page, other = open_page(), open_page()
    app.notify(person, title="New order", action_url="/orders/7")
    bell(page, 1).click()
    page.get_by_role("link", name="New order").click()
    page.wait_for_url("**/orders/7")
    expect(bell(other, 0)).to_be_visible()


def test_clicked_notification_is_marked_as_read_while_the_server_is_slow(app, person, open_page):
    page, other = open_page(), open_page()
    held = []

    def hold(route):  # Playwright does not accept a bound method of a list
        held.append(route)

    page.route("**/v1/inbox/seen", hold)
    app.notify(person, title="New order", action_url="/orders/7")
    with page.expect_request("**/v1/inbox/seen"):
        bell(page, 1).click()
    page.get_by_role("link", name="New order").click()
    page.wait_for_url("**/orders/7")
    expect(bell(other, 0)).to_be_visible()
    (report,) = held
    report.abort()


def test_page_can_handle_the_navigation(app, person, open_page):
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


@pytest.mark.thorough
def test_read_marks_and_deletions_reach_every_device(app, person, open_page):
    page, other = open_page(), open_page()
    for number in range(3):
        app.notify(person, title=f"Order {number}")
    expect(bell(other, 3)).to_be_visible()
    bell(page, 3).click()
    row(page, "Order 1").hover()
    row(page, "Order 1").get_by_role("button", name="Delete").click()
    # Sends the deletion, which waits for the end of the offer to undo it.
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    expect(bell(other, 2)).to_be_visible()
    page.get_by_role("button", name="Mark all as read").click()
    expect(bell(other, 0)).to_be_visible()
    expect(rows(page)).to_have_count(2)


def test_bell_is_usable_by_keyboard(app, person, open_page):
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


def test_markup_in_a_notification_is_shown_as_text(app, person, open_page):
    page = open_page()
    app.notify(person, title="<img src=x onerror=alert(1)>", body="<b>bold</b>", icon="javascript:alert(2)")
    bell(page, 1).click()
    expect(row(page, "<img src=x onerror=alert(1)>")).to_contain_text("<b>bold</b>")
    expect(page.locator("bellcast-bell img")).to_have_count(0)
    expect(page.locator("bellcast-bell b")).to_have_count(0)


def test_refused_token_is_reported_without_a_retry_button(open_page):
    page = open_page()
    in_page(page, "{ bell.token = 'forged'; bell.open = true }")
    expect(page.get_by_text("Sign in again to see your notifications.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


def test_action_after_the_session_ended_reports_it(app, person, open_page):
    page = open_page()
    app.notify(person, title="New order")
    bell(page, 1).click()
    problem = '{"code": "unauthenticated", "status": 401}'
    page.route("**/v1/inbox/read", lambda route: route.fulfill(status=401, body=problem))
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".notice")).to_have_text("Your session has ended")


@pytest.mark.thorough
def test_ended_session_withdraws_the_offer_to_undo(app, person, open_page):
    page = open_page()
    app.notify(person, title="New order")
    bell(page, 1).click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("e")
    page.get_by_role("button", name="Undo").hover()  # keeps offering it
    app.revoke(person)
    expect(page.get_by_text("Sign in again to see your notifications.")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


def test_bell_opens_a_sheet_on_a_phone(app, person, open_page):
    page = open_page(PHONE)
    app.notify(person, title="New order")
    bell(page, 1).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert in_page(page, "bell.shadowRoot.querySelector('dialog').matches(':modal')")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_moved_bell_keeps_its_session_and_a_removed_one_closes_it(open_page):
    page = open_page()
    expect(bell(page, 0)).to_be_visible()
    assert in_page(
        page,
        "{ const { session } = bell; document.querySelector('main').append(bell); await 0; return bell.session === session }",
    )
    code = "{ const { session } = bell; bell.remove(); await new Promise(setTimeout); return session.state.status }"
    assert in_page(page, code) == "closed"


@pytest.mark.thorough
def test_language_that_is_loaded_keeps_the_session(open_shop, bellcast_server, person):
    shop = open_shop(bellcast_server, person)
    shop.fill('<bellcast-bell token="{token}"></bellcast-bell>', lang="de")
    requests, sockets = [], []
    shop.context.on("request", lambda request: requests.append(request.url) if "/v1/inbox" in request.url else None)
    page = shop.context.new_page()
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto("/shop")
    expect(page.get_by_role("button", name="Mitteilungen")).to_be_visible()
    wait_live(page)
    assert (len(sockets), len(requests)) == (1, 1)
    code = "{ const { session } = bell; bell.remove(); await new Promise(setTimeout); return session.state.status }"
    assert in_page(page, code) == "closed"


def test_attribute_that_is_set_again_keeps_the_session(open_shop, bellcast_server, person):
    page = open_shop(bellcast_server, person).open(
        '<bellcast-bell token="{token}" tabs="all"></bellcast-bell><bellcast-toasts token="{token}"></bellcast-toasts>'
    )
    expect(bell(page, 0)).to_be_visible()
    code = """{ const { session } = bell; const toasts = document.querySelector('bellcast-toasts');
      for (const each of [bell, toasts]) for (const { name, value } of [...each.attributes]) each.setAttribute(name, value);
      return [bell.session, toasts.session].every((each) => each === session) && session.state.status }"""
    wait_live(page)
    assert in_page(page, code) == "live"


def test_session_from_a_script_is_shared_by_all_elements(app, person, open_shop, bellcast_server):
    shop = open_shop(bellcast_server, person)
    app.notify(person, title="Order")
    script = f"""import {{ Session }} from '/bellcast.js';
      const session = new Session({{ token: '{bellcast_server.token(person)}' }}).open();
      for (const each of document.querySelectorAll('bellcast-bell, bellcast-toasts')) each.session = session;"""
    shop.context.route("**/given.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    requests = []
    shop.context.on("request", lambda request: requests.append(request.url) if "/v1/inbox" in request.url else None)
    sockets = []
    shop.fill(
        '<bellcast-bell></bellcast-bell><bellcast-toasts></bellcast-toasts><script type="module" src="/given.js"></script>'
    )
    page = shop.context.new_page()
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto("/shop")
    wait_live(page)
    expect(bell(page, 1)).to_be_visible()
    assert (len(sockets), len(requests)) == (1, 1)


def test_bell_without_a_token_uses_cookies(open_shop, bellcast_server, person):
    shop = open_shop(bellcast_server, person)
    shop.fill("<bellcast-bell></bellcast-bell>")
    page = shop.context.new_page()
    with page.expect_response("**/v1/inbox?*") as response:
        page.goto("/shop")
    assert response.value.status == 401  # the request was sent, without a session
    expect(bell(page)).to_be_visible()


def test_page_with_the_documented_rule_never_shifts(app, person, shop):
    """The rule reserves the place until the element is defined, the element itself until it has its session."""
    howto = (Path(__file__).parents[2] / "docs" / "howto" / "bell.md").read_text(encoding="utf-8")
    (rule,) = set(re.findall(r"bellcast-bell:not\(:defined\) \{[^}]*\}", howto))
    app.notify(person, title="Order")
    shop.context.add_init_script(
        f"""globalThis.shifts = []; new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({{ value }}) => value)))
        .observe({{ type: 'layout-shift', buffered: true }});
        const sheet = new CSSStyleSheet(); sheet.replaceSync('{rule}'); document.adoptedStyleSheets = [sheet];"""
    )
    held = []

    def hold(route):  # Playwright does not accept a bound method of a list
        held.append(route)

    shop.context.route("**/bellcast.js", hold)
    shop.fill("<p>Orders <bellcast-bell session></bellcast-bell> Account</p><p>Below</p>")
    page = shop.context.new_page()
    page.goto("/shop", wait_until="commit")
    expect(page.get_by_text("Below")).to_be_visible()
    page.evaluate(FRAMES)
    top = page.get_by_text("Below").bounding_box()["y"]
    # Evaluating lets Playwright process its events.
    wait_until(lambda: page.evaluate("1") and held, lambda: "the script was not requested")
    held[0].continue_()
    page.evaluate("customElements.whenDefined('bellcast-bell').then(() => {})")
    page.evaluate(FRAMES)  # defined, without a session
    token = shop.server.token(person)
    page.evaluate(
        "(token) => import('/bellcast.js').then(({ Session }) => { document.querySelector('bellcast-bell').session = new Session({ token }).open() })",
        token,
    )
    expect(bell(page, 1)).to_be_visible()
    page.evaluate(FRAMES)
    assert page.get_by_text("Below").bounding_box()["y"] == top
    assert page.evaluate("shifts") == []


def test_bell_follows_topics_whose_names_have_commas(app, person, shop):
    orders, sales = f"orders,{person}", f"sales,{person}"
    page = shop.open(
        f"""<bellcast-bell token="{{token}}" topics='["{orders}", "desk"]'></bellcast-bell>""",
        topics=[orders, sales, "desk"],
    )
    wait_live(page)
    in_page(
        page,
        "{ globalThis.received = []; bell.session.addEventListener('event', (e) => received.push(e.detail.topic)) }",
    )
    # Subscriptions are processed in order: when the last one is acknowledged, all are active.
    assert in_page(page, "bell.session.subscribe('desk').then((result) => result.topics)") == ["desk"]
    app.publish(orders, "moved", {})
    wait_until(lambda: page.evaluate("received") == [orders], lambda: page.evaluate("received"))
    in_page(page, "{ bell.topics = given; }", argument=[sales])
    assert in_page(page, "bell.topics") == f'["{sales}"]'
    wait_live(page)
    in_page(page, "{ bell.session.addEventListener('event', (e) => received.push(e.detail.topic)) }")
    assert in_page(page, "bell.session.subscribe('desk').then((result) => result.topics)") == ["desk"]
    app.publish(sales, "moved", {})
    wait_until(lambda: page.evaluate("received") == [orders, sales], lambda: page.evaluate("received"))


@pytest.mark.thorough
def test_topics_of_a_removed_element_are_dropped_unless_another_follows_them(person, shop, bellcast_server):
    page = shop.open(
        """<bellcast-bell token="{token}" topics="desk, all"></bellcast-bell>
        <bellcast-toasts token="{token}" topics="team, all"></bellcast-toasts>""",
        topics=["desk", "team", "all"],
    )
    url, params = f"{bellcast_server.url}/v1/connections", {"recipient": person}

    def followed():
        connections = httpx.get(url, params=params, headers=bellcast_server.as_app()).json()["connections"]
        return [sorted(each["topics"]) for each in connections]

    wait_until(lambda: followed() == [["all", "desk", "team"]], lambda: str(followed()))
    in_page(page, "{ bell.remove() }", "bellcast-toasts")
    wait_until(lambda: followed() == [["all", "desk"]], lambda: str(followed()))


@pytest.mark.thorough
def test_text_styles_of_the_page_do_not_reach_badge_and_rows(app, person, shop):
    app.notify(person, title="Order")
    page = shop.open()
    page.evaluate("""{ const sheet = new CSSStyleSheet(); document.adoptedStyleSheets = [sheet]; sheet.replaceSync(
      'body { letter-spacing: 1em; text-transform: uppercase; text-align-last: right; text-indent: 3em; word-spacing: 2em }') }""")
    bell(page, 1).click()
    expect(row(page, "Order")).to_be_visible()
    names = "['letterSpacing', 'textTransform', 'textAlignLast', 'textIndent', 'wordSpacing']"
    for part in (".badge", ".title"):
        style = page.locator(f"bellcast-bell {part}").evaluate(
            f"(part) => {names}.map((name) => getComputedStyle(part)[name])"
        )
        assert style == ["normal", "none", "auto", "0px", "0px"]
    assert page.locator("bellcast-bell .badge").evaluate("(badge) => badge.offsetWidth") == 18
