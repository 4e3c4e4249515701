"""What was entered in a form of the console and is not saved: it stays, and is left or overwritten only on purpose."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect
from tests.browser.console import (
    DESKTOP,
    Console,
    choose_tenant,
    confirm,
    edit_yaml,
    go,
    open_more,
    review,
    wait_loaded,
)
from tests.browser.workflow_editor import BELL, MAIL


def test_type_that_another_operator_saved_is_not_overwritten(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/shared", {"name": "Before"})
    page = open_console("/types/shared?edit=yes&view=yaml")
    edit_yaml(page, "Before", "Mine")
    review(page)
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    owner.send("PUT", "/v1/types/shared", {"name": "Theirs"})
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="changed")).to_contain_text("shared has changed in the meantime")
    expect(page.locator(".diff .bad")).to_contain_text("name: Theirs")
    expect(page.locator(".diff .ok")).to_contain_text("name: Mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Definition as YAML")).to_have_count(0)
    expect(page.locator("#main pre")).to_contain_text("Mine")
    go(page, "/types/shared?edit=yes&view=yaml")
    edit_yaml(page, "Mine", "Again")
    owner.send("DELETE", "/v1/types/shared")
    review(page)
    expect(page.get_by_role("status").filter(has_text="deleted")).to_contain_text(
        "shared has been deleted in the meantime"
    )
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Definition as YAML")).to_have_count(0)
    expect(page.locator("#main pre")).to_contain_text("Again")


def test_unsaved_text_stays_in_its_tab_until_it_is_discarded(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/kept", {"name": "Before"})
    page = open_console("/types/kept?edit=yes&view=yaml")
    edit_yaml(page, "Before", "Unsaved")
    page.get_by_role("link", name="Back").click()
    page.goto("/console/types/kept?edit=yes&view=yaml")
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("Unsaved"))
    confirm(page.get_by_role("button", name="Discard the changes"))
    page.goto("/console/types/kept?edit=yes&view=yaml")
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("Before"))


def test_entries_of_a_form_are_left_only_on_purpose(chromium: Browser, owner: Console) -> None:
    context = chromium.new_context(base_url=owner.server.url, storage_state=owner.state, viewport=DESKTOP)
    page = context.new_page()
    questions: list[str] = []

    def stay(dialog: Dialog) -> None:
        questions.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto("/console/webhooks")
    wait_loaded(page)  # an empty list hides the link of its heading
    page.get_by_role("link", name="New webhook").filter(visible=True).first.click()
    url = page.get_by_label("URL")
    url.fill("https://app.example.com/hook")
    audit = page.get_by_role("link", name="Audit")
    close = page.get_by_role("button", name="Close, back to Webhooks")

    def press_shortcut() -> None:
        page.evaluate(
            "for (const key of 'gr') document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }))"
        )

    ways = (audit.click, page.go_back, close.click, press_shortcut, lambda: choose_tenant(page, "evil"))
    for number, leave in enumerate(ways, 1):
        leave()
        expect(url).to_have_value("https://app.example.com/hook")
        assert questions == ["confirm"] * number
    page.get_by_label("Every event").check()
    page.get_by_role("button", name="Create webhook").click()
    page.get_by_role("link", name="Open the webhook").click()  # without a question: nothing is lost
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("URL").fill("https://app.example.com/other")
    page.remove_listener("dialog", stay)
    page.once("dialog", lambda dialog: dialog.accept())
    audit.click()
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    go(page, "/settings?find=issuer")
    field = page.locator("#setting-jwks_issuer")
    field.fill("https://issuer.example.com")
    with page.expect_event("dialog") as question:
        page.evaluate("setTimeout(() => location.reload())")
    assert question.value.type == "beforeunload"
    question.value.dismiss()
    expect(field).to_have_value("https://issuer.example.com")
    field.fill("")  # as it is stored
    audit.click()
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    assert len(questions) == len(ways)
    context.close()


@pytest.mark.thorough
def test_correction_of_a_notification_is_left_only_on_purpose(chromium: Browser, owner: Console) -> None:
    context = chromium.new_context(base_url=owner.server.url, storage_state=owner.state, viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"/console/notifications/{owner.notification}")
    open_more(page)
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Title").fill("A text that took a while")
    with page.expect_event("dialog") as question:
        page.evaluate("setTimeout(() => document.querySelector('a[href*=recipients]').click())")
    assert question.value.type == "confirm"
    question.value.dismiss()
    expect(page.get_by_label("Title")).to_have_value("A text that took a while")
    context.close()


def test_webhook_that_another_operator_changed_is_neither_overwritten_nor_deleted(
    open_console: Callable[..., Page], owner: Console
) -> None:
    path = f"/v1/webhooks/{owner.send('POST', '/v1/webhooks', {'url': 'https://app.example.com/a', 'events': ['*']})['id']}"
    page = open_console(f"{path.removeprefix('/v1')}?focus=url")
    url = page.get_by_role("textbox", name="URL")
    expect(url).to_have_value("https://app.example.com/a")
    url.fill("https://app.example.com/mine")
    owner.send("PATCH", path, {"events": ["message.*"]})
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    assert owner.send("GET", path)["events"] == ["message.*"]
    page.get_by_role("button", name="Take theirs").click()
    expect(url).to_have_value("https://app.example.com/a")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".facts")).to_contain_text("message.*")
    open_more(page)
    page.get_by_role("button", name="Delete this webhook").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    owner.send("PATCH", path, {"events": ["run.*"]})
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Look at it, and delete it again")
    expect(page.locator(".facts")).to_contain_text("run.*")
    dialog.get_by_role("button", name="Cancel").click()
    open_more(page)
    confirm(page.get_by_role("button", name="Delete this webhook"))
    expect(page.get_by_role("status").filter(has_text="Deleted the webhook")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("/workflows/late", {"steps": [BELL]}, {"steps": [BELL, MAIL]}),
        ("/templates/late", {"inbox": {"title": "First"}}, {"inbox": {"title": "Second"}}),
        ("/types/late", {"name": "First"}, {"name": "Second"}),
    ],
    ids=["workflow", "template", "type"],
)
def test_object_that_another_operator_published_is_not_deleted(
    open_console: Callable[..., Page], owner: Console, path: str, first: Any, second: Any
) -> None:
    owner.send("PUT", f"/v1{path}", first)
    page = open_console(path)
    open_more(page)
    page.get_by_role("button", name="Delete late").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    owner.send("PUT", f"/v1{path}", second)
    dialog.get_by_role("button", name="Delete").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Look at it, and delete it again")
    assert owner.send("GET", f"/v1{path}")["key"] == "late"
    dialog.get_by_role("button", name="Cancel").click()
    open_more(page)
    confirm(page.get_by_role("button", name="Delete late"))
    expect(page.get_by_role("status").filter(has_text="Deleted late")).to_be_visible()
