"""The filters of lists, in the URL."""

import re
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import Console, add_filter, change_filter, go, state_of_operator, used_filter, wait_loaded
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations


@pytest.fixture(scope="module")
def run(owner: Console) -> str:
    """A run of a workflow with an e-mail through a provider, and one of another workflow without."""
    owner.send("PUT", "/v1/recipients/fay", {"email": "fay@example.com"})
    steps = {"mailing": {"key": "mail", "type": "email", "subject": "Hello", "text": "Hello"}}
    steps["ringing"] = {"key": "bell", "type": "inbox", "title": "Hello"}
    runs = {}
    for name, step in steps.items():
        owner.send("PUT", f"/v1/workflows/{name}", {"steps": [step]})
        runs[name] = owner.send("POST", f"/v1/workflows/{name}/trigger", {"to": "fay", "data": {}})["run"]

    def messages() -> list[str]:
        return [one["state"] for one in owner.send("GET", "/v1/messages?workflow=mailing")["messages"]]

    wait_until(lambda: messages() == ["simulated"], lambda: f"the message is {messages()}")
    wait_until(
        lambda: owner.send("GET", f"/v1/runs/{runs['ringing']}")["state"] == "completed", lambda: "the run did not end"
    )
    return str(runs["mailing"])


@pytest.mark.thorough
def test_wrong_value_of_a_filter_is_named_and_removed(open_console: Callable[..., Page]) -> None:
    page = open_console("/requests?status=refused")
    expect(page.get_by_text("There is no status “refused”")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page).to_have_url(re.compile("/requests$"))
    expect(page.get_by_text("There is no status")).to_have_count(0)


@pytest.mark.thorough
@pytest.mark.parametrize("query", ["range=9999d", "range=constructor", "edit=yes", "full=yes"])
def test_list_ignores_what_its_link_cannot_mean(open_console: Callable[..., Page], run: str, query: str) -> None:
    page = open_console(f"/runs?{query}")
    expect(page.get_by_role("heading", level=1, name="Workflow runs")).to_be_visible()
    expect(page.locator(".row").get_by_text("ringing").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^(Time|Created) is"))).to_have_count(0)


@pytest.mark.thorough
def test_search_goes_on_where_no_loaded_row_matches(open_console: Callable[..., Page]) -> None:
    def with_more(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"next": "more"})

    page = open_console("/account")
    page.route(re.compile(r"/v1/requests\?.*limit=200"), with_more)
    go(page, "/requests?find=nothing-like-this")
    expect(page.get_by_role("button", name="Search further")).to_be_visible()


@pytest.mark.thorough
def test_search_keeps_what_is_typed_while_its_list_is_read(open_console: Callable[..., Page], run: str) -> None:
    page = open_console("/recipients")
    search = page.get_by_role("searchbox", name="Search names, keys and e-mails")
    search.press_sequentially("fay ")
    expect(page).to_have_url(re.compile("text=fay$"))
    wait_loaded(page)
    search.press_sequentially("and")
    expect(page).to_have_url(re.compile(r"text=fay\+and$"))
    expect(search).to_have_value("fay and")


@pytest.mark.thorough
def test_search_of_failures_is_no_parameter_of_the_server(open_console: Callable[..., Page]) -> None:
    page = open_console("/failures?find=nothing-like-this")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


@pytest.mark.thorough
def test_chip_of_a_label_with_a_verb_has_no_other_verb(open_console: Callable[..., Page]) -> None:
    page = open_console("/recipients?search=fay&range=7d")
    expect(page.get_by_role("button", name="Key begins with fay", exact=True)).to_be_visible()
    expect(used_filter(page, "Created", "last 7 days")).to_be_visible()


@pytest.mark.thorough
def test_filters_of_a_view_are_chips_only_with_others(open_console: Callable[..., Page], run: str) -> None:
    page = open_console("/runs")
    view = page.get_by_role("button", name="Failed", exact=True)
    view.click()
    expect(view).to_have_attribute("aria-pressed", "true")
    expect(used_filter(page, "State", "failed")).to_have_count(0)
    page.get_by_role("button", name="Add a filter").click()
    options = page.locator(".chooser .option")
    expect(options).to_have_text(["Workflow", "Recipient", "Channel", "Provider", "State", "Step", "Time"])
    assert violations(page) == []
    looks = "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    first, second = options.evaluate_all(looks)[:2]
    assert first != second  # Enter chooses it
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Recipient", exact=True).fill("fay")
    page.keyboard.press("Enter")
    expect(used_filter(page, "Recipient", "fay")).to_be_visible()
    expect(used_filter(page, "State", "failed")).to_be_visible()
    expect(view).to_have_attribute("aria-pressed", "false")


def test_recipients_and_tenants_are_found_by_name(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/t-71", {"name": "Northern Lights"})
    owner.send("PUT", "/v1/recipients/r-4711?tenant=t-71", {"name": "Nora Nordin"})
    page = open_console("/account")
    first = re.compile(r"/v1/tenants\?limit=\d+$")
    held: list[Route] = []
    page.route(first, lambda route: held.append(route) or None)  # until a text is typed
    page.locator("button.tenant").click()
    page.get_by_label("Search tenants").fill("north")
    expect(page.get_by_text("No tenant has this key or name.")).to_be_visible()
    held[0].continue_()
    expect(page.locator(".tenants .option")).to_have_text(["NLNorthern Lightst-71"])
    assert violations(page) == []
    page.get_by_label("Search tenants").press("Enter")
    expect(page).to_have_url(re.compile("tenant=t-71"))
    page.unroute(first)
    go(page, "/messages?tenant=t-71")
    expect(page.locator("button.tenant")).to_have_text("NLTenant: Northern Lights")
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_role("button", name="Recipient", exact=True).click()
    page.get_by_label("Recipient", exact=True).fill("nordin")
    option = page.get_by_role("button", name="Nora Nordin r-4711")
    assert violations(page) == []
    option.click()
    expect(used_filter(page, "Recipient", "Nora Nordin")).to_have_attribute("title", "r-4711")


def test_messages_are_filtered_by_the_workflow_of_their_run(open_console: Callable[..., Page], run: str) -> None:
    page = open_console("/messages")
    add_filter(page, "Workflow", "mailing")
    expect(page).to_have_url(re.compile("workflow=mailing"))
    expect(page.locator(".row-link")).to_have_text(["Hello"])
    change_filter(page, "Workflow", "ringing")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    go(page, "/mail?workflow=mailing")
    expect(used_filter(page, "Workflow", "mailing")).to_be_visible()
    expect(page.locator(".row-link")).to_have_text(["Hello"])
    go(page, f"/messages?run={run}")
    expect(used_filter(page, "Run", run)).to_be_visible()
    expect(page.locator(".row-link")).to_have_text(["Hello"])


@pytest.mark.thorough
def test_runs_are_filtered_by_the_channel_and_the_provider_of_their_messages(
    open_console: Callable[..., Page], run: str
) -> None:
    page = open_console("/runs?recipient=fay")
    rows = page.locator(".row-link")
    expect(rows).to_have_text(["ringing", "mailing"])
    add_filter(page, "Channel", "email")
    expect(page).to_have_url(re.compile("recipient=fay&channel=email"))
    expect(rows).to_have_text(["mailing"])
    add_filter(page, "Provider", "no-provider")
    expect(page).to_have_url(re.compile("channel=email&provider=no-provider"))
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    go(page, f"/runs?trigger={run}")
    expect(used_filter(page, "Trigger", run)).to_be_visible()
    expect(rows).to_have_text(["mailing"])


@pytest.mark.thorough
def test_announcement_in_no_inbox_says_so_and_its_page_reads_the_size_of_its_audience(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for topic, name in (("harvest", "fay"), ("harvest", "fin"), ("harvest-late", "fay")):
        owner.send("PUT", f"/v1/topics/{topic}/subscriptions/{name}", {})
    owner.send("POST", "/v1/notifications", {"to": {"topic": "harvest"}, "title": "Apples", "type": "harvested"})
    page = open_console("/account")
    reads: list[str] = []
    page.on("request", lambda request: reads.append(request.url) if "/v1/topics" in request.url else None)
    go(page, "/announcements?type=harvested")
    expect(page.get_by_role("row").filter(has_text="Apples")).to_contain_text("not delivered yet")
    assert reads == []
    page.get_by_role("link", name="Apples").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("2 recipients")
    (url,) = reads
    assert parse_qs(urlsplit(url).query) == {"prefix": ["harvest"], "limit": ["1"]}


@pytest.mark.thorough
def test_announcements_of_a_recipient_are_filtered_by_their_state(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/topics/filtered/subscriptions/fay", {})
    for _ in range(2):
        owner.send("POST", "/v1/notifications", {"to": {"topic": "filtered"}, "title": "To all", "type": "filtered"})
    sent = owner.send("GET", "/v1/announcements?type=filtered")["announcements"][0]["id"]
    page = open_console(f"/announcements/{sent}")
    expect(page.get_by_role("region", name="State")).to_contain_text("In no inbox yet")
    expect(page.locator(".story")).to_contain_text("Waits for its recipients")
    # An inbox has the rows since it was opened.
    httpx.get(f"{owner.server.url}/v1/inbox", headers=owner.server.as_recipient("fay")).raise_for_status()
    page.reload()
    expect(page.get_by_role("region", name="State")).to_contain_text("Read by 0 of 1 recipient")
    expect(page.get_by_role("region", name="State")).to_have_class("verdict info")
    expect(page.locator(".story")).to_contain_text("Sent to its audience")
    wait_loaded(page)
    sizes: list[str] = []
    page.on("request", lambda request: sizes.append(request.url) if "/v1/topics" in request.url else None)
    go(page, "/announcements?type=filtered")
    wait_loaded(page)
    expect(page.get_by_role("row").filter(has_text="To all")).to_have_count(2)
    expect(page.get_by_role("row").filter(has_text="1 reached0 read")).to_have_count(2)
    assert sizes == []  # the size of an audience is read with one announcement only
    page.get_by_role("button", name="Add a filter").click()
    expect(page.get_by_role("button", name="Recipient", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="State", exact=True)).to_have_count(0)
    page.keyboard.press("Escape")
    add_filter(page, "Recipient", "fay")
    add_filter(page, "State", "unread")
    expect(page).to_have_url(re.compile("recipient=fay.*state=unread"))
    expect(page.locator(".row-link")).to_have_text(["To all", "To all"])
    change_filter(page, "State", "archived")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


@pytest.mark.thorough
def test_range_selected_in_a_histogram_filters_the_list(
    open_console: Callable[..., Page], owner: Console, run: str
) -> None:
    page = open_console("/account")
    half_hour = 1_800_000
    latest = time.time_ns() // 1_000_000 // half_hour * half_hour
    series = {"step": "15m", "metrics": ["sends"], "points": [[latest - 2 * half_hour, 3], [latest, 1]]}
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    page.get_by_role("link", name="Notifications").click()
    chart = page.get_by_role("img", name="4 sends in the last 24 hours, at most 3 at a time")
    expect(chart).to_be_visible()
    wait_loaded(page)
    assert violations(page) == []
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 10, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("from=.*&to="))
    expect(page.get_by_role("search", name="Filters")).to_contain_text("Time")
    page.get_by_role("button", name="Show all times").click()
    chart.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("from=.*&to="))
    times = [datetime.fromisoformat(parse_qs(urlsplit(page.url).query)[name][0]) for name in ("from", "to")]
    assert (times[1] - times[0]).total_seconds() == half_hour / 1000
    add_filter(page, "Type", "general")
    expect(page.get_by_role("region", name="Sends over time")).to_have_count(0)  # it counts all types
    series["points"] = [[latest, 1]]
    for path, noun in (("notifications", "send"), ("runs", "run")):
        go(page, f"/{path}")
        chart = page.get_by_role("img", name=f"1 {noun} in the last 24 hours, at most 1 at a time")
        chart.focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("from=.*&to="))


@pytest.mark.thorough
def test_refused_part_of_a_bar_is_as_high_as_its_share(open_console: Callable[..., Page], run: str) -> None:
    page = open_console("/account")
    latest = time.time_ns() // 1_000_000 // 1_800_000 * 1_800_000
    series = {
        "step": "15m",
        "metrics": ["requests", "refusals"],
        "points": [[latest - 3_600_000, 400, 0], [latest, 100, 25]],
    }
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    page.get_by_role("link", name="Requests").click()
    expect(
        page.get_by_role("img", name="500 requests in the last 24 hours, 25 refused, at most 400 at a time")
    ).to_be_visible()
    heights = [
        [float(one) for one in re.findall(r"v-([\d.]+)", path.get_attribute("d") or "")]
        for path in page.locator(".histogram path").all()
    ]
    assert heights == [[32, 16], [4]]  # a bar is as high as the root of its number


@pytest.mark.thorough
def test_list_has_no_histogram_that_counts_something_else(open_console: Callable[..., Page], run: str) -> None:
    page = open_console("/account")
    series = {"step": "15m", "metrics": ["sends"], "points": []}
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    for name in ("Notifications", "Messages"):
        with_rows = page.locator(".row-link").first
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        expect(with_rows).to_be_visible()
        expect(page.get_by_role("region", name=re.compile("over time"))).to_have_count(0)
    expect(page.locator(".histogram")).to_have_count(0)  # one of messages would count deliveries


@pytest.mark.thorough
def test_menu_at_the_edge_of_a_small_window_stays_within_it(open_console: Callable[..., Page], run: str) -> None:
    page = open_console("/messages", viewport={"width": 390, "height": 420})
    for opener in (page.get_by_role("button", name="Add a filter"), page.get_by_role("button", name="Export")):
        opener.click()
        box = page.locator(".popup-panel:popover-open").bounding_box()
        assert box is not None
        assert (box["x"] >= 0, box["y"] >= 0) == (True, True)
        assert (box["x"] + box["width"] <= 390, box["y"] + box["height"] <= 420) == (True, True)
        page.keyboard.press("Escape")


@pytest.mark.thorough
def test_recipient_of_a_filter_has_the_name_of_the_tenant_that_is_listed(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    for tenant, name in (("", "Ada of none"), ("chips", "Ada of chips")):
        owner.send("PUT", f"/v1/recipients/chip-ada?tenant={tenant}", {"name": name})
    page = open_console("/connections?recipient=chip-ada")  # of all tenants, where the key can be that of several
    expect(used_filter(page, "Recipient", "chip-ada")).to_be_visible()
    go(page, "/messages?recipient=chip-ada")  # of the default tenant
    expect(used_filter(page, "Recipient", "Ada of none")).to_be_visible()
    go(page, "/connections?recipient=chip-ada&tenant=chips")
    expect(used_filter(page, "Recipient", "Ada of chips")).to_be_visible()
    state = state_of_operator(owner, chromium, "chipper", "support", ["chips"])
    page = open_console("/connections?recipient=chip-ada", state=state)
    expect(used_filter(page, "Recipient", "Ada of chips")).to_be_visible()


@pytest.mark.thorough
def test_list_does_not_wait_for_a_name_that_is_not_read(open_console: Callable[..., Page], run: str) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = open_console("/account")
    page.route("**/v1/recipients?*", hold)
    go(page, "/runs?recipient=fay")
    expect(page.locator(".chunk .row").filter(has_text="mailing")).to_be_visible()
    expect(used_filter(page, "Recipient", "fay")).to_be_visible()
    assert held
    for one in held:
        one.abort()
