"""An e-mail is designed in the console: blocks, two languages, and a preview that follows each change."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import HOSTILE, Console
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations

HEADING = {"type": "heading", "text": "See you, {{ data.client }}", "key": "title"}
TEXT = {
    "type": "text",
    "text": "Confirmed for **{{ data.when | date }}**.",
    "if": {"var": "data.client", "op": "exists"},
}
LIST = {"type": "list", "each": "data.items", "blocks": [{"type": "text", "text": "{{ item.name }}"}], "empty": "None"}
COLUMNS = {
    "type": "columns",
    "columns": [{"blocks": [{"type": "divider"}]}, {"blocks": [{"type": "html", "html": "<i>x</i>"}]}],
}
BUTTON = {"type": "button", "text": "Open", "url": "https://shop.example/{{ data.id }}", "align": "center"}
BLOCKS: list[dict[str, Any]] = [HEADING, TEXT, LIST, COLUMNS, BUTTON]


@pytest.fixture
def stored(owner: Console) -> dict[str, Any]:
    german = {"email": {"subject": "Buchung", "blocks": [{"type": "heading", "text": "Bis bald", "key": "title"}]}}
    template = {
        "inbox": {"title": "Booked"},
        "email": {"subject": "Booking", "blocks": BLOCKS},
        "translations": {"de": german},
    }
    written: dict[str, Any] = owner.send("PUT", "/v1/templates/designed", template)
    return written


def saved(console: Console) -> dict[str, Any]:
    values: dict[str, Any] = console.send("GET", "/v1/templates/designed")
    return values


def block(page: Page, number: int) -> Any:
    return page.locator(".editor > .blocks-of > .blocks > .block").nth(number)


def choose(page: Page, menu: str, name: str) -> None:
    """Choose in a menu by keyboard, once it has the focus."""
    page.get_by_role("button", name=menu).press("Enter")
    expect(page.locator(".popup-panel button:focus")).to_have_count(1)
    page.get_by_role("button", name=name).press("Enter")


def test_email_is_changed_in_two_languages_and_the_preview_follows(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1440, "height": 900})
    frame = page.frame_locator("iframe[name=template-preview]")
    expect(frame.get_by_role("heading", name="See you, client")).to_be_visible()
    block(page, 0).get_by_role("textbox", name="Heading").fill("Welcome, {{ data.client }}")
    expect(frame.get_by_role("heading", name="Welcome, client")).to_be_visible()
    page.get_by_role("button", name="Side by side").click()
    german = page.get_by_role("region", name="E-mail, German")
    german.get_by_role("textbox", name="Heading").fill("Willkommen")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "changed")
    assert violations(page) == []
    page.keyboard.press("Control+s")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    values = saved(owner)
    assert values["email"]["blocks"] == [{**HEADING, "text": "Welcome, {{ data.client }}"}, *BLOCKS[1:]]
    assert values["translations"]["de"]["email"]["blocks"][0]["text"] == "Willkommen"
    assert values["inbox"] == stored["inbox"]


def test_blocks_are_added_moved_duplicated_and_undone_by_keyboard(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    button = block(page, 4)
    button.get_by_role("textbox", name="Label").press("Alt+ArrowUp")
    expect(block(page, 3).get_by_role("textbox", name="Label")).to_have_value("Open")
    expect(page.locator("[data-block='3'] .block-bar button").first).to_be_focused()
    choose(page, "More of block 4, Button", "Duplicate")
    blocks = page.locator(".editor > .blocks-of > .blocks > .block")
    expect(blocks).to_have_count(6)
    choose(page, "More of block 1, Heading", "Delete")
    expect(blocks).to_have_count(5)
    page.locator(".editor > .blocks-of > .popup button").press("Enter")
    expect(page.locator(".popup-panel button:focus")).to_have_count(1)
    page.get_by_role("group", name="Add a block").get_by_role("button", name="Text").press("Enter")
    added = block(page, 5).get_by_role("textbox", name="Text")
    expect(added).to_be_focused()
    added.fill("Bye")
    page.keyboard.press("Control+s")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    assert saved(owner)["email"]["blocks"] == [TEXT, LIST, BUTTON, BUTTON, COLUMNS, {"type": "text", "text": "Bye"}]


def test_twenty_changes_are_undone_and_redone(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    for _ in range(10):
        block(page, 1).get_by_role("textbox", name="Text").press("Alt+ArrowUp")
        expect(block(page, 0).get_by_role("textbox", name="Text")).to_be_visible()
        block(page, 0).get_by_role("textbox", name="Text").press("Alt+ArrowDown")
        expect(block(page, 0).get_by_role("textbox", name="Heading")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Control+z")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    page.keyboard.press("Control+y")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "changed")
    expect(block(page, 0).get_by_role("textbox", name="Text")).to_have_value(str(TEXT["text"]))


def test_problem_of_a_block_is_shown_at_its_field(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    field = block(page, 1).get_by_role("textbox", name="Text")
    field.fill("{{ dota.x }}")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(block(page, 1)).to_have_attribute("data-problems", "")
    expect(page.get_by_role("status", name="Problems")).to_contain_text("unknown variable 'dota'")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "refused")
    assert saved(owner)["email"] == stored["email"]
    field.fill("{{ data.x }}")
    expect(field).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(("choice", "text"), [("Keep mine", "Mine"), ("Take theirs", "Theirs")])
def test_two_editors_of_a_template_choose_whose_text_stays(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any], choice: str, text: str
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_label("Subject").fill("Mine")
    owner.send("PUT", "/v1/templates/designed", {"email": {"subject": "Theirs", "blocks": BLOCKS}})
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "conflict")
    page.get_by_role("button", name=choice).click()
    expect(page.get_by_label("Subject")).to_have_value(text)
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    assert saved(owner)["email"]["subject"] == text


def test_unsaved_text_survives_a_reload(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_label("Subject").fill("Not saved yet")
    page.reload()
    expect(page.get_by_label("Subject")).to_have_value("Not saved yet")
    page.get_by_role("button", name="Discard the changes").click()
    page.get_by_role("button", name="Discard the changes").click()
    expect(page.get_by_label("Subject")).to_have_value("Booking")


def test_language_is_added_with_the_texts_of_the_default_language(
    owner: Console, open_console: Callable[..., Page], stored: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_role("button", name="Add a language").click()
    page.get_by_role("textbox", name="Language").fill("fr")
    page.get_by_role("button", name="Add", exact=True).click()
    french = page.get_by_role("region", name="E-mail, French")
    french.get_by_label("Subject").fill("Réservation")
    page.keyboard.press("Control+s")
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    assert saved(owner)["translations"]["fr"]["email"] == {**stored["email"], "subject": "Réservation"}


def test_hostile_texts_in_blocks_run_nothing(owner: Console, open_console: Callable[..., Page]) -> None:
    hostile = HOSTILE.partition("${")[0]
    blocks = [{"type": "text", "text": hostile}, {"type": "button", "text": hostile, "url": "{{ data.url }}"}]
    owner.send("PUT", "/v1/templates/hostile", {"email": {"subject": hostile, "blocks": blocks}})
    page = open_console("/templates/hostile?edit=yes", viewport=PHONE)
    expect(page.frame_locator("iframe[name=template-preview]").locator("body")).to_contain_text("<img src=x")
    assert violations(page) == []
