"""Templates and other objects are edited as YAML in the console."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import HOSTILE, Console, state_of_operator
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations

from bellcast.kernel.yaml_text import YamlText

TEXTS = [
    *(
        "a\nb",
        "a\nb\n",
        "a\nb\n\n",
        "\na",
        " a\nb",
        "a\n\n  b\n",
        "a \nb",
        "a\tb\nc",
        "a\r\nb",
        "#a\nb",
        "---\na",
        "\n",
    ),
    *("", " ", "yes", "Null", "1", "1.5", "0x1f", "2030-01-01", "~", "-", "- a", "a: b", "a #b", "a.", "{a}", "[a]"),
    *(
        "30m",
        "7d",
        "{{ data.a }}",
        "{% if a %}",
        "'",
        '"',
        "\\",
        "!a",
        "&a",
        "*a",
        "|",
        ">",
        "%",
        "@",
        "`",
        "?",
        ":",
        "<<",
        "=",
    ),
    *("\x7f", "\x85", "\u2028", "\ufeff", "ü", "😀", "a\u2028b\nc", "a\x07\nb", HOSTILE),
]
VALUE: Any = {
    "texts": TEXTS,
    "keys": dict.fromkeys(TEXTS, 1),
    "numbers": [0, -1, 1.5, 1e21, -1.5e-9, 2**53],
    "others": [None, True, False, [], {}, [[]], [{}], [["a", ["b\nc"]]], {"a": {"b": [{"c": "d\ne"}, {"f": None}]}}],
}


def sms(text: str) -> dict[str, Any]:
    return {"sms": {"text": text}}


def edit(page: Page, before: str, after: str) -> None:
    text = page.get_by_label("Definition as YAML")
    text.fill(text.input_value().replace(before, after))


def review(page: Page) -> None:
    page.get_by_role("button", name="Review changes").click()


def test_template_is_checked_compared_and_saved(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/edited", sms("Before"))
    page = open_console("/templates/edited?edit=yes&view=yaml")
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("text: Before"))
    edit(page, "text: Before", "txt: After {{ data.a")
    review(page)
    errors = page.get_by_role("alert").filter(has=page.get_by_role("button"))
    expect(errors).to_contain_text("sms.txt")
    expect(page.locator(".gutter mark").last).to_have_text("2")
    assert violations(page) == []
    page.get_by_role("button", name="Line 2").click()
    assert page.evaluate(
        "String(document.activeElement.value).slice(document.activeElement.selectionStart)"
    ).startswith("  txt")
    edit(page, "txt: After {{ data.a", "text: After\n  data: [")
    review(page)
    expect(errors).to_contain_text("The body is not YAML")
    edit(page, "After\n  data: [", "After")
    review(page)
    expect(page.locator(".diff .ok")).to_contain_text("text: After")
    expect(page.locator(".diff .bad")).to_contain_text("text: Before")
    assert violations(page) == []
    assert owner.send("GET", "/v1/templates/edited")["sms"] == {"text": "Before"}
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Definition as YAML")).to_have_count(0)
    expect(page.locator("#main")).to_contain_text("text: After")
    assert owner.send("GET", "/v1/templates/edited")["sms"] == {"text": "After"}
    entry = owner.send("GET", "/v1/audit")["entries"][0]
    assert (entry["actor"], entry["target"]) == ("olive@example.com", "/v1/templates/edited")
    page.goto("/console/templates/edited?edit=yes&view=yaml")
    review(page)
    expect(page.get_by_role("heading", name="Nothing changed")).to_be_visible()


def test_template_that_another_operator_saved_is_not_overwritten(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/templates/shared", sms("Before"))
    page = open_console("/templates/shared?edit=yes&view=yaml")
    edit(page, "Before", "Mine")
    review(page)
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    owner.send("PUT", "/v1/templates/shared", sms("Theirs"))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("shared has changed in the meantime")
    expect(page.locator(".diff .bad")).to_contain_text("text: Theirs")
    expect(page.locator(".diff .ok")).to_contain_text("text: Mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Definition as YAML")).to_have_count(0)
    expect(page.locator("#main pre")).to_contain_text("Mine")
    page.goto("/console/templates/shared?edit=yes&view=yaml")
    edit(page, "Mine", "Again")
    owner.send("DELETE", "/v1/templates/shared")
    review(page)
    expect(page.get_by_role("status")).to_contain_text("shared has been deleted in the meantime")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Definition as YAML")).to_have_count(0)
    expect(page.locator("#main pre")).to_contain_text("Again")


def test_text_is_written_with_the_keyboard(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/typed", sms("Before"))
    page = open_console("/templates/typed?edit=yes&view=yaml")
    text = page.get_by_label("Definition as YAML")
    written = text.input_value()
    text.focus()
    page.keyboard.press("Control+End")
    for key in ("Tab", "Tab", "b", "Enter", "c"):
        page.keyboard.press(key)
    expect(text).to_have_value(f"{written}    b\n    c")
    page.keyboard.press("Control+a")
    page.keyboard.press("Tab")
    expect(text).to_have_value(re.compile("^  sms:\n    text"))
    page.keyboard.press("Control+a")
    page.keyboard.press("Shift+Tab")
    expect(text).to_have_value(f"{written}    b\n    c")
    for _ in range(30):
        page.keyboard.press("Control+z")
    expect(text).to_have_value(written)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Review changes")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing changed")).to_be_focused()


def test_unsaved_text_stays_in_its_tab_until_it_is_discarded(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/kept", sms("Before"))
    page = open_console("/templates/kept?edit=yes&view=yaml")
    edit(page, "Before", "Unsaved")
    page.get_by_role("link", name="Back").click()
    page.goto("/console/templates/kept?edit=yes&view=yaml")
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("Unsaved"))
    for _ in range(2):
        page.get_by_role("button", name="Discard the changes").click()
    page.goto("/console/templates/kept?edit=yes&view=yaml")
    expect(page.get_by_label("Definition as YAML")).to_have_value(re.compile("Before"))


def test_template_is_created_for_a_tenant_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/welcome", {"sms": {"text": "Hello"}})
    page = open_console("/templates", viewport=PHONE)
    page.get_by_role("link", name="New template").click()
    page.get_by_label("Key", exact=True).fill("welcome")
    review(page)
    expect(page.get_by_role("alert").filter(has_text="exists")).to_be_visible()
    page.get_by_label("Tenant").fill("acme")
    page.get_by_label("Key", exact=True).fill("hello")
    assert violations(page) == []
    review(page)
    expect(page.get_by_role("heading", name="New template hello")).to_be_focused()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("hello")
    page.goto("/console/templates/welcome?tenant=acme")
    page.get_by_role("link", name="Override for acme").click()
    expect(page.get_by_text("Saving creates a copy for acme")).to_be_visible()
    page.get_by_role("textbox", name="Text").fill("Hello from Acme")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-save]")).to_have_attribute("data-save", "saved")
    expect(page.get_by_text("Saving creates a copy for acme")).to_have_count(0)
    page.goto("/console/templates")
    expect(page.get_by_role("row").filter(has_text="welcome").filter(has_text="acme")).to_be_visible()
    assert owner.send("GET", "/v1/templates/welcome")["sms"] == {"text": "Hello"}
    page.goto("/console/templates/welcome?tenant=acme")
    for _ in range(2):
        page.get_by_role("button", name="Delete welcome").click()
    expect(page.locator("h1")).to_have_text("Templates")


def test_support_reads_definitions_and_edits_none(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    page = open_console("/workflows/evil", state=state_of_operator(owner, chromium, "sam", "support"))
    expect(page.locator(".diagram")).to_be_visible()
    expect(page.get_by_role("link", name="Edit", exact=True)).to_have_count(0)
    page.goto("/console/templates/evil?edit=yes")
    expect(page.get_by_text("Your role, support, does not permit this page.")).to_be_visible()
    page.goto("/console/workflows/evil?edit=yes")
    expect(page.get_by_role("tree", name="Steps")).to_be_visible()
    expect(page.get_by_role("button", name="Review and publish")).to_have_count(0)


@pytest.mark.parametrize("name", list(VALUE))
def test_yaml_of_the_console_is_read_as_the_same_value(
    open_console: Callable[..., Page], owner: Console, name: str
) -> None:
    page = open_console("/account")
    write = "async (value) => (await import('/console/yaml.js')).toYaml(value)"
    text = page.evaluate(write, VALUE[name] if name == "keys" else {name: VALUE[name]})
    assert YamlText(text.encode()).value == (VALUE[name] if name == "keys" else {name: VALUE[name]})


def test_template_is_previewed_before_it_is_saved(open_console: Callable[..., Page], owner: Console) -> None:
    stored = {"email": {"subject": "Stored", "html": "<p style='color: red'>Stored</p>"}}
    owner.send("PUT", "/v1/templates/drafted", stored)
    page = open_console("/templates/drafted?edit=yes&view=yaml")
    editor = page.get_by_label("Definition as YAML")
    editor.fill(editor.input_value().replace("Stored", "Draft for {{ data.client }}"))
    page.get_by_label("Data as JSON").fill('{"client": "Ann"}')
    page.get_by_role("button", name="Preview").click()
    shown = page.frame_locator("iframe").get_by_text("Draft for Ann")
    expect(shown).to_be_visible()
    expect(shown).to_have_css("color", "rgb(255, 0, 0)")
    expect(page.locator(".panel dd").first).to_have_text("Draft for Ann")
    assert violations(page) == []
    assert owner.send("GET", "/v1/templates/drafted")["email"] == stored["email"]
    editor.fill(editor.input_value().replace("client }}", "client"))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".yaml-errors")).to_contain_text("email.html")
    expect(page.get_by_role("alert").filter(has_text="shown above")).to_be_visible()


def test_new_template_is_previewed_before_it_has_a_key(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/templates?edit=new", viewport=PHONE)
    page.get_by_role("button", name="Preview").click()  # with the sample data
    expect(page.frame_locator("iframe").get_by_text("client booked")).to_be_visible()
    page.get_by_label("Data as JSON").fill('{"client": "Ann", "when": "2030-06-10T12:00:00Z"}')
    page.get_by_label("Language").fill("de")
    page.get_by_role("button", name="Preview").click()
    expect(page.frame_locator("iframe").get_by_text("Ann hat gebucht")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    refused = httpx.get(f"{owner.server.url}/v1/templates/new", headers=owner.server.as_app())
    assert refused.status_code == 404
