"""The editor of workflows saves drafts: conflicts, unsaved changes, YAML with comments or errors."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.console import DESKTOP, Console
from tests.browser.shop import wait_page
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import BELL, BUILT, WAIT, Editor


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


@pytest.mark.thorough
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
    for _ in range(3):  # Chromium ignores `preventDefault` of the second request to close
        mine.page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Compare").click()
    expect(dialog.locator(".compared")).to_contain_text("− Your other tab (")
    dialog.get_by_role("button", name="Take your other tab’s").click()
    expect(dialog).to_have_count(0)


@pytest.mark.thorough
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
        page.get_by_role("button", name="Sign out", exact=True).click()
    assert question.value.message.startswith("Sign out?")
    wait_page(page, "sessionStorage.length === 0")


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
    assert violations(editor.page, within="[role=note]") == []
    editor.page.get_by_role("button", name="Canvas", exact=True).click()
    expect(editor.page.get_by_role("note")).to_contain_text("The first change here removes them.")
    assert violations(editor.page, within="[role=note]") == []
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


@pytest.mark.thorough
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
    assert violations(page, within="[role=note]") == []
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
