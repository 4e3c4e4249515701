"""Five tabs of one person share a connection; every badge is updated, and alerts are shown once."""

import pytest
from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, session_state, toasts, wait_live, wait_page, wait_state, wait_until
from tests.browser.test_unreliable_connections import wait_prepared

BELL_AND_TOASTS = '<bellcast-bell token="{token}" topics="{topics}"></bellcast-bell><bellcast-toasts token="{token}" duration="60000"></bellcast-toasts>'


@pytest.fixture
def five_tabs(shop):
    pages = [shop.open(BELL_AND_TOASTS.replace("{topics}", "")) for _ in range(5)]
    for page in pages:
        wait_live(page)
    return pages


def test_five_tabs_share_a_connection_and_update_every_badge(app, person, shop, five_tabs):
    shop.expect_lines(1)
    app.notify(person, title="New order")
    for page in five_tabs:
        expect(bell(page, 1)).to_be_visible()
    in_page(five_tabs[3], "bell.session.read('all')")
    for page in five_tabs:
        expect(bell(page, 0)).to_be_visible()
    shop.expect_lines(1)


@pytest.mark.thorough
def test_notification_is_alerted_in_one_tab_only(app, person, five_tabs):
    for number in range(3):
        app.notify(person, title=f"Order {number}")
    for page in five_tabs:
        expect(bell(page, 3)).to_be_visible()

    def toast_count():
        return sum(toasts(page).count() for page in five_tabs)

    wait_until(lambda: toast_count() == 3, lambda: f"{toast_count()} toasts, not 3")
    five_tabs[0].wait_for_timeout(700)  # longer than the last tab waits before it alerts
    assert toast_count() == 3


def test_closed_leader_is_replaced_without_loss_or_duplicates(app, person, shop, five_tabs):
    record_events = "{ globalThis.received = []; bell.session.addEventListener('notification', (e) => received.push(e.detail.title)) }"
    for page in five_tabs:
        in_page(page, record_events)
    five_tabs[0].close()  # the first tab holds the lock
    titles = [f"Order {number}" for number in range(10)]
    for title in titles:
        app.notify(person, title=title)
    for page in five_tabs[1:]:
        expect(bell(page, 10)).to_be_visible()
        wait_live(page)
        wait_page(page, "received.length >= 10")
        assert page.evaluate("received") == titles
    shop.expect_lines(1)


def test_crashed_leader_is_replaced(app, person, shop, five_tabs):
    five_tabs[0].context.new_cdp_session(five_tabs[0]).send("Page.navigate", {"url": "about:blank"})
    app.notify(person, title="After")
    for page in five_tabs[1:]:
        expect(bell(page, 1)).to_be_visible()
    app.notify(person, title="Later")
    for page in five_tabs[1:]:
        expect(bell(page, 2)).to_be_visible()


def test_tab_receives_its_own_topics_over_the_shared_connection(app, person, shop, bellcast_server):
    token = bellcast_server.token(person, topics=["room-*"])
    pages = [shop.open(BELL_AND_TOASTS.replace("{topics}", f"room-{name}"), token=token) for name in "ab"]
    for page in pages:
        wait_live(page)
        in_page(
            page,
            "{ globalThis.received = []; bell.session.addEventListener('event', (e) => received.push(e.detail.name)) }",
        )
    # Subscriptions are processed in order: when the last one is acknowledged, all are active.
    assert in_page(pages[1], "bell.session.subscribe('room-b').then((result) => result.topics)") == ["room-b"]
    app.publish("room-a", "for-a", {})
    app.publish("room-b", "for-b", {})
    for page, name in zip(pages, ["for-a", "for-b"], strict=True):
        wait_page(page, "received.length")
        assert page.evaluate("received") == [name]
    shop.expect_lines(1)


def test_tabs_of_other_topics_lose_no_event_when_the_leader_closes(app, person, shop, bellcast_server):
    token = bellcast_server.token(person, topics=["room-*"])
    pages = [shop.open(BELL_AND_TOASTS.replace("{topics}", f"room-{name}"), token=token) for name in "abc"]
    for page, name in zip(pages, "abc", strict=True):
        wait_live(page)
        in_page(
            page,
            "{ globalThis.received = []; bell.session.addEventListener('event', (e) => received.push(e.detail.name)) }",
        )
        in_page(page, f"bell.session.subscribe('room-{name}').then(() => {{}})")
    pages[0].close()
    names = [f"event {number}" for number in range(30)]
    for name in names:
        app.publish(["room-b", "room-c"], name, {})
    for page in pages[1:]:
        wait_page(page, "received.length >= 30")
        assert page.evaluate("received") == names


@pytest.mark.parametrize("shared", [True, False], ids=["one line", "a line each"])
def test_event_published_by_a_tab_reaches_the_other_tabs_only(shop, bellcast_server, person, shared):
    if not shared:
        shop.context.add_init_script("delete Navigator.prototype.locks")
    token = bellcast_server.token(person, topics=["desk"], publish=["desk"])
    pages = [shop.open(BELL_AND_TOASTS.replace("{topics}", "desk"), token=token) for _ in range(3)]
    for page in pages:
        wait_live(page)
        in_page(
            page,
            """{ globalThis.received = []; for (const type of ['event', 'typing'])
          bell.session.addEventListener(type, ({ detail: { id, ...event } }) => received.push(event)) }""",
        )
        in_page(page, "bell.session.subscribe('desk').then(() => {})")
    shop.expect_lines(1 if shared else 3)
    for page in pages:
        in_page(page, "bell.session.publish('desk', 'moved', { at: new Date(0) }).then(() => {})")
        in_page(page, "bell.session.typing('desk', true).then(() => {})")
    expected = [
        {"type": "event", "topic": "desk", "name": "moved", "data": {"at": "1970-01-01T00:00:00.000Z"}},
        {"type": "typing", "topic": "desk", "recipient": person, "on": True},
    ]
    for page in pages:
        wait_page(page, "received.length >= 4")
    pages[0].wait_for_timeout(200)  # enough for a duplicate to arrive
    for page in pages:
        assert page.evaluate("received") == expected * 2


def test_tab_of_another_person_has_its_own_connection(app, person, shop, bellcast_server):
    own, other = shop.open(), shop.open(token=bellcast_server.token(f"not-{person}"))
    wait_live(own)
    wait_live(other)
    shop.expect_lines(1)
    app.notify(person, title="Mine")
    expect(bell(own, 1)).to_be_visible()
    assert session_state(other, "unread") == 0


def test_tabs_without_locks_have_a_connection_each(app, person, shop):
    shop.context.add_init_script("delete Navigator.prototype.locks")
    pages = [shop.open(), shop.open()]
    for page in pages:
        wait_live(page)
    shop.expect_lines(2)
    app.notify(person, title="Both")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()


def test_tabs_have_a_connection_each_if_the_coordinator_cannot_be_loaded(app, person, shop):
    shop.context.route("**/bellcast/tab-coordinator.js", lambda route: route.abort())
    pages = [shop.open(), shop.open()]
    for page in pages:
        wait_live(page)
    shop.expect_lines(2)
    app.notify(person, title="Both")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()


LOADED = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/tab-coordinator.js'))"


def test_single_tab_does_not_load_the_coordinator(shop):
    requested = []
    shop.context.on("request", lambda request: requested.append(request.url.rpartition("/")[2]))
    page = shop.open()
    wait_live(page)
    assert "tab-coordinator.js" not in requested
    for one in (shop.open(), page):
        wait_page(one, f"{LOADED}.length > 0")
        wait_live(one)
        assert in_page(one, f"{LOADED}.length") == 1


def test_offline_action_of_a_tab_shows_in_every_tab(app, person, shop):
    pages = [shop.open(), shop.open()]
    app.notify(person, title="New order")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()
        wait_prepared(page)
    shop.context.set_offline(offline=True)
    in_page(pages[0], "void bell.session.read('all')")
    for page in pages:
        wait_state(page, "state.unread === 0 && state.queued === 1")
    shop.context.set_offline(offline=False)
    for page in pages:
        wait_state(page, "state.unread === 0 && state.queued === 0 && state.status === 'live'")
