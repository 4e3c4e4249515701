"""Pages of the console that load, fail, cannot be refreshed, or are used by keyboard."""

import json
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from tests import thoroughness
from tests.browser.console import (
    DESKTOP,
    PAGES,
    PASSWORD,
    Console,
    check_looks,
    excess_width,
    go,
    open_more,
    open_own_menu,
    wait_loaded,
)
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled

API = re.compile(r"/v1/(?!me$|me\?|session)|/readyz")
PROBLEM = {"title": "Temporarily unavailable", "detail": "The store is away.", "status": 503}
# These pages fetch nothing before they are rendered: a feed, and a checklist that is polled.
STATIC = {"/live", "/setup", "/playground", "/account"}


class Server:
    """The API as a page sees it: it responds, fails, or has not responded yet."""

    def __init__(self, page: Page) -> None:
        self.fails = self.waits = False
        self.held: list[Route] = []
        page.route(API, self.fulfill)

    def fulfill(self, route: Route) -> None:
        if self.waits:
            self.held.append(route)
        elif self.fails:
            route.fulfill(status=503, json=PROBLEM, headers={"x-request-id": "req-7"})
        else:
            route.fallback()

    def go_on(self) -> None:
        self.waits = False
        for route in self.held:
            route.fallback()
        self.held.clear()


@pytest.mark.thorough
def test_page_whose_module_cannot_be_loaded_appears_as_soon_as_the_server_answers(
    open_console: Callable[..., Page],
) -> None:
    page = open_console("/account")
    page.route("**/recipients.js", lambda route: route.abort())
    page.get_by_role("link", name="Recipients").click()
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    expect(page.get_by_role("alert")).not_to_contain_text("recipients.js")
    expect(page.get_by_role("heading", level=1, name="Recipients")).to_be_visible()
    page.unroute("**/recipients.js")
    expect(page.get_by_role("table", name="Recipients")).to_be_visible()


@pytest.mark.thorough
def test_menu_says_since_when_the_server_does_not_answer(open_console: Callable[..., Page]) -> None:
    page = open_console("/recipients")
    wait_loaded(page)
    strip = page.locator("#side .offline")
    expect(strip).to_have_count(0)
    page.context.set_offline(True)
    page.get_by_role("button", name="Refresh").click()
    expect(strip).to_have_text(re.compile(r"No connection since \d\d:\d\d"))
    page.context.set_offline(False)
    page.get_by_role("button", name="Refresh").click()
    expect(strip).to_have_count(0)


@pytest.mark.thorough
def test_missing_object_leads_to_its_list(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications/nope?tenant=evil")
    expect(page).to_have_title("Notification · Notifications · Bellcast")
    expect(page.get_by_role("heading", level=1, name="Notification", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Next", exact=True).filter(visible=True)).to_have_count(0)
    page.get_by_role("alert").get_by_role("link", name="Show the list").click()
    expect(page).to_have_url(re.compile(r"/console/notifications\?tenant=evil$"))
    go(page, "/requests/nope")
    expect(page.get_by_text("A node keeps its last 2,000 requests and 500 refusals.")).to_be_visible()
    page.get_by_role("link", name="All requests").click()
    expect(page).to_have_url(re.compile("/console/requests$"))


@pytest.mark.thorough
def test_object_that_cannot_be_read_now_keeps_its_key_as_title(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    page.route("**/v1/types/unread*", lambda route: route.fulfill(status=503, json=PROBLEM))
    go(page, "/types/unread")
    expect(page.get_by_role("alert").filter(has_text="The store is away.")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="unread", exact=True)).to_be_visible()


@pytest.mark.parametrize("path", ["/workflows/evil", "/templates/evil"])
def test_editor_that_loads_or_cannot_be_read_has_its_title_and_a_retry(
    open_console: Callable[..., Page], path: str
) -> None:
    page = open_console("/account")
    wait_loaded(page)
    server = Server(page)
    server.waits = True
    go(page, f"{path}?edit=yes")
    expect(page.locator("#main .skeleton")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="evil", exact=True)).to_be_visible()
    server.fails = True
    server.waits = False
    for route in server.held:
        server.fulfill(route)
    expect(page.get_by_role("alert").filter(has_text="The store is away.")).to_be_visible()
    expect(page.get_by_role("heading", level=1, name="evil", exact=True)).to_be_visible()
    server.fails = False
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".editor-bar h1")).to_have_text("evil")


def test_retry_runs_the_doctor_that_failed_too(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", is_alone=True)  # without the result of another test
    wait_loaded(page)
    server = Server(page)
    server.fails = True
    go(page, "/health")
    doctor = page.locator(".doctor")
    expect(doctor.locator(".failure")).to_contain_text("The store is away.")
    server.fails = False
    page.get_by_role("button", name="Retry").first.click()
    expect(doctor.get_by_role("status")).to_contain_text(re.compile(r"problem|warning"))
    expect(page.locator(".failure")).to_have_count(0)


# The pages are divided into this many tests. The frame of all is the same, so that a run checks the first.
PARTS = 2


@pytest.mark.thorough
@pytest.mark.parametrize("part", sampled(range(PARTS)))
def test_every_page_shows_that_it_loads_and_why_it_failed_and_keeps_old_data(
    open_console: Callable[..., Page], owner: Console, part: int
) -> None:
    page = open_console("/account")
    wait_loaded(page)
    server = Server(page)
    details = (f"/notifications/{owner.notification}", f"/runs/{owner.run}", "/recipients/evil")
    for number, path in enumerate([*sorted(PAGES.keys() - STATIC), *details][part::PARTS]):
        server.waits = True
        go(page, path)
        expect(page.locator("h1"), path).to_be_visible()  # the module of the page has been loaded
        expect(page.locator(".skeleton").filter(visible=True).first, path).to_be_visible()
        has_new_looks = (
            number == 0 or thoroughness.is_thorough
        )  # the placeholders and the failures of all pages are alike
        if has_new_looks:
            check_looks(page, f"{path} that loads", number)
        server.go_on()
        wait_loaded(page)
        page.evaluate("for (const one of document.querySelector('#main').children) one.isOld = true")
        server.fails = True
        page.keyboard.press("r")
        mark = page.locator("#main > .stale")
        expect(mark, path).to_contain_text("The store is away.")
        expect(mark).to_contain_text("req-7")
        expect(mark).to_contain_text(re.compile(r"Shown as of \d\d:\d\d:\d\d"))
        old = page.evaluate("[...document.querySelector('#main').children].filter((one) => one.isOld).length")
        assert old == page.locator("#main > *").count() - 1, path
        server.fails = False
        mark.get_by_role("button", name="Retry").click()
        expect(mark, path).to_have_count(0)
        server.fails = True
        go(page, path)
        failures = page.locator(".failure").filter(visible=True)
        expect(failures.first, path).to_contain_text("req-7")
        wait_loaded(page)
        if has_new_looks:
            check_looks(page, f"{path} that failed", number + 1)
        assert excess_width(page) == 0, f"{path} that failed"
        server.fails = False
        failures.first.get_by_role("button", name="Retry").click()
        expect(failures, path).to_have_count(0)
        go(page, "/account")
        wait_loaded(page)  # the account has a placeholder too, which is not that of the next page


@pytest.mark.thorough
def test_live_page_shows_why_its_feed_failed(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account")
    wait_loaded(page)
    server = Server(page)
    server.fails = True
    go(page, "/live")
    expect(page.locator(".failure")).to_contain_text("req-7")
    check_looks(page, "/live that failed")
    server.fails = False
    page.locator(".failure").get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status").first).to_have_text("Connected")
    expect(page.locator(".failure")).to_have_count(0)


@pytest.mark.thorough
def test_live_page_shows_the_events_of_an_interruption_once(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    wait_loaded(page)
    # The feed ends, a proxy responds while the server restarts, and the recent events are sent again with new ones.
    responses = iter([(200, "ab"), (502, ""), (200, "abc")])

    def respond(route: Route) -> None:
        status, texts = next(responses, (200, "abcd"))
        events = [
            {"kind": "warning", "at": f"2026-01-31T14:00:{ord(text) - 60}Z", "text": f"event {text}"} for text in texts
        ]
        body = "".join(f"event: warning\ndata: {json.dumps(event)}\n\n" for event in events)
        route.fulfill(status=status, content_type="text/event-stream", body=": feed\n\n" + body)

    page.route("**/v1/feed?*", respond)
    go(page, "/live")
    expect(page.locator(".row-link")).to_have_text([f"event {text}" for text in "dcba"])
    expect(page.locator(".failure")).to_have_count(0)


@pytest.mark.thorough
def test_key_right_after_a_dialog_acts_on_the_page(open_console: Callable[..., Page]) -> None:
    page = open_console("/runs")
    wait_loaded(page)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Shortcuts")
    expect(dialog.get_by_role("heading", name="Keyboard shortcuts")).to_be_focused()
    page.evaluate("""() => {  // in one task, thus before the focus leaves the closed dialog
      const { activeElement } = document;
      document.getElementById('keys').close();
      activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true, cancelable: true }));
    }""")
    expect(page.get_by_role("textbox", name="Recipient")).to_be_focused()


@pytest.mark.thorough
def test_keys_open_filter_and_act_and_the_focus_returns(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/runs?workflow=evil", timezone_id="Asia/Tokyo")
    wait_loaded(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_contain_text("In lists")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.get_by_role("textbox", name="Recipient")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Search by recipient")).to_be_focused()
    page.keyboard.press("j")
    row = page.locator(".row-link").first
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("runner · evil")
    expect(page.locator(".pane")).to_be_focused()
    page.locator(".waterfall .row-link").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".waterfall .details").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".waterfall .details").first).to_be_hidden()
    expect(page.locator(".waterfall .row-link").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/runs\?workflow=evil"))
    expect(row).to_be_focused()
    page.keyboard.press("r")
    wait_loaded(page)
    expect(row).to_be_focused()
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Go to")
    page.keyboard.type("time")
    expect(dialog.get_by_role("option", name="Show times in UTC")).to_be_visible()
    expect(dialog.get_by_role("option", name="pusher_activity_timeout")).to_be_visible()  # what is found comes later
    assert violations(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("tz=utc"))
    wait_loaded(page)
    expect(row).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("evil")
    options = dialog.get_by_role("option")
    expect(options).to_have_count(5)
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")  # the last
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(row).to_be_focused()
    page.goto("/console/topics/evil")
    wait_loaded(page)
    page.keyboard.press("Escape")  # a link from elsewhere has no list to go back to
    expect(page.locator("h1")).to_have_text("Topics")


@pytest.mark.thorough
def test_parts_of_a_page_appear_together_unless_they_are_slow(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", is_alone=True)
    wait_loaded(page)
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/tenants*", hold)
    page.clock.install()
    page.clock.pause_at(time.time() + 60)
    page.wait_for_load_state("networkidle")  # the jump starts what the page does from time to time
    page.get_by_role("link", name="Tenants").click()
    expect(page.locator("h1")).to_have_text("Tenants")
    expect(page.locator("h1")).to_be_hidden()
    expect(page.locator("#main")).to_be_focused()
    page.clock.run_for(200)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".skeleton")).to_be_visible()
    go(page, "/account")
    expect(page.get_by_role("heading", name="Account")).to_be_visible()  # nothing to wait for
    assert len(held) == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("path", "request_", "below"),
    [("/notifications/{}", "**/v1/explain?*", "JSON"), ("/account", "**/v1/me/passkeys", "Authenticator app")],
)
def test_parts_below_a_slow_one_appear_with_it_and_do_not_move(
    open_console: Callable[..., Page], owner: Console, path: str, request_: str, below: str
) -> None:
    page = open_console("/keys")
    wait_loaded(page)
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route(request_, hold)
    with page.expect_request(request_):
        go(page, path.format(owner.notification))
    expect(page.locator("#main .skeleton").filter(visible=True).first).to_be_visible()
    expect(page.locator("#main").get_by_text(below, exact=True)).to_be_hidden()
    held[0].continue_()
    expect(page.locator("#main").get_by_text(below, exact=True)).to_be_visible()


@pytest.mark.thorough
def test_menu_of_a_phone_takes_and_returns_the_focus(open_console: Callable[..., Page]) -> None:
    page = open_console("/keys", viewport=PHONE)
    wait_loaded(page)
    page.get_by_role("button", name="Menu").press("Enter")
    expect(page.locator("#menu a[aria-current]")).to_be_focused()
    # The menu of the other pages stays open, to choose one of them.
    page.locator("#menu").get_by_role("link", name="Back to Overview").press("Enter")
    expect(page.locator("h1")).to_have_text("Overview")
    expect(page.locator("#menu a[aria-current]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#menu")).to_be_hidden()
    expect(page.get_by_role("button", name="Menu")).to_be_focused()


def test_question_says_what_follows_and_is_answered_by_keyboard(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/spare", {"name": "Spare"})
    page = open_console("/types/spare")
    menu, dialog = page.get_by_role("button", name="More for spare"), page.get_by_role("dialog", name="Delete spare?")
    menu.press("Enter")
    page.get_by_role("button", name="Delete spare").press("Enter")
    expect(dialog).to_contain_text("Nothing uses it.")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(menu).to_be_focused()
    menu.click()
    page.get_by_role("button", name="Delete spare").click()
    page.route("**/v1/types/*", lambda route: route.fulfill(status=503, json=PROBLEM))
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The store is away.")
    page.unroute("**/v1/types/*")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("h1")).to_have_text("Types")
    assert "spare" not in str(owner.send("GET", "/v1/types"))


def test_question_is_closed_by_the_way_back(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/left", {"name": "Left"})
    page = open_console("/types")
    page.get_by_role("link", name="Left").click()
    open_more(page)
    page.get_by_role("button", name="Delete left").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("h1")).to_have_text("Types")


@pytest.mark.parametrize(("key", "name"), [("Control+k", "Go to"), ("?", "Shortcuts")])
def test_dialog_of_the_keyboard_is_closed_by_the_way_back(
    open_console: Callable[..., Page], key: str, name: str
) -> None:
    page = open_console("/types")
    wait_loaded(page)
    page.get_by_role("link", name="Recipients", exact=True).click()
    wait_loaded(page)
    page.keyboard.press(key)
    expect(page.get_by_role("dialog", name=name)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog", name=name)).to_have_count(0)
    expect(page.locator("h1")).to_have_text("Types")


def test_dialog_of_an_editor_is_closed_by_the_way_back_and_not_by_a_selection(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/templates/back", {"email": {"subject": "Hi", "text": "Hello"}})
    page = open_console("/templates/back?edit=yes")
    wait_loaded(page)
    go(page, "/templates/back?edit=yes&tz=utc")  # the editor stays
    page.get_by_role("button", name="Brand").click()
    dialog = page.get_by_role("dialog", name="Brand")
    name = dialog.get_by_label("Name in e-mails")
    name.fill("A long name of a company")
    box = name.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(2, box["y"] + box["height"] / 2)  # beside the dialog
    page.mouse.up()
    expect(name).to_have_value("A long name of a company")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Brand").click()
    expect(dialog).to_be_visible()
    page.go_back()
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/templates/back\?edit=yes$"))


def test_session_that_ends_is_continued_and_nothing_is_lost(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/keys?new=yes")
    page.get_by_label("Name").fill("kept")
    page.get_by_role("checkbox", name=re.compile("^read ")).check()
    (cookie,) = [one for one in page.context.cookies() if not one["name"].endswith("device")]
    page.context.clear_cookies(name=cookie["name"])
    page.get_by_role("button", name="Create API key").click()
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_contain_text("Your session has ended.")
    assert violations(page, within="dialog[open]") == []
    expect(dialog.get_by_label("Name")).to_have_value("olive@example.com")
    expect(dialog.get_by_label("Password")).to_be_focused()
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(page.locator("h1")).to_have_text("API key created")
    (key,) = [one for one in owner.send("GET", "/v1/keys")["keys"] if one["name"] == "kept"]
    assert key["scopes"] == ["send", "read"]


@pytest.mark.thorough
def test_theme_follows_the_system_unless_one_is_chosen(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", color_scheme="light")
    wait_loaded(page)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    open_own_menu(page)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    wait_loaded(page)
    assert page.evaluate(background) == dark
    open_own_menu(page)
    assert violations(page) == []
    page.get_by_role("button", name="System").click()
    assert page.evaluate(background) == light


@pytest.mark.thorough
def test_theme_of_one_tab_is_that_of_the_others(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    other = page.context.new_page()
    other.goto(page.url)
    for name in ("Dark", "Light"):
        open_own_menu(page)
        page.get_by_role("button", name=name, exact=True).click()
        expect(other.locator("html")).to_have_attribute("data-theme", name.lower())
        page.keyboard.press("Escape")


# Whether the control that has the focus is on the screen, below nothing.
IS_SHOWN = """() => {
  const one = document.activeElement, { top, bottom, left } = one.getBoundingClientRect();
  const hit = document.elementFromPoint(left + 4, (top + bottom) / 2);
  return hit !== null && (one.contains(hit) || hit.contains(one) || hit.control === one);
}"""


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 560}], ids=["phone", "pane"])
@pytest.mark.parametrize("path", ["/types?edit=new", "/recipients?new=yes"])
def test_control_that_gets_the_focus_is_not_below_the_buttons_of_its_form(
    open_console: Callable[..., Page], path: str, viewport: dict[str, int]
) -> None:
    page = open_console(path, viewport=viewport)
    wait_loaded(page)
    page.get_by_role("link", name="Skip to the page").focus()
    assert page.evaluate(IS_SHOWN)
    page.keyboard.press("Enter")
    button = page.locator("#main form button[type=submit]")
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(IS_SHOWN), page.evaluate("document.activeElement.outerHTML")
        if button.evaluate("(one) => one === document.activeElement"):
            break
    expect(button).to_be_focused()


def test_focus_that_a_click_on_a_text_ended_does_not_come_back(
    open_console: Callable[..., Page], owner: Console
) -> None:
    path = (
        "/v1/webhooks/"
        + owner.send("POST", "/v1/webhooks", {"url": "https://app.example.com/b", "events": ["*"]})["id"]
    )
    owner.send("PATCH", path, {"active": False})
    page = open_console(path.removeprefix("/v1"), viewport=DESKTOP, is_alone=True)
    resume = page.get_by_role("button", name="Resume", exact=True)
    expect(resume).to_be_visible()
    resume.focus()
    side = page.locator("#side").bounding_box()
    assert side
    page.mouse.click(side["x"] + 4, side["y"] + 4)
    expect(page.locator("body")).to_be_focused()
    owner.send("PATCH", path, {"active": True})
    page.clock.install()
    page.keyboard.press("r")
    expect(resume).to_have_count(0)
    page.clock.run_for(1_000)
    expect(page.locator("body")).to_be_focused()
