"""An e-mail is designed in the console: blocks, two languages, and a preview that follows each change."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import DESKTOP, HOSTILE, Console, check_looks, excess_width
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


def test_new_template_begins_with_the_chosen_pattern(open_console: Callable[..., Page]) -> None:
    page = open_console("/templates?edit=new")
    expect(page.get_by_role("radio", name="E-mail and bell")).to_be_checked()
    preview = page.get_by_role("complementary", name="Preview")
    expect(preview).to_contain_text("client booked for when.")
    page.get_by_label("Key", exact=True).fill("patterned")
    page.get_by_text("An e-mail with a list of items").click()
    expect(preview).to_contain_text("Total: total")
    assert violations(page) == []
    page.get_by_role("button", name="Create template").click()
    expect(page.frame_locator("iframe[name=template-preview]").get_by_text("Total:")).to_be_visible()
    expect(page).not_to_have_url(re.compile("starter"))


@pytest.mark.thorough
def test_list_shows_a_picture_of_each_design(open_console: Callable[..., Page], owner: Console) -> None:
    html = "<h1>Hi</h1><p>Welcome</p><a style='background:#123' href='https://example.com'>Open</a><a href='/'>Or</a>"
    owner.send("PUT", "/v1/templates/drawn-html", {"email": {"subject": "Hi", "html": html}})
    owner.send("PUT", "/v1/templates/drawn-text", {"email": {"subject": "Hi", "text": "One\n\nTwo"}})
    owner.send("PUT", "/v1/templates/drawn-sms", {"sms": {"text": "Hi"}})
    open_paragraphs = "<p>One<h1>Hi</h1><p>Two <b>bold</b><p><img src='https://example.com/a.png'></p><hr>"
    owner.send("PUT", "/v1/templates/drawn-open", {"email": {"subject": "Hi", "html": open_paragraphs}})
    owner.send("PUT", "/v1/templates/drawn-long", {"email": {"subject": "Hi", "text": "<" * 250_000}})
    page = open_console("/templates?text=drawn")
    drawn = {
        "html": ["of-heading", "of-text", "of-button"],
        "text": ["of-text", "of-text"],
        "sms": ["of-text"],
        "open": ["of-text", "of-heading", "of-text", "of-image", "of-divider"],
        "long": ["of-text"] * 5,  # also a text that is no HTML, at once
    }
    for key, parts in drawn.items():
        sheet = page.get_by_role("row").filter(has_text=f"drawn-{key}").locator(".sheet")
        expect(sheet.locator(".of-brand")).to_have_count(0 if key == "sms" else 1)  # e-mails begin with the brand
        bars = sheet.locator("i:not(.of-brand)")
        expect(bars).to_have_count(len(parts))
        assert bars.evaluate_all("all => all.map((one) => one.className)") == parts
    assert violations(page) == []


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
def test_language_without_texts_is_compared_as_the_default_language(
    open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    url = "/templates/designed?edit=yes&channel=email&locale=de&beside=en"
    page = open_console(url, viewport={"width": 1440, "height": 900})
    expect(page.get_by_role("region", name="E-mail, German").get_by_label("Subject")).to_have_value("Buchung")
    expect(page.get_by_role("region", name="E-mail, Default").get_by_label("Subject")).to_have_value("Booking")


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
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    for _ in range(21):
        page.keyboard.press("Enter")
    expect(undo).to_be_disabled()
    expect(undo).to_be_focused()
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
    expect(place(page, "blocks.0")).to_be_visible()
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


@pytest.mark.thorough
def test_language_is_a_tag_and_is_removed_with_its_last_texts(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_role("button", name="Add a language").click()
    field = page.get_by_label("Language", exact=True).and_(page.locator("input"))
    field.fill("Swedisch")
    field.press("Enter")
    assert not field.evaluate("(field) => field.checkValidity()")
    field.fill("Swedish")
    field.press("Enter")
    tab = page.get_by_role("tab", name="sv", exact=True)
    expect(tab).to_be_visible()
    while tab.count():
        page.get_by_role("button", name=re.compile("^Remove .*Swedish")).click()
        if page.get_by_role("button", name=re.compile("^Remove .*Swedish")).count() == 0 and tab.count():
            page.get_by_role("tablist", name="Channel").get_by_role("tab").first.click()
    expect(page.get_by_role("button", name="Discard")).to_have_count(0)  # it is the published version again
    assert owner.send("GET", "/v1/templates/designed")["draft"] is None


@pytest.mark.thorough
def test_blocks_are_edited_as_yaml_and_converted_to_html_once(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes&view=yaml")
    text = page.get_by_label("Definition as YAML")
    expect(text).to_have_value(re.compile("See you"))
    text.fill(text.input_value().replace("See you", "Welcome"))
    page.get_by_role("button", name="Design").click()
    expect(block(page, 0).get_by_role("textbox", name="Heading")).to_have_value(unbroken("Welcome, {{ data.client }}"))
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
    page.get_by_role("combobox", name="Language").fill("fr")
    page.get_by_role("button", name="Add", exact=True).click()
    french = page.get_by_role("region", name="E-mail, French")
    expect(french.get_by_label("Subject")).to_be_focused()
    french.get_by_label("Subject").fill("Réservation")
    email = {"subject": "Réservation", "blocks": designed["email"]["blocks"]}
    assert saved(page, owner)["translations"]["fr"]["email"] == email


@pytest.mark.thorough
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


@pytest.mark.thorough
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
    expect(heading).to_have_value(unbroken("Hello {{ data.client }}"))
    page.keyboard.type("! {{ rec")
    expect(variables.get_by_role("option")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(heading).to_have_value(unbroken("Hello {{ data.client }}! {{ recipient.key }}"))
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
    expect(page.locator("[data-save]")).to_contain_text(f"Version {published(owner)['version']}")  # no draft differs
    assert published(owner)["translations"]["de"]["email"]["blocks"]


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
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Design").click()
    expect(page.frame_locator("iframe[name=template-preview]").locator("body")).to_contain_text("<img src=x")
    assert violations(page) == []


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_heading_is_shown_in_several_lines_on_a_phone_and_stored_in_one(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport=PHONE)
    heading = block(page, 0).get_by_role("textbox", name="Heading")
    heading.fill("See you tomorrow,\nin the studio, {{ data.when | date }}")
    assert heading.evaluate("one => one.offsetHeight > 40 && one.scrollHeight <= one.offsetHeight")
    assert saved(page, owner)["email"]["blocks"][0]["text"] == "See you tomorrow, in the studio, {{ data.when | date }}"


@pytest.mark.thorough
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
    for name in ("List", "Heading"):
        page.get_by_role("button", name=re.compile(f"^{name}, .* of [45]$")).press("Delete")
    # Each is named at its own place: before the text, and between it and the columns.
    listed = page.locator(".blocks:not(.inner) > li")
    expect(listed.nth(0)).to_contain_text("Not in German: Heading")
    expect(listed.nth(2)).to_contain_text("Not in German: List")
    missing.nth(1).get_by_role("button", name="Copy").click()
    missing.get_by_role("button", name="Copy").click()
    expect(missing).to_have_count(0)
    copied = saved(page, owner)["translations"]["de"]["email"]["blocks"]
    assert copied == BLOCKS
    page.get_by_role("tab", name="Default", exact=True).click()
    expect(missing).to_have_count(0)


@pytest.mark.thorough
def test_preview_is_in_the_place_of_the_texts_on_a_narrow_page(
    designed: dict[str, Any], open_console: Callable[..., Page]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 820, "height": 900})
    subject, preview = page.get_by_label("Subject", exact=True), page.get_by_role("button", name="Preview", exact=True)
    expect(subject).to_be_visible()
    preview.click()
    expect(subject).to_be_hidden()
    expect(page.get_by_role("complementary", name="Preview")).to_be_in_viewport(ratio=0.2)
    assert violations(page) == []
    preview.click()
    expect(subject).to_be_visible()


@pytest.mark.thorough
def test_bar_of_the_editor_is_whole_on_a_phone(
    designed: dict[str, Any], open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport=PHONE)
    page.get_by_label("Subject").fill("Your booking")
    saved(page, owner)
    for one in page.locator(".editor-bar :is(a, button, h1, .save-state)").all():
        box = one.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    assert page.locator(".save-state").evaluate("one => one.offsetWidth") < 20  # a dot, which no name cuts
    menu, publish = (page.locator(".editor-bar").get_by_role("button", name=name) for name in ("More", "publish"))
    assert menu.evaluate("one => one.getBoundingClientRect().top") == publish.evaluate(
        "one => one.getBoundingClientRect().top"
    )
    assert page.locator(".editor-bar").evaluate("one => one.offsetHeight") < 120  # two rows


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
