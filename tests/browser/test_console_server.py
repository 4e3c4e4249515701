"""Server activity in the console's pages."""

import itertools
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import (
    HOSTILE,
    Console,
    add_filter,
    change_filter,
    choose_tenant,
    confirm,
    go,
    wait_loaded,
)
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations
from tests.wire.clients import websocket


@pytest.mark.thorough
def test_health_shows_nodes_and_streams_the_findings_of_the_doctor(open_console: Callable[..., Page]) -> None:
    page = open_console("/health")
    expect(page.locator(".heading").get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.get_by_role("table", name="Nodes").locator(".chunk .row")).to_have_count(1)
    expect(page.get_by_role("region", name="Last 24 hours")).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text=re.compile(r"(found|problems?|warnings?) · "))).to_be_visible()
    passed = page.get_by_text(re.compile(r"^\d+ checks passed$"))
    files = page.locator(".findings b").filter(has_text="open files")
    expect(passed).to_be_visible()
    expect(files).to_be_hidden()
    passed.click()
    expect(files).to_be_visible()
    assert violations(page) == []
    refusal = {"title": "Too many", "detail": "The doctor is running: one run at a time.", "code": "too_many"}
    page.route("**/v1/doctor", lambda route: route.fulfill(status=429, json=refusal))
    page.get_by_role("button", name="Run the doctor").click()
    expect(page.get_by_role("alert")).to_contain_text("one run at a time")
    expect(page.get_by_role("button", name="Run the doctor")).to_be_focused()
    page.unroute("**/v1/doctor")
    page.get_by_role("button", name="Retry").click()
    expect(passed).to_be_visible()
    expect(page.get_by_role("button", name="Run the doctor")).to_be_enabled()
    page.reload()
    expect(passed).to_be_visible()
    found = [
        {"check": "clock", "state": "ok", "what": "exact", "fix": None},
        {"check": "disk", "state": "problem", "what": "1 GB free", "fix": "Free some space."},
        {"check": "proxies", "state": "warning", "what": "none", "fix": None},
    ]
    lines = "".join(f"{json.dumps(one)}\n" for one in found)
    page.route("**/v1/doctor", lambda route: route.fulfill(body=lines))
    page.get_by_role("button", name="Run the doctor").click()
    expect(page.locator(".findings b:visible")).to_have_text(["disk", "proxies"])
    clock = page.locator(".findings b").filter(has_text="clock")
    expect(clock).to_be_hidden()
    page.get_by_text("1 check passed").click()
    expect(clock).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="1 problem · 1 warning · ")).to_be_visible()
    node = page.locator(".node-id")
    full = node.locator("code").get_attribute("title")
    assert full
    assert full.startswith(node.locator("code").inner_text())
    expect(node.get_by_role("button", name=re.compile("^Copy the id of"))).to_be_visible()

    def of_a_package(route: Route) -> None:  # a checkout has no commit
        response = route.fetch()
        (node,) = response.json()["nodes"]
        route.fulfill(response=response, json={"nodes": [node | {"commit": "5f0c2a1"}], "next": None})

    page.route("**/v1/nodes*", of_a_package)
    page.route("**/readyz", lambda route: route.fulfill(status=503, json={"detail": "The broker is not connected."}))
    page.reload()
    expect(page.get_by_role("table", name="Nodes")).to_contain_text("(5f0c2a1)")
    expect(page.get_by_role("region", name="Readiness")).to_contain_text("The broker is not connected.")


@pytest.mark.thorough
def test_connections_of_a_node_are_listed(open_console: Callable[..., Page], owner: Console) -> None:
    def is_counted() -> bool:  # nodes report every two seconds
        (node,) = owner.send("GET", "/v1/nodes")["nodes"]
        return bool(node["connections"])

    with websocket(owner.server, "norma") as client:
        client.until("ready")
        wait_until(is_counted, lambda: "the node reports no connection")
        page = open_console("/health")
        page.get_by_role("table", name="Nodes").get_by_role("link", name=re.compile(r"^\d")).click()
        expect(page.get_by_role("link", name="norma", exact=True)).to_be_visible()
        chip = page.get_by_role("button", name=re.compile("^Node is "))
        expect(chip).to_be_visible()
        change_filter(page, "Node", "elsewhere")
        expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


@pytest.mark.thorough
def test_overview_charts_numbers_against_the_day_before(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    step, metrics = 900_000, ["connections", "sends", "publishes", "deliveries", "refusals", "failures"]
    latest = time.time_ns() // 1_000_000 // step * step
    numbers = [(latest - 86_400_000, 3, 7), (latest - step, 4.5, 8), (latest, 5, 1)]
    points = [[*one, *[0] * 6] for one in numbers]
    series = {"step": "15m", "metrics": [*metrics, "latency_p95", "queue_age"], "points": points}
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("img", name="Connections: 0 now, the previous 24 hours 3")).to_be_visible()
    expect(page.get_by_role("img", name="Sends: 9 in 24 hours, the previous 24 hours 7")).to_be_visible()
    page.locator("summary").filter(has_text="Table").first.click()
    rows = page.get_by_role("region", name="Sends as a table").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first.locator("td")).to_have_text([re.compile(r"\d\d:\d\d"), "1", "7"])
    assert violations(page) == []
    with page.expect_request(lambda request: "step=1m" in request.url):
        page.get_by_role("navigation", name="Range").get_by_role("link", name="1h").click()
    expect(page.get_by_role("heading", name="Last hour")).to_be_visible()
    expect(page.get_by_role("link", name="1h")).to_have_attribute("aria-current", "page")
    with page.expect_request(lambda request: "step=1h" in request.url and "tenant=evil" in request.url):
        choose_tenant(page, "evil")
    expect(page.get_by_role("img", name="Sends: 9 in 24 hours, the previous 24 hours 7")).to_be_visible()
    expect(page.get_by_role("heading", name="Queue age")).to_have_count(0)
    with page.expect_request(lambda request: "step=1h" in request.url and "tenant=evil" in request.url):
        go(page, "/tenants/evil")


@pytest.mark.thorough
def test_latency_is_charted_from_zero_with_its_maximum(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    metrics = ["connections", "publishes", "latency_p95", "queue_age"]
    latest = time.time_ns() // 1_000_000 // 900_000 * 900_000
    points = [[latest - 900_000 * number, 0, 0, 25, 0] for number in (3, 2, 1)]
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json={"metrics": metrics, "points": points}))
    go(page, "/health")
    chart = page.locator(".chart").filter(has_text="Latency, p95")
    expect(chart.locator(".peak")).to_have_text("30 ms")
    wait_loaded(page)
    box, line, area = (
        chart.locator(one).first.evaluate("one => one.getBoundingClientRect().toJSON()")
        for one in ("svg", ".today", ".area")
    )
    assert line["top"] - box["top"] > 8  # a line of one value is not the upper edge
    assert area["bottom"] - box["bottom"] == pytest.approx(0, abs=1)


@pytest.mark.thorough
def test_few_events_of_a_range_are_charted_as_bars(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    metrics = ["sends", "failures", "refusals", "deliveries", "publishes", "connections"]
    latest = time.time_ns() // 1_000_000 // 900_000 * 900_000
    points = [[latest - 900_000 * number, 5, 1 - number % 2, 0, 0, 0, 1] for number in range(8)]
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json={"metrics": metrics, "points": points}))
    go(page, "/?range=24h")
    charts = {name: page.locator(".chart").filter(has_text=name) for name in ("Sends", "Refusals", "Connections")}
    failures = page.locator(".chart").filter(has=page.get_by_role("img", name=re.compile("^Failures: ")))
    expect(failures.locator(".bars").last).to_have_attribute("d", re.compile(r"^(M[\d.]+ 72V[\d.]+h[\d.]+V72Z){4}$"))
    bars = re.findall(r"M([\d.]+) 72V([\d.]+)", failures.locator(".bars").last.get_attribute("d") or "")
    starts = sorted(float(start) for start, _ in bars)
    pitches = [round(after - before) for before, after in itertools.pairwise(starts)]
    assert pitches == [7, 7, 7]  # also that of the last one, at the edge
    assert {float(top) for _, top in bars} == {2}  # the value that is named as the highest one
    expect(failures.locator(".today")).to_have_count(0)
    expect(charts["Refusals"].locator(".bars").last).to_have_attribute("d", "")
    for name in ("Sends", "Connections"):  # more than a few, and no counts
        expect(charts[name].locator(".bars")).to_have_count(0)


@pytest.mark.thorough
def test_bars_of_a_few_are_visible_beside_one_peak(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    latest = time.time_ns() // 1_000_000 // 900_000 * 900_000
    points = [[latest - 900_000 * number, 500 if number == 3 else 1] for number in range(96)]
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json={"metrics": ["sends"], "points": points}))
    go(page, "/?range=24h")
    drawn = page.locator(".chart").filter(has_text="Sends").locator(".bars").last.get_attribute("d")
    tops = [float(top) for top in re.findall(r"V([\d.]+)h", drawn or "")]
    assert (min(tops), sorted(tops)[1:]) == (2, [66.0] * 95)


@pytest.mark.thorough
def test_outlier_leaves_the_other_numbers_of_a_chart_visible_and_a_time_is_read_in_all(
    open_console: Callable[..., Page],
) -> None:
    page = open_console("/account")
    step = 900_000
    latest = time.time_ns() // 1_000_000 // step * step

    def answer(route: Route) -> None:
        metrics = parse_qs(urlsplit(route.request.url).query)["metrics"][0].split(",")
        numbers = {"sends": [100] * 191 + [5000], "deliveries": [20] * 96 + [30] * 96}
        points = [
            [latest - (191 - index) * step, *(numbers.get(one, [0] * 192)[index] for one in metrics)]
            for index in range(192)
        ]
        route.fulfill(json={"step": "15m", "metrics": metrics, "points": points})

    page.route("**/v1/stats/series*", answer)
    go(page, "/?range=24h")
    sends, deliveries = (page.locator(".chart").filter(has_text=title) for title in ("Sends", "Deliveries"))
    expect(sends.locator(".peak")).to_have_text("▲ max 5,000")
    expect(sends.locator(".peak")).to_have_attribute("title", re.compile("^Higher than the chart"))
    expect(deliveries.locator(".peak")).to_have_text("max 30")
    wait_loaded(page)  # what is read above the charts moves them
    box = sends.get_by_role("img").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    expect(sends.locator(".axis b")).to_have_text(re.compile(r"^\d\d:\d\d · 100 · 100 before$"))
    expect(deliveries.locator(".axis b")).to_have_text(re.compile(r"^\d\d:\d\d · 30 · 20 before$"))
    expect(deliveries.locator(".cursor")).to_be_attached()
    page.mouse.move(2, 2)
    expect(page.locator(".cursor")).to_have_count(0)


@pytest.mark.thorough
def test_selected_range_of_a_chart_opens_what_happened(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    latest = time.time_ns() // 1_000_000 // 900_000 * 900_000
    columns = {"sends": [3, 1], "refusals": [0, 2]}

    def answer(route: Route) -> None:
        metrics = parse_qs(urlsplit(route.request.url).query)["metrics"][0].split(",")
        of_metrics = zip(*(columns.get(one, [0, 0]) for one in metrics), strict=True)
        points = [[at, *values] for at, values in zip((latest - 900_000, latest), of_metrics, strict=True)]
        route.fulfill(json={"step": "15m", "metrics": metrics, "points": points})

    page.route("**/v1/stats/series*", answer)
    page.goto("/console/?range=24h")
    wait_loaded(page)
    box = page.get_by_role("img", name="Sends:").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 5, box["y"] + 20, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"/console/notifications\?from=.*&to="))
    expect(page.locator(".row-link").first).to_be_visible()
    assert selected_hours(page.url) == pytest.approx(12, abs=0.5)
    add_filter(page, "Type", "mistake")
    expect(page).to_have_url(re.compile(r"from=.*type=mistake"))
    page.get_by_role("button", name="Show all times").click()
    expect(page).to_have_url(re.compile(r"/notifications\?[^f]*type=mistake[^f]*$"))
    # The same with the keyboard: the last interval and the two before it.
    page.goto("/console/?range=24h")
    chart = page.get_by_role("img", name="Refusals:")
    expect(chart).to_be_visible()
    chart.focus()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.get_by_role("status").filter(has_text="Enter opens it.")).to_be_attached()
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/console/requests\?status=4xx&from="))
    assert selected_hours(page.url) == 0.75


def selected_hours(url: str) -> float:
    query = parse_qs(urlsplit(url).query)
    begin, end = (datetime.fromisoformat(query[name][0]) for name in ("from", "to"))
    return (end - begin).total_seconds() / 3600


@pytest.mark.thorough
def test_live_page_shows_what_happens_and_why_it_was_refused(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/live?recipient=wanda")
    expect(page.get_by_role("status").first).to_have_text("Connected")
    expect(page.get_by_text("No matching events yet")).to_be_visible()
    owner.send("POST", "/v1/notifications", {"to": "wanda", "title": HOSTILE, "type": "greeting"})
    page.locator(".feed .row", has_text="greeting").get_by_role("button").click()
    expect(page.locator(".details pre")).to_contain_text("onerror=")
    owner.send("POST", "/v1/notifications", {"to": "wanda", "title": "Second"})
    expect(page.get_by_role("status").first).to_have_text("Paused, 1 new")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".row-link")).to_have_count(2)
    page.get_by_role("button", name="Remove the filter Recipient").click()
    add_filter(page, "Kind", "refused")
    expect(page).to_have_url(re.compile("kind=refused"))
    expect(page.get_by_role("status").first).to_have_text("Connected")
    httpx.post(f"{owner.server.url}/v1/notifications", headers=owner.server.as_app(), json={"to": "a", HOSTILE: 1})
    page.locator(".feed .row", has_text="422 · ").first.get_by_role("button", name="POST /v1/notifications").click()
    expect(page.locator(".details").first).to_contain_text("is not a known field")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Causes and fixes").click()
    expect(opened.value).to_have_url(re.compile("/errors/invalid$"))
    assert page.locator("img:not([src$='favicon.svg'])").count() == 0


@pytest.mark.thorough
def test_opened_event_is_beside_the_list_on_a_wide_screen(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/live?recipient=wim&kind=send", viewport={"width": 1440, "height": 900})
    expect(page.get_by_role("status").first).to_have_text("Connected")
    for title in ("First", "Second"):
        owner.send("POST", "/v1/notifications", {"to": "wim", "title": title})
    rows = page.locator(".row-link")
    expect(rows).to_have_count(2)
    rows.first.click()
    beside = page.get_by_role("complementary", name="Opened event")
    expect(beside).to_contain_text("Second")
    page.keyboard.press("j")
    expect(beside).to_contain_text("First")
    expect(rows.last).to_have_attribute("aria-expanded", "true")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(beside).to_be_hidden()
    expect(rows.last).to_be_focused()


@pytest.mark.thorough
def test_refused_origin_is_allowed_from_the_live_page(open_console: Callable[..., Page], owner: Console) -> None:
    shop, other = "https://shop.example.com", "https://other.example.com"

    def change(**body: object) -> None:
        revision = owner.send("GET", "/v1/settings")["revision"]
        owner.send("PATCH", "/v1/settings", {"revision": revision, **body})

    def status(origin: str = shop) -> int:
        headers = owner.server.as_recipient("originator") | {"origin": origin}
        return httpx.get(f"{owner.server.url}/v1/inbox", headers=headers).status_code

    change(set={"origins": other})
    try:
        page = open_console("/live?kind=refused&text=inbox")
        refused = page.locator(".feed .row", has_text="403 · ").get_by_role("button", name="GET /v1/inbox")
        expect(page.get_by_role("status").first).to_have_text("Connected")
        # From a client that is not a browser: both would be allowed.
        assert status(f"{shop},https://evil.example.com") == 403
        refused.first.click()
        expect(page.locator(".details").first).to_contain_text("evil.example.com")
        expect(page.get_by_role("button", name="Allow this origin")).to_have_count(0)
        page.get_by_role("button", name="Resume").click()
        assert status() == 403
        expect(refused).to_have_count(2)
        refused.first.click()
        page.get_by_role("button", name="Allow this origin").click()
        dialog = page.get_by_role("dialog", name="Allow this origin")
        expect(dialog.locator("pre")).to_have_text(f"{other}\n{shop}")
        assert violations(page) == []
        dialog.get_by_role("button", name="Allow this origin").click()
        expect(page.get_by_text(f"Allowed. Pages of {shop} can connect now.")).to_be_visible()
        assert status() == 200
        change(set={"origins": f"{other},{shop},https://third.example.com"})  # by another operator
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_role("button", name="Allow this origin")).to_be_visible()
        origins = next(one for one in owner.send("GET", "/v1/settings")["settings"] if one["name"] == "origins")
        assert origins["value"] == f"{other},https://third.example.com"
        locked = {"name": "origins", "value": other, "locked": True, "locked_by": "BELLCAST_ORIGINS"}
        page.route("**/v1/settings", lambda route: route.fulfill(json={"revision": 1, "settings": [locked]}))
        page.reload()
        refused.first.click()
        expect(page.get_by_text("BELLCAST_ORIGINS, which sets the origins")).to_be_visible()
        expect(page.get_by_role("button", name="Allow this origin")).to_have_count(0)
        # An operator without the scope to change settings sees the reason only.
        page.unroute("**/v1/settings")
        me = owner.send("GET", "/v1/operators")["operators"][0] | {"role": "support"}
        page.route("**/v1/me", lambda route: route.fulfill(json=me))
        page.reload()
        refused.first.click()
        expect(page.locator(".details").first).to_contain_text("add it to BELLCAST_ORIGINS")
        expect(page.get_by_role("button", name="Allow this origin")).to_have_count(0)
    finally:
        change(reset=["origins"])


def test_request_has_a_page_with_its_reason_and_its_body(open_console: Callable[..., Page], owner: Console) -> None:
    headers = owner.server.as_app() | {"x-request-id": "lost-send"}
    httpx.post(f"{owner.server.url}/v1/notifications", headers=headers, json={"to": HOSTILE[:50], "titel": HOSTILE})
    page = open_console("/requests?status=422")
    page.get_by_role("link", name="POST /v1/notifications").first.click()
    expect(page.get_by_role("region", name="Refusal")).to_contain_text("did you mean")
    go(page, "/requests/lost-send")
    expect(page.locator(".pane pre")).to_contain_text("onerror=")
    expect(page.locator(".pane pre .token-name").first).to_have_text('"to":')
    assert page.locator("img:not([src$='favicon.svg'])").count() == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("status", "kind", "words"), [(404, "warn", "Not found in 2.5 ms"), (502, "bad", "Failed in 2.5 ms")]
)
def test_page_of_a_request_that_failed_without_a_code_says_so(
    open_console: Callable[..., Page], status: int, kind: str, words: str
) -> None:
    one = {"id": "r1", "at": "2026-06-01T10:00:00Z", "method": "GET", "path": "/nowhere", "ms": 2.5, "body": None}
    body = {"requests": [{**one, "status": status}], "total": {"value": 1, "exact": True}, "next": None}
    page = open_console("/")
    page.route("**/v1/requests?*", lambda route: route.fulfill(json=body))
    go(page, "/requests/r1")
    headline = page.get_by_role("region", name="State")
    expect(headline).to_have_text(words)
    expect(headline).to_have_class(re.compile(rf"\b{kind}\b"))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "path", "body", "link", "name"),
    [
        ("PUT", "/recipients/linked", {"name": "Linked"}, "/recipients/linked", "linked"),
        ("PUT", "/suppressions/email/a%40example.com", {}, "/suppressions/email/a%40example.com", "a@example.com"),
        ("GET", "/pusher-apps/{app}", None, "/pusher-apps/{app}", "{app}"),
    ],
)
def test_request_links_to_the_page_of_its_object(
    open_console: Callable[..., Page],
    owner: Console,
    method: str,
    path: str,
    body: dict[str, str] | None,
    link: str,
    name: str,
) -> None:
    app = owner.send("POST", "/v1/pusher-apps", {"name": "Linked"})["id"]
    headers = owner.server.as_app() | {"x-request-id": f"linked-{path.split('/')[1]}"}
    url = f"{owner.server.url}/v1{path.format(app=app)}"
    assert httpx.request(method, url, headers=headers, json=body).status_code < 300
    page = open_console(f"/requests/{headers['x-request-id']}")
    shown = page.locator(".facts").get_by_role("link", name=name.format(app=app), exact=True)
    expect(shown).to_have_attribute("href", re.compile(rf"^/console{link.format(app=app)}(\?|$)"))


def test_requests_name_their_caller_what_they_sent_and_their_minute(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for number in range(6):
        owner.send("POST", "/v1/notifications", {"to": "rita", "title": f"Hello {number}"})
    httpx.post(
        f"{owner.server.url}/v1/notifications", headers=owner.server.as_app(), json={"to": "rita", "titel": "No"}
    )
    now = time.time_ns() // 1_000_000
    page = open_console("/account")
    points = {"requests,refusals": [now, 7, 1], "refusals": [now, 3]}

    def count(route: Route) -> None:
        metrics = parse_qs(urlsplit(route.request.url).query)["metrics"][0]
        route.fulfill(json={"step": "15m", "metrics": metrics.split(","), "points": [points[metrics]]})

    page.route("**/v1/stats/series*", count)
    go(page, "/requests?route=/v1/notifications")
    row = page.locator(".chunk .row").filter(has_text="Hello 5")
    expect(row).to_contain_text("201 POST /v1/notificationsHello 5 to ritaproject secret")
    expect(page.locator(".chunk .row").first).to_contain_text("did you mean")
    expect(page.locator(".day").first).to_contain_text(re.compile(r"^Today, \d\d:\d\d$"))
    go(page, "/requests")
    expect(page.get_by_text("7 requests in the last 24 hours, 1 refused")).to_be_visible()
    page.get_by_role("button", name="Refused").click()
    expect(page.get_by_text("3 refused requests in the last 24 hours")).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    row.locator(".row-link").click()
    verdict = page.get_by_role("region", name="State")
    expect(verdict).to_have_text(re.compile(r"^Stored in [\d.]+ msHello 5 to rita$"))
    expect(page.locator(".pane .facts")).to_contain_text("Byproject secret")
    made = owner.send("GET", "/v1/notifications?recipient=rita&limit=1")["notifications"][0]["id"]
    expect(verdict.get_by_role("link")).to_have_attribute("href", f"/console/notifications/{made}")
    page.get_by_text("Repeat by terminal").click()
    expect(page.locator("details .snippet")).to_contain_text("curl -X POST")
    latest = page.locator(".pane .panel").filter(has_text="Latest with the same key")
    expect(latest.get_by_role("link", name="POST /v1/notifications").first).to_be_visible()
    page.get_by_role("link", name="Same key").click()
    expect(page).to_have_url(re.compile("key=project"))


@pytest.mark.thorough
def test_connections_are_counted_by_protocol_above_their_list(
    open_console: Callable[..., Page], owner: Console
) -> None:
    with websocket(owner.server, "petra") as client:
        client.until("ready")
        page = open_console("/connections")
        expect(page.get_by_role("region", name="Open connections by protocol")).to_contain_text(
            re.compile(r"Native over WebSocket \d")
        )
        page.get_by_role("button", name="Closed", exact=True).click()
        expect(page.get_by_role("region", name="Open connections by protocol")).to_have_count(0)


@pytest.mark.thorough
def test_connection_has_the_other_connections_and_last_notifications_of_its_recipient(
    open_console: Callable[..., Page], owner: Console
) -> None:
    draft = {"to": "otto", "title": "Your table is ready", "channels": ["inbox"]}
    owner.send("POST", "/v1/notifications", draft)
    with websocket(owner.server, "otto") as one, websocket(owner.server, "otto") as other:
        one.until("ready")
        other.until("ready")
        page = open_console("/connections?recipient=otto")
        rows = page.locator(".chunk .row-link")
        expect(rows).to_have_count(2)
        opened, left = (str(row.get_attribute("href")).split("?")[0] for row in rows.all())
        rows.first.click()
        expect(page).to_have_url(re.compile(re.escape(opened)))
        pane = page.locator(".pane")
        links = [pane.locator(".panel").filter(has_text=name).get_by_role("link") for name in ("Other", "Last not")]
        expect(links[0]).to_have_attribute("href", re.compile(f"^{re.escape(left)}"))
        expect(links[1]).to_have_text("Your table is ready")
        expect(links[1]).to_have_attribute("href", re.compile("^/console/notifications/."))
        assert violations(page, within=".pane") == []


@pytest.mark.thorough
def test_closed_connection_moves_to_the_recently_closed_with_its_reason(
    open_console: Callable[..., Page], owner: Console
) -> None:
    claims = {"tenant": "evil", "topics": ["*"], "name": HOSTILE}
    with websocket(owner.server, "evil", topics="presence-evil", claims=claims) as client:
        client.until("ready")
        page = open_console("/topics/presence-evil?tenant=evil")
        expect(page.locator(".members")).to_contain_text(HOSTILE)
        page.get_by_role("link", name="Connections").last.click()
        expect(page.get_by_role("link", name=HOSTILE, exact=True)).to_be_visible()
        page.get_by_role("button", name=f"Actions of {HOSTILE}").click()
        close = page.get_by_role("button", name="Close the connection")
        confirm(close)
        expect(page.get_by_text("No connections yet").or_(page.get_by_text("Nothing matches"))).to_be_visible()
    page.get_by_role("button", name="Closed", exact=True).click()
    expect(page.get_by_text("reconnect requested (1012)").first).to_be_visible()
    assert page.locator("img:not([src$='favicon.svg'])").count() == 0


@pytest.mark.thorough
def test_charts_of_a_row_are_aligned(open_console: Callable[..., Page]) -> None:
    def respond(route: Route) -> None:
        (metrics,) = parse_qs(urlsplit(route.request.url).query)["metrics"]
        end = int(time.time() // 900 + 1) * 900_000
        names = metrics.split(",")
        points = [[end - step * 900_000, *[1234] * len(names)] for step in range(192, 0, -1)]
        route.fulfill(json={"step": "15m", "metrics": names, "points": points})

    page = open_console("/account", viewport={"width": 1280, "height": 900})
    page.route("**/v1/stats/series?*", respond)
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".chart")).to_have_count(6)
    distance = "(all) => all.map((one) => one.querySelector('svg').getBoundingClientRect().top - one.getBoundingClientRect().top)"
    for width in (1280, 700, 390):
        page.set_viewport_size({"width": width, "height": 900})
        tops = page.locator(".chart").evaluate_all(distance)
        assert max(tops) - min(tops) <= 1, width


@pytest.mark.thorough
def test_failures_are_those_of_their_list_and_compared_with_no_other_number(
    open_console: Callable[..., Page],
) -> None:
    step, total = 900_000, {"value": 20_000, "exact": False}
    latest = time.time_ns() // 1_000_000 // step * step
    metrics = ["connections", "sends", "publishes", "deliveries", "refusals", "failures"]
    points = [[at, *[number] * 6] for at, number in ((latest - 86_400_000, 7), (latest, 8))]
    statuses = [200]
    page = open_console("/account")
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json={"metrics": metrics, "points": points}))
    page.route(
        "**/v1/failures?*",
        lambda route: route.fulfill(status=statuses[-1], json={"failures": [], "next": None, "total": total}),
    )
    go(page, "/?range=24h")
    expect(page.get_by_role("img", name="Failures: 20,000+ listed in 24 hours", exact=True)).to_be_visible()
    statuses.append(403)  # the charts do not depend on the list
    go(page, "/?range=7d")
    expect(page.get_by_role("img", name=re.compile("^Failures: 15 in 7 days"))).to_be_visible()
