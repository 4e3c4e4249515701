"""The editor of workflows shows runs on the canvas, counts them, and tests a draft."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import DESKTOP, THEMES, Console, go, run_state
from tests.browser.shop import PHONE, wait_page, wait_until
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import BELL, BUILT, MAIL, WAIT, Editor
from tests.thoroughness import sampled


@pytest.mark.thorough
def test_run_is_shown_on_its_own_version(
    edit: Callable[..., Editor], owner: Console, open_console: Callable[..., Page]
) -> None:
    condition = {"var": "data.a", "op": "exists"}
    branch = {
        "key": "way", "type": "branch", "branches": [{"if": condition, "steps": [BELL]}],
        "else": [{"key": "end", "type": "stop"}],
    }  # fmt: skip
    owner.send("PUT", "/v1/workflows/run-flow", {"steps": [branch, WAIT]})
    run = owner.send("POST", "/v1/workflows/run-flow/trigger", {"to": "alice", "data": {"a": 1}})["run"]
    owner.send("PUT", "/v1/workflows/run-flow", {"steps": BUILT})
    page = open_console(f"/workflows/run-flow?edit=yes&run={run}", viewport=DESKTOP)
    tree = page.get_by_role("tree", name="Steps")
    expect(tree.locator("[data-step=wait]")).to_have_attribute("data-state", "waiting")
    expect(tree.locator(".step-box").filter(has=page.locator("[data-step=wait]"))).to_contain_text("Waits until")
    shown = {one["key"]: one["state"] for one in owner.send("GET", f"/v1/runs/{run}")["steps"]}
    assert shown == {key: tree.locator(f"[data-step={key}]").get_attribute("data-state") for key in shown}
    lanes = tree.locator("[data-lane=way]").evaluate_all("all => all.map((one) => one.dataset.state)")
    assert lanes == ["taken", "skipped"]
    assert violations(page) == []
    owner.send("DELETE", f"/v1/runs/{run}")
    expect(tree.locator("[data-step=wait]")).to_have_attribute("data-state", "skipped")  # without a reload
    go(page, "/workflows/run-flow?edit=yes&version=1")
    expect(tree.locator("[data-step=way]")).to_be_visible()
    expect(page.get_by_role("button", name="Review and publish")).to_have_count(0)


@pytest.mark.thorough
def test_counts_of_the_canvas_say_that_mails_were_simulated(edit: Callable[..., Editor], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/dora", {"email": "dora@example.com"})
    owner.send("PUT", "/v1/workflows/counted-mail", {"steps": [BELL, MAIL]})
    owner.run = owner.send("POST", "/v1/workflows/counted-mail/trigger", {"to": "dora"})["run"]
    wait_until(lambda: run_state(owner) == "completed", lambda: run_state(owner))
    editor = edit("counted-mail")
    description = "1 done (Simulated: no e-mail provider is set up)"
    expect(editor.step("mail")).to_have_attribute("aria-description", description)
    expect(editor.step("bell")).to_have_attribute("aria-description", "1 done")


@pytest.mark.thorough
def test_counts_of_the_canvas_are_those_of_the_list_of_runs(
    edit: Callable[..., Editor], owner: Console, open_console: Callable[..., Page]
) -> None:
    condition = {"var": "data.a", "op": "exists"}
    owner.send("PUT", "/v1/workflows/counted-flow", {"steps": [BELL, {**MAIL, "if": condition}, WAIT]})
    for to, data in (("alice", {"a": 1}), ("bob", {}), ("carol", {})):
        run = owner.send("POST", "/v1/workflows/counted-flow/trigger", {"to": to, "data": data})["run"]
        owner.run = run
        wait_until(lambda: run_state(owner) == "waiting", lambda: run_state(owner))
    owner.send("DELETE", f"/v1/runs/{run}")
    editor = edit("counted-flow")
    counts = editor.tree.locator("[data-count]")
    expect(counts).to_have_count(4)  # bell done, mail skipped, wait waiting and skipped
    of_card = "all => all.map((one) => [one.closest('.step-box').firstChild.dataset.step, one.dataset.count, one.textContent])"
    shown = {(key, state): int(number) for key, state, number in counts.evaluate_all(of_card)}
    listed = {
        (key, state): len(owner.send("GET", f"/v1/runs?workflow=counted-flow&step={key}&step_state={state}")["runs"])
        for key, state in shown
    }
    assert listed == shown
    assert listed["wait", "waiting"] == 2
    expect(editor.step("wait")).to_have_attribute("aria-description", "2 waiting, 1 skipped")
    editor.step("wait").dblclick()
    runs = editor.page.locator(".inspector").get_by_role("region", name="Runs")
    expect(runs).to_contain_text("The run was cancelled")
    assert violations(editor.page) == []
    runs.get_by_role("link", name="1 skipped").click()
    expect(editor.page.get_by_role("heading", level=1)).to_contain_text("Workflow runs")
    expect(editor.page.get_by_role("row").filter(has_text="carol")).to_be_visible()
    filters = editor.page.get_by_role("search", name="Filters")
    expect(filters).to_contain_text("Step state is skipped")
    editor.page.get_by_role("button", name="Remove the filter Step", exact=True).click()
    expect(filters).not_to_contain_text("Step state")
    expect(editor.page.get_by_role("row").filter(has_text="alice")).to_be_visible()

    phone = open_console("/workflows/counted-flow?edit=yes", viewport=PHONE)
    expect(phone.locator("[data-count]")).to_have_count(4)
    phone.get_by_role("button", name="Runs", exact=True).click()
    expect(phone.locator("[data-count]")).to_have_count(0)


TESTED = [
    {**BELL, "title": "New booking by {{ data.client }}"},
    {"key": "looked", "type": "wait_for", "event": "seen", "step": "bell", "timeout": "30m"},
    {
        "key": "gate",
        "type": "branch",
        "branches": [
            {"if": {"var": "data.total", "op": "gte", "value": 100}, "steps": [{**MAIL, "html": "<h1>Hello</h1>"}]}
        ],
        "else": [{**WAIT, "key": "later"}],
    },
]

# How far the first line begins beside the middle of the card above it.
OFFSET = """() => { const line = document.querySelector('.lines path'), card = document.querySelector('[data-line=trigger]').getBoundingClientRect();
  return Math.abs(line.getPointAtLength(0).matrixTransform(line.getScreenCTM()).x - card.left - card.width / 2) }"""


@pytest.mark.thorough
def test_lines_follow_the_cards_when_a_panel_opens_beside_them(edit: Callable[..., Editor]) -> None:
    page = edit("moved", TESTED).page
    place = page.locator("[data-line=trigger]").bounding_box()
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_role("complementary", name="Test")).to_be_visible()
    assert page.locator("[data-line=trigger]").bounding_box() != place
    wait_page(page, f"({OFFSET})() < 1")


def test_result_says_what_was_not_sent_and_stays_when_the_draft_is_published(
    edit: Callable[..., Editor], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/noel", {"name": "Noel Baxter"})
    editor = edit("kept-test", BUILT)
    page, panel = editor.page, editor.page.get_by_role("complementary", name="Test")
    editor.step("wait").dblclick()
    page.locator(".inspector").get_by_label("For", exact=True).fill("75m")
    editor.expect_saved()
    page.get_by_role("button", name="Test", exact=True).click()
    recipients = panel.get_by_label("Recipients", exact=True)
    recipients.fill("baxter")  # no key begins with it
    expect(panel.get_by_role("option")).to_have_count(1)
    recipients.fill("noel baxter")
    panel.get_by_role("button", name="Run the test").click()
    expect(panel.get_by_role("list", name="Chosen recipients").get_by_title("noel", exact=True)).to_be_visible()
    result = panel.get_by_role("region", name="Result")
    expect(result.locator(".test-end")).to_contain_text("Completed: 1 sent, 1 not sent")
    expect(result.locator(".test-end .state.info")).to_be_visible()
    expect(result.locator("[data-step=wait]")).to_contain_text("Waited 1 h 15 min")
    editor.publish()
    expect(page.get_by_role("region", name="Published")).to_be_visible()
    expect(panel.get_by_role("note")).to_have_count(0)
    expect(result).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize("theme", sampled(THEMES))
def test_workflow_is_tested_before_it_is_published(edit: Callable[..., Editor], owner: Console, theme: str) -> None:
    for key, zone in (("tess", "Asia/Tokyo"), ("tom", "UTC")):
        owner.send("PUT", f"/v1/recipients/{key}", {"email": f"{key}@example.com", "timezone": zone})
    owner.send("PUT", "/v1/recipients/tom/preferences", {"muted": {"*": True}})
    editor = edit(f"tested-{theme}", TESTED, color_scheme=theme)
    page = editor.page
    page.route("**/v1/recipients?*", lambda route: route.fulfill(json={"recipients": [], "next": None}))
    page.get_by_role("button", name="Test", exact=True).click()
    panel = page.get_by_role("complementary", name="Test")
    recipients = panel.get_by_label("Recipients", exact=True)
    expect(recipients).to_be_focused()
    editor.type("Enter")
    expect(panel.get_by_role("alert")).to_have_text("Choose a recipient.")
    panel.get_by_role("button", name="example recipient", exact=True).click()
    panel.get_by_role("button", name="Run the test").click()
    expect(panel.get_by_role("region", name="Result")).to_contain_text("The inbox item would be sent")
    page.unroute("**/v1/recipients?*")
    panel.get_by_role("button", name="Remove example recipient").click()
    page.keyboard.type("tess,tom")
    panel.get_by_label("Data", exact=True).fill('{"client": "Ann", "total": ')
    panel.get_by_role("button", name="Run again").click()
    expect(panel.get_by_role("alert")).to_have_text("The data must be JSON.")
    panel.get_by_label("Data", exact=True).fill('{"client": "Ann", "total": 120}')
    panel.get_by_role("button", name="Run again").click()
    result = panel.get_by_role("region", name="Result")
    expect(panel.get_by_role("status")).to_have_text("Completed, 4 steps")
    expect(result).to_contain_text("tess, Asia/Tokyo")
    expect(result).to_contain_text("UTC")
    expect(result.locator("[data-step=gate]")).to_contain_text("data.total = 120")
    expect(result).to_contain_text("Not reached: later")
    for key, state in (("bell", "done"), ("looked", "done"), ("mail", "done"), ("later", "pending")):
        expect(editor.step(key)).to_have_attribute("data-state", state)
    expect(editor.tree.get_by_role("treeitem", name="else")).to_have_attribute("data-state", "skipped")
    result.get_by_role("button", name="Show the e-mail").click()
    frame = page.frame_locator("iframe[title='E-mail of mail']")
    expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
    with page.expect_request(lambda request: "scheme=dark" in request.url):
        result.get_by_role("button", name="Dark", exact=True).click()
    expect(frame.get_by_role("heading", name="Hello")).to_be_visible()
    assert violations(page) == []
    result.get_by_role("button", name="tom").click()
    expect(result.locator("[data-step=mail]")).to_contain_text("his type or everything is muted")
    expect(panel.get_by_role("status")).to_have_text(re.compile("^Completed: . sent, . not sent, 4 steps$"))
    expect(editor.step("mail")).to_have_attribute("data-state", "skipped")
    assert owner.send("GET", f"/v1/runs?workflow=tested-{theme}")["runs"] == []

    panel.get_by_text("Time and events").click()
    panel.get_by_role("button", name="Add an event").click()
    expect(panel.get_by_label("What happens")).to_have_value("bell seen")
    panel.get_by_role("button", name="Run again").click()
    expect(panel.get_by_role("status")).to_have_text("Completed, 2 steps")
    expect(editor.step("looked")).to_have_attribute("aria-label", re.compile("Happened after 10 min$"))
    expect(editor.step("mail")).to_have_attribute("data-state", "pending")

    # A change of the workflow ends the result; editing a step closes the panel.
    editor.step("looked").focus()
    editor.type("d")
    expect(panel.get_by_role("note")).to_have_text("The workflow has changed since the last test.")
    expect(editor.tree.locator("[data-state]")).to_have_count(0)
    editor.type("Enter")
    expect(panel).to_have_count(0)
    page.get_by_role("button", name="Test", exact=True).click()
    expect(panel.get_by_role("list", name="Chosen recipients")).to_contain_text("tess")
    editor.type("Escape")
    expect(page.get_by_role("button", name="Test", exact=True)).to_be_focused()
