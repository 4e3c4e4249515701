"""Unreliable connections: blocked, cut, suspended, expired; no action is lost."""

import httpx
import pytest
from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, wait_live, wait_page, wait_state, wait_until

from bellcast.client import Bellcast

# A call over a WebSocket gets a response, at least a refusal.
SPEAKS = "bell.session.call('x').then(() => true, (error) => error.code !== 'not_connected')"
RESILIENCE = "**/bellcast/resilience.js"  # loaded after the connection is live


def count_of(server, person):
    """Return the unread counter of the server."""
    response = httpx.get(f"{server.url}/v1/inbox/counts", headers=server.as_recipient(person))
    return response.json()["unread"]


def advance_until(page, after, true):
    """Return a predicate that advances the page's clock before each check, since timers are set again after each
    response.
    """

    def advance_and_check():
        page.clock.run_for(after)
        return true()

    return advance_and_check


def block(shop, *, streams=False):
    shop.context.route_web_socket("**/v1/ws?*", lambda socket: socket.close(code=1011))
    if streams:
        shop.context.route("**/v1/stream?*", lambda route: route.fulfill(status=502, body="bad gateway"))


def wait_prepared(page):
    """Wait until the page is live and has loaded the module it needs after a disconnect."""
    wait_live(page)
    wait_page(  # Playwright's own wait evaluates text in the page, which the page's policy refuses
        page,
        "performance.getEntriesByType('resource').some(({ name, responseEnd }) => name.endsWith('/resilience.js') && responseEnd)",
    )


def test_page_recovers_after_being_offline(app, person, shop, page):
    wait_prepared(page)
    shop.context.set_offline(offline=True)
    wait_state(page, "state.status === 'offline'")
    app.notify(person, title="While away")
    shop.context.set_offline(offline=False)
    expect(bell(page, 1)).to_be_visible()
    wait_live(page)


def test_page_receives_the_live_events_it_missed_once_and_in_order(app, person, shop, bellcast_server):
    topic = f"desk-{person}"
    token = bellcast_server.token(person, topics=[topic])
    page = shop.open(f'<bellcast-bell token="{{token}}" topics="{topic}"></bellcast-bell>', token=token)
    wait_prepared(page)
    in_page(
        page,
        "{ globalThis.received = []; bell.session.addEventListener('event', (e) => received.push(e.detail.data)) }",
    )
    app.publish(topic, "moved", 1)
    wait_page(page, "received.length")
    for away in (2, 4):
        shop.context.set_offline(offline=True)
        wait_state(page, "state.status === 'offline'")
        app.publish(topic, "moved", away)
        app.publish(topic, "moved", away + 1)
        shop.context.set_offline(offline=False)
        wait_live(page)
        wait_page(page, f"received.length >= {away + 1}")
    app.publish(topic, "moved", 6)
    wait_page(page, "received.includes(6)")
    assert page.evaluate("received") == [1, 2, 3, 4, 5, 6]


def test_page_that_goes_offline_before_all_modules_loaded_recovers(app, person, shop):
    shop.context.route(RESILIENCE, lambda route: None)  # the request stays pending
    page = shop.open()
    wait_live(page)
    shop.context.set_offline(offline=True)
    wait_state(page, "state.status === 'offline'")
    app.notify(person, title="While away")
    shop.context.set_offline(offline=False)
    expect(bell(page, 1)).to_be_visible()
    wait_live(page)


def test_page_falls_back_to_server_sent_events(app, person, shop):
    block(shop)
    page = shop.open()
    wait_live(page)
    app.notify(person, title="By events")
    expect(bell(page, 1)).to_be_visible()


def test_page_falls_back_to_polling_with_etags(app, person, shop):
    block(shop, streams=True)
    statuses = []
    shop.context.on(
        "response", lambda response: statuses.append(response.status) if "/v1/inbox/counts" in response.url else None
    )
    page = shop.open()
    page.clock.install()
    page.reload()
    wait_live(page)
    wait_until(advance_until(page, 16_000, lambda: 304 in statuses), lambda: f"{statuses}")
    app.notify(person, title="By asking")
    wait_until(advance_until(page, 16_000, lambda: bell(page, 1).count()), lambda: f"{statuses}")


def test_page_upgrades_to_a_websocket_once_it_is_possible(app, person, shop):
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
    wait_until(advance_until(page, 61_000, lambda: in_page(page, SPEAKS)), lambda: "it only listens")


def test_page_reconnects_after_a_server_restart(start_server, open_shop, person):
    server = start_server()
    shop = open_shop(server, person)
    page = shop.open()
    wait_live(page)
    with Bellcast(server.url, server.secret) as app:
        app.notify(person, title="Before")
        expect(bell(page, 1)).to_be_visible()
        server.restart()
        app.notify(person, title="After")
    expect(bell(page, 2)).to_be_visible()
    assert in_page(page, "bell.session.state.notifications.map(({ title }) => title)") == ["After", "Before"]


@pytest.mark.thorough
def test_token_is_renewed_before_it_expires_and_the_connection_stays(app, person, shop, bellcast_server):
    shop.context.expose_function("issue", lambda: bellcast_server.token(person, ttl=16))
    page = shop.open("<bellcast-bell></bellcast-bell>")
    in_page(
        page,
        "{ globalThis.requests = 0; globalThis.statuses = new Set(); bell.getToken = () => (requests++, issue()) }",
    )
    wait_live(page)
    in_page(page, "bell.session.addEventListener('change', () => statuses.add(bell.session.state.status))")
    wait_page(page, "requests >= 2")
    page.wait_for_timeout(6_000)  # beyond the expiry of the first token
    app.notify(person, title="Still here")
    expect(bell(page, 1)).to_be_visible()
    assert page.evaluate("[...statuses]") == ["live"]


def test_expired_token_without_get_token_is_reported(shop, person, bellcast_server):
    page = shop.open(token=bellcast_server.token(person, ttl=1))
    wait_state(page, "state.error?.code")
    bell(page).click()
    expect(page.get_by_text("Sign in again to see your notifications.")).to_be_visible()


def test_suspended_page_resumes_on_focus(app, person, shop):
    page = shop.open()
    wait_live(page)
    # Its timers did not run, its connection was cut silently, and the clock has advanced.
    shop.context.set_offline(offline=True)
    in_page(page, "{ const slept = Date.now; Date.now = () => slept() + 3_600_000 }")
    app.notify(person, title="In the night")
    shop.context.set_offline(offline=False)
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(bell(page, 1)).to_be_visible()
    wait_live(page)


def test_silently_dead_connection_is_detected_on_wake(app, person, shop):
    """As after a suspension: the socket looks open, but transfers nothing."""
    silent = []
    sockets = []

    def route(socket):
        server = socket.connect_to_server()
        server.on_message(lambda message: None if socket in silent else socket.send(message))
        sockets.append(socket)

    shop.context.route_web_socket("**/v1/ws?*", route)
    page = shop.open()
    wait_live(page)
    silent.extend(sockets)
    app.notify(person, title="Unheard")
    page.evaluate("{ const now = Date.now; Date.now = () => now() + 40_000 }")
    page.evaluate("dispatchEvent(new Event('pageshow'))")
    expect(bell(page, 1)).to_be_visible()
    wait_until(lambda: page.evaluate("1") and len(sockets) == 2, lambda: f"{len(sockets)} connections, not 2")


def test_offline_action_survives_a_reload_and_is_sent(app, person, shop, bellcast_server):
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
    wait_until(lambda: count_of(bellcast_server, person) == 0, lambda: "not read on the server")


def test_refused_offline_action_is_reverted(app, person, shop):
    page = shop.open()
    app.notify(person, title="New order")
    expect(bell(page, 1)).to_be_visible()
    page.route("**/v1/inbox/read", lambda route: route.abort())
    in_page(
        page,
        "{ globalThis.refused = 0; bell.session.addEventListener('refused', () => refused++); bell.session.read('all').catch(() => {}) }",
    )
    wait_state(page, "state.queued === 1 && state.unread === 0")
    problem = '{"code": "forbidden", "status": 403}'
    # It precedes the other route, so that no attempt in between reaches the server.
    page.route("**/v1/inbox/read", lambda route: route.fulfill(status=403, body=problem))
    wait_page(page, "refused === 1")
    expect(bell(page, 1)).to_be_visible()


def test_failed_module_is_loaded_again_and_the_offline_action_is_sent(app, person, shop, bellcast_server):
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
    wait_until(advance_until(page, 6_000, lambda: in_page(page, queued)), lambda: "not kept")
    page.unroute("**/v1/inbox/read")
    wait_until(advance_until(page, 6_000, lambda: count_of(bellcast_server, person) == 0), lambda: "not sent")


def test_page_reconnects_even_if_a_module_cannot_be_loaded(app, person, shop):
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
    wait_until(advance_until(page, 6_000, lambda: bell(page, 1).count()), lambda: "it did not come back")
    wait_live(page)
