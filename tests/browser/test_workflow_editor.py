"""The editor of workflows: the canvas by keyboard and by pointer, its fields and checks."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.console import THEMES, Console
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import BELL, BUILT, MAIL, WAIT, Editor
from tests.thoroughness import sampled

import bellcast
from bellcast.workflows.definitions import MAX_BRANCH_DEPTH, MAX_STEPS

FILES = Path(bellcast.__file__).parent / "console/pages/console/files"


def test_workflow_is_built_by_keyboard_and_by_pointer_to_the_same_bytes(
    edit: Callable[..., Editor], owner: Console
) -> None:
    typed = edit("typed-flow")
    typed.page.get_by_role("button", name="Or add a first step").focus()
    for name, fields in (("bell", ["New booking"]), ("wait", ["30m"]), ("e-mail", ["New booking", "Hello"])):
        typed.type("Enter") if name == "bell" else typed.type("a")
        typed.page.keyboard.type(name)
        typed.type("Enter", "Enter")
        for number, text in enumerate(fields):
            if number:
                typed.type("Tab", "Tab")  # past the button that inserts a variable
            typed.type("Control+a")
            typed.page.keyboard.type(text)
        typed.type("Escape")
        expect(typed.tree.locator("[role=treeitem]:focus")).to_have_count(1)
    typed.expect_saved()
    typed.type("Control+Enter")
    expect(typed.page.get_by_role("dialog")).to_contain_text("wait added 30 minutes")
    expect(typed.page.get_by_role("dialog").get_by_role("link", name="New provider")).to_be_visible()
    publish = typed.page.get_by_role("button", name="Publish", exact=True)
    expect(publish).to_be_enabled()  # when the effects are shown
    publish.press("Enter")
    expect(typed.save).to_have_text("Version 1")
    assert owner.send("GET", "/v1/workflows/typed-flow")["steps"] == BUILT

    pointed = edit("pointed-flow")
    pointed.page.get_by_role("button", name="Or add a first step").click()
    pointed.page.locator("[data-type=inbox][role=option]").click()
    for type, at in (("email", "steps.1"), ("delay", "steps.1")):
        place = pointed.page.locator(f"[data-place='{at}']")
        place.hover()
        place.locator(".place-add").click()
        pointed.page.locator(f"[data-type={type}][role=option]").click()
        expect(pointed.page.locator(".inspector")).to_be_visible()
    expect(pointed.page.get_by_role("group", name="Runs")).to_have_count(0)  # a workflow without versions has none
    for key, fields_of in (
        ("bell", {"Title": "New booking"}),
        ("wait", {"For": "30m"}),
        ("mail", {"Subject": "New booking", "Text": "Hello"}),
    ):
        pointed.step(key).click()
        for label, text in fields_of.items():
            pointed.page.locator(".inspector").get_by_label(label, exact=True).fill(text)
    assert pointed.yaml() == typed.yaml()


@pytest.mark.thorough
def test_new_workflow_gets_a_key_whose_format_the_field_explains(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows?edit=new")
    refusals: list[str] = []
    page.on("response", lambda response: refusals.append(response.url) if response.status >= 400 else None)
    key = page.get_by_label("Key")
    expect(key).to_be_focused()
    key.fill("Booking reminder")
    page.get_by_role("button", name="Create workflow").click()
    expect(key).to_be_focused()
    assert not key.evaluate("(field) => field.checkValidity()")
    expect(key).to_have_attribute("title", re.compile("without spaces"))
    key.fill("booking-reminder")
    page.get_by_role("radio", name="Empty canvas").check(force=True)
    key.press("Enter")
    expect(page.get_by_role("heading", level=1, name="booking-reminder")).to_be_visible()
    page.locator(".starter").first.click()
    expect(page.locator("[data-save=saved]")).to_contain_text("Draft saved")
    assert refusals == []


@pytest.mark.thorough
def test_tree_has_names_levels_and_announces_moves(edit: Callable[..., Editor]) -> None:
    branch = {
        "key": "size",
        "type": "branch",
        "branches": [{"if": {"var": "data.total", "op": "gte", "value": 100}, "steps": [MAIL]}],
        "else": [WAIT],
    }
    editor = edit("named-flow", [BELL, branch])
    items = editor.tree.get_by_role("treeitem")
    assert items.evaluate_all("all => all.map((one) => [one.getAttribute('aria-label'), one.ariaLevel])") == [
        ["bell, Bell, New booking, 1 of 2", "1"],
        ["size, Branch, 2 ways, 2 of 2", "1"],
        ["branch 1 of 1, if data.total gte 100", "2"],
        ["mail, E-mail, New booking, 1 of 1", "3"],
        ["else", "2"],
        ["wait, Wait, 30 minutes, 1 of 1", "3"],
    ]
    editor.step("bell").focus()
    editor.type("Alt+ArrowDown")
    expect(editor.page.get_by_role("status").filter(has_text="bell moved to 1 of 2, branch 1 of size")).to_have_count(1)
    expect(editor.step("bell")).to_be_focused()
    editor.type("Control+z", "d")
    expect(editor.step("bell-2")).to_be_focused()
    editor.type("Control+z")  # the copy, which has the focus
    expect(editor.step("bell")).to_be_focused()
    editor.step("size").focus()
    editor.type("ArrowLeft")
    expect(editor.step("size")).to_have_attribute("aria-expanded", "false")
    expect(editor.step("mail")).to_have_count(0)
    editor.type("ArrowRight", "ArrowDown", "ArrowDown", "Enter")
    expect(editor.page.locator(".inspector").get_by_label("Subject", exact=True)).to_be_focused()


@pytest.mark.thorough
@pytest.mark.parametrize("theme", sampled(THEMES))
def test_editor_is_accessible(edit: Callable[..., Editor], theme: str) -> None:
    steps = [
        BELL,
        {**MAIL, "if": {"var": "data.total", "op": "gt", "value": 5}},
        {"key": "b", "type": "branch", "branches": [{"if": {"all": [{"var": "data.a"}]}, "steps": [WAIT]}]},
    ]
    steps[2]["branches"][0]["if"] = {"var": "data.a", "op": "exists"}
    editor = edit("accessible-flow", steps, color_scheme=theme)
    editor.step("mail").focus()
    editor.type("Enter")
    assert violations(editor.page) == []
    editor.type("Escape", "a")
    assert violations(editor.page) == []
    editor.page.set_viewport_size(PHONE)
    expect(editor.page.get_by_role("note")).to_be_visible()
    assert violations(editor.page) == []


@pytest.mark.thorough
def test_editor_is_used_at_200_percent_and_in_forced_colors(edit: Callable[..., Editor]) -> None:
    zoomed = edit("zoomed-flow", BUILT, viewport={"width": 640, "height": 450}, device_scale_factor=2)
    zoomed.step("wait").click()
    zoomed.page.locator(".inspector").get_by_label("For", exact=True).fill("45m")
    zoomed.expect_saved()
    assert zoomed.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(zoomed.page) == []
    zoomed.page.get_by_role("button", name="Review and publish").click()
    expect(zoomed.page.get_by_role("button", name="Publish", exact=True)).to_be_in_viewport()

    forced = edit("zoomed-flow", forced_colors="active")
    forced.step("wait").focus()
    forced.type("ArrowUp", "Enter")
    look = "card => { const { borderColor, outlineStyle } = getComputedStyle(card); return [borderColor, outlineStyle].join() }"
    selected, other = (forced.card(key).locator(".step-card").evaluate(look) for key in ("bell", "wait"))
    assert selected != other
    colors = forced.page.locator(".lines path").first.evaluate(
        "line => [getComputedStyle(line).stroke, getComputedStyle(document.body).backgroundColor]"
    )
    assert colors[0] != colors[1]
    assert violations(forced.page) == []


def deep_definition() -> list[dict[str, Any]]:
    """Return MAX_STEPS steps of all types, nested as deep as allowed, with fields that no form shows."""
    condition = {
        "any": [
            {"not": {"var": "data.a", "op": "empty"}},
            {"all": [{"var": "data.b", "op": "in", "value": [1, "x", None]}]},
        ]
    }
    steps: list[dict[str, Any]] = [
        {"note": "First", **BELL, "body_format": "markdown", "actions": [{"key": "open", "label": "Open", "url": "/x"}]},
        {**MAIL, "layout": None, "html": "<p>{{ data.a }}</p>\n"},
        {"key": "sms", "type": "sms", "text": "a: b #c\n\n d"},
        {"key": "push", "type": "push", "title": "{{ steps.bell.state }}"},
        {"key": "chat", "type": "chat", "text": "x", "if": condition},
        {"key": "until", "type": "delay", "until": {"var": "data.at"}, "offset": "-1d"},
        {"key": "digest", "type": "digest", "cron": "0 8 * * 1-5", "timezone": "Europe/Vienna", "by": "{{ data.a }}"},
        {"key": "throttle", "type": "throttle", "limit": 3, "window": {"var": "data.window"}},
        {"key": "waits", "type": "wait_for", "step": "bell", "event": "read", "timeout": 90},
        {"key": "listens", "type": "wait_for", "event": "paid", "topic": "order.{{ data.id }}", "match": condition},
        {"key": "start", "type": "trigger", "workflow": "deep-flow", "to": {"role": "host"}, "data": {"a": [{"var": "data.a"}, 1.5]}},
        {"key": "call", "type": "http", "url": "https://x.example/{{ data.a }}", "headers": {"x-a": "b"}, "body": {"a": [1, None, True]}},
        {"key": "function", "type": "python", "function": "f", "on_error": "continue"},
    ]  # fmt: skip
    inner: list[dict[str, Any]] = [{"key": "stop", "type": "stop"}]
    for depth in range(MAX_BRANCH_DEPTH):
        inner = [
            {
                "key": f"branch{depth}",
                "type": "branch",
                "branches": [{"if": condition, "steps": inner}],
                "else": [{"key": f"else{depth}", "type": "delay", "for": 1}],
            }
        ]
    rest = MAX_STEPS - len(steps) - 2 * MAX_BRANCH_DEPTH - 1
    return [*steps, *inner, *({"key": f"n{number}", "type": "delay", "for": "1h"} for number in range(rest))]


@pytest.mark.thorough
def test_changes_and_undo_keep_a_definition_of_every_type(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("deep-flow", deep_definition())
    expect(editor.tree.locator("[data-step]")).to_have_count(MAX_STEPS)
    before = editor.yaml()
    editor.step("chat").focus()
    editor.type("Alt+ArrowUp")
    expect(editor.page.get_by_role("status").filter(has_text="chat moved to 4 of")).to_have_count(1)
    editor.expect_saved()
    editor.type("Alt+ArrowDown")
    expect(editor.save).to_contain_text("Version 1")  # without a difference there is no draft
    assert owner.send("GET", "/v1/workflows/deep-flow")["steps"] == deep_definition()
    assert editor.yaml() == before


@pytest.mark.thorough
def test_step_moves_through_branches_and_twenty_undos_restore_the_text(edit: Callable[..., Editor]) -> None:
    branch = {
        "key": "size",
        "type": "branch",
        "branches": [{"if": {"var": "data.a", "op": "exists"}, "steps": [MAIL]}],
        "else": [WAIT],
    }
    editor = edit("moved-flow", [BELL, branch, {"key": "end", "type": "stop"}])
    before = editor.yaml()
    editor.step("bell").focus()
    seen, wait = set(), editor.step("wait").element_handle()
    for number in range(20):
        editor.type("Alt+ArrowDown" if number < 10 else "Alt+ArrowUp")
        expect(editor.step("bell")).to_be_focused()
        seen.add(editor.step("bell").get_attribute("data-path"))
    assert {
        "steps.0.branches.0.steps.0",
        "steps.0.branches.0.steps.1",
        "steps.0.else.0",
        "steps.0.else.1",
        "steps.2",
    } <= seen
    # A change of the paths below a step draws no card again.
    assert editor.step("wait").evaluate("(card, first) => card === first", wait)
    for _ in range(20):
        editor.type("Control+z")
    assert editor.yaml() == before


def test_step_is_dragged_into_a_branch(edit: Callable[..., Editor]) -> None:
    branch = {"key": "size", "type": "branch", "branches": [{"if": {"var": "data.a", "op": "exists"}, "steps": [MAIL]}]}
    editor = edit("dragged-flow", [BELL, WAIT, branch])
    card = editor.step("wait")
    target = editor.page.locator("[data-place='steps.2.branches.0.steps.1']")
    box = target.bounding_box()
    assert box
    card.hover()
    editor.page.mouse.down()
    editor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    expect(editor.page.locator(".place.target")).to_have_count(1)
    editor.type("Escape")
    expect(editor.page.locator(".place.target")).to_have_count(0)
    editor.page.mouse.up()
    expect(editor.step("wait")).to_have_attribute("data-path", "steps.1")
    card.hover()
    editor.page.mouse.down()
    editor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    editor.page.mouse.up()
    expect(editor.step("wait")).to_have_attribute("data-path", "steps.1.branches.0.steps.1")


@pytest.mark.thorough
def test_yaml_is_coloured_and_can_be_tested(edit: Callable[..., Editor]) -> None:
    editor = edit("coloured-flow", BUILT)
    page = editor.page
    page.get_by_role("button", name="YAML").click()
    text = page.get_by_label("Definition as YAML")
    text.press("Control+End")
    page.keyboard.insert_text("note: 7 # days\n")
    assert page.locator(".yaml-tones").inner_text().rstrip() == text.input_value().rstrip()
    expect(page.locator(".tone-of-string").first).to_have_text("bell")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_role("complementary", name="Test")).to_be_visible()
    assert violations(page) == []
    # The line of the first problem after a paste is selected: this one was there before.
    expect(page.get_by_role("region", name="Problems")).to_contain_text("note")
    text.dispatch_event("paste")
    text.fill(text.input_value().replace("note: 7 # days", "nots: 1"))
    expect(page.get_by_role("region", name="Problems")).to_contain_text("Did you mean note?")
    chosen = "one => one.value.slice(one.selectionStart, one.selectionEnd)"
    wait_until(lambda: text.evaluate(chosen) == "nots: 1", lambda: "the line is not selected")


@pytest.mark.thorough
def test_list_of_types_leaves_visible_what_it_adds_to(edit: Callable[..., Editor]) -> None:
    waits = [{**WAIT, "key": f"wait-{number}"} for number in range(5)]
    editor = edit("placed-flow", waits)
    for key in ("wait-0", "wait-3"):
        editor.step(key).focus()
        editor.type("a")
        expect(editor.page.get_by_placeholder(f"Add after {key}")).to_be_focused()
        panel, card, bar = (
            editor.page.locator(name).evaluate("one => one.getBoundingClientRect().toJSON()")
            for name in (".floating", f"[data-step={key}]", ".editor-bar")
        )
        assert panel["top"] >= card["bottom"] or panel["left"] >= card["right"]
        assert panel["top"] >= bar["bottom"]
        editor.type("Escape")


def test_new_workflow_begins_with_the_chosen_steps(open_console: Callable[..., Page]) -> None:
    page = open_console("/workflows?edit=new", viewport={"width": 1280, "height": 800})
    page.get_by_label("Key").fill("chosen")
    expect(page.get_by_role("radio", name="Remind by e-mail")).to_be_checked()
    expect(page.locator(".starter").get_by_text("Remind by e-mail").get_by_text("e-mail")).to_have_css(
        "white-space", "nowrap"
    )
    page.get_by_role("radio", name="Collect").check(force=True)
    expect(page.get_by_role("complementary", name="Preview").get_by_role("listitem")).to_have_count(3)
    assert violations(page) == []
    page.get_by_role("button", name="Create workflow").click()
    expect(page.get_by_role("treeitem")).to_have_count(2)
    expect(page.locator("[data-step=digest]")).to_be_visible()
    Editor(page, "chosen").expect_saved()
    page.get_by_role("button", name="YAML").click()
    fields = page.get_by_role("region", name="Fields")
    text = page.get_by_label("Definition as YAML")
    text.evaluate("(area) => { area.focus(); area.setSelectionRange(...Array(2).fill(area.value.indexOf('window'))) }")
    expect(fields.get_by_text("Collect for")).to_be_visible()  # of the digest, in which the cursor is
    fields.get_by_text("Wait for event").click()
    expect(fields.locator("[open] dd").get_by_text("required", exact=True)).to_be_visible()
    fields.get_by_role("button", name="Insert delay").click()
    expect(text).to_have_value(re.compile(r"window: 1h\n  - key: wait\n    type: delay\n    for: 1h\n  - key: mail"))
    expect(fields.get_by_text("How long")).to_be_visible()  # of the step that was inserted
    assert violations(page) == []
    page.keyboard.press("Control+z")
    expect(text).not_to_have_value(re.compile("delay"))
    Editor(page, "chosen").expect_saved()
    page.get_by_role("button", name="Canvas").click()
    page.reload()
    expect(page.get_by_role("treeitem")).to_have_count(2)


@pytest.mark.thorough
def test_problems_move_nothing_on_the_canvas(edit: Callable[..., Editor]) -> None:
    editor = edit("still-flow", BUILT)
    bars = [editor.page.get_by_role("group", name=name) for name in ("Zoom", "Runs")]
    before = [bar.bounding_box() for bar in bars]
    editor.step("wait").dblclick()
    editor.page.locator(".inspector").get_by_label("For", exact=True).fill("soon")
    expect(editor.page.get_by_role("region", name="Problems")).to_contain_text("expected a duration")
    assert [bar.bounding_box() for bar in bars] == before
    editor.page.set_viewport_size({"width": 820, "height": 900})
    expect(editor.page.get_by_role("button", name="1 problem", exact=True)).to_have_text("1", use_inner_text=True)
    publish = editor.page.get_by_role("button", name="Review and publish")
    assert publish.evaluate("one => one.getBoundingClientRect().right <= innerWidth")
    assert editor.page.locator("h1").evaluate("one => one.clientWidth") >= 50


@pytest.mark.thorough
def test_wrong_value_marks_step_field_problem_and_line(edit: Callable[..., Editor]) -> None:
    editor = edit("wrong-flow", BUILT)
    editor.step("wait").focus()
    editor.type("Enter")
    field = editor.page.locator(".inspector").get_by_label("For", exact=True)
    field.fill("soon")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(editor.step("wait")).to_have_attribute("data-problems", "1")
    expect(editor.page.get_by_role("region", name="Problems")).to_contain_text("expected a duration")
    expect(editor.page.get_by_role("button", name="Review and publish")).to_be_disabled()
    editor.page.get_by_role("button", name="YAML").click()
    expect(editor.page.locator(".gutter mark")).to_have_text("7")
    text = editor.page.get_by_label("Definition as YAML")
    text.fill(text.input_value().replace("for: soon", "for: 5m"))
    expect(editor.page.locator(".gutter mark")).to_have_count(0)
    editor.page.get_by_role("button", name="Canvas").click()
    expect(editor.card("wait")).to_contain_text("5 minutes")


def test_problem_of_a_text_that_is_no_yaml_has_its_line_and_no_field(edit: Callable[..., Editor]) -> None:
    editor = edit("broken-text", BUILT)
    editor.page.get_by_role("button", name="YAML").click()
    text = editor.page.get_by_label("Definition as YAML")
    text.fill(text.input_value() + "  foo: [\n")
    problem = editor.page.get_by_role("region", name="Problems").get_by_role("listitem")
    expect(problem).to_have_text(re.compile(r"^Line \d+The body is not YAML"))
    for name in ("Undo", "Redo"):  # there is no change
        button = editor.page.get_by_role("button", name=name)
        expect(button).to_be_disabled()
        button.click(force=True)
    expect(text).to_have_value(re.compile(r"foo: \["))


def test_zoom_by_keyboard_keeps_the_focus_at_its_limits(edit: Callable[..., Editor]) -> None:
    editor = edit("zoomed", BUILT)
    for name, limit in (("Zoom out", "50 %"), ("Zoom in", "150 %")):
        button = editor.page.get_by_role("button", name=name)
        button.focus()
        editor.type(*["Enter"] * 6)
        expect(editor.page.get_by_role("button", name="Zoom 100 %")).to_have_text(limit)
        expect(button).to_be_disabled()
        expect(button).to_be_focused()


def gate(*lanes: dict[str, Any]) -> dict[str, Any]:
    """Return a step with a branch for each of these steps; its else waits."""
    branches = [{"if": {"var": f"data.{number}", "op": "exists"}, "steps": [step]} for number, step in enumerate(lanes)]
    return {"key": "gate", "type": "branch", "branches": branches, "else": [WAIT]}


@pytest.mark.thorough
def test_deleting_a_branch_considers_references_to_its_steps(edit: Callable[..., Editor]) -> None:
    waits = {"key": "unread", "type": "wait_for", "step": "bell", "event": "read"}
    editor = edit("gated-flow", [gate(BELL), waits])
    editor.step("gate").focus()
    editor.type("Delete")
    expect(editor.page.get_by_role("dialog", name="Delete gate?")).to_contain_text("it or a step in it: unread")
    editor.page.get_by_role("button", name="Cancel").click()
    editor.tree.get_by_role("treeitem", name="branch 1 of 1").dblclick()
    editor.page.get_by_role("button", name="Delete this branch").click()
    dialog = editor.page.get_by_role("dialog", name="Delete branch 1 of gate?")
    expect(dialog).to_contain_text("unread")
    dialog.get_by_role("button", name="Delete").click()
    expect(editor.step("gate")).to_be_focused()
    assert "branches:" not in editor.yaml()
    editor.tree.get_by_role("treeitem", name="else").focus()
    editor.type("Delete")
    expect(editor.tree.locator("[data-lane=gate]")).to_have_count(0)


@pytest.mark.thorough
def test_branches_are_ordered_and_steps_pasted_into_them(edit: Callable[..., Editor]) -> None:
    editor = edit("ordered-flow", [gate(BELL, MAIL), {"key": "end", "type": "stop"}])
    editor.page.context.grant_permissions(["clipboard-write"])
    editor.page.evaluate("navigator.clipboard.writeText('from another page')")
    editor.page.evaluate("delete Navigator.prototype.clipboard")  # as on a page that was loaded over HTTP
    status = editor.page.get_by_role("status")
    editor.step("end").focus()
    editor.type("Control+c", "Alt+ArrowDown")
    expect(status.filter(has_text="end is not moved: it is the last")).to_have_count(1)
    editor.step("mail").focus()
    editor.type("Control+v")
    expect(editor.step("end-2")).to_have_attribute("data-path", "steps.0.branches.1.steps.1")
    editor.type("Control+z")
    lanes = editor.tree.locator("[data-lane=gate]")
    lanes.first.click()
    editor.type("Control+v")
    expect(editor.step("end-2")).to_have_attribute("data-path", "steps.0.branches.0.steps.0")
    lanes.first.focus()
    editor.type("Alt+ArrowDown")
    expect(status.filter(has_text="branch 1 of gate moved to 2 of 2")).to_have_count(1)
    expect(editor.step("bell")).to_have_attribute("data-path", "steps.0.branches.1.steps.1")
    expect(lanes.nth(1)).to_be_focused()
    editor.type("Alt+ArrowDown")
    expect(status.filter(has_text="branch 2 of gate is not moved: it is the last")).to_have_count(1)
    editor.type("d")
    expect(status.filter(has_text="branch added at 3 of 3")).to_have_count(1)
    expect(lanes.nth(2)).to_be_focused()
    expect(editor.step("bell-2")).to_have_attribute("data-path", "steps.0.branches.2.steps.1")
    editor.type("Delete")
    expect(editor.step("gate")).to_be_focused()
    lanes.last.focus()
    editor.type("d", "Alt+ArrowUp")
    expect(status.filter(has_text="else of gate is not moved: else is always the last")).to_have_count(1)
    editor.step("mail").focus()
    editor.type("Enter", "Escape")
    editor.card("mail").locator(".step-more").click()
    menu = editor.page.get_by_role("menu")
    assert violations(editor.page) == []
    for _ in range(3):  # the deletion, the copy, the move
        menu.get_by_role("menuitem", name="Undo").click()
        editor.card("mail").locator(".step-more").click()
    editor.type("Escape")
    expect(editor.step("bell")).to_have_attribute("data-path", "steps.0.branches.0.steps.1")
    editor.card("mail").locator(".step-more").click()
    menu.get_by_role("menuitem", name="Review and publish").click()
    expect(editor.page.get_by_role("dialog")).to_contain_text("end-2")


@pytest.mark.thorough
def test_nothing_covers_the_canvas(edit: Callable[..., Editor]) -> None:
    editor = edit("open-flow", BUILT)
    page = editor.page
    editor.card("bell").locator(".step-more").click()
    page.get_by_role("menuitem", name="Duplicate").click()
    editor.publish()
    bar = page.locator(".canvas-bar")
    assert bottom_of(page.locator(".published")) <= top_of(bar)
    editor.step("wait").dblclick()
    page.locator(".inspector").get_by_label("For", exact=True).fill("soon")
    problems = page.locator(".problem-lists")
    expect(problems).to_contain_text("expected a duration")
    for size in (page.viewport_size, PHONE):
        page.set_viewport_size(size)
        expect(page.get_by_role("group", name="Zoom")).to_have_count(0 if size == PHONE else 1)
        assert bottom_of(page.locator(".flow-scroll")) <= top_of(problems)
        assert bottom_of(problems) <= top_of(bar)


def top_of(place: Locator) -> float:
    top: float = place.evaluate("one => one.getBoundingClientRect().top")
    return top


def bottom_of(place: Locator) -> float:
    bottom: float = place.evaluate("one => one.getBoundingClientRect().bottom")
    return bottom


def test_each_problem_leads_to_its_field(edit: Callable[..., Editor], owner: Console) -> None:
    steps = [{**WAIT, "key": "first", "for": "soon"}, gate({**MAIL, "subject": "{{ x"})]
    steps[1]["branches"][0]["if"]["op"] = "like"
    schema = {"type": "object", "properties": {"total": {"type": "figure"}}}
    owner.send("PUT", "/v1/workflows/problem-flow/draft", {"values": {"data": schema, "steps": steps}})
    editor = edit("problem-flow")
    editor.step("gate").focus()
    editor.type("ArrowLeft")
    expect(editor.step("mail")).to_have_count(0)
    for focused in ("steps.1.branches.0", "steps.1.branches.0.steps.0", "trigger", "steps.0"):
        editor.type("F8")
        expect(editor.page.locator(f"[data-path='{focused}']")).to_be_focused()
    problems = editor.page.get_by_role("region", name="Problems")
    editor.page.locator(".flow-scroll").evaluate("one => one.scrollTo(0, one.scrollHeight)")
    end = editor.page.locator(".flow-end").last.bounding_box()
    assert end["y"] + end["height"] <= problems.bounding_box()["y"]  # each step can be seen
    for item, field in (
        ("data", "data"), ("first", "steps.0.for"), ("gate", "steps.1.branches.0.if"),
        ("mail", "steps.1.branches.0.steps.0.subject"),
    ):  # fmt: skip
        problems.get_by_role("button", name=re.compile(f"^{item}")).click()
        control = editor.page.locator(f"[data-field='{field}']")
        expect(control.or_(control.locator("*")).and_(editor.page.locator(":focus"))).to_have_count(1)


@pytest.mark.thorough
def test_renaming_and_deleting_a_step_consider_references(edit: Callable[..., Editor]) -> None:
    waits = {"key": "unread", "type": "wait_for", "step": "bell", "event": "read"}
    editor = edit(
        "referring-flow",
        [BELL, waits, {**MAIL, "if": {"var": "steps.bell.read_at", "op": "empty"}, "text": "{{ steps.bell.state }}"}],
    )
    editor.step("bell").focus()
    editor.type("Delete")
    expect(editor.page.get_by_role("dialog", name="Delete bell?")).to_contain_text("unread, mail")
    editor.page.get_by_role("button", name="Cancel").click()
    editor.step("bell").focus()
    editor.type("F2")
    editor.page.get_by_label("Key", exact=True).fill("ring")
    editor.page.get_by_role("button", name="Rename").click()
    text = editor.yaml()
    assert "bell" not in text.replace("deferring", "")
    assert all(one in text for one in ("step: ring", "steps.ring.read_at", "{{ steps.ring.state }}"))


@pytest.mark.thorough
def test_steps_are_copied_between_workflows(edit: Callable[..., Editor]) -> None:
    editor = edit("copied-flow", BUILT)
    editor.step("mail").focus()
    editor.type("Control+c")
    editor.step("bell").hover()
    editor.card("bell").locator(".step-more").click()
    editor.page.get_by_role("menuitem", name="Paste after").click()
    expect(editor.step("mail-2")).to_be_focused()
    expect(editor.step("mail-2")).to_have_attribute("data-path", "steps.1")
    editor.type("d", "Delete")
    expect(editor.step("mail-3")).to_have_count(0)


def test_small_screen_reads_and_edits_nothing(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("small-flow", BUILT, viewport=PHONE)
    expect(editor.page.get_by_role("note")).to_contain_text("On a small screen a workflow can be read")
    editor.step("wait").click()
    expect(editor.page.locator(".inspector").get_by_label("For", exact=True)).to_be_disabled()
    editor.type("d", "Delete", "Alt+ArrowUp", "a", "Enter")
    for name in ("Review and publish", "Test"):
        expect(editor.page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    assert [
        one["draft"]
        for one in owner.send("GET", "/v1/workflows?drafts=true")["workflows"]
        if one["key"] == "small-flow"
    ] == [None]


@pytest.mark.thorough
def test_small_screen_shows_steps_below_each_other_at_full_size(edit: Callable[..., Editor]) -> None:
    sends = [BELL, MAIL, {"key": "text", "type": "sms", "text": "Hi"}]
    editor = edit("stacked-flow", sends, viewport=PHONE)
    sizes = "all => all.filter((one) => one.textContent).map((one) => parseFloat(getComputedStyle(one).fontSize))"
    assert min(editor.tree.locator("*").evaluate_all(sizes)) >= 12
    boxes = [editor.card(key).bounding_box() for key in ("bell", "mail", "text")]
    places = [(box["x"], box["width"]) for box in boxes if box]
    assert len(set(places)) == 1  # one column
    assert places[0][1] > 300
    assert editor.page.locator(".flow-scroll").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_editor_is_loaded_on_demand_within_its_budget() -> None:
    files = [*FILES.glob("workflow-*.js"), *FILES.glob("workflow-*.css")]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 60_000
    from bellcast.console.pages import console

    assert not [name for name in console.first_modules("console.js") if re.match("workflow-", name)]
