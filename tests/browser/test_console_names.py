"""Lists of the console show recipients by their names, which one request reads for all rows of a page."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from tests.browser.console import DESKTOP, Console, go, state_of_operator, wait_loaded
from tests.wire.clients import websocket

PEOPLE = [("u-1", "acme", "Ann Ash"), ("u-2", "acme", "Bea Birch"), ("u-1", "globex", "Cem Cedar")]
MAIL = {"to": "u-1", "title": "Hello", "channels": ["email"]}


@pytest.fixture(scope="module")
def named(owner: Console) -> Console:
    for key, tenant, name in PEOPLE:
        owner.send("PUT", f"/v1/recipients/{key}?tenant={tenant}", {"name": name})
        owner.send("POST", f"/v1/notifications?tenant={tenant}", {"to": key, "title": f"For {name}", "type": "names"})
    owner.send("POST", "/v1/notifications?tenant=acme", {"to": "u-3", "title": "Unnamed", "type": "names"})
    return owner


def keys_requested(page: Page) -> list[list[str]]:
    """Return the list to which the keys of each request for names are added."""
    found: list[list[str]] = []

    def keep(request: Request) -> None:
        query = parse_qs(urlsplit(request.url).query)
        if "keys" in query:
            found.append(sorted(query["keys"]))

    page.on("request", keep)
    return found


@pytest.mark.thorough
def test_names_of_a_page_are_read_with_one_request(open_console: Callable[..., Page], named: Console) -> None:
    page = open_console(None, viewport=DESKTOP)
    requested = keys_requested(page)
    page.goto("/console/notifications?type=names")
    people, last = page.locator(".chunk .named"), page.locator(".chunk .person > .avatar").last
    expect(people).to_have_text(["u-3", "Cem Cedaru-1", "Bea Birchu-2", "Ann Ashu-1"])
    expect(last).to_have_text("AA")
    expect(last.locator("..")).to_have_attribute("title", "u-1")  # where there is no room for the key
    assert requested == [["acme/u-1", "acme/u-2", "acme/u-3", "globex/u-1"]]
    page.get_by_role("link", name="For Ann Ash").click()  # they are known
    expect(page.locator(".pane .facts .person")).to_contain_text("Ann Ash")
    page.goto("/console/notifications?type=names&tenant=acme")
    expect(people).to_have_text(["u-3", "Bea Birchu-2", "Ann Ashu-1"])
    assert requested[1:] == [["u-1", "u-2", "u-3"]]


@pytest.mark.thorough
def test_title_of_the_notification_of_a_message_is_read_once(open_console: Callable[..., Page], owner: Console) -> None:
    """Each read by support is in the audit log."""
    page = open_console("/account")
    read: list[str] = []
    page.on("request", lambda request: read.append(urlsplit(request.url).path))
    go(page, f"/messages/{owner.message}")
    expect(page.locator(".facts a[href*='/notifications/']")).to_contain_text("<img")
    with page.expect_response(f"**/v1/messages/{owner.message}*"):
        page.get_by_role("button", name="Refresh").click()
    wait_loaded(page)
    counts = [
        read.count(f"/v1/{path}") for path in (f"messages/{owner.message}", f"notifications/{owner.notification}")
    ]
    assert counts == [2, 1]


@pytest.mark.thorough
def test_new_name_is_shown_after_a_refresh(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/u-1?tenant=initech", {"name": "Cem Cedar"})
    owner.send("POST", "/v1/notifications?tenant=initech", {"to": "u-1", "title": "Hello"})
    page = open_console("/notifications?tenant=initech", viewport=DESKTOP)
    person = page.locator(".chunk .person .name")
    expect(person).to_have_text("Cem Cedar")
    owner.send("PATCH", "/v1/recipients/u-1?tenant=initech", {"name": "Cem Cypress"})
    page.get_by_role("button", name="Refresh").click()
    expect(person).to_have_text("Cem Cypress")


@pytest.mark.thorough
def test_lists_show_names_and_the_key_where_there_is_room(open_console: Callable[..., Page], named: Console) -> None:
    owner, steps = named, [{"key": "mail", "type": "email", "subject": "Hello", "text": "Hello"}]
    owner.send("PATCH", "/v1/recipients/u-2?tenant=acme", {"email": "bea@example.com"})
    owner.send("PUT", "/v1/workflows/names?tenant=acme", {"steps": steps})
    owner.send("POST", "/v1/workflows/names/trigger?tenant=acme", {"to": "u-2"})
    page = open_console("/runs?tenant=acme&workflow=names", viewport=DESKTOP)
    expect(page.locator(".chunk .named")).to_have_text("Bea Birchu-2")
    page.locator(".row-link").click()
    expect(page.locator(".pane h1")).to_have_text("Bea Birch · names")
    page.goto("/console/messages?tenant=acme&workflow=names")
    expect(page.locator(".chunk .row")).to_contain_text("Bea Birch")
    page.locator(".row-link").click()
    expect(page.locator(".pane .facts .named")).to_have_text("Bea Birchu-2")
    page.goto("/console/requests?tenant=acme&route=/v1/notifications")
    expect(page.locator(".total")).to_have_text(re.compile(r"^\d+ in memory$"))  # the bars count more
    expect(page.locator(".preview").filter(has_text="For Bea Birch to Bea Birch").first).to_be_visible()
    with websocket(owner.server, "u-2", claims={"tenant": "acme"}):
        page.goto("/console/connections?tenant=acme&recipient=u-2")
        expect(page.locator(".chunk .title .row-link")).to_have_text("Bea Birch")


@pytest.mark.thorough
def test_facts_of_an_object_name_its_tenant(open_console: Callable[..., Page], named: Console) -> None:
    named.send("PUT", "/v1/tenants/globex", {"name": "Globex Ltd"})
    page = open_console("/recipients/u-1?tenant=globex", viewport=DESKTOP)
    tenant = page.locator(".pane .facts").get_by_role("link", name="Globex Ltd")
    expect(tenant).to_have_attribute("href", "/console/tenants/globex")
    expect(tenant).to_have_attribute("title", "globex")


def test_viewer_reads_no_names(open_console: Callable[..., Page], named: Console, chromium: Browser) -> None:
    state = state_of_operator(named, chromium, "vera@example.com", "viewer")
    page = open_console(None, state=state, viewport=DESKTOP)
    requested = keys_requested(page)
    page.goto("/console/notifications?type=names&tenant=globex")
    expect(page.locator(".chunk .named").first).to_have_text("u-1")
    named.send("PATCH", "/v1/recipients/u-1?tenant=globex", {"email": "cem@example.com"})
    named.send("POST", "/v1/notifications?tenant=globex", MAIL)
    page.goto("/console/messages?tenant=globex")
    expect(page.locator(".chunk .row-title")).to_have_text("u-1")
    assert requested == []


@pytest.mark.thorough
def test_schedule_is_listed_with_the_name_of_its_recipient(open_console: Callable[..., Page], named: Console) -> None:
    daily = {"cron": "0 8 * * *", "notification": {"to": "u-1", "title": "Reminder"}}
    named.send("PUT", "/v1/schedules/reminder?tenant=globex", daily)
    page = open_console("/schedules?tenant=globex", viewport=DESKTOP)
    expect(page.locator(".chunk .person .name")).to_have_text("Cem Cedar")
