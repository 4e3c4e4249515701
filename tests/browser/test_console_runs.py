"""The list of runs of workflows, and the page of one."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import Console, confirm, go
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import MAIL

from bellcast.workflows.definitions import MAX_STEPS


@pytest.mark.thorough
def test_bar_of_a_step_that_waits_goes_on_to_its_planned_end(open_console: Callable[..., Page], owner: Console) -> None:
    steps = [
        {"key": "pause", "type": "delay", "for": "2h"},
        {"key": "bell", "type": "inbox", "title": "Hi {{ data.a }}"},
    ]
    owner.send("PUT", "/v1/workflows/pausing", {"steps": steps})
    run = owner.send("POST", "/v1/workflows/pausing/trigger", {"to": "rudi", "data": {"a": "1"}})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "waiting", lambda: "does not wait")
    page = open_console(f"/runs/{run}", viewport={"width": 1280, "height": 800})
    expect(page.locator(".waterfall .step small")).to_have_text(["2 hours", "Hi a"])
    expect(page.locator(".waterfall .step .tag")).to_have_text("a")
    expect(page.locator(".axis .to")).to_have_text("2 h")
    axis, done, ahead = (page.locator(name).bounding_box() for name in (".axis .track", ".track .waiting", ".ahead"))
    assert axis is not None
    assert done is not None
    assert ahead is not None
    assert done["width"] < ahead["width"] / 2
    assert abs(axis["x"] + axis["width"] - ahead["x"] - ahead["width"]) < 1
    page.get_by_role("button", name="Data").click()
    expect(page.get_by_role("button", name="Copy the data")).to_be_visible()


@pytest.mark.thorough
def test_run_is_a_waterfall_of_steps_with_inputs_and_is_cancelled(
    open_console: Callable[..., Page], owner: Console
) -> None:
    started = owner.send("POST", "/v1/workflows/evil/trigger", {"to": "rudi", "data": {"a": "1"}})
    page = open_console(f"/runs/{started['run']}", viewport=PHONE)
    expect(page.locator(".waterfall .row-link")).to_have_text(["Bell", "E-mail", "Wait"])
    expect(page.locator(".waterfall .step code")).to_have_text(["mail", "later"])
    step = page.get_by_role("button", name="E-mail")
    expect(step).to_be_visible()
    step.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".waterfall .details pre")).to_contain_text('"subject"')
    assert violations(page) == []
    cancel = page.get_by_role("button", name="Cancel this run")
    confirm(cancel)
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("Cancelled after")
    assert owner.send("GET", f"/v1/runs/{started['run']}")["state"] == "cancelled"


@pytest.mark.thorough
def test_run_with_the_most_steps_folds_its_wait(open_console: Callable[..., Page], owner: Console) -> None:
    run = owner.send("GET", f"/v1/runs/{owner.run}")
    at = "2026-06-01T{}Z".format
    times = [(at("10:00:00"), at("10:00:01"))] * (MAX_STEPS - 1) + [(at("10:00:01"), at("12:00:01"))]
    steps = [
        {**run["steps"][0], "key": f"step-{number}", "started_at": started_at, "ended_at": ended_at}
        for number, (started_at, ended_at) in enumerate(times)
    ]
    run |= {"created_at": at("10:00:00"), "ended_at": at("12:00:01"), "state": "completed", "steps": steps}
    page = open_console("/account")
    page.route("**/v1/runs/long", lambda route: route.fulfill(json=run))
    page.evaluate("history.pushState(null, '', '/console/runs/long')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator(".waterfall .row-link")).to_have_count(MAX_STEPS)
    expect(page.locator(".waterfall .folded")).to_have_text("2 h")
    expect(page.locator(".waterfall .took").last).to_have_text("2 h")
    assert violations(page) == []


def test_run_says_which_mails_were_simulated_and_why_steps_were_skipped(
    open_console: Callable[..., Page], owner: Console
) -> None:
    mail = {"type": "email", "subject": "Hi", "text": "Hello"}
    steps = [
        {"key": "mail", **mail},
        {"key": "text", "type": "sms", "text": "Hi"},
        {"key": "never", **mail, "if": {"var": "data.x", "op": "exists"}},
        {
            "key": "gate",
            "type": "branch",
            "branches": [{"if": {"var": "data.x", "op": "exists"}, "steps": [{"key": "late", **mail}]}],
        },
    ]
    owner.send("PUT", "/v1/workflows/honest", {"type": "honest", "steps": steps})
    owner.send("PUT", "/v1/types/honest", {"name": "Reminders"})
    for key in ("sim", "off"):
        owner.send("PUT", f"/v1/recipients/{key}", {"name": key.title(), "email": f"{key}@example.com"})
    owner.send("PUT", "/v1/recipients/off/preferences", {"types": {"honest": {"email": False}}})
    runs = {key: owner.send("POST", "/v1/workflows/honest/trigger", {"to": key})["run"] for key in ("sim", "off")}
    for run in runs.values():
        wait_until(lambda run=run: owner.send("GET", f"/v1/runs/{run}")["state"] == "completed", lambda: "did not end")
    page = open_console(f"/runs/{runs['sim']}")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text(re.compile("Completed in .*, but a message was only simulated"))
    expect(outcome).to_contain_text("Simulated: no e-mail provider is set up")
    expect(outcome.get_by_role("link", name="Set up an e-mail provider")).to_have_attribute(
        "href", re.compile("new=yes")
    )
    steps_of = page.locator(".waterfall li:not(.axis)")
    expect(steps_of.nth(0)).to_contain_text("simulated")
    expect(steps_of.nth(1).locator(".why")).to_have_text("The recipient has no phone number Why, and repair")
    expect(steps_of.nth(2).locator(".why")).to_have_text("data.x is missing")
    expect(steps_of.nth(4).locator(".why")).to_have_text("Its branch was not taken")
    assert violations(page) == []
    page.get_by_role("button", name="Data", exact=True).click()
    data = page.get_by_role("region", name="Data")
    expect(data.locator("summary")).to_have_text(["E-mail mail", "Branch gate"])
    expect(data.locator(".of-step pre")).to_have_count(0)
    data.get_by_text("Branch gate").click()
    expect(data.get_by_role("heading", name="Output")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Canvas", exact=True).click()
    for _ in range(2):  # within the page of the run, and alone
        expect(page.locator("[data-step=mail]")).to_have_accessible_name(
            re.compile("Simulated: no e-mail provider is set up")
        )
        assert violations(page) == []
        page.get_by_role("link", name="Open large").or_(page.get_by_role("link", name="Back")).click()
    go(page, f"/runs/{runs['off']}")
    expect(steps_of.nth(0).locator(".why")).to_contain_text("E-mails of the type Reminders are switched off for Off")
    expect(steps_of.nth(2).locator(".why")).to_have_text("data.x is missing")
    expect(outcome.get_by_role("heading")).to_have_text(re.compile("Completed in [^,]*$"))
    steps_of.nth(0).get_by_role("link", name="Why, and repair").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Off")
    expect(outcome).to_contain_text("mails of the type Reminders are switched off for Off")
    expect(outcome.get_by_role("button", name="Switch e-mail on")).to_be_visible()


@pytest.mark.thorough
def test_explanations_are_shown_whatever_words_the_server_chooses(
    open_console: Callable[..., Page], owner: Console
) -> None:
    def reword(route: Route) -> None:
        explained = route.fetch().json()
        for channel in explained["channels"]:
            if channel["hint"]:
                channel |= {"hint": "Where is it sent?", "text": "Only stored. Where is it sent?"}
            elif channel["reason"]:
                channel["text"] = "Off."
        explained["actions"] = []
        route.fulfill(json={**explained, "text": "Off, and only stored."})

    owner.send("PUT", "/v1/workflows/worded", {"steps": [{"key": "text", "type": "sms", "text": "Hi"}, MAIL]})
    owner.send("PUT", "/v1/recipients/worded", {"phone": "+436601234567", "email": "worded@example.com"})
    owner.send("PUT", "/v1/recipients/worded/preferences", {"channels": {"email": False}})
    run = owner.send("POST", "/v1/workflows/worded/trigger", {"to": "worded"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "completed", lambda: "did not end")
    owner.send("POST", "/v1/notifications", {"to": "worded", "title": "Hi", "channels": ["sms"]})
    page = open_console(None)
    page.route("**/v1/explain?*", reword)
    page.goto(f"{owner.server.url}/console/runs/{run}")
    reasons = page.locator(".waterfall .why")
    expect(reasons).to_have_text(
        ["Simulated: no SMS provider is set up", "E-mails are switched off for worded Why, and repair"]
    )
    go(page, "/recipients/worded")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text("Simulated: no SMS provider is set up")
    expect(outcome).to_contain_text("Only stored.")
    expect(outcome).not_to_contain_text("Where is it sent?")
    last = page.get_by_text("The last notification was sent")
    expect(last).to_have_text(re.compile(r"sent .+\. The recipient is not connected\."))


@pytest.mark.thorough
def test_run_is_explained_when_its_workflow_is_unreadable(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/workflows/gone", {"type": "gone", "steps": [{"key": "text", "type": "sms", "text": "Hi"}]})
    run = owner.send("POST", "/v1/workflows/gone/trigger", {"to": "gone"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "completed", lambda: "did not end")
    page = open_console(None)
    page.route("**/v1/workflows/gone?*", lambda route: route.fulfill(status=404, json={"code": "not_found"}))
    with page.expect_response("**/v1/workflows/gone?*"):
        page.goto(f"{owner.server.url}/console/recipients/gone?run={run}")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text("gone got no SMS")


@pytest.mark.thorough
def test_recipient_of_a_run_that_failed_at_once_has_been_sent_nothing(
    open_console: Callable[..., Page], owner: Console
) -> None:
    step = {"key": "bell", "type": "inbox", "title": "For {{ data.client }}"}
    owner.send("PUT", "/v1/workflows/failing-at-once", {"steps": [step]})
    owner.send("PUT", "/v1/recipients/unsent", {"name": "Una"})
    run = owner.send("POST", "/v1/workflows/failing-at-once/trigger", {"to": "unsent"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "failed", lambda: "did not end")
    page = open_console("/recipients/unsent")
    expect(page.get_by_text("Nothing has been sent in the last 24 hours.")).to_contain_text(
        f"The run {run} of the workflow failing-at-once has failed. The recipient is not connected."
    )
    assert violations(page) == []


@pytest.mark.thorough
def test_list_of_runs_shows_the_steps_with_their_states(open_console: Callable[..., Page], owner: Console) -> None:
    bell, wait = {"key": "bell", "type": "inbox", "title": "Hi"}, {"key": "pause", "type": "delay", "for": "2h"}
    more = [{**bell, "key": key} for key in ("again", "often", "last")]
    owner.send("PUT", "/v1/workflows/chained", {"steps": [bell, wait, *more]})
    run = owner.send("POST", "/v1/workflows/chained/trigger", {"to": "sim"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "waiting", lambda: "it does not wait")
    page = open_console("/runs?workflow=chained", viewport={"width": 1140, "height": 800})
    row = page.get_by_role("row").filter(has_text="chained")
    expect(row.get_by_role("img", name="5 steps: inbox done, delay waiting, inbox not reached")).to_be_visible()
    expect(row.locator(".chain .avatar")).to_have_count(5)
    expect(row).to_contain_text(re.compile(r"pause until (\d+ \w+, )?\d\d:\d\d"))
    assert page.locator(".table .row").evaluate_all("all => all.every((one) => one.scrollWidth <= one.clientWidth)")
    go(page, f"/runs/{run}")
    expect(page.locator(".waterfall .state")).to_have_count(5)
    expect(page.get_by_role("heading", name=re.compile(r"^Waiting: [12] h.* left pause$"))).to_be_visible()
    assert row.bounding_box()["height"] == 56  # beside the run, a row has two lines
    looks = page.locator(".waterfall .state").evaluate_all("all => all.map((one) => getComputedStyle(one).color)")
    assert len({looks[1], looks[2]}) == 2  # a step that the run has not reached does not look as one that waits


@pytest.mark.thorough
def test_run_shows_how_long_a_step_waited(open_console: Callable[..., Page], owner: Console) -> None:
    run = owner.send("GET", f"/v1/runs/{owner.run}")
    at = "2026-06-01T10:00:00.{}Z".format
    step = {**run["steps"][0], "started_at": at("350"), "ended_at": at("356")}
    run |= {"created_at": at("000"), "ended_at": at("356"), "state": "completed", "steps": [step]}
    page = open_console("/account")
    page.route("**/v1/runs/waited", lambda route: route.fulfill(json=run))
    page.evaluate("history.pushState(null, '', '/console/runs/waited')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator(".waterfall .took").last).to_have_text("6 msafter 350 ms")
    expect(page.locator(".track .queue")).to_be_visible()
    bar = page.locator(".track .done").bounding_box()
    assert bar is not None
    assert bar["width"] >= 24


def test_failure_for_a_missing_variable_is_in_words_and_leads_to_the_template(
    open_console: Callable[..., Page], owner: Console
) -> None:
    text = {"email": {"subject": "Hi", "text": "https://acme.example/{{ data.id }}"}}
    owner.send("PUT", "/v1/templates/lacking", text)
    owner.send("PUT", "/v1/recipients/lacking", {"email": "lacking@example.com"})
    mail = {"key": "mail", "type": "email", "template": "lacking"}
    later = {"key": "later", "type": "inbox", "title": "Later"}
    owner.send("PUT", "/v1/workflows/lacking", {"steps": [mail, later]})
    run = owner.send("POST", "/v1/workflows/lacking/trigger", {"to": "lacking"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "failed", lambda: "did not fail")
    page = open_console(f"/runs/{run}")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome).to_contain_text("The e-mail needs data.id, which the trigger did not send")
    steps = page.locator(".waterfall li:not(.axis)")
    expect(steps.nth(1)).to_contain_text("not reached")
    expect(steps.nth(1).locator(".why")).to_have_text("The run ended at mail")
    expect(page.get_by_text("without default()")).to_have_count(0)
    assert violations(page) == []
    expect(outcome).to_contain_text("A retry fails again until the text has a default for data.id")
    outcome.get_by_role("link", name="Start again with other data").click()
    expect(page.get_by_role("combobox", name="Recipient")).to_have_value("lacking")
    page.go_back()
    outcome.get_by_role("link", name="Open the template").click()
    expect(page.get_by_role("link", name="Back to the workflow lacking")).to_be_visible()


@pytest.mark.thorough
def test_trigger_form_simulates_the_failure_and_has_the_variables_of_templates_in_its_example(
    open_console: Callable[..., Page], owner: Console
) -> None:
    text = {"email": {"subject": "Hi", "text": "https://acme.example/{{ data.id }}"}}
    owner.send("PUT", "/v1/templates/shown", text)
    owner.send("PUT", "/v1/recipients/shown", {"email": "shown@example.com"})
    step = {"key": "mail", "type": "email", "template": "shown"}
    owner.send("PUT", "/v1/workflows/shown", {"steps": [step]})
    draft = {"values": {"steps": [{"key": "bell", "type": "inbox", "title": "Draft"}]}, "base": 1}
    owner.send("PUT", "/v1/workflows/shown/draft", draft)
    owner.send("POST", "/v1/workflows/shown/trigger", {"to": "shown", "data": {"id": 7}})
    page = open_console("/workflows/shown")
    page.get_by_role("button", name="Trigger…").click()
    data = page.get_by_label("Data as JSON")
    expect(data).to_have_value(re.compile('"id": 4711'))
    recipient, offered = page.get_by_role("combobox", name="Recipient"), page.locator(".drawer .offered button").first
    name = offered.inner_text()
    offered.click()
    expect(recipient).to_have_value(name)
    expect(recipient).to_be_focused()
    recipient.fill("shown")
    show = page.get_by_role("button", name="Show what would be sent")
    show.click()
    row = page.locator(".drawer .rows-of li").filter(has_text="E-mail")
    expect(row).to_contain_text("would be sent")
    data.fill("{}")
    show.click()
    expect(row).to_contain_text("The e-mail needs data.id, which the trigger did not send")
    page.get_by_label("Sample data").select_option(index=1)
    expect(data).to_have_value(re.compile('"id": 7'))
    assert violations(page) == []


@pytest.mark.thorough
def test_steps_of_a_run_are_drawn_to_scale_and_labels_do_not_overlap(
    open_console: Callable[..., Page], owner: Console
) -> None:
    run = owner.send("GET", f"/v1/runs/{owner.run}")
    at = "2026-06-01T10:00:{:06.3f}Z".format
    ends = {"bell": (0, 0), "before": (0, 11), "later": (11.02, 12.7)}
    steps = [
        {**run["steps"][0], "key": key, "started_at": at(start), "ended_at": at(end)}
        for key, (start, end) in ends.items()
    ]
    run |= {"created_at": at(0), "ended_at": at(12.7), "state": "completed", "steps": steps}
    page = open_console("/account")
    page.route("**/v1/runs/scaled", lambda route: route.fulfill(json=run))
    page.evaluate("history.pushState(null, '', '/console/runs/scaled')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    bars = page.locator(".track .done")
    expect(bars).to_have_count(3)
    bell, before, later = bars.evaluate_all("all => all.map((one) => one.getBoundingClientRect().width)")
    assert bell <= 12 < later < before / 3
    expect(page.locator(".axis .track")).to_have_text("012.7 s")
    edges = """one => { const { left, right } = one.getBoundingClientRect(); return [Math.round(left), Math.round(right)]; }"""
    track, end, dot = (page.locator(name).first.evaluate(edges) for name in (".axis .track", ".axis .to", ".moment"))
    assert track == [dot[0], end[1]]
    run["steps"][2]["ended_at"] = run["ended_at"] = "2026-06-01T10:00:11.040Z"
    page.reload()
    expect(page.locator(".axis .track")).to_have_text("11 s11 s")  # of the interval and of all
    for name in ("started_at", "ended_at"):
        run["steps"] = [{**one, name: at(0)} for one in run["steps"]]
    run["ended_at"] = at(0)
    page.reload()
    expect(page.locator(".waterfall .took")).to_have_text(["< 1 ms"] * 3)
    expect(page.locator(".waterfall .axis")).to_have_count(0)


@pytest.mark.thorough
def test_row_of_the_open_run_follows_it(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console(f"/runs/{owner.run}", viewport={"width": 1280, "height": 800})
    row = page.get_by_role("row").filter(has=page.locator(f"a[href*='{owner.run}']"))
    expect(row).not_to_contain_text("cancelled")
    run = owner.send("GET", f"/v1/runs/{owner.run}")
    page.route(f"**/v1/runs/{owner.run}", lambda route: route.fulfill(json={**run, "state": "cancelled"}))
    page.route("**/v1/runs?*", lambda route: route.abort())
    page.get_by_role("button", name="Refresh").click()
    expect(row).to_contain_text("cancelled")


@pytest.mark.thorough
def test_names_of_recipients_are_whole_beside_an_open_run(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/whole-1", {"name": "Júlia Haddad Esposito"})
    run = owner.send("POST", "/v1/workflows/evil/trigger", {"to": "whole-1", "data": {"a": "1"}})["run"]
    page = open_console(f"/runs/{run}", viewport={"width": 1280, "height": 800})
    name = page.locator(".row[data-open] .person .name")
    expect(name).to_have_text("Júlia Haddad Esposito")
    assert name.evaluate("(one) => one.scrollWidth <= one.clientWidth")
