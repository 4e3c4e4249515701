"""The parts that tests of the template editor share: a template of blocks, and what they do with its page."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect
from tests.browser.console import Console

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


def store_designed(console: Console) -> dict[str, Any]:
    """Store the template `designed` without a draft, and return it."""
    german = {"email": {"subject": "Buchung", "blocks": [{"type": "heading", "text": "Bis bald", "key": "title"}]}}
    template = {
        "inbox": {"title": "Booked"},
        "email": {"subject": "Booking", "blocks": BLOCKS},
        "translations": {"de": german},
    }
    written: dict[str, Any] = console.send("PUT", "/v1/templates/designed", template)
    console.send("PUT", "/v1/templates/designed/draft", {"values": {}})
    console.send("DELETE", "/v1/templates/designed/draft")  # of another test
    return written


def published(console: Console, **query: Any) -> dict[str, Any]:
    values: dict[str, Any] = console.send("GET", "/v1/templates/designed", **query)
    return values


def saved(page: Page, console: Console) -> dict[str, Any]:
    """Return the values of the draft once all changes are saved."""
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    values: dict[str, Any] = console.send("GET", "/v1/templates/designed/draft")["values"]
    return values


def publish(page: Page, note: str = "") -> None:
    """Review the draft and publish it."""
    page.get_by_role("button", name="Review and publish").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill(note)
    dialog.get_by_role("button", name="Publish").click()
    expect(dialog).to_have_count(0)


def unbroken(text: str) -> str:
    """Return a text as its field has it: in a token, lines break after bars only."""
    return re.sub(r"\{\{.*?\}\}", lambda token: re.sub("(?<![|-]) ", "\u00a0", token[0]), text)


def block(page: Page, number: int) -> Any:
    return page.locator(".email-blocks > .blocks-of > .blocks > .block").nth(number)


def place(page: Page, path: str) -> Locator:
    """Return the name of a block in the first e-mail, on which keys act."""
    return page.locator(f".editor [data-path='{path}'] > .block-bar .block-name").first
