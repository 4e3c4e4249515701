"""The editor of workflows publishes drafts: the review, its effects, and the way back."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import DESKTOP, Console, go
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import BUILT, MAIL, WAIT, Editor


@pytest.mark.thorough
def test_step_with_an_empty_text_is_not_published(edit: Callable[..., Editor]) -> None:
    editor = edit("empty-flow", BUILT)
    editor.page.get_by_role("button", name="YAML").click()
    text = editor.page.get_by_label("Definition as YAML")
    text.fill(text.input_value().replace("subject: New booking", 'subject: ""'))
    problems = editor.page.get_by_role("region", name="Problems")
    expect(problems.get_by_role("button")).to_have_text(["Line 10mail, subject: must not be empty"])
    problems.get_by_role("button").click()
    assert text.evaluate("one => one.value.slice(one.selectionStart, one.selectionEnd)").strip() == 'subject: ""'
    expect(editor.page.get_by_text("must not be empty")).to_have_count(1)
    expect(editor.page.get_by_role("button", name="Review and publish")).to_be_disabled()


def test_publication_is_confirmed_with_its_runs_and_the_way_back(edit: Callable[..., Editor], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/confirmed", {"email": {"subject": "Hi", "text": "Hello"}})
    draft = {"values": {"email": {"subject": "Hello", "text": "Hello"}}, "base": 1}
    owner.send("PUT", "/v1/templates/confirmed/draft", draft)
    editor = edit("confirmed-flow", [{"key": "mail", "type": "email", "template": "confirmed"}, WAIT])
    editor.step("wait").dblclick()
    editor.page.locator(".inspector").get_by_label("For", exact=True).fill("45m")
    editor.expect_saved()
    editor.page.get_by_role("button", name="Review and publish").click()
    dialog = editor.page.get_by_role("dialog")
    unpublished = "The template confirmed still has a draft that is not published."
    expect(dialog).to_contain_text(unpublished)
    dialog.get_by_role("button", name="Publish", exact=True).click()
    note = editor.page.get_by_role("region", name="Published")
    expect(note).to_contain_text("Version 2 is published.")
    expect(note).to_contain_text(unpublished)
    assert violations(editor.page, within="[aria-label=Published]") == []
    expect(note.get_by_role("link", name="See its runs")).to_have_attribute(
        "href", re.compile("/runs\\?workflow=confirmed-flow")
    )
    note.get_by_role("button", name="Go back to version 1").click()
    expect(note).to_contain_text("Version 1 is current again.")
    expect(editor.card("wait")).to_contain_text("30 minutes")
    assert owner.send("GET", "/v1/workflows/confirmed-flow")["version"] == 1
    go(editor.page, "/workflows/confirmed-flow")
    template = owner.send("GET", "/v1/templates/confirmed")
    assert template["uses"] == ["workflows/confirmed-flow"]
    go(editor.page, "/templates/confirmed?edit=yes")
    owner.send("PUT", "/v1/workflows/confirmed-flow/draft", {"values": {"steps": [WAIT]}, "base": 1})
    editor.page.get_by_role("button", name="Review and publish").click()
    expect(dialog).to_contain_text("The workflow confirmed-flow still has a draft that is not published.")


@pytest.mark.thorough
def test_publication_of_a_template_names_the_draft_that_uses_it_and_variables_that_runs_lack(
    open_console: Callable[..., Page], owner: Console
) -> None:
    schema = {"type": "object", "properties": {"client": {"type": "string"}}}
    step = {"key": "mail", "type": "email", "template": "future"}
    owner.send("PUT", "/v1/workflows/future-flow/draft", {"values": {"steps": [step], "data": schema}})
    text = {"email": {"subject": "Hi", "text": "https://acme.example/{{ data.id }}"}}
    owner.send("PUT", "/v1/templates/future/draft", {"values": text})
    page = open_console("/templates/future?edit=yes")
    page.get_by_role("button", name="Review and publish").click()
    dialog = page.get_by_role("dialog")
    lacking = dialog.locator("[data-effect=unknown_variable]")
    expect(lacking).to_contain_text("No data schema declares data.id.")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    note = page.get_by_role("region", name="Published")
    expect(note).to_contain_text("The workflow future-flow uses future once its draft is published.")
    note.get_by_role("link", name="Review it").click()
    page.get_by_role("button", name="Review and publish").click()
    expect(lacking).to_contain_text("future: No data schema declares data.id.")
    assert violations(page, within="dialog[open]") == []


@pytest.mark.thorough
def test_variable_that_the_last_run_lacked_gets_a_default_by_a_button(
    edit: Callable[..., Editor], owner: Console
) -> None:
    bell = {"key": "bell", "type": "inbox", "title": "Hi {{ data.client }}"}
    owner.send("PUT", "/v1/workflows/lacking-flow", {"steps": [bell]})
    owner.send("POST", "/v1/workflows/lacking-flow/trigger", {"to": "ann", "data": {}})
    editor = edit("lacking-flow")
    editor.step("bell").dblclick()
    inspector = editor.page.locator(".inspector")
    expect(inspector.locator(".field-warning")).to_contain_text("The last run of lacking-flow had no data.client")
    inspector.get_by_role("button", name="Insert default").click()
    expect(inspector.get_by_label("Title", exact=True)).to_have_value("Hi {{ data.client | default('') }}")
    expect(inspector.locator(".field-warning")).to_have_count(0)


@pytest.mark.thorough
def test_variables_of_texts_in_steps_are_checked_in_the_editor_and_before_publishing(
    edit: Callable[..., Editor], owner: Console
) -> None:
    schema = {"type": "object", "required": ["client"], "properties": {"client": {"type": "string"}}}
    draft = {"steps": [WAIT, {**MAIL, "text": "{{ data.client }} booked"}], "data": schema}
    owner.send("PUT", "/v1/workflows/checked-texts/draft", {"values": draft})
    editor = edit("checked-texts")
    page, unknown = editor.page, "No data schema declares data.clint. Do you mean data.client?"
    warnings = page.get_by_role("region", name="Warnings")
    editor.step("mail").dblclick()
    expect(warnings).to_have_count(0)
    subject = page.locator(".inspector").get_by_label("Subject", exact=True)
    subject.fill("Hi {{ data.clint }}")
    expect(page.locator(".inspector .field-warning")).to_have_text(unknown)
    expect(subject).to_have_accessible_description(unknown)
    triangle = re.compile("^M8 2.5 14.5 13.5h-13Z")
    expect(page.locator(".inspector .field-warning path")).to_have_attribute("d", triangle)
    editor.expect_saved()
    page.reload()
    number = page.get_by_role("button", name="1 warning", exact=True)
    expect(number).to_have_attribute("aria-expanded", "false")
    expect(warnings).to_have_count(0)
    number.click()
    warnings.get_by_role("button", name=f"mail, subject: {unknown}").click()
    expect(subject).to_be_focused()
    number.click()
    expect(warnings).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("button", name="Review and publish").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-effect=unknown_variable]")).to_have_text(f"mail, subject: {unknown}")
    dialog.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_role("region", name="Published")).to_be_visible()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "author", ["editor", pytest.param("other", marks=pytest.mark.thorough)]
)  # another operator's draft is read within 10 s
def test_way_back_after_a_publication_ends_with_the_next_draft(
    edit: Callable[..., Editor], owner: Console, author: str
) -> None:
    key = f"way-back-{author}"
    editor = edit(key, [WAIT])
    page = editor.page
    editor.step("wait").dblclick()
    page.locator(".inspector").get_by_label("For", exact=True).fill("45m")
    editor.expect_saved()
    editor.publish()
    back = page.get_by_role("button", name="Go back to version 1")
    expect(back).to_be_visible()
    page.get_by_role("button", name="YAML").click()
    if author == "editor":
        page.get_by_label("Definition as YAML").fill("steps:\n- {key: wait, type: delay, for: 50m}\n")
    else:
        owner.send("PUT", f"/v1/workflows/{key}/draft", {"values": {"steps": [{**WAIT, "for": "50m"}]}, "base": 2})
    expect(back).to_have_count(0, timeout=15_000)
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("for: 50m"))


def test_draft_is_published_with_its_changes_and_rolled_back(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("published-flow", BUILT)
    first = owner.send("POST", "/v1/workflows/published-flow/trigger", {"to": "alice"})["run"]
    editor.step("mail").focus()
    editor.type("Alt+ArrowUp")
    editor.expect_saved()
    editor.page.get_by_role("link", name="Back to the workflow").click()
    row = editor.page.get_by_role("listitem").filter(has_text="Draft")
    expect(row).to_contain_text("not published")
    row.get_by_role("link", name="Review").click()
    editor.page.get_by_role("button", name="Review and publish").click()
    dialog = editor.page.get_by_role("dialog")
    expect(dialog.locator("[data-change=moved]")).to_have_count(1)
    expect(dialog.locator("[data-effect=runs_keep_version]")).to_contain_text("1 current run keeps its version")
    dialog.get_by_label("Note").fill("E-mail first")
    assert violations(editor.page, within="dialog[open]") == []
    dialog.get_by_role("button", name="Publish", exact=True).click()
    expect(editor.save).to_have_text("Version 2")
    second = owner.send("POST", "/v1/workflows/published-flow/trigger", {"to": "alice"})["run"]
    assert [owner.send("GET", f"/v1/runs/{run}")["version"] for run in (first, second)] == [1, 2]
    versions = owner.send("GET", "/v1/workflows/published-flow/versions")["versions"]
    assert (versions[0]["by"], versions[0]["note"]) == ("olive@example.com", "E-mail first")
    editor.page.get_by_role("link", name="Back to the workflow").click()
    expect(editor.page.get_by_role("listitem").filter(has_text="Version 2")).to_contain_text("E-mail first")
    editor.page.go_back()
    owner.send("PATCH", "/v1/workflows/published-flow", {"version": 1})
    refused: list[str] = []
    editor.page.on("response", lambda one: refused.append(one.url) if one.status >= 400 else None)
    editor.page.reload()
    expect(editor.save).to_have_text("Version 1")
    assert refused == []  # there is no draft to request
    expect(editor.step("mail")).to_have_attribute("data-path", "steps.2")


@pytest.mark.thorough
def test_workflow_that_is_only_a_draft_is_in_the_list(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/workflows/unpublished/draft", {"values": {"steps": BUILT}})
    page = open_console("/workflows", viewport=DESKTOP)
    row = page.get_by_role("row").filter(has_text="unpublished")
    expect(row).to_contain_text("draft")
    row.get_by_role("link", name="unpublished").click()
    page.get_by_role("link", name="Open the draft").click()
    mail = page.get_by_role("tree", name="Steps").locator("[data-step=mail]")
    mail.click()
    # Its texts become a template, which other languages can follow.
    page.get_by_role("button", name="Template", exact=True).click()
    page.get_by_role("button", name="New template from this text").click()
    expect(page.locator("h1")).to_have_text("unpublished-mail")
    template = owner.send("GET", "/v1/templates/unpublished-mail/draft")["values"]
    assert template == {"email": {"subject": "New booking", "blocks": [{"type": "text", "text": "Hello"}]}}
    steps = owner.send("GET", "/v1/workflows/unpublished/draft")["values"]["steps"]
    assert steps[-1] == {"key": "mail", "type": "email", "template": "unpublished-mail"}
    page.get_by_role("button", name="Review and publish").click()
    page.get_by_role("dialog").get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("link", name="Back to the workflow unpublished").click()
    expect(page.get_by_role("link", name="Open the template")).to_have_attribute(
        "href", re.compile("edit=yes&workflow=unpublished&step=mail")
    )
    # The Overview does not count what the console asks for in vain.
    go(page, "/")
    expect(page.get_by_role("region", name="Needs attention")).to_contain_text("Server ready")
    expect(page.get_by_role("region", name="Needs attention")).not_to_contain_text("/v1/workflows")
