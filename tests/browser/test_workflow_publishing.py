"""The editor of workflows: drafts, conflicts, test runs, publishing, and versions with their runs."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import DESKTOP, THEMES, Console, go, run_state
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import BELL, BUILT, MAIL, WAIT, Editor
from tests.thoroughness import sampled


@pytest.mark.thorough
def test_two_editors_choose_between_their_changes(edit: Callable[..., Editor], owner: Console) -> None:
    mine = edit("contested", BUILT)
    for choice, expected in (("Keep mine", "5m"), ("Take theirs", "9m")):
        theirs = {"steps": [{**BELL, "title": "Theirs"}, {**WAIT, "for": "9m"}]}
        owner.send("PUT", "/v1/workflows/contested/draft", {"values": theirs, "base": 1})
        mine.step("wait").focus()
        mine.type("Enter")
        field = mine.page.locator(".inspector").get_by_label("For", exact=True)
        field.fill("5m" if choice == "Keep mine" else "6m")
        dialog = mine.page.get_by_role("dialog", name="Changed in the meantime")
        expect(dialog).to_contain_text("project secret saved this draft")
        dialog.get_by_role("button", name="Compare").click()
        expect(dialog.locator(".diff")).to_contain_text("for: 9m")
        expect(dialog).to_contain_text("Theirs (project secret, ")
        mine.page.set_viewport_size({"width": 1280, "height": 320})
        expect(dialog.get_by_role("button", name=choice)).to_be_in_viewport()
        dialog.get_by_role("button", name=choice).click()
        expect(dialog).to_have_count(0)
        mine.expect_saved()
        draft = owner.send("GET", "/v1/workflows/contested/draft")["values"]
        assert draft["steps"][1]["for"] == expected
        assert f"for: {expected}" in mine.yaml()


def test_conflict_with_another_tab_names_it_alike_everywhere(edit: Callable[..., Editor]) -> None:
    mine = edit("contested-alone", BUILT)
    steps = [BELL, {**WAIT, "for": "9m"}]
    save = """(body) => fetch('/v1/workflows/contested-alone/draft', {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    }).then(({ status }) => status)"""
    assert mine.page.evaluate(save, {"values": {"steps": steps}, "base": 1}) < 300
    mine.step("wait").focus()
    mine.type("Enter")
    mine.page.locator(".inspector").get_by_label("For", exact=True).fill("5m")
    dialog = mine.page.get_by_role("dialog", name="Changed in the meantime")
    expect(dialog).to_contain_text("Your other tab saved this draft")
    expect(mine.save).to_contain_text("Changed by your other tab")
    dialog.get_by_role("button", name="Compare").click()
    expect(dialog.locator(".compared")).to_contain_text("− Your other tab (")
    dialog.get_by_role("button", name="Take your other tab’s").click()
    expect(dialog).to_have_count(0)


def test_draft_that_is_undone_to_the_published_version_ends(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("undone-flow", BUILT)
    editor.step("wait").click()
    editor.page.locator(".inspector").get_by_label("For", exact=True).fill("5m")
    editor.expect_saved()
    assert owner.send("GET", "/v1/workflows/undone-flow")["draft"] is not None
    discard = editor.page.get_by_role("button", name="Discard")
    expect(discard).to_be_visible()
    editor.step("wait").click()
    editor.type("Control+z")
    expect(discard).to_have_count(0)
    assert owner.send("GET", "/v1/workflows/undone-flow")["draft"] is None
    editor.type("Control+Shift+z")
    editor.expect_saved()
    assert owner.send("GET", "/v1/workflows/undone-flow/draft")["values"]["steps"][1]["for"] == "5m"


@pytest.fixture
def leave(chromium: Browser, owner: Console) -> Iterator[Callable[[str], Editor]]:
    """Opens the editor of BUILT. The page asks before it is left; here the operator leaves anyway."""
    context = chromium.new_context(base_url=owner.server.url, storage_state=owner.state, viewport=DESKTOP)

    def open_editor(key: str) -> Editor:
        owner.send("PUT", f"/v1/workflows/{key}", {"steps": BUILT})
        editor = Editor(context.new_page(), key)
        editor.page.on("dialog", lambda dialog: dialog.accept())
        editor.page.goto(f"/console/workflows/{key}?edit=yes")
        return editor

    yield open_editor
    context.close()


def change_offline(editor: Editor, wait: str) -> None:
    """Change the step `wait` while the draft cannot be saved."""
    editor.page.route("**/draft", lambda route: route.abort() if route.request.method == "PUT" else route.fallback())
    editor.step("wait").dblclick()
    editor.page.locator(".inspector").get_by_label("For", exact=True).fill(wait)
    expect(editor.save).to_have_attribute("data-save", "offline")


@pytest.mark.thorough
def test_unsaved_draft_is_left_and_signed_out_from_only_after_a_question(leave: Callable[[str], Editor]) -> None:
    editor = leave("left-flow-2")
    page = editor.page
    change_offline(editor, "5m")
    with page.expect_event("dialog") as question:
        page.get_by_role("link", name="Back to the workflow").click()
    assert question.value.message.startswith("Leave this page?")
    expect(page.get_by_role("heading", level=1)).to_contain_text("left-flow-2")
    page.route("**/v1/session", lambda route: route.fulfill(status=204))
    with page.expect_event("dialog") as question:
        page.get_by_role("button", name="olive@example.com").click()
        page.get_by_role("button", name="Sign out").click()
    assert question.value.message.startswith("Sign out?")
    page.wait_for_function("sessionStorage.length === 0")


def test_unsaved_changes_replace_those_of_another_operator_only_on_purpose(
    leave: Callable[[str], Editor], owner: Console
) -> None:
    mine = leave("left-flow")
    draft = "/v1/workflows/left-flow/draft"
    change_offline(mine, "5m")
    owner.send("PUT", "/v1/workflows/left-flow", {"steps": [{**BELL, "title": "Theirs"}, WAIT]})
    mine.page.reload()
    expect(mine.card("wait")).to_contain_text("5 minutes")
    mine.page.unroute("**/draft")
    mine.expect_saved()
    assert owner.send("GET", draft)["base"] == 1  # publishing it asks for a comparison with version 2
    change_offline(mine, "6m")
    owner.send("PUT", draft, {"values": {"steps": [WAIT]}, "base": 2})
    for _ in range(2):
        mine.page.reload()
        dialog = mine.page.get_by_role("dialog", name="Changed in the meantime")
        expect(dialog).to_contain_text("project secret saved this draft")
        expect(mine.card("wait")).to_contain_text("6 minutes")
    assert owner.send("GET", draft)["values"] == {"steps": [WAIT]}
    mine.page.unroute("**/draft")
    dialog.get_by_role("button", name="Keep mine").click()
    mine.expect_saved()
    assert owner.send("GET", draft)["values"]["steps"][1]["for"] == "6m"


def test_refused_save_names_its_request_and_is_repeated(edit: Callable[..., Editor]) -> None:
    editor = edit("refused-flow", BUILT)
    refusal = {"status": 403, "json": {"title": "Not now."}, "headers": {"x-request-id": "r-17"}}
    editor.page.route("**/draft", lambda route: route.fulfill(**refusal))
    publish, view = (
        editor.page.get_by_role("button", name="Review and publish"),
        editor.page.get_by_role("group", name="View"),
    )
    expect(publish).to_be_disabled()
    expect(publish).to_have_accessible_description("Nothing has changed")
    place = view.bounding_box()
    editor.step("wait").focus()
    editor.type("d")
    expect(editor.save).to_have_text("Not saved: Not now. Request r-17")
    expect(publish).to_be_disabled()
    expect(publish).to_have_accessible_description("The draft is not saved")
    assert view.bounding_box() == place
    editor.page.unroute("**/draft")
    editor.page.get_by_role("button", name="Retry").click()
    editor.expect_saved()
    expect(publish).to_be_enabled()
    assert view.bounding_box() == place
    editor.page.set_viewport_size({"width": 820, "height": 900})
    assert editor.page.locator(".editor-bar").evaluate("bar => bar.offsetHeight") <= 53


COMMENTED = """
# Reminds of a booking

steps:
# First the bell
- type: inbox
  key: bell   # Its name
  title: "Room #7 # 8"
- {key: gate, type: branch, branches: [{if: {var: data.a, op: exists}, steps: [{key: end, type: stop}]}]} # Ways
- type: branch
  key: size
  branches:
  # Large bookings
  - if: {var: data.total, op: gte, value: 100}
    steps:
    - {key: wait, type: delay, for: 30m}
    #
    - key: mail
      type: email
      subject: New booking
      text: |
        # Hello
        # You
  # Small ones
  else: [{key: none, type: stop}]
"""


def test_comments_of_yaml_become_notes(edit: Callable[..., Editor], owner: Console) -> None:
    editor = edit("commented-flow", [WAIT])
    editor.page.get_by_role("button", name="YAML").click()
    expect(editor.page.get_by_text("Comments are not stored: notes of steps and of the workflow are.")).to_be_visible()
    editor.page.get_by_label("Definition as YAML").fill(COMMENTED)
    expect(editor.page.get_by_role("note")).to_contain_text("6 comments will not be stored")
    assert violations(editor.page) == []
    editor.page.get_by_role("button", name="Canvas", exact=True).click()
    expect(editor.page.get_by_role("note")).to_contain_text("The first change here removes them.")
    assert violations(editor.page) == []
    editor.page.get_by_role("button", name="Show the text").click()
    editor.page.get_by_role("button", name="Make notes").click()
    editor.expect_saved()
    expect(editor.page.get_by_role("note")).to_have_count(0)
    values = owner.send("GET", "/v1/workflows/commented-flow/draft")["values"]
    bell, gate, size = values["steps"]
    assert [one.get("note") for one in (values, bell, gate, size)] == [
        "Reminds of a booking", "First the bell\nIts name", "Ways", "Large bookings\nSmall ones",
    ]  # fmt: skip
    assert str(values).count("'note'") == 4


def test_comment_longer_than_a_note_is_kept_as_a_note_with_a_problem(
    edit: Callable[..., Editor], owner: Console
) -> None:
    editor = edit("long-comment", [WAIT])
    editor.page.get_by_role("button", name="YAML").click()
    words = "Reminds of a booking. " * 30
    editor.page.get_by_label("Definition as YAML").fill(f"# {words}\nsteps:\n- {{key: wait, type: delay, for: 5m}}\n")
    editor.page.get_by_role("button", name="Make notes").click()
    editor.expect_saved()
    draft = owner.send("GET", "/v1/workflows/long-comment/draft")
    assert draft["values"]["note"] == words.strip()
    assert [one["field"] for one in draft["errors"]] == ["note"]
    expect(editor.page.get_by_role("alert")).to_contain_text("note")


def test_yaml_with_errors_is_saved_and_not_published(leave: Callable[[str], Editor], owner: Console) -> None:
    editor = leave("wrong-yaml")
    page = editor.page
    publish = page.get_by_role("button", name="Review and publish")
    text = page.get_by_label("Definition as YAML")

    def stored() -> Any:
        return owner.send("GET", "/v1/workflows/wrong-yaml/draft")["values"]["steps"]

    page.get_by_role("button", name="YAML").click()
    text.fill("--- \n# Waits\nsteps:\n- {key: wait, type: delay, for: soon}\n- text\n")
    editor.expect_saved()
    assert stored() == [{**WAIT, "for": "soon"}, "text"]
    expect(page.locator(".gutter mark")).to_have_text(["4", "5"])
    expect(text).to_have_value(re.compile("# Waits"))
    expect(publish).to_be_disabled()
    page.get_by_role("button", name="Canvas").click()
    expect(editor.step("wait")).to_have_attribute("data-problems", "1")
    page.get_by_role("button", name="YAML").click()
    text.fill(f"steps: [{json.dumps(BELL)}]")
    editor.expect_saved()
    expect(publish).to_be_enabled()
    text.fill("steps:\n- {{ no }}\n")
    expect(editor.save).to_have_attribute("data-save", "refused")
    expect(editor.save).to_have_text("Not saved: line 2")
    page.reload()
    expect(text).to_have_value("steps:\n- {{ no }}\n")
    expect(editor.save).to_have_text("Not saved: line 2")
    expect(publish).to_be_disabled()
    page.get_by_role("button", name="Canvas").click()
    editor.step("bell").focus()
    editor.type("Delete", "Control+z")
    expect(page.get_by_role("note")).to_contain_text("The YAML is not read (line 2)")
    assert violations(page) == []
    page.get_by_role("button", name="Correct the text").click()
    with page.expect_event("dialog"):
        page.reload()
    assert stored() == [BELL]
    text.fill("steps:\n- {key: wait, type: delay, for: 30m}\n")
    editor.expect_saved()
    expect(publish).to_be_enabled()
    assert stored() == [WAIT]


@pytest.mark.thorough
def test_nothing_is_lost_while_the_server_is_stopped(leave: Callable[[str], Editor], owner: Console) -> None:
    editor = leave("offline-flow")
    editor.step("wait").focus()
    editor.type("Enter")
    field = editor.page.locator(".inspector").get_by_label("For", exact=True)
    with owner.server.killed():
        field.fill("45m")
        expect(editor.save).to_have_attribute("data-save", "offline")
    editor.page.reload()
    expect(editor.card("wait")).to_contain_text("45 minutes")
    editor.expect_saved()
    assert owner.send("GET", "/v1/workflows/offline-flow/draft")["values"]["steps"][1]["for"] == "45m"


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
    assert violations(editor.page) == []
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
    assert violations(page) == []


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
    assert violations(editor.page) == []
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
    page.wait_for_function(f"({OFFSET})() < 1")


def test_result_says_what_was_not_sent_and_stays_when_the_draft_is_published(
    edit: Callable[..., Editor], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/noel", {"name": "Noel"})
    editor = edit("kept-test", BUILT)
    page, panel = editor.page, editor.page.get_by_role("complementary", name="Test")
    editor.step("wait").dblclick()
    page.locator(".inspector").get_by_label("For", exact=True).fill("75m")
    editor.expect_saved()
    page.get_by_role("button", name="Test", exact=True).click()
    panel.get_by_label("Recipients", exact=True).fill("noel")
    panel.get_by_role("button", name="Run the test").click()
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
    expect(panel.get_by_role("alert")).to_have_text("Name at least one recipient.")
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
