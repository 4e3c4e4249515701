"""The live feed of the console: its rows, and how it moves."""

import re
import time
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import Console, go
from tests.browser.shop import PHONE, SMALL_PHONE, WIDE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled
from tests.wire.clients import websocket


@pytest.mark.thorough
def test_live_feed_is_bounded_and_does_not_move_while_it_is_read(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/live?recipient=nell")
    status = page.get_by_role("status").first
    expect(status).to_have_text("Connected")
    notify = [{"to": "nell", "title": f"Hello {number}", "type": f"kind-{number}"} for number in range(300)]
    with httpx.Client(base_url=owner.server.url, headers=owner.server.as_app()) as client:
        for body in notify[:150]:
            client.post("/v1/notifications", json=body)
        expect(page.get_by_role("button", name="Hello 149", exact=True)).to_be_visible()
        page.locator(".feed").evaluate("(feed) => { feed.scrollTop = 500; }")
        expect(status).to_have_text("Paused, 0 new")
        shown = "[document.querySelector('.feed').scrollTop, document.querySelector('.feed .chunk').innerText]"
        before = page.evaluate(shown)
        page.wait_for_timeout(1_000)  # a watcher receives at most 200 events a second
        for body in notify[150:]:
            client.post("/v1/notifications", json=body)
        expect(status).to_have_text("Paused, 150 new")
        assert page.evaluate(shown) == before
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("button", name="Hello 299", exact=True)).to_be_visible()
    expect(page.locator(".feed .row-link")).to_have_count(250)


def test_live_feed_shows_titles_beside_muted_kinds_and_the_rate(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/account", viewport={"width": 1280, "height": 800}, is_alone=True)
    page.clock.install(time=time.time() + 300)  # the clock of the browser is ahead
    go(page, "/live?recipient=tina")
    expect(page.get_by_role("status").first).to_have_text("Connected")
    expect(page.locator(".titles .muted")).to_have_text("")
    for number in range(5):
        owner.send("POST", "/v1/notifications", {"to": "tina", "title": f"Lesson {number}"})
    row = page.locator(".feed .row").filter(has_text="Lesson 4")
    expect(row.get_by_role("button", name="Lesson 4")).to_be_visible()
    colour = "(one) => getComputedStyle(one).color"
    assert row.locator(".kind").evaluate(colour) == page.locator(".titles .muted").evaluate(colour)
    expect(page.locator(".titles .muted")).to_have_text(re.compile(r"^[1-9]\d*/(s|min)$"))  # per minute if they are few
    expect(page.locator(".feed .chunk .name")).to_have_text(["tina"] * 5)
    row.get_by_role("button").focus()
    page.keyboard.press("r")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.thorough
@pytest.mark.parametrize("width", [360, 390, 430])
def test_live_feed_does_not_move_below_its_title_on_a_small_phone(
    open_console: Callable[..., Page], owner: Console, width: int
) -> None:
    page = open_console(f"/live?recipient=tilo-{width}", viewport={**SMALL_PHONE, "width": width})
    expect(page.get_by_role("status").first).to_have_text("Connected")
    buttons = page.locator(".heading .tools")
    before = buttons.bounding_box()
    owner.send("POST", "/v1/notifications", {"to": f"tilo-{width}", "title": "Lesson"})
    rate = page.locator(".titles .muted")
    expect(rate).to_have_text(re.compile("^[1-9]"))
    expect(rate).to_be_visible(visible=width == 430)
    assert buttons.bounding_box() == before
    place = "document.querySelector('.heading .tools').getBoundingClientRect()"
    moved = rate.evaluate(f"(one) => {{ one.firstChild.data = '999/min'; return {place}; }}")
    assert (moved["x"], moved["y"]) == (before["x"], before["y"])


@pytest.mark.thorough
def test_live_feed_has_kind_as_icon_and_tenant_in_each_row_in_grey(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/live?recipient=teresa&kind=send", viewport={"width": 1280, "height": 800})
    expect(page.get_by_role("status").first).to_have_text("Connected")
    for tenant in ("acme", "acme", "globex"):
        owner.send("POST", f"/v1/notifications?tenant={tenant}", {"to": "teresa", "title": "Lesson"})
    cells, grey = page.locator(".feed .row .who span"), page.locator(".titles .muted").first
    expect(cells).to_have_text(["globex", "acme", "acme"])
    colour = "(one) => getComputedStyle(one).color"
    assert {one.evaluate(colour) for one in cells.all()} == {grey.evaluate(colour)}
    kinds = page.locator(".feed .chunk .kind")
    expect(kinds).to_have_text(["send"] * 3)  # read out, and a tooltip
    assert [one.get_attribute("title") for one in kinds.all()] == ["send"] * 3
    assert violations(page) == []
    page.get_by_role("button", name="Pause").click()
    kinds.first.click()
    expect(page.get_by_role("complementary", name="Opened event")).to_be_visible()


@pytest.mark.parametrize("viewport", sampled([WIDE, PHONE]), ids=["wide", "phone"])
def test_refused_request_shows_its_status_in_the_live_feed(
    open_console: Callable[..., Page], owner: Console, viewport: dict[str, int]
) -> None:
    id = "01a2297c-1111-7000-8000-00000000dc1a"
    answer = httpx.get(f"{owner.server.url}/v1/messages/{id}/source", headers=owner.server.as_app())
    page = open_console(f"/live?text={id}", viewport=viewport)
    row = page.locator(".feed .chunk .row").first
    expect(row.locator(".row-link")).to_have_text("GET /v1/messages/01a2…dc1a/source")
    status = row.get_by_text(f"{answer.status_code} · ")
    expect(status).to_be_visible()
    assert status.evaluate("one => one.getBoundingClientRect().width") >= 30
    httpx.get(f"{owner.server.url}/nothing-{viewport['width']}", headers={"accept": "text/html"})
    go(page, f"/live?text=nothing-{viewport['width']}")
    expect(row.locator(".preview")).to_have_text("404")  # a page for people has no code


@pytest.mark.thorough
def test_live_feed_has_one_row_for_a_connection_with_its_topics_and_one_for_its_end(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/wes?tenant=acme", {"name": "Wes Wood"})
    owner.send("PUT", "/v1/topics/lessons/subscriptions/wes?tenant=acme", {})
    page = open_console("/live?recipient=wes", viewport={"width": 1280, "height": 800})
    expect(page.get_by_role("status").first).to_have_text("Connected")
    rows = page.locator(".feed .chunk .row")
    with websocket(owner.server, "wes", claims={"tenant": "acme"}, topics="lessons"):
        expect(rows).to_have_count(1)
        expect(rows.locator(".title")).to_have_text("ConnectedNative over WebSocket · follows lessons")
        expect(rows.locator(".name")).to_have_text("Wes Wood")
    expect(rows).to_have_count(2)
    ended = re.compile(r"^Disconnectedclosed by the client, after [\d.]+ m?s$")
    expect(rows.first.locator(".title")).to_have_text(ended)
    rows.first.locator(".row-link").click()
    opened = page.get_by_role("complementary", name="Opened event")
    expect(opened.get_by_role("heading")).to_have_text(re.compile("^Disconnected closed by the client, after"))
    expect(opened.locator(".facts dt")).not_to_have_text(["Reason"])  # its heading has it
    assert rows.first.evaluate("(row) => row.offsetHeight") == 32
    assert violations(page) == []


@pytest.mark.thorough
def test_live_feed_does_not_move_a_row_under_the_pointer(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/live?recipient=hoda")
    status = page.get_by_role("status").first
    expect(status).to_have_text("Connected")
    owner.send("POST", "/v1/notifications", {"to": "hoda", "title": "First", "type": "first"})
    first, second = (page.get_by_role("button", name=name, exact=True) for name in ("First", "Second"))
    first.hover()
    owner.send("POST", "/v1/notifications", {"to": "hoda", "title": "Second", "type": "second"})
    expect(status).to_have_text("Waits for the pointer to leave the list, 1 new")
    expect(second).to_have_count(0)
    page.get_by_role("heading", name="Live").hover()
    expect(second).to_be_visible()
    expect(status).to_have_text("Connected")
    place = page.locator(".feed .chunk .row").first.bounding_box()
    assert place is not None
    page.mouse.click(place["x"] + place["width"] - 4, place["y"] + 4)  # all of the row opens it
    expect(page.get_by_role("complementary", name="Opened event")).to_be_visible()


@pytest.mark.thorough
def test_search_of_the_live_feed_keeps_the_focus(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/live")
    search = page.get_by_role("searchbox", name="Search the feed")
    search.press_sequentially("Found")
    expect(page).to_have_url(re.compile("text=Found$"))
    page.keyboard.type(" here")
    expect(page).to_have_url(re.compile(r"text=Found\+here$"))
    expect(search).to_be_focused()
    for title in ("Found elsewhere", "Found here"):
        owner.send("POST", "/v1/notifications", {"to": "nell", "title": title})
    expect(page.get_by_role("button", name="Found here", exact=True)).to_be_visible()
    expect(page.get_by_text("Found elsewhere")).to_have_count(0)
