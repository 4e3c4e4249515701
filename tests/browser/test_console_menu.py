"""The pages that each role sees, including for operators who are restricted to tenants."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import Console, go, menu_titles, open_own_menu, state_of_operator, wait_loaded
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled

TENANTS = ["evil", "acme"]
LISTS = ["Connections", "Notifications", "Announcements", "Messages", "Workflow runs", "Failures"]
OBJECTS = ["Recipients", "Tenants", "Workflows", "Templates"]
DEFINITIONS = ["Types", "Schedules", "Event sources", "Providers", "Webhooks"]
OF_CONTENT = ["Overview", "Live", "Requests", *LISTS, "Suppressions", *OBJECTS, *DEFINITIONS]
# Pages that are reached from another page of the menu.
WITHIN = {"Connections": "Topics", "Messages": "Mail", "Failures": "Dead jobs", "Types": "Preference defaults"}
# Without Health, Setup and Settings, which are about the server.
MENUS = {
    "developer": [*OF_CONTENT, "API keys"],
    "support": OF_CONTENT,
    "viewer": ["Overview", *LISTS, *OBJECTS, "Providers"],
}
OF_THE_SERVER = {"Health": "/health", "Setup": "/setup", "Settings": "/settings"}


def press(page: Page, letters: str) -> None:
    """Press the keys of letters in one task: the second must follow the first within a second."""
    code = (
        "for (const key of letters) document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
    )
    page.evaluate(f"(letters) => {{ {code} }}", letters)


@pytest.fixture(scope="module")
def acme(owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/acme", {"name": "Acme"})
    owner.send("POST", "/v1/notifications?tenant=acme", {"to": "alice", "title": "For Alice"})


@pytest.mark.thorough
@pytest.mark.parametrize("role", sampled(MENUS))
def test_menu_of_a_restricted_operator_has_the_pages_that_the_server_permits(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, acme: None, role: str
) -> None:
    state = state_of_operator(owner, chromium, f"bound-{role}", role, TENANTS)
    page = open_console("/account", state=state)
    assert menu_titles(page) == MENUS[role]
    page.locator("#menu").get_by_role("link", name="Back to Overview").click()
    menu = page.locator("#menu a:has(.title)")
    for title in MENUS[role]:
        if title == "Providers":  # the first of those of the server
            page.locator("#menu").get_by_role("link", name="Configure").click()
        menu.filter(has_text=title).first.click()
        expect(page.locator("h1"), title).to_have_text(title)
        wait_loaded(page)
        expect(page.locator(".failure"), title).to_have_count(0)
        beside = page.locator(".sibling")
        expected = [WITHIN[title]] if title in WITHIN and (role != "viewer" or title == "Connections") else []
        expect(beside, title).to_have_text(expected)
        if expected:
            beside.click()
            expect(page.locator("h1")).to_have_text(expected[0])
            expect(beside).to_have_text(title)
            expect(page.locator("#menu [aria-current]")).to_contain_text(title)
            wait_loaded(page)
            expect(page.locator(".failure"), expected[0]).to_have_count(0)
    open_own_menu(page)
    page.get_by_role("link", name="Account").click()
    expect(page.locator("h1")).to_have_text("Account")
    press(page, "gs")
    expect(page.locator("h1")).to_have_text("Account")
    page.keyboard.press("?")
    shortcuts = page.get_by_role("dialog", name="Shortcuts")
    expect(shortcuts).to_contain_text("Notifications")
    expect(shortcuts.get_by_role("term").filter(has_text="gn").locator("kbd")).to_have_text(["g", "n"])
    expect(shortcuts).not_to_contain_text("Settings")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("set")
    expect(page.get_by_role("dialog", name="Go to").get_by_role("option", name="Settings")).to_have_count(0)
    page.keyboard.press("Escape")
    for title, path in OF_THE_SERVER.items():
        go(page, path)
        expect(page.locator("h1")).to_have_text(title)
        is_permitted = role == "developer" or title == "Health"
        reason = "Your account is restricted to 2 tenants: evil, acme" if is_permitted else f"Your role, {role}, does"
        expect(page.locator("#main")).to_contain_text(reason)
        assert violations(page, menu=True) == []


@pytest.mark.thorough
def test_pages_of_the_server_have_a_menu_of_their_own_that_leads_back(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications")
    menu = page.get_by_role("navigation", name="Pages")
    menu.get_by_role("link", name="Configure").click()
    expect(page.locator("h1")).to_have_text("Setup")
    expect(menu.get_by_role("group")).to_have_count(2)
    menu.get_by_role("link", name="API keys").click()
    expect(menu.locator("[aria-current]")).to_have_text("API keys")
    wait_loaded(page)
    assert violations(page, menu=True) == []
    menu.get_by_role("link", name="Back to Notifications").click()
    expect(page.locator("h1")).to_have_text("Notifications")
    expect(menu.get_by_role("link", name="API keys")).to_have_count(0)
    page.goto("/console/keys")
    wait_loaded(page)
    menu.get_by_role("link", name="Back to Overview").click()
    expect(menu.locator("[aria-current]")).to_have_text("Overview")


@pytest.mark.thorough
def test_menu_fits_a_window_without_scrolling(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport={"width": 1280, "height": 800})
    menu = page.get_by_role("navigation", name="Pages")
    for path, name in (
        ("/", "Overview"),
        ("/playground", "Playground"),
        ("/settings", "Settings"),
        ("/audit", "Audit"),
    ):
        go(page, path)
        expect(menu.locator("[aria-current]")).to_have_text(name)
        expect(menu.locator("[aria-current]")).to_be_in_viewport(ratio=1)
        assert menu.evaluate("(one) => one.scrollHeight <= one.clientHeight"), path


@pytest.mark.thorough
def test_folded_menu_covers_the_page_only_while_it_is_used(open_console: Callable[..., Page]) -> None:
    page = open_console("/recipients/evil", viewport={"width": 900, "height": 700})
    menu, icons = page.locator("#side"), "56px"
    page.mouse.move(28, 300)
    expect(menu).to_have_css("width", "228px")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Templates").click()
    expect(page.get_by_role("heading", level=1, name="Templates")).to_be_visible()
    page.mouse.move(600, 300)
    expect(menu).to_have_css("width", icons)
    page.goto("/console/recipients/evil")
    wait_loaded(page)
    page.locator("button.tenant").focus()
    page.keyboard.press("Tab")
    expect(menu).to_have_css("width", "228px")
    page.keyboard.press("Escape")
    expect(menu).to_have_css("width", icons)
    page.locator("button.tenant").click()
    expect(page.get_by_role("group", name="Whose rows are shown")).to_be_visible()
    page.mouse.move(800, 600)
    page.keyboard.press("Escape")
    expect(page.get_by_role("group", name="Whose rows are shown")).to_be_hidden()
    expect(menu).to_have_css("width", icons)
    expect(page).to_have_url(re.compile("/recipients/evil$"))  # the object stays open


@pytest.mark.thorough
def test_palette_creates_objects_and_changes_the_theme(open_console: Callable[..., Page]) -> None:
    page = open_console("/")
    wait_loaded(page)
    for typed, then in (("new ty", "New type"), ("theme: da", "Theme: dark"), ("retry", "Retry failures")):
        page.keyboard.press("Control+k")
        page.keyboard.type(typed)
        expect(page.get_by_role("option", selected=True)).to_contain_text(then)
        page.keyboard.press("Enter")
        if then == "New type":
            expect(page.locator("h1")).to_have_text(then)
            wait_loaded(page)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("h1")).to_have_text("Failures")


@pytest.mark.thorough
def test_palette_creates_an_object_of_the_shown_tenant(open_console: Callable[..., Page], acme: None) -> None:
    page = open_console("/recipients?tenant=acme&tz=utc")
    wait_loaded(page)
    for typed, kind in (("new ty", "New type"), ("new rec", "New recipient")):
        page.keyboard.press("Control+k")
        page.keyboard.type(typed)
        expect(page.get_by_role("option", selected=True)).to_contain_text(kind)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(kind)
        query = parse_qs(urlsplit(page.url).query)
        assert (query["tenant"], query["tz"]) == (["acme"], ["utc"])
        wait_loaded(page)


@pytest.mark.thorough
def test_palette_offers_recent_objects_and_ranks_names_before_addresses(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/tenants/quill", {"name": "Quill House"})
    owner.send("PUT", "/v1/recipients/zoe", {"name": "Zoe", "email": "zoe@quill.example"})
    page = open_console("/recipients/zoe")
    wait_loaded(page)
    page.keyboard.press("Control+k")
    options = page.get_by_role("dialog", name="Go to").get_by_role("option")
    expect(options.first).to_have_text("ZoeRecipients")
    expect(options.nth(1)).to_have_text("New workflow")
    page.keyboard.type("qui")
    expect(options.nth(0)).to_have_text("Tenant Quill Housequill")
    expect(options.nth(1)).to_have_text("Recipient Zoezoe")


@pytest.mark.thorough
def test_palette_leads_to_the_list_of_more_recipients_than_it_shows(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for number in range(6):
        owner.send("PUT", f"/v1/recipients/crowd-{number}", {"name": f"Crowded {number}"})
    page = open_console("/account")
    wait_loaded(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("crowded")
    page.get_by_role("option", name="Show all 6 in Recipients").click()
    expect(page).to_have_url(re.compile(r"/recipients\?text=crowded$"))
    expect(page.locator(".chunk .row")).to_have_count(6)


@pytest.mark.thorough
def test_restricted_developer_reads_limits_and_cannot_change_them(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, acme: None
) -> None:
    owner.send("PUT", "/v1/tenants/acme", {"name": "Acme", "settings": {"sends_per_day": 5000}})
    state = state_of_operator(owner, chromium, "bound-to-acme", "developer", ["acme"])
    page = open_console("/tenants/acme", state=state)
    expect(page.get_by_role("region", name="Usage")).to_contain_text("of 5,000 sent today")
    parts = page.get_by_role("navigation", name="Parts of this page")
    parts.get_by_role("link", name="Limits and retention").click()
    expect(page.get_by_role("region", name="Limits and retention")).to_contain_text("5,000")
    expect(page.locator("button").get_by_text("Save limits")).to_have_count(0)
    parts.get_by_role("link", name="Brand").click()
    expect(page.get_by_role("button", name="Save brand")).to_be_visible()
    entries = owner.send("GET", "/v1/audit?limit=200")["entries"]
    assert [one["action"] for one in entries if one["actor"] == "bound-to-acme" and one["outcome"] == "forbidden"] == []


@pytest.mark.thorough
def test_viewer_reads_workflows_templates_and_providers_only(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    url = "smtp://user:hunter2@mail.example.com:587?from=bells@example.com"
    owner.send("PUT", "/v1/providers/viewed", {"channel": "email", "url": url})
    page = open_console("/account", state=state_of_operator(owner, chromium, "viola", "viewer"))
    wait_loaded(page)
    for path, title, row in (
        ("/workflows", "Workflows", "evil"),
        ("/templates", "Templates", "evil"),
        ("/providers", "Providers", "viewed"),
    ):
        go(page, path)
        expect(page.locator("h1")).to_have_text(title)
        expect(page.locator(".row-title").get_by_text(row, exact=True).first).to_be_visible()
        expect(page.locator("#main :is([role=cell], td) :is(a, button)")).to_have_count(0)
        expect(page.locator("#main .heading :is(a, button)")).to_have_count(0)
        expect(page.get_by_role("columnheader", name=re.compile("Actions|Steps|Languages"))).to_have_count(0)
        assert violations(page, menu=True) == []
    page.keyboard.press("Control+k")
    page.keyboard.type("evil")
    dialog = page.get_by_role("dialog", name="Go to")
    expect(dialog.get_by_text("Nothing is called evil.")).to_be_visible()
    for path in ("workflows/evil", "workflows/evil?edit=yes", "templates/evil?edit=yes", "templates?edit=yes"):
        go(page, "/account")
        expect(page.locator("h1")).to_have_text("Account")
        go(page, f"/{path}")
        expect(page.get_by_text("Your role, viewer, does not permit this page")).to_be_visible()
    owner.send("DELETE", "/v1/providers/viewed")


@pytest.mark.thorough
def test_palette_finds_what_is_set_up_by_its_name(open_console: Callable[..., Page], owner: Console) -> None:
    schedule = {"cron": "0 9 * * *", "notification": {"to": "alice", "title": "x"}}
    source = {"event": "order", "notification": {"to": "alice", "title": "x"}}
    for path, body in (
        ("/v1/types/named-one", {"name": "Named"}),
        ("/v1/schedules/named-one", schedule),
        ("/v1/sources/named-one", source),
        ("/v1/providers/named-one", {"channel": "email", "url": "smtp://mail.example.com:25"}),
    ):
        owner.send("PUT", path, body)
    if not owner.send("GET", "/v1/webhooks")["webhooks"]:
        owner.send("POST", "/v1/webhooks", {"url": "https://hooks.example/named", "events": ["message.failed"]})
    page = open_console("/account")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/v1/settings" in request.url else None)
    options = page.get_by_role("dialog", name="Go to").get_by_role("option").filter(has=page.locator(".hidden"))
    for text, found in (
        ("access log", ["Setting Calls and log: Request log"]),
        ("retention: mess", ["Setting Retention: Messages and runs"]),
        ("named-", ["Type Named", *(f"{kind} named-one" for kind in ("Schedule", "Event source", "Provider"))]),
        ("hooks.example/named", ["Webhook https://hooks.example/named"]),
        ("olive", ["Operator olive@example.com"]),
    ):
        go(page, "/account")
        wait_loaded(page)
        page.keyboard.press("Control+k")
        requests.clear()
        page.get_by_label("Page, action or id").fill(text[:-1])
        expect(options.first).to_be_visible()
        page.get_by_label("Page, action or id").fill(text)
        expect(options).to_have_text([re.compile(f"^{re.escape(one)}") for one in found])
        assert len(requests) == 1
        options.first.click()
        expect(page).not_to_have_url(re.compile("/account"))
        wait_loaded(page)
        expect(page.get_by_text("does not exist")).to_have_count(0)


@pytest.mark.thorough
def test_icon_of_the_tab_has_a_dot_while_there_are_failures(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    failures = 0

    def answer(route: Route) -> None:
        route.fulfill(json={"failures": [], "next": None, "total": {"value": failures, "exact": True}})

    page.route("**/v1/failures?*", answer)
    icon = page.locator("link[rel=icon]")
    page.reload()
    wait_loaded(page)
    expect(icon).to_have_attribute("href", "/favicon.svg")
    failures = 2
    page.reload()
    expect(icon).to_have_attribute("href", re.compile(r"^data:image/svg\+xml,.*circle.*e5342b"))
    failures = 0
    page.reload()
    wait_loaded(page)
    expect(icon).to_have_attribute("href", "/favicon.svg")


def test_palette_finds_only_what_exists(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account")
    wait_loaded(page)
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Go to")
    page.keyboard.type("evil")
    found = dialog.get_by_role("option")
    expect(found.first).to_have_attribute("aria-selected", "true")
    expect(found).to_have_text(
        [re.compile("^" + kind) for kind in ("Recipient", "Topic", "Tenant", "Workflow", "Template")]
    )
    assert violations(page, menu=True) == []
    page.get_by_label("Page, action or id").fill("no-such-object")
    expect(dialog.get_by_text("Nothing is called no-such-object.")).to_be_visible()
    expect(found).to_have_count(0)
    page.get_by_label("Page, action or id").fill(owner.run)
    expect(found).to_have_text([re.compile("^Run ")])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/runs/{owner.run}"))


def test_address_without_a_page_offers_the_page_that_is_meant(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflow-runs")
    meant = page.get_by_role("link", name=re.compile("^Open "))
    expect(meant).to_have_text("Open Workflow runs")
    assert violations(page) == []
    meant.click()
    expect(page.locator("h1")).to_have_text("Workflow runs")
    go(page, "/zebra")
    expect(page.get_by_role("button", name="Find a page")).to_be_visible()
    expect(meant).to_have_count(0)
