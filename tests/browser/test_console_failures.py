"""Workflows, failed runs, messages and jobs, and their retry in the console's pages."""

import re
import time
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import Console, confirm, go, open_more
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations

FOUR = {"value": 4, "exact": True}
AT = "2026-01-01T00:00:00Z"
CAUSE = {
    "kind": "run",
    "workflow": "any",
    "cause": "No server",
    "count": 4,
    "oldest_at": AT,
    "newest": {"created_at": AT},
}


@pytest.mark.thorough
def test_reason_of_a_run_is_shown_in_full_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    text = {"key": "bell", "type": "inbox", "title": "For {{ data.the_name_of_the_client_of_this_booking }}"}
    owner.send("PUT", "/v1/workflows/long-reason", {"steps": [text]})
    run = owner.send("POST", "/v1/workflows/long-reason/trigger", {"to": "rosa"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "failed", lambda: "it does not fail")
    page = open_console("/runs?workflow=long-reason", viewport=PHONE)
    reason = page.get_by_text("data.the_name_of_the_client_of_this_booking is missing")
    expect(reason).to_be_visible()
    assert reason.evaluate(
        "({ scrollWidth, clientWidth, offsetHeight }) => scrollWidth <= clientWidth && offsetHeight > 30"
    )
    row = page.locator(".chunk .row")
    assert row.evaluate("({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight")


def test_all_failures_are_retried_in_the_tenants_that_are_chosen(
    open_console: Callable[..., Page], owner: Console
) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/of-tenants", {"type": "of-tenants", "steps": [step]})
    tenants = ("acme", "globex", "globex")
    for tenant in tenants:
        owner.send("PUT", f"/v1/recipients/ann?tenant={tenant}", {"email": "ann@example.com"})
        owner.send("POST", "/v1/workflows/of-tenants/trigger", {"to": "ann", "tenant": tenant, "data": {}})
    failures = "/v1/failures?workflow=of-tenants&tenant=*"
    wait_until(lambda: len(owner.send("GET", failures)["failures"]) == len(tenants), lambda: "no run failed")
    earlier = {one["id"] for one in owner.send("GET", "/v1/replays?tenant=*")["replays"]}
    page = open_console("/failures?workflow=of-tenants")
    expect(page.locator(".chunk .row")).to_have_count(1)
    page.get_by_role("button", name="Retry all…").click()
    dialog = page.get_by_role("dialog", name="Retry all failures")
    expect(dialog.get_by_role("button", name="Continue 3 runs", exact=True)).to_be_visible()
    expect(dialog).to_contain_text("Continues 3 runs of of-tenants")
    dialog.get_by_label("acme 1 failure").uncheck()
    assert violations(page, within="dialog[open]") == []
    page.route("**/v1/replays?tenant=globex", lambda route: route.fulfill(status=503, json={"detail": "It is busy."}))
    dialog.get_by_role("button", name="Continue 2 runs", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("It is busy.")
    page.unroute("**/v1/replays?tenant=globex")
    dialog.get_by_role("button", name="Continue 2 runs", exact=True).click()
    expect(page.locator(".replays")).to_contain_text("globex")
    replays = owner.send("GET", "/v1/replays?tenant=*")["replays"]
    assert {one["tenant"] for one in replays if one["id"] not in earlier} == {"globex"}


def test_cause_of_several_tenants_is_one_row_and_its_failures_are_retried_together(
    open_console: Callable[..., Page], owner: Console
) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/at-two-tenants", {"type": "at-two-tenants", "steps": [step]})
    for tenant in ("acme", "globex", "globex"):
        owner.send("PUT", f"/v1/recipients/ann?tenant={tenant}", {"email": "ann@example.com"})
        owner.send("POST", "/v1/workflows/at-two-tenants/trigger", {"to": "ann", "tenant": tenant, "data": {}})
    failures = "/v1/failures?workflow=at-two-tenants&tenant=*"
    wait_until(lambda: len(owner.send("GET", failures)["failures"]) == 3, lambda: "no run failed")
    page = open_console("/failures?workflow=at-two-tenants")
    row = page.locator(".chunk .row")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("globex +1")
    expect(row.get_by_title("acme")).to_be_visible()
    row.get_by_role("link").click()
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("3 runs of at-two-tenants failed")
    expect(row).to_have_attribute("data-open", "yes")
    assert violations(page) == []
    failed = page.locator(".pane .rows-of li")
    expect(failed).to_have_text([re.compile("globex"), re.compile("globex"), re.compile("acme")])
    page.get_by_role("region", name="Outcome").get_by_role("button", name="Retry all…").click()
    expect(page.get_by_role("dialog").get_by_label("acme 1 failure")).to_be_checked()
    page.get_by_role("button", name="Cancel", exact=True).click()
    failed.nth(0).get_by_role("checkbox").check()
    failed.nth(2).get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry 2 selected").click()
    dialog = page.get_by_role("dialog", name="Retry the selected failures")
    expect(dialog.get_by_text("Continues 2 runs of at-two-tenants at the step that failed")).to_be_visible()
    with page.expect_request(lambda one: one.method == "POST" and "tenant=acme" in one.url):
        dialog.get_by_role("button", name="Continue 2 runs", exact=True).click()
    expect(dialog).to_be_hidden()
    newest = owner.send("GET", "/v1/replays?tenant=*&limit=2")["replays"]
    assert {one["tenant"]: one["matched"] for one in newest} == {"acme": 1, "globex": 1}


@pytest.mark.thorough
def test_reason_of_a_failed_message_is_cut_after_its_title(open_console: Callable[..., Page], owner: Console) -> None:
    reason = "451 Greylisted"
    one = owner.send("GET", f"/v1/messages/{owner.message}")
    one |= {"state": "failed", "reason": reason, "content": one["content"] | {"subject": "Your booking " * 9}}

    def fail(route: Route) -> None:
        route.fulfill(json={"messages": [one], "next": None})

    page = open_console("/", viewport={"width": 1280, "height": 800})
    page.route("**/v1/messages?**", fail)
    go(page, "/messages?state=failed")
    row = page.locator(".chunk .row")
    expect(row.locator(".preview")).to_have_text(reason)
    place = "(one) => [one.offsetTop, one.scrollWidth > one.clientWidth]"
    title, cause = (row.locator(part).evaluate(place) for part in (".row-link", ".preview"))
    assert (title[1], cause) == (True, [title[0], False])
    one["reason"] = reason * 9
    page.reload()
    expect(row.locator(".preview")).to_have_text(one["reason"])
    part = "(one) => one.offsetWidth / one.parentElement.offsetWidth"
    assert 0.55 < row.locator(".row-link").evaluate(part) < 0.6  # most of the room if both are long


@pytest.mark.thorough
def test_numbers_of_failures_of_a_day_agree(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    page.route("**/v1/failures?*", lambda route: route.fulfill(json={"failures": [], "next": None, "total": FOUR}))
    series = {"step": "1m", "metrics": ["failures"], "points": [[int(time.time() - 3600) * 1000, 7]]}
    page.route("**/v1/stats/series*", lambda route: route.fulfill(json=series))
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json={"causes": [CAUSE]}))
    page.goto("/console/failures")
    # The statistics count more than what can be retried, so the list is counted.
    expect(page.get_by_role("region", name="Failures over time")).to_contain_text("4 failures in the last 24 hours")
    expect(page.get_by_role("link", name="Failures")).to_contain_text("4")
    expect(page.locator(".total")).to_have_text(re.compile(r"^\d+$"))


def test_causes_that_are_searched_cannot_all_be_retried(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json={"causes": [CAUSE]}))
    go(page, "/failures?find=server")
    retry, search = page.get_by_role("button", name="Retry all…"), page.get_by_role("searchbox")
    expect(page.get_by_role("row").filter(has_text="No server")).to_be_visible()
    expect(retry).to_be_disabled()  # a retry would be of causes that are not shown, too
    search.fill("")
    expect(retry).to_be_enabled()


def test_owner_retries_a_failed_run_by_its_cause(open_console: Callable[..., Page], owner: Console) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/greeting", {"type": "greeting", "steps": [step]})
    owner.send("POST", "/v1/workflows/greeting/trigger", {"to": "evil", "data": {}})
    wait_until(lambda: owner.send("GET", "/v1/failures?workflow=greeting")["failures"], lambda: "the run did not fail")
    page = open_console("/failures")
    page.get_by_role("button", name="Runs", exact=True).click()
    page.get_by_role("row", name="in greeting").get_by_role("link").click()
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome).to_contain_text("1 run of greeting failed")
    expect(outcome).to_contain_text("A retry fails again until the text has a default for data.name")
    expect(outcome.locator(".primary")).to_have_text("Open the workflow")
    expect(outcome.locator(".primary")).to_have_attribute("href", re.compile(r"/workflows/greeting\?.*edit=yes"))
    page.get_by_role("checkbox", name="Select evil").check()
    page.get_by_role("button", name="Retry 1 selected").click()
    dialog = page.get_by_role("dialog", name="Retry the selected failures")
    expect(dialog.get_by_text("Continues 1 run of greeting at the step that failed")).to_be_visible()
    assert violations(page, within="dialog[open]") == []
    dialog.get_by_role("button", name="Continue 1 run", exact=True).click()
    expect(page.get_by_text("1 failure retried")).to_be_visible()
    go(page, "/failures?channel=push")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


@pytest.mark.thorough
def test_trigger_creates_a_recipient_only_at_the_second_click(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/workflows/simple", {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]})
    owner.send("PUT", "/v1/recipients/chosen-first", {"name": "First Choice"})
    page = open_console("/workflows/simple")
    page.get_by_role("button", name="Trigger…").click()
    recipient = page.get_by_role("combobox", name="Recipient")
    recipient.fill("first cho")
    page.get_by_role("option", name="First Choice").click()
    expect(recipient).to_have_value("First Choice")
    recipient.fill("newcomer")
    trigger = page.get_by_role("button", name="Trigger", exact=True)
    expect(trigger).to_have_class("primary")
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.get_by_text("There is no recipient newcomer yet.")).to_be_visible()
    trigger.dblclick()
    expect(recipient).to_be_focused()
    expect(page.get_by_text("There is no recipient newcomer yet.")).to_be_visible()
    assert violations(page) == []
    assert owner.send("GET", "/v1/runs?workflow=simple")["runs"] == []
    trigger.click()
    expect(page.get_by_role("link", name="Open the run")).to_be_visible()
    assert len(owner.send("GET", "/v1/runs?workflow=simple")["runs"]) == 1


@pytest.mark.thorough
def test_list_of_workflows_has_their_drafts_and_unusual_states(
    open_console: Callable[..., Page], owner: Console
) -> None:
    bell = {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]}
    for key in ("listed-on", "listed-off"):
        owner.send("PUT", f"/v1/workflows/{key}", bell)
    owner.send("PATCH", "/v1/workflows/listed-off", {"active": False})
    owner.send("PUT", "/v1/workflows/listed-on/draft", {"values": bell, "base": 1})
    page = open_console("/workflows")
    on, off = (page.get_by_role("row").filter(has_text=key) for key in ("listed-on", "listed-off"))
    expect(off.locator(".state-word")).to_have_text("inactive")
    expect(on).to_contain_text(re.compile(r"v1\s*draft.*(ago|now)"))
    expect(on.locator(".state-word")).to_have_count(0)


@pytest.mark.thorough
def test_page_of_a_workflow_shows_its_whole_flow_and_offers_to_edit_it_first(
    open_console: Callable[..., Page], owner: Console
) -> None:
    bell = {"type": "inbox", "title": "Hi"}
    ways = [{"if": {"var": "data.total", "op": "gte", "value": 1}, "steps": [{**bell, "key": "one"}]}]
    steps = [{"key": "gate", "type": "branch", "branches": ways, "else": [{**bell, "key": "two"}]}]
    steps += [{"key": f"wait-{number}", "type": "delay", "for": "1h"} for number in range(8)]
    owner.send("PUT", "/v1/workflows/laned", {"steps": steps})
    page = open_console("/workflows/laned", viewport={"width": 1280, "height": 800})
    expect(page.get_by_role("link", name="Edit", exact=True)).to_have_class("button primary")
    one, two = (page.locator(f"[data-step={key}]") for key in ("one", "two"))
    expect(one).to_be_visible()
    assert one.evaluate(
        "(one, two) => one.getBoundingClientRect().top === two.getBoundingClientRect().top", two.element_handle()
    )
    assert page.locator(".flow-scroll").evaluate("flow => flow.scrollHeight <= flow.clientHeight")
    page.set_viewport_size({"width": 390, "height": 800})  # the trunk is joined to its lanes
    gap = """lane => Math.round(lane.getBoundingClientRect().top + parseFloat(getComputedStyle(lane, '::before').top)
        - lane.parentElement.previousElementSibling.getBoundingClientRect().bottom)"""
    expect(page.locator(".stacked .flow-lane")).to_have_count(2)
    assert page.locator(".flow-lane").first.evaluate(gap) <= 0
    open_more(page)
    confirm(page.get_by_role("button", name="Switch off laned"))
    expect(page.get_by_role("main").get_by_text("inactive")).to_be_visible()
    assert owner.send("GET", "/v1/workflows/laned")["active"] is False


@pytest.mark.thorough
def test_workflow_is_compared_with_the_version_before_and_rolled_back(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/rudi", {})
    for title in ("Before", "After"):
        owner.send("PUT", "/v1/workflows/rolled", {"steps": [{"key": "bell", "type": "inbox", "title": title}]})
    page = open_console("/workflows/rolled")
    page.get_by_role("button", name="Changes of version 2").click()
    expect(page.locator(".diff .ok")).to_contain_text("title: After")
    expect(page.locator(".diff .bad")).to_contain_text("title: Before")
    page.get_by_role("button", name="Trigger…").click()
    page.get_by_role("combobox", name="Recipient").fill("rudi")
    page.get_by_label("Data as JSON").fill("{name}")
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.get_by_role("alert").filter(has_text="The data is not valid JSON: ")).to_be_visible()
    page.get_by_label("Data as JSON").fill("{}")
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.locator(".drawer .rows-of li").filter(has_text="Inbox")).to_contain_text("in the inbox")
    assert violations(page) == []
    owner.send("PUT", "/v1/recipients/rudi", {"name": "Rudi"})
    page.get_by_role("button", name="Trigger", exact=True).click()
    page.get_by_role("link", name="Open the run").click()
    expect(page.locator("h1")).to_have_text("Rudi · rolled")
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("Completed")
    page.go_back()
    restore = page.get_by_role("button", name="Make current: version 1")
    confirm(restore)
    expect(page.get_by_role("treeitem", name="bell")).to_have_accessible_name(re.compile("Before"))
    assert owner.send("GET", "/v1/workflows/rolled")["version"] == 1


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("cause", "primary"),
    [
        ("451 4.7.1 Greylisted", "Retry…"),
        ("552 5.2.2 Mailbox full", "Retry…"),
        ("554 5.7.1 Message refused by policy", "Open the provider"),
        ("550 5.1.1 No such user here", "Correct the address"),
    ],
)
def test_retry_is_the_first_button_only_where_it_can_succeed(
    open_console: Callable[..., Page], cause: str, primary: str
) -> None:
    at = "2026-01-01T00:00:00Z"
    message = {"id": "m1", "kind": "message", "tenant": "acme", "recipient": "ann", "reason": cause, "created_at": at}
    group = {"kind": "message", "channel": "email", "provider": "smtp", "cause": cause, "tenant": "acme", "count": 1}
    page = open_console("/account")
    one = {"failures": [message], "next": None}
    page.route("**/v1/failures?*", lambda route: route.fulfill(json=one))
    causes = {"causes": [{**group, "oldest_at": at, "newest": message}], "next": None}
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json=causes))
    go(page, f"/failures/{quote(urlencode({'kind': 'message', 'cause': cause}), safe='')}?tenant=acme")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.locator(".primary")).to_have_text(primary)
    expect(outcome.get_by_role("button", name="Retry…")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_effects_of_a_retry_of_one_cause_use_the_whole_dialog(open_console: Callable[..., Page]) -> None:
    one = {"kind": "message", "cause": "550", "channel": "email", "tenant": None, "count": 16}
    times = {"newest": {"created_at": "2026-06-01T10:00:00Z"}, "oldest_at": "2026-06-01T10:00:00Z"}
    page = open_console("/account")
    page.route("**/v1/failures?*", lambda route: route.fulfill(json={"failures": [], "next": None}))
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json={"causes": [one | times], "next": None}))
    effects = [{"kind": "message", "channel": "email", "count": 16}]
    page.route("**/v1/replays*", lambda route: route.fulfill(json={"matched": 16, "exact": True, "effects": effects}))
    go(page, "/failures/kind%3Dmessage%26channel%3Demail%26cause%3D550")
    page.get_by_role("region", name="Outcome").get_by_role("button", name="Retry all…").click()
    effect = page.get_by_role("dialog").get_by_role("listitem")
    expect(effect).to_have_text("Sends 16 e-mails again")
    assert effect.evaluate("(one) => one.getClientRects().length === 1 && one.offsetHeight < 30")
    effects.clear()  # they ended in the meantime
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("region", name="Outcome").get_by_role("button", name="Retry all…").click()
    expect(page.get_by_role("button", name="Retry 16", exact=True)).to_be_visible()


def test_dead_job_shows_its_whole_error_and_is_retried(open_console: Callable[..., Page]) -> None:
    error = "The workflow digest-weekly does not exist, and the schedule names it. " * 3
    job = {
        "id": "schedule  weekly",
        "tenant": None,
        "kind": "schedule",
        "state": "dead",
        "attempts": 10,
        "error": error,
    }
    retried: list[str] = []
    page = open_console("/account")
    page.route(
        "**/v1/jobs**",
        lambda route: route.fulfill(json={"jobs": [{**job, "created_at": "2026-06-01T10:00:00Z"}], "next": None}),
    )
    page.route("**/v1/jobs/*/retry", lambda route: (retried.append(route.request.url), route.fulfill(json={}))[1])
    page.get_by_role("link", name="Failures").click()
    page.get_by_role("link", name="Dead jobs").click()
    page.get_by_role("link", name="Fire a schedule").click()
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome).to_contain_text("Given up after 10 attempts")
    expect(outcome).to_contain_text(error.strip())
    assert violations(page) == []
    confirm(outcome.get_by_role("button", name="Retry schedule"))
    expect(page).to_have_url(re.compile("/jobs$"))
    assert [url.rpartition("/v1")[2] for url in retried] == ["/jobs/schedule%20%20weekly/retry"]


@pytest.mark.thorough
def test_picture_of_a_workflow_fits_its_place(open_console: Callable[..., Page], owner: Console) -> None:
    lanes = [{"key": key, "type": "inbox", "title": key} for key in ("bell", "again")]
    condition = {"var": "data.total", "op": "gte", "value": 100}
    branch = {"key": "choice", "type": "branch", "branches": [{"if": condition, "steps": lanes[:1]}], "else": lanes[1:]}
    owner.send("PUT", "/v1/workflows/wide", {"steps": [branch]})
    page = open_console("/workflows/wide", viewport={"width": 390, "height": 844})
    place, card = page.locator(".flow-scroll"), page.locator(".step-card").last
    expect(place.locator(".step-card")).to_have_count(4)
    wait_until(lambda: place.evaluate("place => place.scrollWidth <= place.clientWidth"), lambda: "the picture is cut")
    width = card.bounding_box()["width"]
    page.set_viewport_size({"width": 700, "height": 844})
    wait_until(lambda: card.bounding_box()["width"] > width, lambda: "the picture stays small")
    page.get_by_role("button", name="Trigger…").click()
    expect(page.get_by_label("Data as JSON")).to_have_value(re.compile('"total": 101'))
