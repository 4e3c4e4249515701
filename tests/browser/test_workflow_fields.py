"""The fields of the steps of a workflow in its editor."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from tests.browser.console import Console
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import BELL, MAIL, WAIT, Editor


@pytest.mark.thorough
def test_wait_changes_between_a_time_and_a_moment(edit: Callable[..., Editor]) -> None:
    editor = edit("remind", [{"key": "wait", "type": "delay", "for": "1h", "note": "Kept"}])
    editor.step("wait").dblclick()
    editor.page.get_by_role("button", name="Until a time").click()
    expect(editor.page.get_by_label("Until", exact=True)).to_have_value("data.starts_at")
    expect(editor.page.get_by_text("2 hours before", exact=True)).to_be_visible()
    expect(editor.step("wait")).to_have_accessible_name(re.compile("2 hours before data.starts_at"))
    editor.page.get_by_role("button", name="For a time").click()
    expect(editor.page.get_by_label("For", exact=True)).to_have_value("1h")
    expect(editor.page.get_by_label("Note")).to_have_value("Kept")
    expect(editor.page.get_by_label("Until", exact=True)).to_have_count(0)


@pytest.mark.thorough
def test_next_times_of_a_digest_are_in_its_zone(edit: Callable[..., Editor]) -> None:
    digest = {"key": "digest", "type": "digest", "cron": "0 9 * * *", "timezone": "Pacific/Kiritimati"}
    editor = edit("zoned-flow", [digest], timezone_id="America/New_York")
    editor.page.clock.set_fixed_time("2026-03-10T20:00:00Z")  # the 11th, 10:00 there
    editor.step("digest").click()
    times = editor.page.locator(".inspector [data-widget=cron] small")
    expect(times).to_contain_text(re.compile("^Next, Pacific/Kiritimati: Thu 12 Mar, 09:00 · Fri"))
    editor.page.get_by_label("Time zone").fill("")
    expect(times).to_contain_text(re.compile("^Next, in the zone of the recipient: Wed 11 Mar, 09:00"))


@pytest.mark.thorough
def test_negated_condition_is_edited_in_the_form(edit: Callable[..., Editor], owner: Console) -> None:
    paid = {"var": "data.paid", "op": "exists"}
    editor = edit("negated-flow", [{**BELL, "if": {"not": {"any": [paid, {"not": paid}]}}}])
    editor.step("bell").click()
    condition = editor.page.locator(".inspector .condition")
    expect(condition).to_contain_text("not")
    condition.get_by_label("Variable").last.fill("data.late")
    editor.expect_saved()
    step = owner.send("GET", "/v1/workflows/negated-flow/draft")["values"]["steps"][0]
    assert step["if"] == {"not": {"any": [paid, {"not": {**paid, "var": "data.late"}}]}}
    assert violations(editor.page) == []
    condition.get_by_role("button", name="Delete this condition").first.click()
    condition.get_by_role("button", name="Delete this condition").click()
    expect(editor.page.locator(".inspector").get_by_role("button", name="Add a condition")).to_be_visible()


@pytest.mark.thorough
def test_condition_nested_deeper_than_the_form_is_read_there_and_edited_as_json(
    edit: Callable[..., Editor], owner: Console
) -> None:
    deep = {"var": "data.total", "op": "gte", "value": 100}
    for group in ("any", "all", "any", "all"):
        deep = {group: [{"var": f"data.{group}", "op": "exists"}, deep]}
    editor = edit("deep-condition", [{**MAIL, "if": deep}])
    editor.step("mail").dblclick()
    shown = editor.page.locator(".inspector").get_by_role("group", name="To read")
    expect(shown.get_by_label("Variable")).to_have_count(5)
    expect(shown.get_by_label("Value")).to_have_value("100")
    expect(shown.get_by_label("Value")).to_be_disabled()
    json_text = editor.page.locator(".inspector").get_by_role("textbox", name="Only if")
    json_text.fill(json_text.input_value().replace("100", "200"))
    expect(shown.get_by_label("Value")).to_have_value("200")
    editor.expect_saved()
    assert violations(editor.page, within=".inspector") == []


def test_variable_is_inserted_into_the_text_of_a_step(edit: Callable[..., Editor]) -> None:
    mail = {**MAIL, "subject": "New booking of ", "text": "{{ data.client }} booked."}
    editor = edit("variable-flow", [WAIT, mail])
    editor.step("mail").click()
    inspector = editor.page.locator(".inspector")
    subject = inspector.get_by_label("Subject", exact=True)
    subject.press("End")
    field = inspector.locator(".form-field").filter(has=editor.page.get_by_label("Subject", exact=True))
    field.get_by_role("button", name="Insert a variable").click()
    assert violations(editor.page) == []
    field.get_by_role("button", name="data.client").click()
    expect(subject).to_be_focused()
    expect(subject).to_have_value("New booking of {{ data.client }}")


@pytest.mark.thorough
def test_draft_with_parts_that_no_form_has_is_shown(edit: Callable[..., Editor], owner: Console) -> None:
    steps = [{**BELL, "if": {"all": "data.a"}}, {**MAIL, "if": {"any": [None]}}]
    values = {"steps": steps, "data": {"type": "object", "required": "a"}}
    owner.send("PUT", "/v1/workflows/shapeless-flow/draft", {"values": values})
    editor = edit("shapeless-flow")
    inspector = editor.page.locator(".inspector")
    for key, text in (("bell", '"all": "data.a"'), ("mail", '"any": ')):
        editor.step(key).click()
        expect(inspector.get_by_label("Key", exact=True)).to_have_value(key)
        expect(inspector.locator("textarea[data-field$='.if']")).to_have_value(re.compile(text))
    editor.page.locator("[data-line=trigger]").click()
    expect(inspector.get_by_label("Schema as JSON")).to_have_value(re.compile('"required": "a"'))


@pytest.mark.thorough
def test_schema_of_the_data_is_a_form_and_inferred_from_triggers(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("data-flow", [WAIT])
    inspector = editor.page.locator(".inspector")
    editor.page.locator("[data-line=trigger]").click()
    inspector.get_by_role("button", name="Infer from the last triggers").click()
    expect(inspector.get_by_role("status")).to_contain_text("no triggers yet")
    owner.send("POST", "/v1/workflows/data-flow/trigger", {"to": "alice", "data": {"client": "Bob", "total": 7}})
    inspector.get_by_role("button", name="Infer from the last triggers").click()
    expect(inspector.get_by_label("Name", exact=True)).to_have_count(2)
    inspector.get_by_role("button", name="Add a field").click()
    inspector.get_by_label("Name", exact=True).last.fill("city")
    inspector.get_by_role("listitem").last.get_by_label("Required").check()
    assert violations(editor.page) == []
    editor.expect_saved()
    values = owner.send("GET", "/v1/workflows/data-flow/draft")["values"]
    assert values["data"]["properties"] == {
        "client": {"type": "string"}, "total": {"type": "integer"}, "city": {"type": "string"},
    }  # fmt: skip
    assert values["data"]["required"] == ["client", "total", "city"]
    editor.step("wait").focus()
    editor.type(*["Control+z"] * 6)  # as typing within a second is undone at once, or fewer
    editor.page.locator("[data-line=trigger]").click()
    expect(inspector.get_by_label("Name", exact=True)).to_have_count(0)


@pytest.mark.thorough
def test_bell_step_shows_its_row_and_offers_the_built_in_icons(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("row-flow", [{**BELL, "title": "Booked by {{ data.client }}"}])
    editor.step("bell").dblclick()
    inspector = editor.page.locator(".inspector")
    row, icon = inspector.locator(".bell-row"), inspector.get_by_label("Icon", exact=True)
    expect(row.locator("b")).to_have_text("Booked by client")
    bell = row.locator("path").get_attribute("d")
    assert bell
    inspector.get_by_role("button", name="calendar").click()
    expect(icon).to_have_value("calendar")
    expect(row.locator("path")).not_to_have_attribute("d", bell)
    inspector.get_by_label("Body", exact=True).fill("At nine")
    expect(row).to_contain_text("At nine")
    icon.fill("🎉")
    expect(row.locator(".avatar")).to_have_text("🎉")
    assert violations(editor.page, within=".inspector") == []
    inspector.get_by_role("button", name="calendar").click()
    inspector.get_by_role("button", name="calendar").click()
    expect(icon).to_have_value("")
    editor.expect_saved()
    (step,) = owner.send("GET", "/v1/workflows/row-flow/draft")["values"]["steps"]
    assert (step["body"], "icon" in step) == ("At nine", False)


@pytest.mark.thorough
def test_buttons_of_a_bell_are_a_form(edit: Callable[..., Editor], owner: Console) -> None:
    accept = {"key": "accept", "label": "Accept", "call": "booking.accept", "style": "primary"}
    editor = edit("buttons-flow", [{**BELL, "actions": [accept]}, WAIT])
    editor.step("bell").dblclick()
    form = editor.page.locator(".inspector").get_by_role("group", name="Buttons")
    expect(form.get_by_label("What button 1 does")).to_have_value("call")
    form.get_by_role("button", name="Add a button").click()
    form.get_by_label("Label of button 2").fill("Open")
    form.get_by_label("Link of button 2").fill("https://example.com/{{ data.id }}")
    form.get_by_label("Style of button 1").select_option("default")
    assert violations(editor.page, within=".inspector") == []
    editor.expect_saved()
    steps = owner.send("GET", "/v1/workflows/buttons-flow/draft")["values"]["steps"]
    del accept["style"]
    link = {"key": "button-2", "label": "Open", "url": "https://example.com/{{ data.id }}"}
    assert steps[0]["actions"] == [accept, link]
    form.get_by_role("button", name="Remove button 1").click()
    expect(form.get_by_label("Key of button 1")).to_have_value("button-2")


@pytest.mark.thorough
def test_texts_of_a_step_are_drawn_with_their_variables_until_they_are_edited(edit: Callable[..., Editor]) -> None:
    editor = edit("drawn-flow", [{**MAIL, "text": "Hello {{ recipient.name }}, welcome"}])
    editor.step("mail").dblclick()
    inspector = editor.page.locator(".inspector")
    drawn = inspector.locator(".drawn").filter(has_text="Hello")
    expect(drawn).to_have_text("Hello name, welcome")
    expect(drawn.locator(".tag")).to_have_text("name")
    drawn.get_by_text("Hello").click(position={"x": 1, "y": 4}, force=True)  # the field below it gets the press
    expect(drawn).to_be_hidden()
    editor.page.keyboard.type("> ")
    expect(inspector.get_by_label("Text", exact=True)).to_have_value("> Hello {{ recipient.name }}, welcome")
    # What few steps need is folded.
    expect(inspector.get_by_label("Key", exact=True)).to_be_hidden()
    inspector.get_by_text("More", exact=True).click()
    expect(inspector.get_by_label("Key", exact=True)).to_have_value("mail")
    expect(inspector.get_by_label("Note", exact=True)).to_be_visible()
    assert violations(editor.page, within=".inspector") == []


@pytest.mark.thorough
def test_long_texts_of_a_step_are_read_in_full(edit: Callable[..., Editor]) -> None:
    lines = [f"Line {number} of {{{{ recipient.name }}}}" for number in range(40)]
    mail = {**MAIL, "text": "\n".join(lines), "note": "\n".join(f"Line {number}" for number in range(40))}
    editor = edit("long-texts", [mail], viewport=PHONE)  # a small screen changes nothing
    editor.step("mail").click()
    inspector = editor.page.locator(".inspector")
    last = inspector.locator(".drawn").get_by_text(re.compile("Line 39 of"))
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    for name in ("Text", "Note"):
        field = inspector.get_by_label(name, exact=True)
        assert field.evaluate("one => one.scrollHeight - one.clientHeight") <= 0
        assert field.evaluate("one => one.clientHeight") > 40 * 16
        expect(field).not_to_be_editable()
    text = inspector.get_by_label("Text", exact=True)
    text.focus()  # it shows the whole names of its variables
    expect(last).to_be_hidden()
    expect(text).to_have_value(mail["text"])
    assert violations(editor.page, within=".inspector") == []


@pytest.mark.thorough
def test_problem_in_what_few_steps_need_opens_it(edit: Callable[..., Editor], owner: Console) -> None:
    owner.send("PUT", "/v1/workflows/folded-problem/draft", {"values": {"steps": [BELL, {**MAIL, "key": "bell"}]}})
    editor = edit("folded-problem")
    editor.step("bell").last.dblclick()
    key = editor.page.locator(".inspector").get_by_label("Key", exact=True)
    expect(key).to_be_visible()
    expect(key).to_have_attribute("aria-invalid", "true")
    key.fill("mail")
    key.press("Enter")
    expect(key).not_to_have_attribute("aria-invalid", "true")
    expect(key).to_be_visible()  # it stays open


@pytest.mark.thorough
def test_condition_on_an_earlier_bell_is_chosen_in_words(edit: Callable[..., Editor]) -> None:
    editor = edit("unread-flow", [BELL, WAIT, MAIL])
    editor.step("mail").dblclick()
    inspector = editor.page.locator(".inspector")
    inspector.get_by_role("button", name="Add a condition").click()
    choice = inspector.get_by_label("Condition", exact=True)
    expect(choice).to_be_focused()  # the button that had the focus is gone
    assert choice.locator("option").all_inner_texts() == [
        "bell was not read", "bell was read", "bell was not seen", "bell was seen", "Another condition",
    ]  # fmt: skip
    expect(editor.page.locator(".step-if")).to_have_text("if bell was not read")
    expect(inspector.get_by_label("Variable", exact=True)).to_have_count(0)
    inspector.get_by_role("button", name="Template", exact=True).click()
    expect(inspector.get_by_label("Subject")).to_have_count(0)
    inspector.get_by_label("Template", exact=True).fill("booking")
    inspector.get_by_role("button", name="Remove subject, text").click()
    expect(inspector.get_by_label("Template", exact=True)).to_be_focused()  # the button is gone
    expect(inspector.get_by_label("Subject")).to_have_count(0)
    inspector.get_by_role("button", name="Text here").click()
    expect(inspector.get_by_label("Subject")).to_be_visible()
    editor.page.get_by_role("button", name="Undo", exact=True).click()
    expect(inspector.get_by_label("Template", exact=True)).to_have_value("booking")  # the step has it again
    expect(inspector.get_by_label("Subject")).to_have_count(0)
    inspector.get_by_role("button", name="Text here").click()
    inspector.get_by_text("More", exact=True).click()
    inspector.get_by_label("HTML", exact=True).type("<p>Hi</p>")
    choice.select_option("bell was seen")
    expect(editor.page.locator(".step-if")).to_have_text("if bell was seen")
    yaml = editor.yaml()
    assert ("var: steps.bell.seen_at" in yaml, "op: exists" in yaml, "<p>Hi</p>" in yaml) == (True, True, True)
    assert "template" not in yaml
    choice.select_option("Another condition")
    expect(inspector.get_by_label("Variable", exact=True)).to_have_value("data.")
    editor.step("bell").dblclick()
    inspector.get_by_role("button", name="Add a condition").click()
    expect(inspector.get_by_label("Variable", exact=True)).to_have_value("data.")
    expect(choice).to_have_count(0)
    inspector.get_by_role("button", name="Delete this condition").click()
    expect(inspector.get_by_role("button", name="Add a condition")).to_be_focused()
    editor.page.evaluate("document.activeElement.blur()")
    editor.type("Escape")  # closes the form; the page stays
    expect(inspector).to_have_count(0)
    expect(editor.step("bell")).to_be_focused()
