"""The list of a resource: the object beside it, views, export, new rows, and the tenant of all pages."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import DESKTOP, Console, act_on_row, add_filter, choose_tenant, used_filter, wait_loaded
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations


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
    choose_tenant(page, "acme")
    expect(page.locator(".row-link")).to_have_text(["acme 2", "acme 1", "acme 0"])
    page.get_by_role("link", name="Recipients", exact=True).click()
    expect(page).to_have_url(re.compile("/recipients[?]tenant=acme"))
    expect(page.locator(".row-link")).to_have_text(["paul"])
    page.locator("button.tenant").click()
    page.get_by_role("button", name="All tenants", exact=True).last.click()
    expect(page.locator(".row-link").get_by_text("evil", exact=True)).to_be_visible()


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


def test_rows_are_exported_with_their_filters(open_console: Callable[..., Page]) -> None:
    page = open_console("/notifications?type=listed&tenant=acme")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="As CSV").click()
    assert download.value.suggested_filename == "notifications.csv"
    text = download.value.path().read_text()
    assert text.count("acme ") == 3
    assert "globex" not in text


def test_new_rows_are_counted_and_shown_on_request(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/account")
    wait_loaded(page)
    page.clock.install()
    page.evaluate("history.pushState(null, '', '/console/notifications?type=counted')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()
    for number in range(2):
        owner.send("POST", "/v1/notifications", {"to": "carl", "title": f"Counted {number}", "type": "counted"})
    tools, views = (page.locator(part).bounding_box() for part in (".heading .tools", ".views"))
    page.clock.run_for(16_000)
    expect(page.get_by_role("button", name="2 new")).to_be_visible()
    assert (page.locator(".heading .tools").bounding_box(), page.locator(".views").bounding_box()) == (tools, views)
    page.get_by_role("button", name="2 new").click()
    expect(page.locator(".row-link")).to_have_text(["Counted 1", "Counted 0"])
    expect(page.get_by_role("button", name="2 new")).to_have_count(0)


def test_address_is_suppressed_and_freed(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/suppressions?new=yes")
    page.get_by_label("Address").fill("gone@example.com")
    page.get_by_role("button", name="Suppress", exact=True).click()
    expect(page.locator("h1")).to_have_text("Suppressions")
    expect(page.get_by_role("row").filter(has_text="gone@example.com")).to_contain_text("manual")
    act_on_row(page, "gone@example.com", "Free gone@example.com")
    expect(page.get_by_text("No address is suppressed.")).to_be_visible()
    assert owner.send("GET", "/v1/suppressions")["suppressions"] == []


def test_schedule_shows_its_next_times_and_is_paused(open_console: Callable[..., Page], owner: Console) -> None:
    body = {"cron": "0 9 * * mon", "timezone": "Europe/London", "notification": {"to": "paul", "title": "Your week"}}
    owner.send("PUT", "/v1/schedules/weekly", body)
    page = open_console("/schedules")
    page.get_by_role("link", name="weekly").click()
    expect(page.locator(".rows-of li")).to_have_count(5)
    owner.send("PUT", "/v1/schedules/weekly", {**body, "timezone": "Europe/Vienna"})
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert")).to_contain_text("repeat the change")
    assert owner.send("GET", "/v1/schedules/weekly")["active"] is True
    page.reload()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused: it sends nothing until it is resumed.")).to_be_visible()
    shown = owner.send("GET", "/v1/schedules/weekly")
    assert (shown["active"], shown["timezone"]) == (False, "Europe/Vienna")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".rows-of li")).to_have_count(5)
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Day")).to_have_value("1")


def test_webhook_is_created_beside_the_list_its_secret_shown_once_and_its_events_changed(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/webhooks")
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/schemas/webhook", hold)
    with page.expect_request("**/v1/schemas/webhook"):
        page.get_by_role("link", name="New webhook").first.click()
    expect(page.locator("h1")).to_have_text("New webhook")
    expect(page.get_by_role("button", name="Create webhook")).to_be_hidden()  # the events would push it down
    held[0].continue_()
    page.unroute("**/v1/schemas/webhook")
    expect(page.get_by_label("URL")).to_be_focused()
    page.get_by_label("URL").fill("https://app.example.com/hook")
    page.get_by_role("button", name="Create webhook").click()
    expect(page.get_by_role("alert")).to_have_text("Choose at least one event.")
    messages, of_runs = (page.locator("details").filter(has_text=name) for name in ("Messages", "Workflow runs"))
    messages.locator("summary").press("Enter")
    page.get_by_label("message.failed A message failed permanently").check()
    expect(messages.locator("summary")).to_have_text(re.compile("Messages 1 of"))
    of_runs.locator("summary").click()
    runs = page.get_by_role("group", name="Workflow runs")
    runs.get_by_label("run.failed").check()
    runs.get_by_label("All").check()
    expect(runs.get_by_label("run.failed")).to_be_disabled()
    expect(of_runs.locator("summary")).to_have_text("Workflow runs all")
    assert violations(page) == []
    page.get_by_role("button", name="Create webhook").click()
    secret = page.locator(".notice code").inner_text()
    page.get_by_role("link", name="Open the webhook").click()
    expect(page.locator("h1")).to_have_text("https://app.example.com/hook")
    expect(page.get_by_text("The server has given up no event.")).to_be_visible()
    assert owner.send("GET", "/v1/webhooks")["webhooks"][0]["events"] == ["message.failed", "run.*"]
    assert secret not in page.content()
    assert violations(page) == []
    expect(messages.get_by_label("message.failed")).to_be_hidden()
    messages.locator("summary").click()
    of_runs.locator("summary").click()
    expect(runs.get_by_label("All")).to_be_checked()
    page.get_by_label("message.failed").uncheck()
    runs.get_by_label("All").uncheck()
    runs.get_by_label("run.failed").check()
    page.get_by_label("URL").fill("https://app.example.com/other")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("https://app.example.com/other")
    assert owner.send("GET", "/v1/webhooks")["webhooks"][0]["events"] == ["run.failed"]
    page.get_by_label("Every event").check()
    expect(of_runs.locator("summary")).to_have_text("Workflow runs all")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".facts")).to_contain_text("Events*")
    assert owner.send("GET", "/v1/webhooks")["webhooks"][0]["events"] == ["*"]
    for _ in range(2):
        page.get_by_role("button", name="Delete this webhook").click()
    expect(page.locator("h1")).to_have_text("Webhooks")
    assert owner.send("GET", "/v1/webhooks")["webhooks"] == []
