"""Long lists of the console: the document stays small, and rows do not move while the user reads them."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from tests.browser.console import DESKTOP, Console, go, wait_loaded
from tests.browser.shop import PHONE, WIDE, wait_until
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled
from tests.wire.clients import websocket

PAGE_ROWS, PAGES = 200, 5


def fulfill(route: Route) -> None:
    """A page of notifications, as if the server had thousands."""
    start = int(parse_qs(urlsplit(route.request.url).query).get("after", ["0"])[0])
    rows: list[dict[str, Any]] = [
        {
            "id": f"n{number}",
            "title": f"Notification {number}" + " of a long title" * (number % 7),
            "recipient": "alice",
        }
        | {"type": "general", "tenant": "acme", "created_at": "2026-01-01T00:00:00Z"}
        for number in range(start, start + PAGE_ROWS)
    ]
    following = start + PAGE_ROWS
    more = str(following) if following < PAGE_ROWS * PAGES else None
    route.fulfill(json={"notifications": rows, "next": more, "scanned_until": None})


def link(page: Page, number: int) -> Locator:
    return page.locator(f'a[href*="/n{number}?"]')


def load_all(page: Page) -> None:
    expect(page.locator(".row-link").first).to_have_text("Notification 0")
    for number in range(1, PAGES):
        page.get_by_role("button", name="Load more").click()
        expect(page.locator(".chunk")).to_have_count(number + 1)
    expect(page.get_by_role("button", name="Load more")).to_be_hidden()


def test_button_that_loads_more_keeps_the_focus(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    page.route(re.compile("/v1/notifications"), fulfill)
    go(page, "/notifications")
    more = page.get_by_role("button", name="Load more")
    more.press("Enter")
    expect(page.locator(".chunk")).to_have_count(2)
    expect(more).to_be_focused()


@pytest.mark.thorough
def test_focus_moves_to_the_page_when_what_was_pressed_disappears(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/workflows/sought", {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]})
    page = open_console("/workflows?text=sought")
    page.get_by_role("button", name="Save view").press("Enter")
    page.get_by_label("Name of the view").fill("Mine")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Mine", exact=True)).to_be_visible()
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("button", name="Delete the view Mine").press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("button", name="All", exact=True).press("Enter")
    expect(page).to_have_url(re.compile("/workflows$"))
    expect(page.locator("#main")).to_be_focused()
    go(page, "/tenants?new=yes")
    page.get_by_role("button", name="Close, back to Tenants").press("Enter")
    expect(page.get_by_role("heading", level=1, name="Tenants")).to_be_visible()
    expect(page.locator("#main")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.thorough
def test_only_the_row_of_the_open_tenant_is_marked(open_console: Callable[..., Page], owner: Console) -> None:
    for tenant in ("acme", "globex"):
        owner.send("POST", "/v1/notifications", {"to": "twin", "title": "Hello", "tenant": tenant})
    page = open_console("/recipients?search=twin")
    page.get_by_role("link", name="twin").last.click()
    expect(page.locator(".row[data-open]")).to_have_count(1)


@pytest.mark.parametrize("path", ["/recipients", "/notifications"])  # a short list, and one over time
def test_row_keeps_the_focus_while_its_list_is_read_again(open_console: Callable[..., Page], path: str) -> None:
    page = open_console(path)
    wait_loaded(page)
    page.keyboard.press("j")
    row = page.locator(".row-link").first
    expect(row).to_be_focused()
    drawn = row.element_handle()
    with page.expect_response(f"**/v1{path}?*"):
        page.keyboard.press("r")
    wait_loaded(page)
    expect(row).to_be_focused()
    assert drawn.evaluate("(row) => row.isConnected")


@pytest.mark.thorough
def test_row_of_the_project_is_not_marked_for_the_object_of_a_tenant(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for query in ("", "?tenant=acme"):
        owner.send("PUT", f"/v1/types/twice{query}", {"name": f"Twice {query}"})
    page = open_console("/types/twice?tenant=acme&scope=all")
    expect(page.locator(".row-link[aria-current]")).to_have_text(["Twice ?tenant=acme"])


@pytest.mark.thorough
def test_user_of_a_type_is_a_link_with_its_tenant(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/used", {"name": "Used"})
    steps = [{"key": "bell", "type": "inbox", "title": "Hello"}]
    owner.send("PUT", "/v1/workflows/user?tenant=acme", {"type": "used", "steps": steps})
    page = open_console("/types/used")
    page.get_by_role("link", name="user (acme)").click()
    expect(page).to_have_url(re.compile(r"/console/workflows/user\?tenant=acme&scope=all$"))
    expect(page.get_by_role("heading", name="user", exact=True)).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["workflows", "templates", "types"])
def test_editor_of_an_object_of_a_tenant_leads_back_to_all_tenants(
    open_console: Callable[..., Page], owner: Console, kind: str
) -> None:
    objects: dict[str, dict[str, Any]] = {
        "workflows": {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]},
        "templates": {"sms": {"text": "Hello"}},
        "types": {"name": "Kept"},
    }
    owner.send("PUT", f"/v1/{kind}/kept?tenant=acme", objects[kind])
    page = open_console(f"/{kind}/kept?tenant=acme&scope=all")
    chosen = page.get_by_role("button", name="All tenants")
    page.locator(".heading :is(a, button)").get_by_text("Edit", exact=True).click()
    expect(page).to_have_url(re.compile("edit=yes"))
    expect(chosen).to_be_visible()
    page.get_by_role("link", name=re.compile("^Back to")).click()
    expect(page).to_have_url(re.compile(rf"/{kind}/kept\?tenant=acme&scope=all$"))
    expect(chosen).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize("viewport", sampled([WIDE, PHONE]), ids=["desktop", "phone"])
def test_rows_far_from_the_screen_leave_the_document_and_return(
    open_console: Callable[..., Page], viewport: dict[str, int]
) -> None:
    page = open_console("/account", viewport=viewport)
    page.route(re.compile("/v1/notifications"), fulfill)
    page.goto("/console/notifications")
    load_all(page)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(link(page, PAGE_ROWS * PAGES - 1)).to_be_visible()
    expect(link(page, 0)).to_have_count(0)
    expect(page.locator(".chunk .row").nth(3 * PAGE_ROWS - 1)).to_have_count(0)
    height = page.evaluate("document.body.scrollHeight")
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    expect(page.locator(".chunk").nth(PAGES // 2).locator(".row-link").first).to_be_attached()
    position = page.evaluate("new Promise((done) => setTimeout(() => done(scrollY), 300))")
    assert page.evaluate("scrollY") == position
    assert abs(page.evaluate("document.body.scrollHeight") - height) <= PAGES  # rows have fractions of pixels
    page.evaluate("scrollTo(0, 0)")
    expect(link(page, 0)).to_be_visible()
    expect(page.locator(".chunk .row").nth(3 * PAGE_ROWS - 1)).to_have_count(0)


@pytest.mark.thorough
def test_rare_filter_is_searched_further_until_a_row_matches(open_console: Callable[..., Page]) -> None:
    """Each request compares a bounded number of rows."""
    page = open_console(None)
    requests: list[str] = []

    def search(route: Route) -> None:
        requests.append(route.request.url)
        is_found = len(requests) == 4
        found = [
            {"id": "n1", "title": "Rare", "recipient": "alice", "type": "rare", "created_at": "2026-01-01T00:00:00Z"}
        ]
        until = None if is_found else f"0199c0{len(requests)}0-0000-7000-8000-000000000000"
        route.fulfill(json={"notifications": found if is_found else [], "next": None, "scanned_until": until})

    page.route(re.compile("/v1/notifications"), search)
    page.goto("/console/notifications?type=rare&tz=utc")
    expect(
        page.get_by_text(re.compile("No row matches these filters so far: searched back to 7 Oct( 2025)?, 19:04\\."))
    ).to_be_visible()
    expect(page.locator(".table")).to_have_count(0)
    page.get_by_role("button", name="Search further").click()
    expect(page.locator(".row-link")).to_have_text("Rare")
    expect(page.get_by_role("button", name="Search further")).to_be_hidden()
    assert [parse_qs(urlsplit(url).query).get("after", [""])[0][:8] for url in requests] == [
        "",
        "0199c010",
        "0199c020",
        "0199c030",
    ]


@pytest.mark.thorough
def test_keys_move_through_all_rows_of_a_long_list(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    page.route(re.compile("/v1/notifications"), fulfill)
    page.goto("/console/notifications")
    load_all(page)
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(".row-link").first).to_have_text("Notification 0")
    press = "([key, times]) => { while (times--) document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })) }"
    page.evaluate(press, ["j", 2 * PAGE_ROWS + 5])
    expect(page.locator(".row-link:focus")).to_have_attribute("href", re.compile(f"/n{2 * PAGE_ROWS + 4}[?]"))
    page.evaluate(press, ["k", 10])
    expect(page.locator(".row-link:focus")).to_have_attribute("href", re.compile(f"/n{2 * PAGE_ROWS - 6}[?]"))


def rows_at(*hours: str) -> list[dict[str, str | None]]:
    """Return notifications of March 2026, of a day and an hour each."""
    times = [f"2026-03-{hour}:15:00Z" for hour in hours]
    return [
        {"id": f"n{at}", "title": f"At {at}", "recipient": "alice", "tenant": None, "created_at": at} for at in times
    ]


@pytest.mark.thorough
def test_rows_are_grouped_by_day_without_columns_that_are_empty(open_console: Callable[..., Page]) -> None:
    page = open_console(None, timezone_id="UTC")
    rows = rows_at("05T09", "05T08", "05T07", "05T06", "04T18", "02T06", "02T05", "01T06", "01T05")
    page.route(
        re.compile("/v1/notifications"),
        lambda route: route.fulfill(json={"notifications": rows, "next": None, "scanned_until": None}),
    )
    page.clock.set_fixed_time("2026-03-05T10:00:00Z")
    page.goto("/console/notifications")
    days = page.locator(".day")
    expect(days).to_have_text(["Today", "Yesterday", "March 2026"])  # the month of days that have few rows
    past = ["2 Mar, 06:15", "2 Mar, 05:15", "1 Mar, 06:15", "1 Mar, 05:15"]
    expect(page.locator(".chunk .cell.time")).to_have_text(["45m ago", "1h ago", "2h ago", "3h ago", "18:15", *past])
    expect(page.get_by_role("columnheader")).to_have_text(["State", "Recipient", "Notification", "Sent"])
    del rows[1:4]  # two days of one row, and a month
    page.reload()
    expect(page.locator(".chunk .cell.time")).to_have_text(["45m ago", "15h ago", *past])
    expect(days).to_have_count(0)  # one month is no group
    del rows[2:]
    page.reload()
    expect(page.locator(".chunk .cell.time")).to_have_count(2)
    expect(days).to_have_count(0)
    rows[:] = rows_at("05T09", "05T08", "05T07", "05T06")
    page.reload()
    expect(page.locator(".chunk .cell.time")).to_have_count(4)
    expect(days).to_have_count(0)  # nor is one day
    rows[:] = rows_at(
        "05T09", "05T08", "05T07", "05T06", "04T18", "03T09", *(f"02T{hour}" for hour in range(15, 9, -1))
    )
    page.reload()
    # A day that has few rows keeps its name between others.
    expect(days).to_have_text(["Today", "Yesterday", "Tuesday 3 Mar", "Monday 2 Mar"])
    rows[5:] = rows_at("03T09", "02T15", *(f"01T{hour}" for hour in range(15, 9, -1)))
    page.reload()
    # Two of them have the heading of the month, with all before.
    expect(days).to_have_text(["Today", "Yesterday", "March 2026"])


# Whether the values of a row's second line are preceded by a point, and whether those of its first line are.
POINTS = """(rows) => rows.map((row) => { const { top } = row.getBoundingClientRect(), found = [[], []];
  for (const cell of row.querySelectorAll('.cell:not(.title, .state)')) { const box = cell.getBoundingClientRect();
    if (box.width > 0) found[box.top - top > 24 ? 0 : 1].push(getComputedStyle(cell, '::before').content.includes('·')) }
  return found })"""


@pytest.mark.thorough
def test_points_separate_the_values_of_a_second_line(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/pointed?tenant=acme", {"name": "Pointed", "channels": ["inbox", "email"]})
    owner.send("POST", "/v1/notifications", {"to": "paula", "title": "Hello", "type": "pointed", "tenant": "acme"})
    schedule = {"cron": "0 8 * * *", "notification": {"to": "paula", "title": "Hello", "type": "pointed"}}
    owner.send("PUT", "/v1/schedules/pointed?tenant=acme", schedule)
    page = open_console("/account", viewport=PHONE)
    for path, values in (("notifications?recipient=paula&tenant=acme", 2), ("types?tenant=acme", 2), ("schedules", 3)):
        go(page, f"/{path}")
        expect(page.locator(".row-link").first).to_be_visible()
        lines = page.locator(".chunk .row").evaluate_all(POINTS)
        for second, first in lines:
            assert second == [place > 0 for place in range(len(second))], (path, second)
            assert not any(first), path
        assert max(len(second) for second, _ in lines) >= values, path


@pytest.mark.thorough
def test_narrow_row_has_its_numbers_as_phrases_and_the_same_facts_as_the_others(
    open_console: Callable[..., Page],
) -> None:
    page = open_console("/account", viewport=PHONE)
    rows = [
        {"key": f"r{unread}", "email": email, "locale": "en-GB", "unread": unread, "tenant": "acme"}
        for unread, email in ((4, "a@b.example"), (1, f"{'long' * 20}@b.example"), (0, None))
    ]
    page.route(re.compile(r"/v1/recipients\?"), lambda route: route.fulfill(json={"recipients": rows, "next": None}))
    go(page, "/recipients")
    unread = page.locator(".chunk .cell.number")
    expect(unread).to_have_count(3)
    phrases = unread.evaluate_all(
        "(cells) => cells.map((one) => one.textContent + getComputedStyle(one, '::after').content.slice(1, -1))"
    )
    assert phrases[:2] == ["4 unread", "1 unread"]
    expect(unread.nth(2)).to_be_hidden()  # it would be 0
    for row in page.locator(".chunk .row").all()[:2]:
        expect(row.locator(".second:visible")).to_have_count(3)
        expect(row.get_by_text("acme", exact=True)).to_be_visible()
        tops = row.locator(".second:visible").evaluate_all(
            "(cells) => cells.map((one) => Math.round(one.offsetTop / 8))"
        )
        assert len(set(tops)) == 1


@pytest.mark.thorough
def test_workflow_is_listed_with_its_note_and_the_steps_of_its_branches(
    open_console: Callable[..., Page], owner: Console
) -> None:
    steps = [{"key": key, "type": "inbox", "title": "Hello"} for key in ("one", "two", "three")]
    branch = {"if": {"var": "data.total", "op": "gte", "value": 1}, "steps": steps[1:2]}
    split = {"key": "split", "type": "branch", "branches": [branch], "else": steps[2:]}
    owner.send("PUT", "/v1/workflows/branched", {"note": "Two ways.", "steps": [steps[0], split]})
    page = open_console("/workflows")
    row = page.get_by_role("row").filter(has_text="branched")
    expect(row.get_by_role("img")).to_have_accessible_name("4 steps: inbox, branch, inbox, inbox")
    expect(row).to_contain_text("Two ways.")


@pytest.mark.thorough
def test_type_is_listed_with_what_recipients_cannot_turn_off(open_console: Callable[..., Page], owner: Console) -> None:
    marked = {"name": "Marked", "channels": ["inbox", "push"], "required": ["inbox"], "defaults": {"push": False}}
    owner.send("PUT", "/v1/types/marked", marked)
    page = open_console("/types")
    read: list[str] = []
    page.on("request", lambda request: read.append(urlsplit(request.url).path))
    row = page.get_by_role("row").filter(has_text="Marked")
    expect(row.get_by_role("img")).to_have_accessible_name("Inbox, required; Push, off by default")
    row.get_by_role("link", name="Marked").click()
    shown = page.get_by_role("region", name="State")
    expect(shown).to_contain_text("Not sent in the last 24 hours")
    expect(shown).to_contain_text("Push: off until a recipient turns it on. Inbox cannot be turned off.")
    expect(page.locator(".facts")).to_contain_text(re.compile(r"Inbox required\s*Push off"))
    wait_loaded(page)
    assert "/v1/notifications" not in read  # the server would compare many rows to find none
    owner.send("POST", "/v1/notifications", {"to": "alice", "title": "Hello", "type": "marked"})
    sent = partial(owner.send, "GET", "/v1/types?text=marked")
    wait_until(lambda: sent()["types"][0]["recent_sends"]["value"] == 1, lambda: f"not counted: {sent()}")
    page.reload()
    expect(shown).to_contain_text("Sent 1 time in 24 hours")
    last = page.locator(".panel").filter(has=page.get_by_role("heading", name="Last sends"))
    expect(last.get_by_role("link", name="alice")).to_have_attribute(
        "href", re.compile(r"/notifications/[0-9a-f-]{36}")
    )
    yaml = page.locator("details").filter(has_text="YAML")
    yaml.locator("summary").click()
    with page.expect_response("**/v1/notifications?*") as read_again:
        page.keyboard.press("r")
        expect(yaml).to_have_attribute("open", "")
    read_again.value.finished()
    wait_loaded(page)
    expect(yaml).to_have_attribute("open", "")
    go(page, "/types")
    listed = page.get_by_role("row").filter(has_text="Marked")
    expect(listed.locator(".cell.number")).to_have_text("1")


@pytest.mark.thorough
def test_type_that_is_not_among_the_counted_sends_is_not_said_to_be_unused(
    open_console: Callable[..., Page], owner: Console
) -> None:
    def busy(route: Route) -> None:
        listed = route.fetch().json()
        for one in listed["types"]:
            one["recent_sends"]["exact"] = False
        route.fulfill(json=listed)

    owner.send("PUT", "/v1/types/rare", {"name": "Rare"})
    page = open_console("/")
    page.route("**/v1/types?*", busy)
    go(page, "/types/rare")
    expect(page.get_by_role("region", name="State")).to_contain_text("Not among the last 20,000 sends")


@pytest.mark.thorough
def test_state_and_recipient_of_messages_are_said_in_each_row(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/mika", {"name": "Mika Moss", "email": "mika@example.com", "phone": "+4512345678"})
    owner.send("POST", "/v1/notifications", {"to": "mika", "title": "Hello", "channels": ["email", "sms"]})
    page = open_console("/messages?recipient=mika", viewport={"width": 1280, "height": 800})
    rows = page.locator(".chunk .row")
    expect(rows.locator(".cell.state")).to_have_text(["simulated"] * 2)  # read out
    expect(rows.locator(".row-link").first).not_to_have_attribute("title", re.compile("."))  # once is enough
    expect(rows.locator(".title .state")).to_have_text(["simulated"] * 2)
    expect(rows.locator(".title").get_by_text("simulated").and_(page.locator("[aria-hidden=true]"))).to_have_count(2)
    expect(rows.first.locator(".title .state")).to_be_visible()
    colours = rows.locator(".person .name").evaluate_all("all => all.map((one) => getComputedStyle(one).color)")
    assert len(set(colours)) == 1
    assert violations(page) == []
    state = rows.nth(1).locator(".cell.state").bounding_box()
    assert state is not None
    point = (state["x"] + state["width"] / 2, state["y"] + state["height"] / 2)
    page.keyboard.down("Control")
    with page.context.expect_page():  # as a click anywhere else in the row
        page.mouse.click(*point)
    page.keyboard.up("Control")
    expect(page.locator(".pane")).to_have_count(0)
    page.mouse.click(*point)
    expect(page.locator(".pane")).to_be_visible()
    expect(rows.nth(1)).to_have_attribute("data-open", "yes")


@pytest.mark.thorough
def test_state_of_messages_is_said_unless_the_filter_says_it(open_console: Callable[..., Page], owner: Console) -> None:
    one = owner.send("GET", f"/v1/messages/{owner.message}")
    states = ["sent", "delivered", "failed", "failed"]
    rows = [one | {"id": f"{index}{one['id'][1:]}", "state": state} for index, state in enumerate(states)]
    page = open_console("/account")

    def answer(route: Route) -> None:  # Playwright wraps functions only
        route.fulfill(json={"messages": rows[2:] if "state=failed" in route.request.url else rows, "next": None})

    page.route("**/v1/messages?*", answer)
    go(page, "/messages?sort=state")
    shown = page.locator(".chunk .row")
    expect(shown.locator(".cell.state")).to_have_text(states)  # no button ends an order by state
    expect(shown.locator(".title .state")).to_have_text(states)
    go(page, "/messages?state=failed")
    expect(shown).to_have_count(2)
    expect(shown.locator(".title .state")).to_have_count(0)
    expect(shown.locator(".row-link").first).to_have_attribute("title", "failed")
    page.unroute("**/v1/messages?*", answer)
    page.route("**/v1/messages?*", lambda route: route.fulfill(json={"messages": rows[2:], "next": None}))
    go(page, "/messages")
    expect(shown.locator(".title .state")).to_have_text(["failed"] * 2)  # all have failed, as far as they are read


@pytest.mark.thorough
def test_email_is_listed_with_its_beginning_and_its_outcome(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/mona", {"name": "Mona Lind", "email": "mona@example.com"})
    mail = {"subject": "Your booking", "text": "Your booking\n\nSaturday at 14:00. https://example.com/b"}
    owner.send("POST", "/v1/notifications", {"to": "mona", "title": "x", "channels": ["email"], "email": mail})
    page = open_console("/mail?recipient=mona")
    row = page.locator(".chunk .row")
    expect(row.locator(".preview")).to_have_text("simulated · Saturday at 14:00.")
    expect(row.get_by_title("mona@example.com")).to_have_text(re.compile("Mona Lind$"))
    expect(row).to_contain_text("simulated")


@pytest.mark.thorough
def test_beginning_of_an_email_separates_its_heading_from_its_text(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/hedda", {"email": "hedda@example.com"})
    blocks = [{"type": "heading", "text": "See you, Hedda"}, {"type": "text", "text": "On Monday.\n\nAt ten."}]
    owner.send("PUT", "/v1/templates/meeting", {"email": {"subject": "Monday", "blocks": blocks}})
    draft = {"to": "hedda", "title": "x", "channels": ["email"], "template": "meeting"}
    owner.send("POST", "/v1/notifications", draft)
    page = open_console("/mail?recipient=hedda")
    expect(page.locator(".chunk .row .preview")).to_have_text("simulated · See you, Hedda. On Monday. At ten.")


@pytest.mark.thorough
def test_topic_has_cards_only_for_what_it_has(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/topics/private-lessons/subscriptions/tina")
    page = open_console("/topics?prefix=private-lessons")
    row = page.locator(".chunk .row")
    expect(row.get_by_role("cell")).to_have_text(["private-lessons", "Default tenant", "1"])
    row.get_by_role("link", name="private-lessons").click()
    pane = page.locator(".pane")
    expect(pane.get_by_text("No stored events.")).to_be_visible()
    verdict = pane.get_by_role("region", name="State")
    expect(verdict).to_have_text("No connection follows itprivate · 1 recipient subscribes to it")
    sections = ["No connection follows it", "Subscribers", "Event history"]
    expect(pane.get_by_role("heading", level=2)).to_have_text(sections)


@pytest.mark.thorough
def test_last_column_of_a_list_with_actions_ends_at_its_edge(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account", viewport={"width": 1280, "height": 800})
    with websocket(owner.server, "edgar") as client:
        client.until("ready")
        go(page, "/connections?recipient=edgar")
        row, since = page.locator(".chunk .row"), page.locator(".chunk .cell.time")
        expect(since).to_be_visible()
        ends = [one.evaluate("(one) => one.getBoundingClientRect().right") for one in (row, since)]
        assert ends[0] - ends[1] == 8
        row.hover()
        expect(page.get_by_role("button", name="Actions of edgar")).to_have_css("opacity", "1")
        row.locator(".row-link").click()  # beside the open object, the menu takes no room either
        expect(page.locator(".pane .verdict")).to_be_visible()
        ends = [one.evaluate("(one) => one.getBoundingClientRect().right") for one in (row, since)]
        assert ends[0] - ends[1] == 8


@pytest.mark.thorough
def test_parts_of_a_page_load_their_next_rows_on_demand(open_console: Callable[..., Page]) -> None:
    """Subscribers come in pages of the server. Stored events come oldest first, so that all are read to show the newest."""
    page = open_console("/account")

    def fulfill_subscriptions(route: Route) -> None:
        is_first = "after=" not in route.request.url
        names = [f"alice{number}" for number in range(100)] if is_first else ["zoe"]
        rows = [{"topic": "long", "recipient": name, "created_at": "2026-01-01T00:00:00Z"} for name in names]
        route.fulfill(json={"subscriptions": rows, "next": names[-1] if is_first else None})

    def fulfill_events(route: Route) -> None:
        start = 40 if "after=" in route.request.url else 0
        rows = [
            {"id": f"1-{number}", "name": f"event {number}", "data": {}, "at": "2026-01-01T00:00:00Z"}
            for number in range(start, start + 40)
        ]
        route.fulfill(json={"events": rows, "next": None if start else "1-39", "epoch": "1", "recovered": True})

    page.route(re.compile("/v1/topics/long/subscriptions"), fulfill_subscriptions)
    page.route(re.compile("/v1/topics/long/events"), fulfill_events)
    go(page, "/topics/long")
    subscribers = page.locator(".panel", has=page.get_by_role("heading", name="Subscribers"))
    expect(subscribers.get_by_role("link")).to_have_count(100)
    subscribers.get_by_role("button", name="Load more").click()
    expect(subscribers.get_by_role("link")).to_have_count(101)
    expect(subscribers.get_by_role("button", name="Load more")).to_be_hidden()
    events = page.locator(".panel", has=page.get_by_role("heading", name="Event history"))
    expect(events.locator("summary")).to_have_count(50)
    expect(events.locator("summary").first).to_contain_text("event 79")
    events.get_by_role("button", name="Load more").click()
    expect(events.locator("summary")).to_have_count(80)
    expect(events.locator("summary").last).to_contain_text("event 0")


@pytest.mark.thorough
def test_history_of_the_settings_continues_after_the_first_page(
    open_console: Callable[..., Page], owner: Console
) -> None:
    first = int(owner.send("GET", "/v1/settings")["revision"])
    for number in range(21):
        owner.send("PATCH", "/v1/settings", {"revision": first + number, "set": {"limit_tags": str(21 + number % 2)}})
    owner.send("PATCH", "/v1/settings", {"revision": first + 21, "reset": ["limit_tags"]})
    page = open_console("/settings")
    past = page.locator(".panel", has=page.get_by_role("heading", name="History"))
    expect(past.get_by_role("listitem")).to_have_count(20)
    past.get_by_role("button", name="Load more").click()
    expect(past.get_by_text(f"Revision {first + 1} by")).to_be_visible()


@pytest.mark.thorough
def test_topics_have_bars_that_can_be_seen_directly_before_their_numbers(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport=DESKTOP)
    names = {"busy": (40, 180), "small": (1, 1), "private-quiet": (0, 2)}
    found = [
        {
            "topic": name,
            "tenant": "acme" if followers else None,
            "followers": followers,
            "present": 0,
            "subscribers": subscribers,
        }
        for name, (followers, subscribers) in names.items()
    ]
    page.route("**/v1/topics?*", lambda route: route.fulfill(json={"topics": found, "next": None}))
    go(page, "/topics")
    busy, small, quiet = (page.get_by_role("row", name=name) for name in names)
    expect(busy.locator(".share")).to_have_count(2)
    gap = "(one) => one.nextElementSibling.getBoundingClientRect().left - one.getBoundingClientRect().right"
    assert [round(one.evaluate(gap)) for one in busy.locator(".share").all()] == [8, 8]
    expect(small.locator(".share")).to_have_count(2)
    expect(quiet.locator(".share")).to_have_count(1)  # also of small numbers, but of no number
    expect(quiet.get_by_role("cell", name="–")).to_have_count(1)
    expect(quiet.get_by_role("cell", name="Default tenant", exact=True)).to_be_visible()
    expect(quiet.get_by_role("link", name="private-quiet", exact=True)).to_be_visible()
