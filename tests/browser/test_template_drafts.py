"""Drafts of templates: who changes them, what is kept of them, their publication and the versions before."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import DESKTOP, Console, confirm
from tests.browser.template_editor import (
    BLOCKS,
    TEXT,
    block,
    published,
    saved,
)
from tests.browser.test_accessibility import violations


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
def test_draft_that_is_undone_to_the_published_version_ends(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes")
    page.get_by_label("Subject").fill("Another")
    assert saved(page, owner)["email"]["subject"] == "Another"
    page.get_by_label("Subject").blur()
    page.keyboard.press("Control+z")
    expect(page.get_by_label("Subject")).to_have_value("Booking")
    expect(page.get_by_role("button", name="Discard")).to_have_count(0)
    assert owner.send("GET", "/v1/templates/designed")["draft"] is None


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
    assert violations(page, within="dialog[open]") == []
    expect(dialog.locator("[data-change=moved]")).to_contain_text("title")
    expect(dialog.locator("[data-change=removed]")).to_contain_text("E-mail, German")
    dialog.get_by_label("Note").fill("Shorter")
    dialog.get_by_role("button", name="Publish").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("link", name="Back to the template").click()
    row = page.locator(".rows-of li", has_text=f"Version {designed['version'] + 1}")
    expect(row).to_contain_text("Shorter")
    confirm(page.get_by_role("button", name=f"Make current: version {designed['version']}", exact=True))
    expect(page.locator(".rows-of li").filter(has=page.locator(".state.ok"))).to_contain_text(
        f"Version {designed['version']}"
    )
    assert published(owner)["email"] == designed["email"]


@pytest.mark.thorough
def test_earlier_version_is_looked_at_in_the_history(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    changed = {"email": {"subject": "Other", "blocks": [TEXT]}, "inbox": {"title": "Other"}}
    owner.send("PUT", "/v1/templates/designed", changed)
    page = open_console("/templates/designed", viewport={"width": 1280, "height": 900})
    page.get_by_role("button", name=f"View version {designed['version']}", exact=True).click()
    shown = page.get_by_role("region", name=f"As recipients saw version {designed['version']}")
    frame = shown.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="See you, Ann Lind")).to_be_visible()
    expect(shown.get_by_text("Booking", exact=True)).to_be_visible()
    shown.get_by_role("button", name="Inbox").click()
    expect(shown.locator(".device")).to_contain_text("Booked")
    assert violations(page) == []
