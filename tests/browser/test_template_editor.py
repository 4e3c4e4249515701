"""An e-mail is designed in the console: blocks, two languages, and a preview that follows each change."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import DESKTOP, HOSTILE, Console, check_looks, excess_width, state_of_operator
from tests.browser.shop import PHONE
from tests.browser.template_editor import (
    BLOCKS,
    COLUMNS,
    HEADING,
    TEXT,
    block,
    place,
    publish,
    published,
    saved,
    unbroken,
)
from tests.browser.test_accessibility import violations

from bellcast.console.pages import console as pages

FILES = Path(pages.__file__).parent / "files"
HIT = "top.hit = 1"


def test_email_is_changed_in_two_languages_and_the_preview_follows(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1440, "height": 900})
    frame = page.frame_locator("iframe[name=template-preview]")
    expect(frame.get_by_role("heading", name="See you, Ann Lind")).to_be_visible()
    block(page, 0).get_by_role("textbox", name="Heading").fill("Welcome, {{ data.client }}")
    expect(frame.get_by_role("heading", name="Welcome, Ann Lind")).to_be_visible()
    page.get_by_role("button", name="Side by side").click()
    german = page.get_by_role("region", name="E-mail, German")
    german.get_by_role("textbox", name="Heading").fill("Willkommen")
    assert violations(page) == []
    page.get_by_role("button", name="Side by side").click()
    expect(page.locator(".mail-frame iframe")).to_have_attribute("style", re.compile("zoom"))  # as wide as its place
    page.get_by_role("button", name="Side by side").click()
    assert published(owner)["email"] == designed["email"]
    publish(page)
    values = published(owner)
    assert values["version"] == designed["version"] + 1
    assert values["email"]["blocks"] == [{**HEADING, "text": "Welcome, {{ data.client }}"}, *BLOCKS[1:]]
    assert values["translations"]["de"]["email"]["blocks"][0]["text"] == "Willkommen"
    assert values["inbox"] == designed["inbox"]


@pytest.mark.thorough
def test_twenty_changes_are_undone_and_redone(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    for _ in range(10):
        block(page, 1).get_by_role("textbox", name="Text").press("Alt+ArrowUp")
        expect(block(page, 0).get_by_role("textbox", name="Text")).to_be_visible()
        block(page, 0).get_by_role("textbox", name="Text").press("Alt+ArrowDown")
        expect(block(page, 0).get_by_role("textbox", name="Heading")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Control+z")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    expect(page.get_by_role("button", name="Review and publish")).to_be_disabled()
    page.keyboard.press("Control+y")
    expect(page.get_by_role("button", name="Review and publish")).to_be_enabled()
    expect(block(page, 0).get_by_role("textbox", name="Text")).to_have_value(unbroken(str(TEXT["text"])))


@pytest.mark.thorough
def test_problem_of_a_block_is_shown_at_its_field(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    field = block(page, 1).get_by_role("textbox", name="Text")
    field.fill("{{ dota.x }}")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(block(page, 1)).to_have_attribute("data-problems", "")
    expect(page.get_by_role("status", name="Problems")).to_contain_text("unknown variable 'dota'")
    expect(page.get_by_role("button", name="Review and publish")).to_be_disabled()
    assert saved(page, owner)["email"]["blocks"][1]["text"] == "{{ dota.x }}"
    assert published(owner)["email"] == designed["email"]
    field.fill("{{ data.x }}")
    expect(field).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.thorough
def test_editor_fits_and_is_accessible_in_each_look(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes&locale=de", color_scheme="dark")
    place(page, "blocks.0").press("F2")
    expect(page.get_by_label("Key", exact=True)).to_have_value("title")
    check_looks(page, "editor")
    # A zoom of 200 % halves the width in CSS pixels.
    page.set_viewport_size({"width": DESKTOP["width"] // 2, "height": DESKTOP["height"] // 2})
    assert excess_width(page) == 0
    assert violations(page) == []
    page.emulate_media(forced_colors="active")
    pressed, other = (
        page.get_by_role("tab", name=name, exact=True).evaluate("tab => getComputedStyle(tab).outlineStyle")
        for name in ("de", "Default")
    )
    assert (pressed, other) == ("solid", "none")
    name = place(page, "blocks.0")
    name.focus()
    assert name.evaluate("name => getComputedStyle(name).outlineStyle") == "solid"


@pytest.mark.thorough
def test_checks_stop_a_publication_and_lead_to_the_block(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    expect(page.get_by_role("button", name=re.compile("^Checks: "))).to_be_visible()
    columns = block(page, BLOCKS.index(COLUMNS))
    source = columns.get_by_role("textbox", name="HTML")
    source.fill("<img src='data:,'>")
    checks = page.locator(".checks.error")
    expect(checks).to_be_visible()
    expect(page.get_by_role("button", name="Review and publish")).to_be_disabled()
    page.get_by_role("tab", name="SMS").click()
    checks.click()
    errors = page.get_by_role("region", name="Stops the publication")
    expect(errors).to_contain_text("has no description: add alt")
    assert violations(page) == []
    errors.get_by_role("button").first.click()
    expect(columns.locator(":focus")).to_have_count(1)
    source.fill("<img alt='' src='data:,'>")
    expect(page.locator(".checks:not(.error)")).to_be_visible()
    expect(page.get_by_role("button", name="Review and publish")).to_be_enabled()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("choice", "text"), [("Take theirs", "Theirs"), pytest.param("Keep mine", "Mine", marks=pytest.mark.thorough)]
)
def test_two_editors_of_a_template_choose_whose_text_stays(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any], choice: str, text: str
) -> None:
    page = open_console("/templates/designed?edit=yes")
    expect(page.get_by_label("Subject")).to_have_value("Booking")
    theirs = {"values": {"email": {"subject": "Theirs", "blocks": BLOCKS}}, "base": designed["version"]}
    owner.send("PUT", "/v1/templates/designed/draft", theirs)
    page.get_by_label("Subject").fill("Mine")
    dialog = page.get_by_role("dialog", name="Changed in the meantime")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "conflict")
    dialog.get_by_role("button", name="Compare").click()
    expect(dialog.locator(".change-list")).to_contain_text("subject")
    dialog.get_by_role("button", name=choice).click()
    expect(page.get_by_label("Subject")).to_have_value(text)
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    assert saved(page, owner)["email"]["subject"] == text


@pytest.mark.thorough
def test_text_typed_while_the_server_is_stopped_survives_a_reload(
    owner: Console, chromium: Browser, designed: dict[str, Any]
) -> None:
    context = chromium.new_context(base_url=owner.server.url, storage_state=owner.state, viewport=DESKTOP)
    page = context.new_page()
    # The page asks before it is left. Here the operator leaves anyway.
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/console/templates/designed?edit=yes")
    expect(page.get_by_label("Subject")).to_have_value("Booking")
    with owner.server.killed():
        page.get_by_label("Subject").fill("Not saved yet")
        expect(page.locator("[data-save]")).to_have_attribute("data-save", "offline")
    page.reload()
    expect(page.get_by_label("Subject")).to_have_value("Not saved yet")
    assert saved(page, owner)["email"]["subject"] == "Not saved yet"
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.get_by_label("Subject")).to_have_value("Booking")
    context.close()


def test_changes_kept_by_an_earlier_build_are_continued(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/account")
    me = page.evaluate("fetch('/v1/me').then((response) => response.json())")
    values = {"email": {"subject": "Kept", "blocks": BLOCKS}}
    page.evaluate(
        """([name, values]) => {
            sessionStorage.setItem(name, JSON.stringify({ values, base: 1 }));
            sessionStorage.setItem(`${name} text`, 'steps: []');
        }""",
        [f"draft {me['id']} templates/designed ", values],
    )
    page.goto("/console/templates/designed?edit=yes")
    expect(page.get_by_label("Subject")).to_have_value("Kept")
    assert saved(page, owner) == values
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('draft '))") == []


def test_escape_does_not_leave_the_editor(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    subject = page.get_by_label("Subject")
    expect(subject).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    subject.fill("Still here")
    assert saved(page, owner)["email"]["subject"] == "Still here"


def test_language_is_a_tag_and_is_removed_with_its_last_texts(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_role("button", name="Add a language").click()
    field = page.get_by_label("Language", exact=True).and_(page.locator("input"))
    field.fill("Swedish")
    field.press("Enter")
    assert not field.evaluate("(field) => field.checkValidity()")
    field.fill("sv")
    field.press("Enter")
    tab = page.get_by_role("tab", name="sv", exact=True)
    expect(tab).to_be_visible()
    while tab.count():
        page.get_by_role("button", name=re.compile("^Remove .*Swedish")).click()
        if page.get_by_role("button", name=re.compile("^Remove .*Swedish")).count() == 0 and tab.count():
            page.get_by_role("tablist", name="Channel").get_by_role("tab").first.click()
    assert "sv" not in saved(page, owner).get("translations", {})


def test_publication_shows_what_changes_and_an_earlier_version_is_made_current(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_label("Subject").fill("Your booking")
    block(page, 0).get_by_role("textbox", name="Heading").press("Alt+ArrowDown")
    page.get_by_role("tab", name="de", exact=True).click()
    page.get_by_role("button", name="Remove German").click()
    page.get_by_role("button", name="Review and publish").click()
    dialog = page.get_by_role("dialog")
    changed = dialog.locator("[data-change=changed]", has_text="subject")
    expect(changed.locator("del")).to_have_text("Booking")
    expect(changed.locator("ins")).to_have_text("Your booking")
    assert violations(page) == []
    expect(dialog.locator("[data-change=moved]")).to_contain_text("title")
    expect(dialog.locator("[data-change=removed]")).to_contain_text("E-mail, German")
    dialog.get_by_label("Note").fill("Shorter")
    dialog.get_by_role("button", name="Publish").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("link", name="Back to the template").click()
    row = page.locator(".rows-of li", has_text=f"Version {designed['version'] + 1}")
    expect(row).to_contain_text("Shorter")
    page.get_by_role("button", name=f"Make current: version {designed['version']}", exact=True).click()
    page.get_by_role("button", name=f"Make current: version {designed['version']}", exact=True).click()
    expect(page.locator(".rows-of li").filter(has=page.locator(".state.ok"))).to_contain_text(
        f"Version {designed['version']}"
    )
    assert published(owner)["email"] == designed["email"]


@pytest.mark.thorough
def test_blocks_are_edited_as_yaml_and_converted_to_html_once(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes&view=yaml")
    text = page.get_by_label("Definition as YAML")
    expect(text).to_have_value(re.compile("See you"))
    text.fill(text.input_value().replace("See you", "Welcome"))
    page.get_by_role("button", name="Design").click()
    expect(block(page, 0).get_by_role("textbox", name="Heading")).to_have_value("Welcome, {{ data.client }}")
    page.get_by_role("button", name="HTML", exact=True).click()
    expect(page.locator("pre.compiled")).to_contain_text("Welcome, {{ data.client }}")
    expect(page.locator("pre.compiled")).not_to_contain_text("if mso")
    page.get_by_label("Outlook parts").check()
    expect(page.locator("pre.compiled")).to_contain_text("if mso")
    assert violations(page) == []
    page.get_by_role("button", name="Edit as HTML…").click()
    dialog = page.get_by_role("dialog", name="Edit as HTML?")
    expect(dialog).to_contain_text("The 5 blocks of this e-mail")
    dialog.get_by_role("button", name="Edit as HTML").click()
    expect(page.get_by_role("textbox", name="HTML")).to_have_value(re.compile("Welcome"))
    email = saved(page, owner)["email"]
    assert "blocks" not in email
    assert "Welcome" in email["html"]


@pytest.mark.thorough
def test_language_is_added_with_the_texts_of_the_default_language(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_role("button", name="Add a language").click()
    page.get_by_role("textbox", name="Language").fill("fr")
    page.get_by_role("button", name="Add", exact=True).click()
    french = page.get_by_role("region", name="E-mail, French")
    expect(french.get_by_label("Subject")).to_be_focused()
    french.get_by_label("Subject").fill("Réservation")
    email = {"subject": "Réservation", "blocks": designed["email"]["blocks"]}
    assert saved(page, owner)["translations"]["fr"]["email"] == email


def test_tab_of_a_language_has_the_number_of_its_missing_texts(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes&locale=de")
    german = page.get_by_role("tab", name="de", exact=True)
    # The title of the inbox, and of the e-mail all but the subject and the heading.
    expect(german).to_have_attribute("title", "German, 6 texts missing")
    page.get_by_role("tab", name="Inbox").click()
    page.get_by_role("button", name="Translate it").click()
    expect(german).to_have_attribute("title", "German, 5 texts missing")
    page.get_by_role("textbox", name="Title").fill("")
    expect(german).to_have_attribute("title", "German, 6 texts missing")


def test_variable_is_completed_while_it_is_typed(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    heading = block(page, 0).get_by_role("textbox", name="Heading")
    heading.fill("")
    page.keyboard.type("Hello {{ da")
    variables = page.get_by_role("listbox", name="Variables")
    expect(variables.get_by_role("option", selected=True)).to_have_count(1)
    assert violations(page) == []
    page.keyboard.type("ta.cl")
    expect(variables.get_by_role("option")).to_have_text(["data.clientAnn Lind"])
    page.keyboard.press("Enter")
    expect(heading).to_have_value("Hello {{ data.client }}")
    page.keyboard.type("! {{ rec")
    expect(variables.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(heading).to_have_value("Hello {{ data.client }}! {{ recipient.key }}")
    page.keyboard.type(" {{ d")
    expect(variables).to_be_visible()
    page.keyboard.press("Escape")
    expect(variables).to_have_count(0)
    expect(heading).to_be_focused()
    page.keyboard.type("a")
    expect(variables).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(variables).to_have_count(0)  # it would complete another text than the one before the cursor


@pytest.mark.thorough
def test_earlier_version_is_looked_at_in_the_history(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    changed = {"email": {"subject": "Other", "blocks": [TEXT]}, "inbox": {"title": "Other"}}
    owner.send("PUT", "/v1/templates/designed", changed)
    page = open_console("/templates/designed", viewport={"width": 1280, "height": 900})
    page.get_by_role("button", name=f"Look at version {designed['version']}", exact=True).click()
    shown = page.get_by_role("region", name=f"As recipients saw version {designed['version']}")
    frame = shown.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="See you, Ann Lind")).to_be_visible()
    expect(shown.get_by_text("Booking", exact=True)).to_be_visible()
    shown.get_by_role("button", name="Inbox").click()
    expect(shown.locator(".device")).to_contain_text("Booked")
    assert violations(page) == []


@pytest.mark.thorough
def test_import_shows_what_it_removes_fills_the_draft_and_runs_nothing(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any], tmp_path: Path
) -> None:
    page = open_console("/templates/designed?edit=yes&locale=de")
    page.get_by_role("button", name="Import", exact=True).click()
    dialog = page.get_by_role("dialog", name="Import an e-mail")
    dialog.get_by_label("Or paste it").fill("<mjml><mj-body></mjml>")
    dialog.get_by_role("button", name="Read").click()
    expect(dialog.get_by_role("alert")).to_contain_text("closes no element")
    hostile = HOSTILE.replace("src=x", "src='data:,'")
    file = tmp_path / "mail.html"
    file.write_text(
        f"<title>Hello</title><p>Kept</p><script>{HIT}</script><img src='data:,' onerror='{HIT}' alt=''>{hostile}"
    )
    dialog.get_by_label("File").set_input_files(file)
    expect(dialog.get_by_role("list", name="Findings")).to_contain_text("<script> was removed")
    assert violations(page) == []
    dialog.get_by_role("button", name="Use this e-mail").click()
    expect(dialog).to_have_count(0)
    frame = page.frame_locator("iframe[name=template-preview]")
    expect(frame.get_by_text("Kept")).to_be_visible()
    email = saved(page, owner)["translations"]["de"]["email"]
    assert (email["subject"], email["layout"]) == ("Hello", None)
    assert "script" not in email["html"]
    assert page.evaluate("window.hit") is None
    page.keyboard.press("Control+z")
    assert saved(page, owner)["translations"]["de"]["email"]["blocks"]


def test_hostile_texts_in_blocks_and_drafts_run_nothing(owner: Console, open_console: Callable[..., Page]) -> None:
    hostile = HOSTILE.partition("${")[0]
    blocks = [
        {"type": "text", "text": hostile, "key": hostile},
        {"type": "button", "text": hostile, "url": "javascript:alert(1)"},
        {"type": "image", "src": "javascript:alert(1)", "alt": hostile},
        {"type": "html", "html": hostile},
    ]
    values = {
        "email": {"subject": hostile, "blocks": blocks},
        "push": {"title": hostile, "body": hostile},
        "translations": {hostile: {"sms": {"text": hostile}}},
    }
    written = [{"type": "text", "text": hostile}, {"type": "button", "text": hostile, "url": "{{ data.url }}"}]
    owner.send("PUT", "/v1/templates/hostile", {"email": {"subject": hostile, "blocks": written}})
    owner.send("PUT", "/v1/templates/hostile/draft", {"values": values, "base": 1})
    page = open_console("/templates/hostile?edit=yes", viewport=PHONE)
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    expect(page.get_by_role("status", name="Problems")).to_be_visible()
    assert violations(page) == []
    for view in ("YAML", "HTML"):
        page.get_by_role("button", name=view, exact=True).click()
        expect(page.get_by_role("button", name=view, exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Design").click()
    expect(page.frame_locator("iframe[name=template-preview]").locator("body")).to_contain_text("<img src=x")
    assert violations(page) == []


def test_tools_of_a_block_are_shown_for_the_pointer_and_the_keyboard(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1280, "height": 800})
    tools = block(page, 1).locator(".block-tools").first
    expect(tools).to_have_css("opacity", "0")
    block(page, 1).hover()
    expect(tools).to_have_css("opacity", "1")
    page.mouse.move(0, 0)
    place(page, "blocks.1").focus()
    expect(tools).to_have_css("opacity", "1")
    page.keyboard.press("Tab")
    expect(tools.locator(":focus")).to_have_count(1)
    # A screen that is touched has no pointer.
    touch = page.evaluate(
        "[...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule.cssText.includes('.block-tools { opacity: 0'))"
        ".map((rule) => rule.conditionText)"
    )
    assert touch == ["(hover: hover)"]
    page.locator(".block-menu").last.click()
    assert (
        page.evaluate(
            "document.documentElement.scrollHeight - Math.max(innerHeight, document.querySelector('.frame').offsetHeight)"
        )
        == 0
    )
    assert page.evaluate("Math.round(document.querySelector('.side').getBoundingClientRect().top)") == 0


def test_token_of_a_text_stays_on_its_line_and_is_stored_as_it_is_written(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    field = block(page, 1).get_by_role("textbox", name="Text")
    field.fill("")
    page.keyboard.type("At {{ data.when | time }} or later")
    expect(field).to_have_value(unbroken("At {{ data.when | time }} or later"))
    page.keyboard.press("Home")
    page.keyboard.type("{{ tenant.name }}: ")
    expect(field).to_have_value(unbroken("{{ tenant.name }}: At {{ data.when | time }} or later"))
    assert saved(page, owner)["email"]["blocks"][1]["text"] == "{{ tenant.name }}: At {{ data.when | time }} or later"


def test_blocks_that_a_translation_lacks_are_named_and_copied_to_their_places(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes&locale=de")
    missing = page.locator(".not-translated")
    expect(missing).to_contain_text("Not in German: Text, List, Columns, Button")
    assert violations(page) == []
    missing.get_by_role("button", name="Copy").click()
    expect(missing).to_have_count(0)
    blocks = saved(page, owner)["translations"]["de"]["email"]["blocks"]
    assert blocks == [{**HEADING, "text": "Bis bald"}, *BLOCKS[1:]]
    page.get_by_role("tab", name="Default", exact=True).click()
    expect(missing).to_have_count(0)


def test_dark_preview_says_that_a_card_with_colors_of_its_own_stays_light(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/colored", {"email": {"subject": "x", "html": "<p style='color:#444444'>Hi</p>"}})
    page = open_console("/templates/colored?edit=yes")
    card = page.frame_locator("iframe").locator(".bc-card")
    expect(card).to_contain_text("Hi")
    note = page.get_by_text("so its card stays light")
    expect(note).to_have_count(0)
    page.get_by_role("group", name="Color scheme").get_by_role("button", name="Dark").click()
    expect(note).to_be_visible()
    expect(card).to_have_css("background-color", "rgb(255, 255, 255)")


def test_draft_with_a_number_as_its_text_opens(owner: Console, open_console: Callable[..., Page]) -> None:
    owner.send("PUT", "/v1/templates/numbered", {"sms": {"text": "Hi"}})
    owner.send("PUT", "/v1/templates/numbered/draft", {"values": {"sms": {"text": 2024}}, "base": 1})
    page = open_console("/templates/numbered?edit=yes&channel=sms")
    expect(page.get_by_role("textbox", name="Text", exact=True)).to_have_value("2024")


def test_warning_about_an_optional_variable_inserts_a_default(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/optional", {"sms": {"text": "Total {{ data.total | money('EUR') }}"}})
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    owner.send("PUT", "/v1/types/optional", {"template": "optional", "data": schema})
    page = open_console("/templates/optional?edit=yes")
    page.get_by_role("button", name="Checks: 1 found").click()
    page.get_by_role("region", name="Warnings").get_by_role("button", name="Insert default").click()
    expect(page.get_by_role("button", name="Checks: nothing found")).to_be_visible()
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    draft = owner.send("GET", "/v1/templates/optional/draft")["values"]
    assert draft["sms"]["text"] == "Total {{ data.total | default(0) | money('EUR') }}"


def test_channel_without_texts_says_what_it_needs_and_one_with_texts_is_shown_on_its_device(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1280, "height": 800})
    page.get_by_role("tab", name="SMS").click()
    expect(page.get_by_text("No text message.")).to_be_visible()
    expect(page.get_by_role("complementary", name="Preview")).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("button", name="Add SMS").click()
    expect(page.locator(".bubble")).to_have_text("Text")
    page.get_by_role("tab", name="Inbox").click()
    bell = page.locator(".device.bell")
    expect(bell).to_contain_text("Notifications")
    expect(bell.locator(".bell-item b")).to_have_text("Booked")
    assert violations(page) == []


def test_templates_name_their_variables_and_what_uses_them_in_words(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/listed", {"inbox": {"title": "For {{ data.guest.client | upper }}"}})
    owner.send("PUT", "/v1/tenants/acme-listed", {"name": "Acme"})
    owner.send("PUT", "/v1/types/listed?tenant=acme-listed", {"template": "listed"})
    page = open_console("/templates")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="listed", exact=True))
    expect(row.locator(".preview")).to_have_text("For client")
    expect(row).to_contain_text("default")
    expect(row).to_contain_text("type listed (acme-listed)")
    row.locator(".row-link").click()
    expect(page.locator(".heading")).to_contain_text("used by the type listed (acme-listed)")


def test_test_message_suggests_the_recipients_of_the_last_sends(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/suggested", {"email": {"subject": "x", "text": "Hello {{ data.client }}"}})
    owner.send("PUT", "/v1/types/suggested", {"template": "suggested"})
    for to in ("alice", "eve@example.com"):
        owner.send(
            "POST", "/v1/notifications", {"to": to, "type": "suggested", "title": "x", "data": {"client": "Eve"}}
        )
    page = open_console("/templates/suggested")
    expect(page.frame_locator("iframe").get_by_text("Hello Ann Lind")).to_be_visible()
    options = page.locator("#template-recipients option")
    assert options.evaluate_all("options => options.map((one) => one.value)") == ["alice"]
    assert page.get_by_label("To recipient").get_attribute("list") == "template-recipients"
    assert violations(page) == []


def test_preview_of_a_template_without_sends_has_the_examples_of_its_schema(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    texts = {
        "subject": "Hello {{ recipient.name }}",
        "text": "{{ data.client }} pays {{ data.total }} {{ data.currency }}",
    }
    owner.send("PUT", "/v1/templates/unsent", {"email": texts})
    schema = {"type": "object", "properties": {"client": {"type": "string", "examples": ["Grace Hopper"]}}}
    owner.send("PUT", "/v1/types/unsent", {"template": "unsent", "data": schema})
    page = open_console("/templates/unsent")
    expect(page.frame_locator("iframe").locator("body")).to_contain_text("Grace Hopper pays 49 EUR")
    expect(page.get_by_text("Hello Ann")).to_be_visible()
    expect(page.get_by_text("Without a value")).to_have_count(0)


@pytest.mark.thorough
def test_preview_shows_a_phone_a_dark_scheme_push_and_the_masked_data_of_a_send(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    texts = {
        "push": {"title": "Booked", "body": "{{ data.client }} " + "x" * 200},
        "sms": {"text": "{{ data.client }} ż"},
    }
    owner.send("PUT", "/v1/templates/previewed", {**texts, "email": {"subject": "Booking", "blocks": BLOCKS}})
    owner.send("PUT", "/v1/types/previewed", {"template": "previewed"})
    data = {"client": "Rosalind Franklin", "when": "2030-06-10T12:00:00Z", "items": [], "id": 7}
    owner.send("POST", "/v1/notifications", {"to": "alice", "type": "previewed", "title": "x", "data": data})
    page = open_console("/templates/previewed?edit=yes", viewport={"width": 1440, "height": 900})
    answers: list[str] = []
    page.on("response", lambda response: answers.append(response.text()) if "/preview" in response.url else None)
    frame = page.locator("iframe[name=template-preview]")
    expect(page.frame_locator("iframe").get_by_role("heading", name="See you, Ann Lind")).to_be_visible()
    page.get_by_role("button", name="Phone").click()
    assert frame.evaluate("frame => frame.clientWidth") == 375
    page.get_by_role("button", name="Desktop").click()
    assert frame.evaluate("frame => frame.clientWidth") == 700
    with page.expect_request(lambda request: "/html?" in request.url) as shown:
        page.get_by_role("group", name="Color scheme").get_by_role("button", name="Dark").click()
    assert "scheme=dark" in shown.value.url
    card = page.frame_locator("iframe").locator(".bc-card")
    expect(card).to_have_css("background-color", "rgb(31, 35, 41)")
    expect(card.get_by_role("heading").locator("..")).to_have_css("color", "rgb(231, 233, 238)")
    assert "images=off" in shown.value.url
    note = page.get_by_text("Data of the preview")
    expect(note).to_contain_text("of the send to alice")
    expect(note).to_contain_text("with invented names")
    note.click()
    expect(page.get_by_label("Data as JSON")).to_have_value(re.compile("Ann Lind"))
    page.get_by_label("Data", exact=True).select_option("An example")
    expect(page.frame_locator("iframe").get_by_role("heading", name="See you, Ann Lind")).to_be_visible()
    page.get_by_label("Data", exact=True).select_option(index=1)
    expect(page.frame_locator("iframe").get_by_role("heading", name="See you, Ann Lind")).to_be_visible()
    page.get_by_role("tab", name="Push").click()
    expect(page.locator(".push")).to_contain_text("Ann Lind")
    expect(page.get_by_text("Phones cut the text at about 178")).to_be_visible()
    page.get_by_role("tab", name="SMS").click()
    expect(page.get_by_text("1 segment, because of characters outside of the GSM alphabet")).to_be_visible()
    assert violations(page) == []
    assert "Rosalind" not in page.content() + "".join(answers)


@pytest.mark.thorough
def test_author_confirms_an_email_in_the_editor_and_gets_a_test(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1440, "height": 900})
    block(page, 0).get_by_role("textbox", name="Heading").fill("Draft for {{ data.client }}")
    page.get_by_role("button", name="Send me a test").click()
    dialog = page.get_by_role("dialog", name="Where to?")
    dialog.get_by_label("Address").fill("olive@example.com")
    assert violations(page) == []
    dialog.get_by_role("button", name="Send a code").click()
    expect(dialog.get_by_role("status")).to_contain_text("No provider delivers e-mail here")
    expect(dialog.get_by_label("Code")).to_have_value(re.compile(r"^\d{6}$"))
    dialog.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Simulated: no e-mail provider is set up.", exact=True)).to_be_visible()
    expect(dialog).to_have_count(0)
    (sent,) = owner.send("GET", "/v1/messages?recipient=operator:olive@example.com&limit=1")["messages"]
    content = owner.send("GET", f"/v1/messages/{sent['id']}")["content"]
    assert content["subject"] == "[Test] Booking"
    assert "Draft for Ann Lind" in content["html"]
    assert saved(page, owner)
    page.goto("/console/account")
    card = page.get_by_role("region", name="E-mail").or_(page.locator(".panel", has_text="E-mail")).first
    expect(card).to_contain_text("olive@example.com")
    card.get_by_role("button", name="Remove the e-mail").click()
    card.get_by_role("button", name="Remove the e-mail").click()
    expect(card.get_by_label("Address")).to_be_visible()
    assert violations(page) == []


def test_brand_of_the_default_tenant_is_changed_in_the_editor_without_leaving_it(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/framed", {"email": {"subject": "x", "blocks": [{"type": "text", "text": "Hi"}]}})
    page = open_console("/templates/framed?edit=yes", viewport={"width": 1280, "height": 900})
    page.get_by_label("Subject").fill("Not saved yet")
    page.get_by_role("button", name="Brand", exact=True).click()
    dialog = page.get_by_role("dialog", name="Brand")
    expect(dialog.get_by_label("Name in e-mails")).to_be_focused()
    dialog.get_by_label("Name in e-mails").fill("Harbour Studio")
    dialog.get_by_label("Choose: Colour").fill("#b4470a")
    expect(dialog.get_by_role("img", name="A message with this brand")).to_contain_text("Harbour Studio")
    assert violations(page) == []
    # Another owner saves the brand meanwhile.
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"brand": '{"radius": 3}'}})
    dialog.get_by_role("button", name="Save brand").click()
    expect(dialog.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    dialog.get_by_role("button", name="Keep mine").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Subject")).to_have_value("Not saved yet")
    document = owner.send("GET", "/v1/settings")
    stored = next(one["value"] for one in document["settings"] if one["name"] == "brand")
    assert json.loads(stored) == {"name": "Harbour Studio", "color": "#b4470a"}
    owner.send("PATCH", "/v1/settings", {"revision": document["revision"], "reset": ["brand"]})


def test_brand_that_is_hard_to_read_says_so_and_is_checked_again_when_it_is_saved(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/pale", {"email": {"subject": "x", "blocks": [{"type": "text", "text": "Hi"}]}})
    page = open_console("/templates/pale?edit=yes&workflow=a-workflow-with-a-long-name-of-its-own", viewport=DESKTOP)
    bar = page.locator(".editor-bar")
    page.wait_for_selector(".editor-tools .checks")
    height = bar.bounding_box()["height"]
    expect(page.get_by_role("button", name=re.compile("^Checks: "))).to_be_visible()
    page.get_by_role("button", name="Brand", exact=True).click()
    dialog = page.get_by_role("dialog", name="Brand")
    dialog.get_by_label("Name in e-mails").fill("Harbour")
    expect(dialog.get_by_text("is readable")).to_have_count(0)
    expect(dialog.get_by_text("A link on white: 5.7")).to_be_visible()
    sample = dialog.get_by_role("img", name="A message with this brand")
    dialog.get_by_role("button", name="Dark", exact=True).click()
    expect(sample).to_have_css("background-color", "rgb(21, 23, 27)")
    places = [dialog.get_by_role("button", name=name).bounding_box()["x"] for name in ("Cancel", "Save brand")]
    assert places == sorted(places)
    dialog.get_by_label("Colour", exact=True).fill("#ffee00")
    expect(dialog.get_by_text("A link on white has a contrast of 1.2; at least 4.5 is readable.")).to_be_visible()
    with page.expect_response("**/templates/pale/check*"):
        dialog.get_by_role("button", name="Save brand").click()
    expect(page.locator(".confirmation")).to_have_text("Brand saved")
    checks = page.get_by_role("button", name=re.compile("^Checks: [1-9]"))
    expect(checks).to_be_visible()
    assert bar.bounding_box()["height"] == height
    page.get_by_label("Subject").fill("y")
    page.get_by_role("button", name="Review and publish").click()
    repeated = page.get_by_role("dialog").locator("[data-effect=contrast]")
    expect(repeated.first).to_contain_text("contrast of 1.")
    page.keyboard.press("Escape")
    document = owner.send("GET", "/v1/settings")
    owner.send("PATCH", "/v1/settings", {"revision": document["revision"], "reset": ["brand"]})


@pytest.mark.thorough
def test_brand_of_the_default_tenant_is_a_form_of_the_settings_for_owners(
    owner: Console, open_console: Callable[..., Page], chromium: Browser
) -> None:
    owner.send("PUT", "/v1/templates/branded", {"email": {"subject": "x", "text": "x"}})
    developer = open_console(
        "/templates/branded?edit=yes", state=state_of_operator(owner, chromium, "dora", "developer")
    )
    expect(developer.get_by_role("button", name="Review and publish")).to_be_visible()
    expect(developer.get_by_role("button", name="Brand", exact=True)).to_have_count(0)
    developer.goto("/console/settings?find=brand")
    expect(developer.locator(".setting", has_text="brand").first).to_contain_text("owners only")
    page = open_console("/settings?find=brand", viewport={"width": 1280, "height": 900})
    setting = page.locator(".setting", has_text="brand").first
    setting.get_by_label("Name in e-mails").fill("Harbour Studio")
    setting.get_by_label("Background", exact=True).fill("#10202f")
    setting.get_by_label("Corners").fill("0")
    setting.get_by_label("Font").select_option("georgia")
    setting.get_by_label("Choose: Colour").fill("#e9b44c")
    expect(setting.get_by_label("Colour", exact=True)).to_have_value("#e9b44c")
    assert violations(page) == []
    page.get_by_role("button", name="Save 1 change").click()
    expect(page.get_by_text("color not set → #e9b44c")).to_be_visible()
    stored = {one["name"]: one["value"] for one in owner.send("GET", "/v1/settings")["settings"]}["brand"]
    assert json.loads(stored) == {
        "name": "Harbour Studio",
        "background": "#10202f",
        "radius": 0,
        "font": "georgia",
        "color": "#e9b44c",
    }
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    number = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": number, "reset": ["brand"]})


def test_editor_of_templates_stays_within_its_budget() -> None:
    files = [
        *FILES.glob("template-*"),
        *(
            FILES / name
            for name in ("block-model.js", "email-blocks.js", "text-input.js", "embed.js", "own-email.js", "brand.js")
        ),
    ]
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) <= 60_000
    assert not [
        name
        for name in pages.first_modules("console.js")
        if name.startswith(("template-", "text-input", "embed", "email-blocks", "block-model"))
    ]
