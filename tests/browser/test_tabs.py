"""Five tabs, one person: one line, every badge, told once."""

import pytest
from playwright.sync_api import expect
from tests.browser.shop import bell, in_page, session_state, toasts, until, wait_live, wait_page, wait_state

BOTH = '<bellcast-bell token="{token}" topics="{topics}"></bellcast-bell><bellcast-toasts token="{token}"></bellcast-toasts>'


@pytest.fixture
def five(shop):
    pages = [shop.open(BOTH.replace("{topics}", "")) for _ in range(5)]
    for page in pages:
        wait_live(page)
    return pages


def test_five_tabs_hold_one_line_and_every_badge_moves(app, person, shop, five):
    shop.expect_lines(1)
    app.notify(person, title="New order")
    for page in five:
        expect(bell(page, 1)).to_be_visible()
    in_page(five[3], "bell.session.read('all')")
    for page in five:
        expect(bell(page, 0)).to_be_visible()
    shop.expect_lines(1)


def test_it_is_told_once_a_person(app, person, five):
    for number in range(3):
        app.notify(person, title=f"Order {number}")
    for page in five:
        expect(bell(page, 3)).to_be_visible()

    def told():
        return sum(toasts(page).count() for page in five)

    until(lambda: told() == 3, lambda: f"{told()} toasts, not 3")
    five[0].wait_for_timeout(700)  # the tab that would be last to tell has had its turn
    assert told() == 3


def test_when_the_leader_is_closed_another_follows_and_nothing_is_missed_or_doubled(app, person, shop, five):
    heard = (
        "{ globalThis.heard = []; bell.session.addEventListener('notification', (e) => heard.push(e.detail.title)) }"
    )
    for page in five:
        in_page(page, heard)
    five[0].close()  # the first was the first to hold the lock
    titles = [f"Order {number}" for number in range(10)]
    for title in titles:
        app.notify(person, title=title)
    for page in five[1:]:
        expect(bell(page, 10)).to_be_visible()
        wait_live(page)
        assert page.evaluate("heard") == titles
    shop.expect_lines(1)


def test_a_leader_that_crashes_is_followed_too(app, person, shop, five):
    five[0].context.new_cdp_session(five[0]).send("Page.navigate", {"url": "about:blank"})
    app.notify(person, title="After")
    for page in five[1:]:
        expect(bell(page, 1)).to_be_visible()
    app.notify(person, title="Later")
    for page in five[1:]:
        expect(bell(page, 2)).to_be_visible()


def test_each_tab_hears_its_own_topics_through_the_one_line(app, person, shop, bellcast_server):
    token = bellcast_server.token(person, topics=["room-*"])
    pages = [shop.open(BOTH.replace("{topics}", f"room-{name}"), token=token) for name in "ab"]
    for page in pages:
        wait_live(page)
        in_page(
            page, "{ globalThis.heard = []; bell.session.addEventListener('event', (e) => heard.push(e.detail.name)) }"
        )
    # Who follows last is followed last: once that is answered, all are.
    assert in_page(pages[1], "bell.session.subscribe('room-b').then((answer) => answer.topics)") == ["room-b"]
    app.publish("room-a", "for-a", {})
    app.publish("room-b", "for-b", {})
    for page, name in zip(pages, ["for-a", "for-b"], strict=True):
        wait_page(page, "heard.length")
        assert page.evaluate("heard") == [name]
    shop.expect_lines(1)


@pytest.mark.parametrize("shared", [True, False], ids=["one line", "a line each"])
def test_what_one_tab_says_the_others_hear_and_it_does_not(shop, bellcast_server, person, shared):
    if not shared:
        shop.context.add_init_script("delete Navigator.prototype.locks")
    token = bellcast_server.token(person, topics=["desk"], publish=["desk"])
    pages = [shop.open(BOTH.replace("{topics}", "desk"), token=token) for _ in range(3)]
    for page in pages:
        wait_live(page)
        in_page(
            page,
            """{ globalThis.heard = []; for (const type of ['event', 'typing'])
          bell.session.addEventListener(type, ({ detail }) => heard.push(detail)) }""",
        )
        in_page(page, "bell.session.subscribe('desk').then(() => {})")
    shop.expect_lines(1 if shared else 3)
    for page in pages:
        in_page(page, "bell.session.publish('desk', 'moved', { at: new Date(0) }).then(() => {})")
        in_page(page, "bell.session.typing('desk', true).then(() => {})")
    told = [
        {"type": "event", "topic": "desk", "name": "moved", "data": {"at": "1970-01-01T00:00:00.000Z"}},
        {"type": "typing", "topic": "desk", "recipient": person, "on": True},
    ]
    for page in pages:
        wait_page(page, "heard.length >= 4")
    pages[0].wait_for_timeout(200)  # nothing comes twice
    for page in pages:
        assert page.evaluate("heard") == told * 2


def test_who_is_somebody_else_has_a_line_of_their_own(app, person, shop, bellcast_server):
    mine, theirs = shop.open(), shop.open(token=bellcast_server.token(f"not-{person}"))
    wait_live(mine)
    wait_live(theirs)
    shop.expect_lines(1)
    app.notify(person, title="Mine")
    expect(bell(mine, 1)).to_be_visible()
    assert session_state(theirs, "unread") == 0


def test_where_tabs_cannot_share_each_has_a_line(app, person, shop):
    shop.context.add_init_script("delete Navigator.prototype.locks")
    pages = [shop.open(), shop.open()]
    for page in pages:
        wait_live(page)
    shop.expect_lines(2)
    app.notify(person, title="Both")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()


def test_where_what_sharing_takes_cannot_be_fetched_each_has_a_line(app, person, shop):
    shop.context.route("**/bellcast/tab-coordinator.js", lambda route: route.abort())
    pages = [shop.open(), shop.open()]
    for page in pages:
        wait_live(page)
    shop.expect_lines(2)
    app.notify(person, title="Both")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()


def test_a_tab_by_itself_fetches_nothing_of_it(shop):
    asked = []
    shop.context.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page = shop.open()
    wait_live(page)
    assert "tab-coordinator.js" not in asked
    wait_live(shop.open())
    assert asked.count("tab-coordinator.js") == 2


def test_what_one_tab_did_offline_every_tab_shows(app, person, shop):
    pages = [shop.open(), shop.open()]
    app.notify(person, title="New order")
    for page in pages:
        expect(bell(page, 1)).to_be_visible()
    shop.context.set_offline(offline=True)
    in_page(pages[0], "void bell.session.read('all')")
    for page in pages:
        wait_state(page, "state.unread === 0 && state.queued === 1")
    shop.context.set_offline(offline=False)
    for page in pages:
        wait_state(page, "state.unread === 0 && state.queued === 0 && state.status === 'live'")
