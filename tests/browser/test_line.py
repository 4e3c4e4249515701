"""The line in bad weather: blocked, cut, slept through, expired; what was done meanwhile is not lost."""

import httpx
from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, until, wait_live, wait_page, wait_state

from bellcast.client import Bellcast

# Over a WebSocket a call is answered, if only by a refusal.
SPEAKS = "bell.session.call('x').then(() => true, (error) => error.code !== 'not_connected')"
RESILIENCE = "**/bellcast/resilience.js"  # fetched with the first line


def count_of(server, person):
    """What the server knows."""
    answer = httpx.get(f"{server.url}/v1/inbox/counts", headers=server.as_recipient(person))
    return answer.json()["unread"]


def later(page, after, true):
    """Lets a page's clock go on, again and again: what it does then sets its next timer when an answer has come."""

    def look():
        page.clock.run_for(after)
        return true()

    return look


def block(shop, *, streams=False):
    shop.context.route_web_socket("**/v1/ws?*", lambda socket: socket.close(code=1011))
    if streams:
        shop.context.route("**/v1/stream?*", lambda route: route.fulfill(status=502, body="bad gateway"))


def wait_prepared(page):
    """Until it is live and has fetched what it needs when the line breaks."""
    wait_live(page)
    page.wait_for_function(
        "performance.getEntriesByType('resource').some(({ name, responseEnd }) => name.endsWith('/resilience.js') && responseEnd)"
    )


def test_the_network_goes_and_comes_back(app, person, shop, page):
    wait_prepared(page)
    shop.context.set_offline(offline=True)
    wait_state(page, "state.status === 'offline'")
    app.notify(person, title="While away")
    shop.context.set_offline(offline=False)
    expect(bell(page, 1)).to_be_visible()
    wait_live(page)


def test_a_network_that_goes_before_all_is_fetched_is_noticed_at_once(app, person, shop):
    shop.context.route(RESILIENCE, lambda route: None)  # on its way
    page = shop.open()
    wait_live(page)
    shop.context.set_offline(offline=True)
    wait_state(page, "state.status === 'offline'")
    app.notify(person, title="While away")
    shop.context.set_offline(offline=False)
    expect(bell(page, 1)).to_be_visible()
    wait_live(page)


def test_where_websockets_cannot_pass_it_is_live_by_events(app, person, shop):
    block(shop)
    page = shop.open()
    wait_live(page)
    app.notify(person, title="By events")
    expect(bell(page, 1)).to_be_visible()


def test_where_nothing_holds_it_asks_again_and_is_answered_briefly(app, person, shop):
    block(shop, streams=True)
    statuses = []
    shop.context.on(
        "response", lambda answer: statuses.append(answer.status) if "/v1/inbox/counts" in answer.url else None
    )
    page = shop.open()
    page.clock.install()
    page.reload()
    wait_live(page)
    until(later(page, 16_000, lambda: 304 in statuses), lambda: f"{statuses}")
    app.notify(person, title="By asking")
    until(later(page, 16_000, lambda: bell(page, 1).count()), lambda: f"{statuses}")


def test_it_goes_back_to_the_better_way_when_that_is_open_again(app, person, shop):
    blocked = True
    shop.context.route_web_socket(
        "**/v1/ws?*", lambda socket: socket.close(code=1011) if blocked else socket.connect_to_server()
    )
    page = shop.open()
    page.clock.install()
    page.reload()
    wait_live(page)
    assert not in_page(page, SPEAKS)
    blocked = False
    until(later(page, 61_000, lambda: in_page(page, SPEAKS)), lambda: "it only listens")


def test_a_server_that_is_restarted_is_found_again(start_server, open_shop, person):
    server = start_server()
    shop = open_shop(server, person)
    page = shop.open()
    wait_live(page)
    with Bellcast(server.url, server.secret) as app:
        app.notify(person, title="Before")
        expect(bell(page, 1)).to_be_visible()
        server.restart()
        app.notify(person, title="After")
    expect(bell(page, 2)).to_be_visible(timeout=20_000)
    assert in_page(page, "bell.session.state.notifications.map(({ title }) => title)") == ["After", "Before"]


def test_a_token_is_renewed_before_it_ends_and_the_line_holds(app, person, shop, bellcast_server):
    shop.context.expose_function("issue", lambda: bellcast_server.token(person, ttl=6))
    page = shop.open("<bellcast-bell></bellcast-bell>")
    in_page(page, "{ globalThis.asked = 0; globalThis.said = new Set(); bell.getToken = () => (asked++, issue()) }")
    wait_live(page)
    in_page(page, "bell.session.addEventListener('change', () => said.add(bell.session.state.status))")
    wait_page(page, "asked >= 2", 20)
    page.wait_for_timeout(2_500)  # past the end of the first
    app.notify(person, title="Still here")
    expect(bell(page, 1)).to_be_visible()
    assert page.evaluate("[...said]") == ["live"]


def test_a_token_that_ends_with_nobody_to_ask_is_said(shop, person, bellcast_server):
    page = shop.open(token=bellcast_server.token(person, ttl=1))
    wait_state(page, "state.error?.code")
    bell(page).click()
    expect(page.get_by_text("Sign in again to see your notifications.")).to_be_visible()


def test_a_machine_that_slept_asks_what_it_missed_when_it_wakes(app, person, shop):
    page = shop.open()
    wait_live(page)
    # Its timers stood still, its line was cut without a word, and the clock has gone on.
    shop.context.set_offline(offline=True)
    in_page(page, "{ const slept = Date.now; Date.now = () => slept() + 3_600_000 }")
    app.notify(person, title="In the night")
    shop.context.set_offline(offline=False)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(bell(page, 1)).to_be_visible()
    wait_live(page)


def test_a_line_that_died_without_a_word_is_noticed_on_waking(app, person, shop):
    """As after a sleep: the socket looks open, and nothing comes through it."""
    silent = []
    frames = []

    def route(socket):
        server = socket.connect_to_server()
        server.on_message(lambda message: None if silent else socket.send(message))
        frames.append(socket)

    shop.context.route_web_socket("**/v1/ws?*", route)
    page = shop.open()
    wait_live(page)
    silent.append(1)
    app.notify(person, title="Unheard")
    page.evaluate("{ const now = Date.now; Date.now = () => now() + 40_000 }")
    silent.clear()
    page.evaluate("dispatchEvent(new Event('pageshow'))")
    expect(bell(page, 1)).to_be_visible()
    assert len(frames) == 2


def test_what_was_done_offline_is_kept_over_a_reload_and_told(app, person, shop, bellcast_server):
    page = shop.open()
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
    page.route("**/v1/inbox/read", lambda route: route.abort())
    in_page(page, "void bell.session.read('all')")
    wait_state(page, "state.queued === 1 && state.unread === 0")
    assert count_of(bellcast_server, person) == 1
    page.unroute("**/v1/inbox/read")
    page.reload()
    wait_state(page, "state.loaded && state.queued === 0 && state.unread === 0 && state.status === 'live'")
    assert count_of(bellcast_server, person) == 0


def test_what_was_done_offline_and_is_refused_is_taken_back(app, person, shop):
    page = shop.open()
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
    page.route("**/v1/inbox/read", lambda route: route.abort())
    in_page(
        page,
        "{ globalThis.refused = 0; bell.session.addEventListener('refused', () => refused++); bell.session.read('all').catch(() => {}) }",
    )
    wait_state(page, "state.queued === 1 && state.unread === 0")
    page.unroute("**/v1/inbox/read")
    problem = '{"code": "forbidden", "status": 403}'
    page.route("**/v1/inbox/read", lambda route: route.fulfill(status=403, body=problem))
    wait_page(page, "refused === 1")
    expect(bell(page, 1)).to_be_visible()


def test_what_bad_weather_takes_is_asked_for_until_it_is_there_and_nothing_done_meanwhile_is_lost(
    app, person, shop, bellcast_server
):
    shop.context.route(RESILIENCE, lambda route: route.abort())
    page = shop.open()
    page.clock.install()
    page.reload()
    wait_live(page)
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
    page.route("**/v1/inbox/read", lambda route: route.abort())
    in_page(page, "void bell.session.read('all')")
    wait_state(page, "state.unread === 0")
    shop.context.unroute(RESILIENCE)
    queued = "bell.session.state.queued === 1 && bell.session.state.unread === 0"
    until(later(page, 6_000, lambda: in_page(page, queued)), lambda: "not kept")
    page.unroute("**/v1/inbox/read")
    until(later(page, 6_000, lambda: count_of(bellcast_server, person) == 0), lambda: "not told")


def test_a_line_that_breaks_comes_back_though_that_cannot_be_had(app, person, shop):
    lines = []

    def route(socket):
        socket.connect_to_server()
        lines.append(socket)

    shop.context.route_web_socket("**/v1/ws?*", route)
    shop.context.route(RESILIENCE, lambda route: route.abort())
    page = shop.open()
    page.clock.install()
    page.reload()
    wait_live(page)
    lines[-1].close(code=1011)
    wait_state(page, "state.status === 'waiting'")
    app.notify(person, title="Unheard")
    until(later(page, 6_000, lambda: bell(page, 1).count()), lambda: "it did not come back")
    wait_live(page)
