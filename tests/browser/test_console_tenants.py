"""Lists of all tenants: each row names its tenant, and searches say which tenants they covered."""

import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import (
    DESKTOP,
    Console,
    add_filter,
    choose_tenant,
    excess_width,
    go,
    state_of_operator,
    wait_loaded,
)
from tests.browser.test_accessibility import violations
from tests.wire.clients import websocket

URL = "smtp://user:password@{}.example.com:587?from=bells@example.com"


@pytest.fixture(scope="module")
def tenants(owner: Console) -> Iterator[None]:
    """Two tenants with a recipient each, an own provider each, and one for all tenants."""
    for tenant in ("larch", "maple"):
        owner.send("PUT", f"/v1/tenants/{tenant}", {"name": tenant.title()})
        owner.send("PUT", f"/v1/recipients/tessa?tenant={tenant}", {"name": f"Tessa of {tenant}"})
        owner.send("POST", f"/v1/notifications?tenant={tenant}", {"to": "tessa", "title": "Hello"})
        owner.send("PUT", f"/v1/providers/mail?tenant={tenant}", {"channel": "email", "url": URL.format(tenant)})
    owner.send("PUT", "/v1/providers/shared", {"channel": "email", "url": URL.format("shared")})
    yield
    owner.send("DELETE", "/v1/providers/shared")
    for tenant in ("larch", "maple"):
        owner.send("DELETE", f"/v1/providers/mail?tenant={tenant}")


@pytest.mark.thorough
def test_providers_of_all_tenants_are_listed_with_their_tenant(
    open_console: Callable[..., Page], tenants: None
) -> None:
    page = open_console("/providers", viewport=DESKTOP)
    rows = page.locator(".chunk .row")
    expect(rows).to_have_count(3)
    for row, provider in enumerate((("shared", "all"), ("mail", "Larch"), ("mail", "Maple"))):
        expect(rows.nth(row).locator(".row-link")).to_have_text(provider[0])
        expect(rows.nth(row)).to_contain_text(provider[1])
    tested: list[str] = []
    page.on("request", lambda request: tested.append(request.url) if request.method in ("POST", "PUT") else None)
    rows.nth(2).locator(".row-link").click()
    expect(page.locator(".facts")).to_contain_text("smtp://…@maple.example.com")
    page.get_by_role("button", name="Test connection of mail").click()
    expect(page.get_by_role("status").filter(has_text="Not connected")).to_be_visible()
    expect(page.get_by_role("button", name="Test connection of mail")).to_be_focused()
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.get_by_label("Host")).to_have_value("maple.example.com")
    expect(page.get_by_label("Host")).to_be_focused()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    page.get_by_label("Sender").fill("bells@maple.example.com")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".facts")).to_contain_text("smtp://…@maple.example.com")
    assert len(tested) == 2
    assert all(url.endswith("tenant=maple") for url in tested), tested
    expect(rows).to_have_count(3)
    choose_tenant(page, "larch")
    expect(rows).to_have_count(1)
    assert violations(page) == []


def test_restricted_developer_sees_its_tenants_and_chooses_one_to_search(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, tenants: None
) -> None:
    state = state_of_operator(owner, chromium, "bound-to-larch", "developer", ["larch", "evil"])
    page = open_console("/providers", state=state)
    expect(page.locator(".chunk .row").filter(has_text="larch")).to_be_visible()
    wait_loaded(page)
    expect(page.locator(".chunk .row").filter(has_text="maple")).to_have_count(0)
    go(page, "/notifications?recipient=tessa")
    expect(page.get_by_text("Choose the tenant of the recipient in the menu")).to_be_visible()
    choose_tenant(page, "larch")
    expect(page.get_by_role("link", name="Hello")).to_be_visible()


@pytest.mark.thorough
def test_sends_of_today_are_a_lower_bound_without_a_daily_limit(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, tenants: None
) -> None:
    owner.send("PUT", "/v1/tenants/maple", {"name": "Maple", "settings": {"sends_per_day": 5000}})
    owner.send("POST", "/v1/notifications?tenant=maple", {"to": "tessa", "title": "Hello"})
    page = open_console("/tenants?prefix=larch")
    expect(page.get_by_role("row", name="larch")).to_contain_text("1+")
    expect(page.get_by_role("row", name="larch")).to_have_accessible_name(re.compile(r"\bat least 1 "))
    sent = "async (row) => (await import('/console/tenants.js')).tenants.columns.find(({ name }) => name === 'Sent today').of(row)"
    assert page.evaluate(sent, {"settings": {}, "sends_today": 0}) is None
    page.get_by_role("link", name="larch").click()
    page.get_by_role("link", name="Limits and retention").click()
    limits = page.get_by_role("region", name="Limits and retention")
    expect(limits).to_contain_text("at least 1 sent today")
    helper = open_console("/tenants/larch", state=state_of_operator(owner, chromium, "counting", "support"))
    expect(helper.get_by_role("region", name="Usage")).to_contain_text("at least 1 sent today")
    owner.send("PUT", "/v1/tenants/larch", {"name": "Larch", "settings": {"plan": "team"}})
    helper.reload()
    helper.get_by_text("Settings as JSON").click()
    expect(helper.locator("details").filter(has_text="Settings as JSON")).to_contain_text('"plan": "team"')
    go(page, "/tenants/maple")
    expect(page.get_by_role("region", name="Usage")).to_contain_text(re.compile(r"\d of 5,000 sent today"))
    page.locator(".numbers").get_by_role("link", name="1 recipient", exact=True).click()
    expect(page).to_have_url(re.compile(r"/recipients\?tenant=maple$"))
    expect(page.locator(".row-link")).to_have_text(["Tessa of maple"])
    expect(page.locator(".cell.title .preview")).to_have_text("tessa")


@pytest.mark.thorough
def test_tenants_have_their_name_before_their_key(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/willow", {"name": "Willow Garden"})
    page = open_console("/tenants?prefix=willow", viewport=DESKTOP)
    expect(page.locator(".row-link")).to_have_text("Willow Garden")
    expect(page.locator(".preview")).to_have_text("willow")
    owner.send("PUT", "/v1/recipients/wilma?tenant=willow", {})
    owner.send("PUT", "/v1/tenants/willow-empty", {})
    page.reload()
    expect(page.locator(".row-link")).to_have_count(2)
    expect(page.get_by_role("row", name="Willow Garden").get_by_role("cell", name="1", exact=True)).to_be_visible()
    expect(page.locator(".share")).to_have_count(0)  # small numbers are compared without bars
    expect(page.get_by_role("row", name="willow-empty").get_by_role("cell", name="–").first).to_be_visible()


@pytest.mark.thorough
def test_list_of_tenants_shows_their_states_and_limits(open_console: Callable[..., Page], owner: Console) -> None:
    limits = {"sends_per_day": 5, "sends_per_second": 0, "retention_days": 30}
    owner.send("PUT", "/v1/tenants/yew-limited", {"settings": limits})
    owner.send("PUT", "/v1/tenants/yew-new", {})
    page = open_console("/tenants?prefix=yew", viewport=DESKTOP)
    limited = page.get_by_role("row", name="yew-limited")
    expect(limited).to_contain_text("0 of 5")
    expect(limited).to_contain_text("5 sends a day · any number a second · kept 30 days")
    expect(page.get_by_role("row", name="yew-new")).to_contain_text("idle")
    assert violations(page) == []
    state = "async (row) => (await import('/console/tenants.js')).tenants.columns.find(({ name }) => name === 'State').of(row)"
    for sent, word in ((3, "active"), (4, "daily limit near"), (5, "daily limit reached")):
        assert page.evaluate(state, {"settings": limits, "sends_today": sent})[0] == word


def test_tenant_is_created_in_the_console_unless_its_key_is_used(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/tenants/hazel", {"name": "Hazel"})
    page = open_console("/tenants", viewport=DESKTOP)
    page.get_by_role("link", name="New tenant").click()
    page.get_by_label("Key", exact=True).fill("hazel")
    page.get_by_label("Name").fill("Hazel Street")
    page.get_by_role("button", name="Create tenant").click()
    expect(page.get_by_role("alert").filter(has_text="Key is used by another tenant.")).to_be_visible()
    expect(page.get_by_role("link", name="Open hazel")).to_have_attribute("href", "/console/tenants/hazel")
    assert owner.send("GET", "/v1/tenants/hazel")["name"] == "Hazel"
    page.get_by_label("Key", exact=True).fill("hazel-street")
    page.get_by_role("button", name="Create tenant").click()
    expect(page.get_by_role("heading", level=1, name="Hazel Street")).to_be_visible()
    assert owner.send("GET", "/v1/tenants/hazel-street")["name"] == "Hazel Street"


@pytest.mark.thorough
def test_tenant_says_that_it_has_reached_its_daily_limit(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/poplar", {"settings": {"sends_per_day": 1}})
    owner.send("POST", "/v1/notifications?tenant=poplar", {"to": "tessa", "title": "Hello"})
    page = open_console("/tenants?prefix=poplar")
    expect(page.get_by_role("row", name="poplar")).to_contain_text("daily limit reached")
    page.get_by_role("link", name="poplar").click()
    usage = page.get_by_role("region", name="Usage")
    expect(usage.get_by_role("progressbar", name="Of the daily limit")).to_be_visible()
    expect(usage).to_contain_text("1 of 1 sent today")
    expect(usage).to_contain_text("daily limit reached")
    page.get_by_role("link", name="Limits and retention").click()
    limits = page.get_by_role("region", name="Limits and retention")
    expect(limits.get_by_role("progressbar", name="Of the daily limit")).to_be_visible()
    expect(limits).to_contain_text("1 stored now")
    assert violations(page) == []


def test_parts_of_a_tenant_have_urls_and_keep_what_is_not_saved(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/tenants/rowan", {"name": "Rowan", "settings": {"plan": "team"}})
    page = open_console("/tenants/rowan#limits", viewport=DESKTOP)
    parts = page.get_by_role("navigation", name="Parts of this page")
    current = parts.locator("[aria-current]")
    retention, footer = page.get_by_role("spinbutton", name="Retention"), page.get_by_label("Closing line")
    expect(current).to_have_text("Limits and retention")
    # Read once: the form that is drawn after saving has the same height at once.
    page.route("**/v1/settings", lambda route: route.abort())
    retention.fill("30")
    parts.get_by_role("link", name="Brand").click()
    expect(page).to_have_url(re.compile("/tenants/rowan#brand$"))
    expect(retention).to_be_hidden()
    footer.fill("Rowan Ltd")
    assert violations(page) == []
    parts.get_by_role("link", name="Usage").click()
    page.get_by_role("navigation", name="Range").get_by_role("link", name="7d").click()
    expect(page.get_by_role("heading", name="Last 7 days")).to_be_visible()
    page.go_back()
    page.go_back()
    expect(current).to_have_text("Brand")
    expect(footer).to_have_value("Rowan Ltd")
    page.go_back()
    expect(retention).to_have_value("30")
    page.get_by_role("button", name="Save limits").click()
    settings = page.locator("details").filter(has_text="Settings as JSON")
    expect(footer).to_have_value("Rowan Ltd")
    expect(retention).to_have_accessible_description("Older notifications are deleted. Server default: 180 days.")
    page.get_by_text("Settings as JSON").click()
    expect(settings).to_contain_text('"retention_days": 30')
    page.get_by_label("Weight").fill("0")
    page.get_by_role("button", name="Save limits").click()
    expect(page.get_by_label("Weight")).to_have_accessible_description(re.compile("0.001"))
    expect(settings).not_to_contain_text("weight")
    assert violations(page) == []


@pytest.mark.thorough
def test_limits_of_nothing_are_unlimited_for_operators_who_cannot_change_them(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    limits = {"sends_per_second": 0, "sends_per_day": 0, "weight": 0.5, "retention_days": 0}
    owner.send("PUT", "/v1/tenants/linden", {"name": "Linden", "settings": limits})
    state = state_of_operator(owner, chromium, "bound-to-linden", "developer", ["linden"])
    page = open_console("/tenants/linden#limits", state=state)
    facts = page.get_by_role("region", name="Limits and retention").locator("dd")
    expect(facts).to_have_text(["unlimited", "unlimited", "0.5", "kept forever"])


@pytest.mark.thorough
def test_search_by_recipient_without_a_tenant_asks_for_its_tenant(
    open_console: Callable[..., Page], tenants: None
) -> None:
    page = open_console("/notifications?recipient=tessa")
    expect(page.get_by_text("The recipient was searched without a tenant")).to_be_visible()
    page.locator("button.tenant").click()
    expect(page.get_by_role("button", name="Maple", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    choose_tenant(page, "larch")
    expect(page.get_by_role("link", name="Hello")).to_be_visible()
    add_filter(page, "Type", "unknown")
    expect(page.get_by_text("Nothing matches these filters")).to_have_text("Nothing matches these filters")
    page.get_by_role("button", name="Clear the filters").click()
    expect(page).to_have_url(re.compile(r"/console/notifications\?tenant=larch$"))
    expect(page.locator(".row-link").first).to_be_visible()


@pytest.mark.thorough
def test_lists_of_all_tenants_show_their_names_which_one_request_reads(
    open_console: Callable[..., Page], owner: Console, tenants: None
) -> None:
    page = open_console("/account", viewport=DESKTOP)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/v1/tenants" in request.url else None)
    page.get_by_role("link", name="Notifications").click()
    name = page.locator(".chunk .row").filter(has_text="tessa").get_by_text("Larch", exact=True).first
    expect(name).to_have_attribute("title", "larch")
    page.get_by_role("link", name="Recipients").click()
    expect(page.locator(".chunk .row").filter(has_text="Tessa of maple").get_by_title("maple")).to_have_text("Maple")
    assert len(requests) == 1
    page.route("**/v1/tenants*", lambda route: route.fulfill(status=503))
    page.goto("/console/recipients")
    expect(page.locator(".chunk .row").filter(has_text="Tessa of maple").get_by_title("maple")).to_have_text("maple")


@pytest.mark.thorough
def test_palette_finds_the_recipients_of_all_tenants(open_console: Callable[..., Page], tenants: None) -> None:
    page = open_console("/account")
    wait_loaded(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("tess")
    dialog = page.get_by_role("dialog", name="Go to")
    expect(dialog.get_by_role("option", name=re.compile("^Recipient Tessa"))).to_have_text(
        ["Recipient Tessa of larchtessa · Larch", "Recipient Tessa of mapletessa · Maple"]
    )
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("of maple")
    expect(dialog.get_by_role("option", name=re.compile("^Recipient"))).to_have_count(1)
    found = dialog.get_by_role("option", name="Tessa of maple")
    expect(found).to_be_visible()
    assert violations(page) == []
    found.click()
    expect(page).to_have_url(re.compile(r"/recipients/tessa\?tenant=maple"))
    expect(page.locator("h1")).to_have_text("Tessa of maple")


def test_palette_finds_an_id_of_any_tenant(open_console: Callable[..., Page], owner: Console, tenants: None) -> None:
    owner.send("POST", "/v1/notifications?tenant=maple", {"to": {"all": True}, "title": "To all of maple"})
    owner.send("PATCH", "/v1/recipients/tessa?tenant=maple", {"phone": "+12025550123"})
    owner.send("POST", "/v1/notifications?tenant=maple", {"to": "tessa", "title": "Hello", "channels": ["sms"]})
    owner.send(
        "PUT", "/v1/workflows/greet?tenant=maple", {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]}
    )
    owner.send("POST", "/v1/workflows/greet/trigger?tenant=maple", {"to": "tessa"})
    page = open_console("/account")
    wait_loaded(page)
    for path, rows, kind in (
        ("/notifications", "notifications", "Notification"),
        ("/announcements", "announcements", "Announcement"),
        ("/messages", "messages", "Message"),
        ("/runs", "runs", "Run"),
    ):
        listed = owner.send("GET", f"/v1{path}?tenant=maple&limit=1")[rows]
        page.keyboard.press("Control+k")
        page.get_by_label("Page, action or id").fill(listed[0]["id"])
        found = page.get_by_role("dialog", name="Go to").get_by_role("option")
        expect(found).to_have_text([re.compile(f"^{kind} .*Maple$")])
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(rf"{path}/{listed[0]['id']}\?tenant=maple"))
        title = next(listed[0][name] for name in ("title", "workflow", "to") if name in listed[0])
        expect(page.locator("h1")).to_contain_text(title)


@pytest.mark.thorough
def test_lists_with_all_their_columns_fit_a_small_window(
    open_console: Callable[..., Page], owner: Console, tenants: None
) -> None:
    steps = [{"key": "mail", "type": "email", "template": "wide"}]
    email = {"subject": "Hello", "text": "Hello"}
    owner.send("PUT", "/v1/templates/wide?tenant=maple", {"email": email, "translations": {"de": {"email": email}}})
    owner.send("PUT", "/v1/workflows/wide?tenant=maple", {"type": "booking.reminder", "steps": steps})
    page = open_console("/templates", viewport={"width": 1140, "height": 800})
    for path in ("/templates", "/workflows"):
        go(page, path)
        expect(page.locator(".head [role=columnheader]").filter(has_text="Version")).to_be_visible()
        assert excess_width(page) == 0, path


def test_palette_opens_what_it_finds_in_its_own_tenant(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, tenants: None
) -> None:
    """A tenant is chosen: an object of the default tenant, which has no name, is not opened in that one."""
    sent = {"to": "tessa", "title": "To Tessa of the default tenant"}
    (found,) = owner.send("POST", "/v1/notifications", sent)["notifications"]
    owner.send("PUT", "/v1/recipients/terence", {"name": "Terence"})
    page = open_console("/types?tenant=maple")
    for text, title in ((found["id"], sent["title"]), ("terence", "Terence")):
        wait_loaded(page)
        page.keyboard.press("Control+k")
        page.get_by_label("Page, action or id").fill(text)
        expect(page.get_by_role("dialog", name="Go to").get_by_role("option")).to_contain_text([title])
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text(title)
        go(page, "/types?tenant=maple")
    bound = open_console(
        "/account", state=state_of_operator(owner, chromium, "of-larch", "developer", ["larch", "evil"])
    )
    wait_loaded(bound)
    bound.keyboard.press("Control+k")
    for tenant, number in (("maple", 0), ("larch", 1)):
        (one,) = owner.send("GET", f"/v1/notifications?tenant={tenant}&limit=1")["notifications"]
        with bound.expect_response(lambda response: "/v1/notifications?" in response.url):
            bound.get_by_label("Page, action or id").fill(one["id"])
        expect(bound.get_by_role("option", name=one["title"])).to_have_count(number)


@pytest.mark.thorough
def test_closed_connections_without_rows_say_what_would_appear(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    page.route("**/v1/connections*", lambda route: route.fulfill(json={"connections": [], "next": None}))
    go(page, "/connections?state=closed")
    expect(page.locator("#main .empty")).to_contain_text("Closed connections appear here, with the reason.")


def test_operator_of_two_tenants_sees_the_sums_of_both(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, tenants: None
) -> None:
    now = time.time_ns() // 1_000_000
    counts = {"larch": 3, "maple": 4}

    def series_of_tenant(route: Route) -> None:
        [tenant] = parse_qs(urlsplit(route.request.url).query)["tenant"]
        route.fulfill(json={"step": "1h", "metrics": ["requests"], "points": [[now, counts[tenant], 0]]})

    state = state_of_operator(owner, chromium, "bound-to-both", "developer", list(counts))
    page = open_console("/account", state=state)
    page.route("**/v1/stats/series?*", series_of_tenant)
    go(page, "/requests")
    expect(page.get_by_text("7 requests counted in the last 24 hours")).to_be_visible()
    choose_tenant(page, "maple")
    expect(page.get_by_text("4 requests counted in the last 24 hours")).to_be_visible()
    with (
        websocket(owner.server, "tessa", claims={"tenant": "larch"}) as one,
        websocket(owner.server, "tessa", claims={"tenant": "maple"}) as other,
    ):
        one.until("ready")
        other.until("ready")
        go(page, "/connections")
        protocols = page.get_by_role("region", name="Open connections by protocol")
        expect(protocols).to_have_text("Native over WebSocket 2")
        choose_tenant(page, "maple")
        expect(protocols).to_have_text("Native over WebSocket 1")


@pytest.mark.thorough
def test_protocols_are_shown_with_an_answer_and_without_filters(
    open_console: Callable[..., Page], owner: Console, tenants: None
) -> None:
    page = open_console("/account")
    problem = {"title": "Unavailable", "detail": "The store is away.", "status": 503}
    page.route("**/v1/stats?*", lambda route: route.fulfill(status=503, json=problem))
    page.route("**/v1/stats", lambda route: route.fulfill(status=503, json=problem))
    protocols = page.get_by_role("region", name="Open connections by protocol")
    with websocket(owner.server, "tessa") as client:
        client.until("ready")
        go(page, "/connections")
        expect(page.get_by_role("link", name="tessa").first).to_be_visible()
        wait_loaded(page)
        expect(protocols).to_have_count(0)
        page.unroute_all()
        page.reload()
        expect(protocols).to_be_visible()
        add_filter(page, "Recipient", "tessa")
        expect(page).to_have_url(re.compile("recipient=tessa"))
        expect(protocols).to_have_count(0)
