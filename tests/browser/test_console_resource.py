"""The list of a resource: the object beside it, views, export, new rows, and the tenant of all pages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import (
    DESKTOP,
    Console,
    act_on_row,
    add_filter,
    choose_tenant,
    confirm,
    go,
    open_more,
    used_filter,
    wait_loaded,
)
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.wire.clients import websocket


@pytest.fixture(scope="module")
def owner(owner: Console, chromium: Browser) -> Console:
    for tenant in ("acme", "globex"):
        for number in range(3):
            body = {"to": "paul", "title": f"{tenant} {number}", "type": "listed"}
            owner.send("POST", f"/v1/notifications?tenant={tenant}", body)
    return owner


@pytest.mark.thorough
def test_object_opens_beside_its_list_and_the_keys_move_on(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed", viewport=DESKTOP)
    rows = page.locator(".row-link")
    expect(rows).to_have_count(6)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("globex 2")
    expect(rows).to_have_count(6)  # of all tenants, although the object belongs to one
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("globex 1")
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    query = parse_qs(urlsplit(page.url).query)
    assert query == {"type": ["listed"], "tenant": ["globex"], "scope": ["all"]}
    assert violations(page) == []
    page.reload()
    expect(page.locator("h1")).to_have_text("globex 1")
    expect(rows).to_have_count(6)
    page.get_by_role("button", name="Use the whole page").click()
    expect(rows.first).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_have_text("Notifications")
    expect(used_filter(page, "Type", "listed")).to_be_visible()


@pytest.mark.thorough
def test_buttons_open_the_next_object_and_close_it_at_the_same_places(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed", viewport=DESKTOP)
    page.locator(".row-link").first.click()
    title, following = page.locator("h1"), page.get_by_role("button", name="Next", exact=True)
    expect(title).to_have_text("globex 2")
    following.click()
    expect(title).to_have_text("globex 1")
    page.keyboard.press("Enter")  # the button keeps the focus
    expect(title).to_have_text("globex 0")
    expect(following).to_be_focused()
    page.get_by_role("button", name="Previous", exact=True).click()
    expect(title).to_have_text("globex 1")
    assert violations(page) == []
    close = page.get_by_role("button", name="Close, back to Notifications").bounding_box()
    assert close["x"] > page.get_by_role("button", name="Use the whole page").bounding_box()["x"]
    box = title.bounding_box()
    assert box["y"] < close["y"] + close["height"] / 2 < box["y"] + box["height"]  # in the line of the title
    page.set_viewport_size(PHONE)
    following.click()
    expect(title).to_have_text("globex 0")


@pytest.mark.thorough
def test_whole_pages_of_objects_lead_back_to_their_list(open_console: Callable[..., Page]) -> None:
    page = open_console("/tenants/acme", viewport=PHONE)
    page.get_by_role("link", name="Back to Tenants").click()
    expect(page.locator("h1")).to_have_text("Tenants")
    page.set_viewport_size(DESKTOP)
    page.go_back()
    link = page.get_by_role("link", name="Back to Tenants")
    assert link.bounding_box()["x"] < page.locator("h1").bounding_box()["x"]
    assert violations(page) == []


@pytest.mark.thorough
def test_object_takes_the_place_of_its_list_on_a_phone(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed", viewport=PHONE)
    page.locator(".row-link").last.click()
    expect(page.locator("h1")).to_have_text("acme 0")
    expect(page.locator(".row-link").first).to_be_hidden()
    page.get_by_role("button", name="Close, back to Notifications").click()
    expect(page.locator(".row-link")).to_have_count(6)
    expect(page.locator("h1")).to_have_text("Notifications")


def test_tenant_is_chosen_once_for_all_pages(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed")
    choose_tenant(page, "globex")
    expect(page.locator(".row-link")).to_have_text(["globex 2", "globex 1", "globex 0"])
    page.get_by_role("link", name="Recipients", exact=True).click()
    expect(page).to_have_url(re.compile("/recipients[?]tenant=globex"))
    expect(page.locator(".row-link")).to_have_text(["paul"])  # other tests have recipients of acme
    page.locator("button.tenant").click()
    page.get_by_role("button", name="All tenants", exact=True).last.click()
    expect(page.locator(".chunk .row").get_by_text("evil", exact=True)).to_be_visible()


@pytest.mark.thorough
def test_view_is_saved_under_a_name_and_deleted(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications")
    add_filter(page, "Type", "listed")
    page.get_by_role("button", name="Save view").click()
    page.get_by_label("Name of the view").fill("Paul")
    page.get_by_label("Name of the view").press("Enter")
    view = page.get_by_role("button", name="Paul", exact=True)
    expect(view).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="All", exact=True).click()
    expect(used_filter(page, "Type", "listed")).to_have_count(0)
    page.reload()
    view.click()
    expect(page).to_have_url(re.compile("type=listed"))
    expect(page.locator(".row-link")).to_have_count(6)
    assert violations(page) == []
    page.get_by_role("button", name="Delete the view Paul").click()
    expect(view).to_have_count(0)


def test_views_that_two_tabs_save_are_both_kept(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed")
    wait_loaded(page)
    other = page.context.new_page()
    other.goto(page.url)
    wait_loaded(other)
    for tab, name in ((page, "First"), (other, "Second")):
        tab.get_by_role("button", name="Save view").click()
        tab.get_by_label("Name of the view").fill(name)
        tab.get_by_label("Name of the view").press("Enter")
        expect(tab.get_by_role("button", name=name, exact=True)).to_be_visible()
    page.reload()
    for name in ("First", "Second"):
        page.get_by_role("button", name=f"Delete the view {name}").click()
    expect(page.get_by_role("button", name="Delete the view")).to_have_count(0)


def test_rows_are_exported_with_their_filters(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed&tenant=acme")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="As CSV").click()
    assert download.value.suggested_filename == "notifications.csv"
    text = download.value.path().read_text()
    assert text.count("acme ") == 3
    assert "globex" not in text


@pytest.mark.thorough
def test_new_rows_are_counted_and_shown_on_request(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account", is_alone=True)
    wait_loaded(page)
    page.clock.install()
    page.evaluate("history.pushState(null, '', '/console/notifications?type=counted')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    for number in range(2):
        owner.send("POST", "/v1/notifications", {"to": "carl", "title": f"Counted {number}", "type": "counted"})
    tools, views = (page.locator(part).bounding_box() for part in (".heading .tools", ".views"))
    page.clock.run_for(16_000)
    expect(page.get_by_role("button", name="2 new")).to_be_visible()
    assert (page.locator(".heading .tools").bounding_box(), page.locator(".views").bounding_box()) == (tools, views)
    page.get_by_role("button", name="2 new").click()
    expect(page.locator(".row-link")).to_have_text(["Counted 1", "Counted 0"])
    expect(page.get_by_role("button", name="2 new")).to_have_count(0)


@pytest.mark.thorough
def test_address_is_suppressed_in_the_tenant_of_the_form_and_found(
    open_console: Callable[..., Page], owner: Console
) -> None:
    addresses = [f"{name}@example.com" for name in ("first", "second", *range(8))]
    for address in addresses:
        owner.send("PUT", f"/v1/suppressions/email/{address}?tenant=acme")
    page = open_console("/suppressions?new=yes&tenant=acme")
    page.get_by_label("Channel").select_option("SMS")
    page.get_by_label("Address", exact=True).fill("+436601234567")
    tenant = page.get_by_label("Tenant")
    expect(tenant).to_have_value("acme")
    tenant.click()
    for name in ("Default tenant", "acme", "globex"):
        expect(page.get_by_role("option", name=name)).to_be_visible()
    page.get_by_role("option", name="acme").click()
    page.get_by_role("button", name="Create suppression", exact=True).click()
    rows = page.locator(".chunk .row")
    expect(rows).to_have_count(11)
    expect(page.locator(".total")).to_have_text("11")
    page.get_by_role("searchbox", name="Search addresses").fill("second@")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("second@example.com")
    for channel, address in (*(("email", one) for one in addresses), ("sms", "%2B436601234567")):
        owner.send("DELETE", f"/v1/suppressions/{channel}/{address}?tenant=acme")


def test_address_is_suppressed_and_freed(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/suppressions?new=yes")
    page.get_by_label("Address", exact=True).fill("gone@example.com")
    page.get_by_role("button", name="Create suppression", exact=True).click()
    expect(page.locator("h1")).to_have_text("Suppressions")
    expect(page.get_by_role("row").filter(has_text="gone@example.com")).to_contain_text("by hand")
    act_on_row(page, "gone@example.com", "Free this address")
    expect(page.get_by_text("No suppressed addresses")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("row").filter(has_text="gone@example.com")).to_contain_text("by hand")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    act_on_row(page, "gone@example.com", "Free this address")
    expect(page.get_by_text("No suppressed addresses")).to_be_visible()
    assert owner.send("GET", "/v1/suppressions")["suppressions"] == []


@pytest.mark.thorough
def test_focus_stays_in_the_page_when_what_had_it_is_gone(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account")
    go(page, "/suppressions?new=yes")
    page.get_by_label("Address", exact=True).fill("keys@example.com")
    page.keyboard.press("Enter")
    address = page.get_by_role("link", name="keys@example.com")
    expect(address).to_be_visible()
    main = page.locator("#main")
    expect(main).to_be_focused()
    address.press("Enter")
    page.get_by_role("button", name="Free this address").press("Enter")
    expect(address).to_have_count(0)
    expect(main).to_be_focused()
    wait_until(lambda: owner.send("GET", "/v1/suppressions")["suppressions"] == [], lambda: "it is still suppressed")


@pytest.mark.thorough
def test_suppressed_address_is_opened_beside_the_list_and_freed(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/suppressions/email/a%2Fb@example.com?tenant=acme", {"reason": "bounce"})
    page = open_console("/suppressions")
    page.get_by_role("link", name="a/b@example.com").click()
    expect(page.locator(".facts")).to_contain_text("acme")
    page.reload()
    expect(page.get_by_role("heading", level=1, name="a/b@example.com")).to_be_visible()
    assert violations(page) == []
    page.locator(".pane").get_by_role("button", name="Free this address").click()
    expect(page.get_by_text("This address is not suppressed")).to_be_visible()


@pytest.mark.thorough
def test_suppressed_address_of_a_tenant_is_corrected_at_its_recipient(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/wrong?tenant=acme", {"email": "wrong@example.com"})
    owner.send("PUT", "/v1/suppressions/email/wrong@example.com?tenant=acme", {"reason": "bounce"})
    page = open_console("/suppressions")
    page.get_by_role("link", name="wrong@example.com").click()
    page.get_by_role("link", name="Correct the address").click()
    expect(page.get_by_role("textbox", name="E-mail")).to_have_value("wrong@example.com")
    owner.send("DELETE", "/v1/suppressions/email/wrong@example.com?tenant=acme")


def test_button_that_is_pressed_twice_acts_once(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/suppressions/email/twice@example.com", {"reason": "bounce"})
    page = open_console("/suppressions/email/twice@example.com")
    sent: list[str] = []
    held: list[Route] = []
    page.on("request", lambda one: sent.append(one.method) if one.method in ("PUT", "DELETE") else None)
    page.route(re.compile("/v1/suppressions/"), lambda route, _: held.append(route))
    free, undo = (page.get_by_role("button", name=name) for name in ("Free this address", "Undo"))
    for button, answer in ((free, "twice@example.com is free"), (undo, None)):
        with page.expect_request(re.compile("/v1/suppressions/")):
            button.press("Enter")
        button.dblclick()
        held.pop().continue_()
        expect(page.locator(".toast")).to_contain_text(answer) if answer else expect(undo).to_have_count(0)
    expect(free).to_be_visible()
    assert sent == ["DELETE", "PUT"]
    free.dblclick()
    held.pop().continue_()
    expect(page.get_by_text("This address is not suppressed")).to_be_visible()
    assert (sent, held) == (["DELETE", "PUT", "DELETE"], [])


@pytest.mark.thorough
def test_connection_is_opened_beside_the_list_until_its_node_forgets_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    claims = {"tenant": "acme", "topics": ["*"]}
    with websocket(owner.server, "conny", topics="news", claims=claims) as client:
        client.until("ready")
        page = open_console("/connections?recipient=conny")
        page.get_by_role("link", name="conny").click()
        pane = page.locator(".pane")
        expect(pane.get_by_role("link", name="news")).to_have_attribute("href", "/console/topics/news?tenant=acme")
        expect(pane.get_by_role("link", name="conny")).to_be_visible()
        expect(pane.locator(".panel").filter(has_text="Last events")).to_contain_text("Follows news")
        expect(pane.get_by_role("region", name="State")).to_have_text(
            re.compile(r"^Connected over WebSocket for \d+ s$")
        )
        expect(pane.get_by_role("heading", name="Other connections")).to_have_count(0)
        assert violations(page, within=".pane") == []
        open_more(page)
        confirm(pane.get_by_role("button", name="Close the connection"))
        expect(pane.get_by_role("region", name="State")).to_contain_text("Closed after")
    go(page, "/connections/unknown")
    expect(page.get_by_text("This connection has been closed")).to_be_visible()


@pytest.mark.thorough
def test_connection_is_shown_without_what_else_its_recipient_has_if_that_cannot_be_read(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/notifications", {"to": "lonny", "title": "Left out"})
    page = open_console("/account")
    page.route("**/v1/notifications?*", lambda route: route.fulfill(status=422, json={"detail": "It is refused."}))
    with websocket(owner.server, "lonny") as client, websocket(owner.server, "lonny") as other:
        client.until("ready")
        other.until("ready")
        go(page, "/connections?recipient=lonny")
        page.get_by_role("link", name="lonny").first.click()
        pane = page.locator(".pane")
        expect(pane.get_by_role("heading", name="Other connections")).to_be_visible()
        expect(pane.get_by_role("region", name="State")).to_contain_text("Connected over WebSocket")
        expect(pane.get_by_role("link", name="Trace")).to_be_visible()
        expect(pane.get_by_role("heading", name="Last notifications")).to_have_count(0)
        expect(pane.get_by_role("alert")).to_have_count(0)


def test_key_is_opened_beside_the_list_and_revoked(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/keys", {"name": "shop", "scopes": ["send", "read"]})
    page = open_console("/keys")
    page.get_by_role("link", name="shop").click()
    pane = page.locator(".pane")
    expect(pane).to_contain_text("Send notifications and events")
    expect(pane.get_by_role("region", name="A first request")).to_contain_text("/v1/notifications")
    latest = pane.locator(".panel").filter(has=page.get_by_role("heading", name="Latest requests"))
    expect(latest).to_contain_text("None in the memory of this node")
    assert violations(page, within=".pane") == []
    open_more(page)
    confirm(pane.get_by_role("button", name="Revoke shop"))
    expect(pane.get_by_role("region", name="State")).to_contain_text("Revoked")


@pytest.mark.thorough
def test_suppressed_address_has_its_reason_and_the_order_of_the_server(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for reason in ("bounce", "moved away"):
        owner.send("PUT", f"/v1/suppressions/email/{reason.replace(' ', '-')}@example.com", {"reason": reason})
    page = open_console("/account")
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    go(page, "/suppressions?text=example.com")
    row = page.get_by_role("row")
    expect(row.filter(has_text="bounce@")).to_contain_text("bounced")
    expect(page.locator(".row-link")).to_have_text(["moved-away@example.com", "bounce@example.com"])  # the newest first
    expect(row.filter(has_text="moved-away@")).to_contain_text("moved away")
    assert not [url for url in urls if "/v1/messages" in url]
    for reason in ("bounce", "moved-away"):
        owner.send("DELETE", f"/v1/suppressions/email/{reason}@example.com")


def test_webhook_is_created_beside_the_list_its_secret_shown_once_and_its_events_changed(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/webhooks")
    wait_loaded(page)  # an empty list hides the link of its heading
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/schemas/webhook", hold)
    with page.expect_request("**/v1/schemas/webhook"):
        page.get_by_role("link", name="New webhook").last.click()
    expect(page.locator("h1")).to_have_text("New webhook")
    expect(page.get_by_role("button", name="Create webhook")).to_be_hidden()  # the events would push it down
    held[0].continue_()
    page.unroute("**/v1/schemas/webhook")
    expect(page.get_by_label("URL")).to_be_focused()
    page.get_by_label("URL").fill("https://app.example.com/hook")
    messages, of_runs = (page.locator(".event-group").filter(has_text=name) for name in ("Messages", "Workflow runs"))
    failed = page.get_by_label("message.failed A message failed permanently")
    expect(failed).to_be_hidden()  # groups are folded
    expect(messages.locator("summary")).to_have_text(re.compile(r"bounced, failed\s*2 of \d+$"))
    expect(page.get_by_text("What your URL receives for message.bounced")).to_be_visible()
    boxes = [
        one.get_by_role("checkbox").first
        for one in (messages, page.locator(".event-group").filter(has_text="Notifications"))
    ]
    assert [box.evaluate("(box) => box.indeterminate") for box in boxes] == [True, False]
    messages.locator("summary").click()
    page.get_by_label("message.bounced A message was refused").uncheck()
    expect(page.get_by_text("What your URL receives for message.failed")).to_be_visible()
    failed.uncheck()
    expect(page.get_by_text("What your URL receives for run.failed")).to_be_visible()
    of_runs.locator("summary").click()
    page.get_by_label("run.failed").uncheck()
    page.get_by_role("button", name="Create webhook").click()
    expect(page.get_by_role("alert")).to_have_text("Choose at least one event.")
    failed.check()
    expect(messages.locator("summary")).to_have_text(re.compile(r"1 of \d+$"))
    runs = page.get_by_role("group", name="Workflow runs", exact=True)
    runs.get_by_label("run.failed").check()
    runs.get_by_label("Workflow runs").check()
    expect(runs.get_by_label("run.failed")).to_be_disabled()
    expect(of_runs.locator("summary")).to_have_text(re.compile("all$"))
    assert violations(page) == []
    page.get_by_role("button", name="Create webhook").click()
    secret = page.locator(".notice code").inner_text()
    page.get_by_role("link", name="Open the webhook").click()
    expect(page.locator("h1")).to_have_text("/hook")
    expect(page.locator(".pane .titles")).to_contain_text("app.example.com")
    expect(page.get_by_text("No event in the last 30 days")).to_be_visible()
    assert owner.send("GET", "/v1/webhooks")["webhooks"][0]["events"] == ["message.failed", "run.*"]
    assert secret not in page.content()
    assert violations(page, within=".pane") == []
    edit = page.get_by_role("button", name="Edit", exact=True)
    expect(page.get_by_label("URL")).to_be_hidden()
    edit.click()
    expect(messages.get_by_label("message.failed")).to_be_checked()
    expect(runs.get_by_label("Workflow runs")).to_be_checked()
    page.get_by_label("message.failed").uncheck()
    runs.get_by_label("Workflow runs").uncheck()
    of_runs.locator("summary").click()
    runs.get_by_label("run.failed").check()
    page.get_by_label("URL").fill("https://app.example.com/other")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("/other")
    expect(page.locator(".facts")).to_contain_text("https://app.example.com/other")
    assert owner.send("GET", "/v1/webhooks")["webhooks"][0]["events"] == ["run.failed"]
    edit.click()
    page.get_by_label("Every event").check()
    expect(of_runs.locator("summary")).to_have_text(re.compile("all$"))
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".facts")).to_contain_text("Eventsevery event")
    assert owner.send("GET", "/v1/webhooks")["webhooks"][0]["events"] == ["*"]
    open_more(page)
    confirm(page.get_by_role("button", name="Rotate secret"))
    expect(page.locator(".notice code")).not_to_have_text(secret)
    open_more(page)
    confirm(page.get_by_role("button", name="Delete this webhook"))
    expect(page.locator("h1")).to_have_text("Webhooks")
    assert owner.send("GET", "/v1/webhooks")["webhooks"] == []


def test_source_says_what_it_sends_and_publishes_a_test_event(
    open_console: Callable[..., Page], owner: Console
) -> None:
    sent = {"to": "{{ event.data.waiter }}", "title": "Table {{ event.data.table }} is yours"}
    owner.send("PUT", "/v1/sources/seated", {"event": "table.seated", "topic": "floor", "notification": sent})
    page = open_console("/sources")
    row = page.get_by_role("row").filter(has_text="seated")
    expect(row).to_contain_text("table.seated floor")
    expect(row).to_contain_text("to its waiter")
    expect(row).to_contain_text("Table table is yours")
    expect(row.get_by_text("active", exact=True)).to_be_visible()
    row.get_by_role("link", name="seated").click()
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("No event in 24 hoursEach table.seated on floor sends this to its waiter.")
    page.get_by_text("Publish a test event").click()
    data = page.get_by_label("Data as JSON")
    expect(data).to_have_value(re.compile(r'"waiter": .*"table": ', re.DOTALL))
    data.fill('{"waiter": "wim", "table": "7"}')
    page.get_by_role("button", name="Publish event").click()
    expect(page.get_by_text("Published to floor.")).to_be_visible()
    go(page, "/sources")
    expect(row.locator(".cell.number")).to_have_text("1")
    go(page, "/notifications?recipient=wim")
    expect(page.get_by_role("link", name="Table 7 is yours")).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize(("type", "links"), [("invoice", 1), ("invoice-{{ event.data.kind }}", 0)])
def test_source_leads_to_the_notifications_of_its_type_unless_the_event_chooses_it(
    open_console: Callable[..., Page], owner: Console, type: str, links: int
) -> None:
    sent = {"to": {"var": "event.recipient"}, "title": "Invoice", "type": type}
    owner.send("PUT", "/v1/sources/invoices", {"event": "invoice.sent", "notification": sent})
    page = open_console("/sources/invoices")
    expect(page.get_by_role("heading", level=1, name="invoices")).to_be_visible()
    wait_loaded(page)
    expect(page.get_by_role("link", name="Notifications of this type")).to_have_count(links)


def test_failing_webhook_lists_its_attempts_and_resends_an_event(
    open_console: Callable[..., Page], owner: Console
) -> None:
    made = owner.send("POST", "/v1/webhooks", {"url": "https://app.example.com/sad", "events": ["run.failed"]})
    failing = {**made, "failing_since": "2026-01-01T00:00:00Z", "last_error": "HTTP 503"}
    next_at = (datetime.now(UTC) + timedelta(minutes=5, seconds=30)).isoformat()
    first = {"type": "run.failed", "at": "2026-01-01T00:00:00Z", "ms": 12, "number": 1, "status": 503, "next_at": None}
    listed = [
        {**first, "event": "e1", "number": 2, "error": "HTTP 503", "next_at": next_at},
        {**first, "event": "e2", "status": None, "ms": 15_000, "error": "The server did not respond."},
        {**first, "event": "e1", "error": "HTTP 503", "next_at": next_at},
    ]
    resent: list[Any] = []
    reads: list[int] = []

    def resend(route: Route) -> None:
        resent.append(route.request.post_data_json)
        reads.clear()
        route.fulfill(status=202, json={"event": "e2"})

    def attempts(route: Route) -> None:
        reads.append(len(listed))
        # Another node has it, and stores it after some seconds.
        if resent and reads == [3, 3, 3]:
            listed.insert(0, {**first, "event": "e2", "at": "2026-01-02T00:00:00Z", "status": 204, "error": None})
        route.fulfill(json={"attempts": listed})

    page = open_console("/account")
    page.route(f"**/v1/webhooks/{made['id']}*", lambda route: route.fulfill(json=failing))
    page.route("**/attempts*", attempts)
    page.route("**/resend*", resend)
    go(page, f"/webhooks/{made['id']}")
    expect(page.get_by_role("region", name="State")).to_contain_text("This URL does not accept eventsHTTP 503, since")
    rows = page.locator(".deliveries > li")
    expect(rows).to_have_text(
        [
            re.compile("^503run.failed12 ms.*ResendAttempt 2 · Next attempt in 5m503Attempt 112 ms"),
            re.compile("^failedrun.failed15.0 s.*ResendThe server did not respond.$"),
        ]
    )
    earlier = rows.first.get_by_text("Attempt 1", exact=True)
    expect(earlier).to_be_hidden()
    rows.first.get_by_text("Next attempt in 5m").click()
    expect(earlier).to_be_visible()
    assert violations(page) == []
    rows.nth(1).get_by_role("button", name="Resend run.failed of 1 Jan 2026").click()
    expect(page.get_by_text("run.failed is sent again.")).to_be_visible()
    expect(rows.first).to_contain_text("204")
    expect(rows).to_have_count(2)
    assert resent == [{"event": "e2"}]
    owner.send("DELETE", f"/v1/webhooks/{made['id']}")


@pytest.mark.thorough
def test_channels_without_a_provider_are_named_above_the_providers(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send(
        "PUT", "/v1/providers/covering?tenant=acme", {"channel": "sms", "url": "twilio://a:b@default?from=%2B1202"}
    )
    page = open_console("/providers")
    channels = page.get_by_role("list", name="Channels")
    sms = channels.get_by_role("listitem").filter(has_text="SMS")
    expect(sms).to_contain_text("1 tenant; others simulated")
    expect(sms.get_by_text("1 tenant")).to_have_attribute("title", "acme")
    expect(channels.get_by_role("listitem").filter(has_text="Chat")).to_contain_text("simulated")
    channels.get_by_role("link", name="New chat provider").click()
    expect(page.locator(".vendors h2")).to_have_text(["Chat"])
    # A form of Apprise would always be refused: only the settings may have its URLs.
    expect(page.locator(".vendors").get_by_role("link")).to_have_text([re.compile("Telegram")])
    expect(page.locator(".vendors")).to_contain_text("Apprise, in BELLCAST_CHAT")
    owner.send("DELETE", "/v1/providers/covering?tenant=acme")


@pytest.mark.thorough
def test_provider_that_refuses_messages_is_not_called_active(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/providers/refusing", {"channel": "email", "url": "smtp://mail.example.com:25"})
    page = open_console("/account")
    failed = [9, 20]

    def add_messages(route: Route) -> None:
        listed = route.fetch().json()
        for one in listed["providers"]:
            if one["key"] == "refusing":
                last = "2026-01-01T00:00:00Z"
                one["recent_messages"] = {"value": 200, "exact": True, "last_at": last, "failed": failed[0]}
        route.fulfill(json=listed)

    page.route("**/v1/providers?*", add_messages)
    go(page, "/providers")
    row = page.get_by_role("row").filter(has_text="refusing")
    expect(row.locator(".state.warn")).to_have_text("5 % fail")
    expect(row).to_contain_text("9 of 200")
    failed.pop(0)
    page.reload()
    expect(row.locator(".state.bad")).to_have_text("10 % fail")
    owner.send("DELETE", "/v1/providers/refusing")


@pytest.mark.thorough
def test_request_is_repeated_by_terminal_only_if_the_command_does_the_same(
    open_console: Callable[..., Page], owner: Console
) -> None:
    send = {"to": "rona", "title": "Hello"}
    headers = owner.server.as_app()

    def request(id: str, method: str, path: str, body: Any) -> None:
        url = f"{owner.server.url}{path}"
        httpx.request(method, url, headers=headers | {"x-request-id": id}, json=body).raise_for_status()

    request("repeatable", "POST", "/v1/notifications?tenant=acme", send)
    request("event", "POST", "/v1/events", {"topic": "orders", "name": "paid", "data": {}})
    request("checked", "POST", "/v1/notifications?dry_run=true", send)
    request("redacted", "POST", "/v1/notifications", {**send, "data": {"token": "abc"}})
    request("cut", "POST", "/v1/notifications", {**send, "data": {"text": "x" * 5_000}})
    request("written", "PUT", "/v1/types/repeated?dry_run=true", {"name": "Repeated"})
    page = open_console("/requests/repeatable")
    repeat = page.get_by_text("Repeat by terminal")
    repeat.click()
    expect(page.locator(".snippet").filter(has_text="curl")).to_contain_text(
        f"curl -X POST \\  '{owner.server.url}/v1/notifications?tenant=acme'"
    )
    for id, count in (("event", 1), ("checked", 0), ("redacted", 0), ("cut", 0), ("written", 0)):
        go(page, f"/requests/{id}")
        expect(page.locator("#main").get_by_text(id, exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Same route")).to_be_visible()
        expect(repeat).to_have_count(count)


@pytest.mark.thorough
def test_topics_have_their_tenant_unless_it_is_chosen(open_console: Callable[..., Page]) -> None:
    def page_of_topics(route: Route) -> None:
        is_first = "after=" not in route.request.url
        counts = {"subscribers": 1, "followers": 0, "present": 0}
        rows = [{"topic": f"t{number}", "tenant": None if is_first else "acme", **counts} for number in range(3)]
        route.fulfill(json={"topics": rows, "next": "t2" if is_first else None})

    page = open_console("/account")
    page.route("**/v1/topics?*", page_of_topics)
    go(page, "/topics")
    tenants = page.locator(".chunk").get_by_role("cell", name="acme", exact=True)
    expect(page.locator(".chunk .row")).to_have_count(3)
    expect(tenants).to_have_count(0)
    page.get_by_role("button", name="Load more").click()
    expect(tenants).to_have_count(3)
    choose_tenant(page, "acme")
    expect(page.locator(".chunk .row")).to_have_count(3)
    expect(tenants).to_have_count(0)


@pytest.mark.thorough
def test_topics_are_sorted_by_the_number_of_connections(open_console: Callable[..., Page]) -> None:
    counts = {"subscribers": 1, "present": 7}
    topics = [{"topic": f"t{number}", "tenant": "acme", **counts, "followers": number} for number in (999, 1234, 0)]
    page = open_console("/account")
    page.route("**/v1/topics?*", lambda route: route.fulfill(json={"topics": topics, "next": None}))
    go(page, "/topics?tenant=acme&sort=-connected")
    expect(page.locator(".row-link")).to_have_text(["t1234", "t999", "t0"])
    expect(page.locator(".chunk .preview").first).to_have_text("7 present")


@pytest.mark.thorough
def test_counts_of_a_topic_need_an_answer(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/topics/counted/subscriptions/paul")
    page = open_console("/account")
    problem = {"title": "Unavailable", "detail": "The store is away.", "status": 503}
    page.route("**/v1/topics?*", lambda route: route.fulfill(status=503, json=problem))
    go(page, "/topics/counted")
    failure = page.locator(".pane").get_by_role("alert").filter(has_text="The store is away.")
    expect(failure).to_be_visible()
    expect(page.locator(".pane .verdict")).to_have_count(0)
    page.unroute("**/v1/topics?*")
    failure.get_by_role("button", name="Retry").click()
    verdict = page.locator(".pane .verdict")
    expect(verdict).to_have_text("No connection follows it1 recipient subscribes to it")
