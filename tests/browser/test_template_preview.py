"""A template as its recipients would see it: previews, the list, test messages, and the brand."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import DESKTOP, Console, confirm, go, state_of_operator
from tests.browser.shop import PHONE
from tests.browser.template_editor import (
    BLOCKS,
    block,
    saved,
)
from tests.browser.test_accessibility import violations


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_draft_with_a_number_as_its_text_opens(owner: Console, open_console: Callable[..., Page]) -> None:
    owner.send("PUT", "/v1/templates/numbered", {"sms": {"text": "Hi"}})
    owner.send("PUT", "/v1/templates/numbered/draft", {"values": {"sms": {"text": 2024}}, "base": 1})
    page = open_console("/templates/numbered?edit=yes&channel=sms")
    expect(page.get_by_role("textbox", name="Text", exact=True)).to_have_value("2024")


@pytest.mark.thorough
def test_warning_about_an_optional_variable_inserts_a_default(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/optional", {"sms": {"text": "Total {{ data.total | money('EUR') }}"}})
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    owner.send("PUT", "/v1/types/optional", {"template": "optional", "data": schema})
    page = open_console("/templates/optional?edit=yes")
    page.get_by_role("button", name="Checks: 1 warning").click()
    page.get_by_role("region", name="Warnings").get_by_role("button", name="Insert default").click()
    expect(page.get_by_role("button", name="Checks: nothing found")).to_be_visible()
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    draft = owner.send("GET", "/v1/templates/optional/draft")["values"]
    assert draft["sms"]["text"] == "Total {{ data.total | default(0) | money('EUR') }}"


@pytest.mark.thorough
def test_channel_without_texts_says_what_it_needs_and_one_with_texts_is_shown_on_its_device(
    owner: Console, open_console: Callable[..., Page], designed: dict[str, Any]
) -> None:
    page = open_console("/templates/designed?edit=yes", viewport={"width": 1280, "height": 800})
    page.get_by_role("tab", name="SMS").click()
    expect(page.get_by_text("No text message", exact=True)).to_be_visible()
    expect(page.get_by_role("complementary", name="Preview")).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("button", name="Add SMS").click()
    expect(page.locator(".bubble")).to_have_text("Text")
    page.get_by_role("tab", name="Inbox").click()
    bell = page.locator(".device.bell")
    expect(bell).to_contain_text("Notifications")
    expect(bell.locator(".bell-item b")).to_have_text("Booked")
    assert violations(page) == []


@pytest.mark.thorough
def test_templates_name_their_variables_and_what_uses_them_in_words(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    texts = {"inbox": {"title": "For {{ data.guest.client | upper }}"}}
    owner.send("PUT", "/v1/templates/listed", {**texts, "translations": {"de": texts}})
    owner.send("PUT", "/v1/tenants/acme-listed", {"name": "Acme"})
    owner.send("PUT", "/v1/types/listed?tenant=acme-listed", {"template": "listed"})
    page = open_console("/templates")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="listed", exact=True))
    expect(row.locator(".preview")).to_have_text("For client")
    expect(row).to_contain_text("German")
    expect(row).to_contain_text("type listed (acme-listed)")
    row.locator(".row-link").click()
    expect(page.locator(".template-side .facts")).to_have_text(
        "ChannelsInboxLanguagesDefault, GermanUsed bytype listed (Acme)"
    )


@pytest.mark.thorough
def test_line_of_git_waits_for_the_versions_above_it(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/waited", {"sms": {"text": "Hello"}})
    page = open_console("/account", viewport={"width": 820, "height": 900})
    held: list[Route] = []

    def hold(route: Route) -> None:  # Playwright wraps functions only
        held.append(route)

    page.route("**/v1/templates/waited/versions*", hold)
    with page.expect_request("**/v1/templates/waited/versions*"):
        go(page, "/templates/waited")
    line = page.locator(".git-line")
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()
    expect(line).to_be_hidden()
    held[0].continue_()
    expect(page.get_by_role("listitem").get_by_text("Version 1", exact=True)).to_be_visible()
    expect(line).to_be_visible()


def test_test_message_suggests_the_recipients_of_the_last_sends(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/suggested", {"email": {"subject": "x", "text": "Hello {{ data.client }}"}})
    owner.send("PUT", "/v1/types/suggested", {"template": "suggested"})
    owner.send("PUT", "/v1/recipients/alice", {"name": "Alice of the last send"})
    for to in ("alice", "eve@example.com"):
        owner.send(
            "POST", "/v1/notifications", {"to": to, "type": "suggested", "title": "x", "data": {"client": "Eve"}}
        )
    page = open_console("/templates/suggested")
    expect(page.frame_locator("iframe").get_by_text("Hello Ann Lind")).to_be_visible()
    page.get_by_role("button", name="Test…").click()
    to = page.get_by_role("combobox", name="To recipient")
    to.fill("alice of the last")
    found = page.get_by_role("listbox", name="Found recipients")
    expect(found.get_by_role("option")).to_have_text([re.compile("Alice of the last send")])
    to.press("Enter")
    expect(to).to_have_value("Alice of the last send")
    to.fill("eve")
    page.get_by_role("button", name="Send test").click()
    expect(to).to_have_accessible_description("There is no recipient eve. Choose one from the list.")
    expect(page.get_by_role("button", name="Send me a test")).to_be_visible()
    expect(page.get_by_role("heading", name="Test message")).to_have_css("clip-path", "none")
    assert violations(page) == []


@pytest.mark.thorough
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
    note = page.get_by_text("Preview data:")
    expect(note).to_contain_text("the send to alice")
    note.click()
    expect(page.get_by_text("Names and addresses are invented.")).to_be_visible()
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
    dialog = page.get_by_role("dialog", name="Send me a test")
    dialog.get_by_label("Address").fill("olive@example.com")
    assert violations(page) == []
    dialog.get_by_role("button", name="Send a code").click()
    expect(dialog.get_by_role("status")).to_contain_text("No provider delivers e-mail here")
    expect(dialog.get_by_label("Code")).to_have_value(re.compile(r"^\d{6}$"))
    expect(dialog.get_by_label("Code")).to_be_focused()
    dialog.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Simulated: no e-mail provider is set up.", exact=True)).to_be_visible()
    expect(dialog).to_have_count(0)
    (sent,) = owner.send("GET", "/v1/messages?recipient=operator:olive@example.com&limit=1")["messages"]
    content = owner.send("GET", f"/v1/messages/{sent['id']}")["content"]
    assert content["subject"] == "[Test] Booking"
    assert "Draft for Ann Lind" in content["html"]
    assert saved(page, owner)
    go(page, "/account")
    card = page.get_by_role("region", name="E-mail").or_(page.locator(".panel", has_text="E-mail")).first
    expect(card).to_contain_text("olive@example.com")
    confirm(card.get_by_role("button", name="Remove the e-mail"))
    card.get_by_role("button", name="Add an address…").click()
    expect(card.get_by_label("Address")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_brand_of_the_default_tenant_is_changed_in_the_editor_without_leaving_it(
    owner: Console, open_console: Callable[..., Page]
) -> None:
    owner.send("PUT", "/v1/templates/framed", {"email": {"subject": "x", "blocks": [{"type": "text", "text": "Hi"}]}})
    page = open_console("/templates/framed?edit=yes", viewport={"width": 1280, "height": 900})
    page.get_by_label("Subject").fill("Not saved yet")
    page.get_by_role("button", name="Brand", exact=True).click()
    dialog = page.get_by_role("dialog", name="Brand")
    expect(dialog.get_by_label("Name in e-mails")).to_be_focused()
    expect(
        dialog.get_by_text(re.compile(r"^Changes all e-mails of the default tenant \([0-9]+ template"))
    ).to_be_visible()
    expect(dialog.get_by_role("button", name="Save for all e-mails")).to_be_disabled()
    dialog.get_by_label("Name in e-mails").fill("Harbour Studio")
    dialog.get_by_label("Choose: Colour").fill("#b4470a")
    expect(dialog.get_by_role("img", name="A message with this brand")).to_contain_text("Harbour Studio")
    assert violations(page, within="dialog[open]") == []
    # Another owner saves the brand meanwhile.
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"brand": '{"radius": 3}'}})
    dialog.get_by_role("button", name="Save for all e-mails").click()
    expect(dialog.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    dialog.get_by_role("button", name="Keep mine").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_label("Subject")).to_have_value("Not saved yet")
    document = owner.send("GET", "/v1/settings")
    stored = next(one["value"] for one in document["settings"] if one["name"] == "brand")
    assert json.loads(stored) == {"name": "Harbour Studio", "color": "#b4470a"}
    owner.send("PATCH", "/v1/settings", {"revision": document["revision"], "reset": ["brand"]})


@pytest.mark.thorough
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
    places = [
        dialog.get_by_role("button", name=name).bounding_box()["x"] for name in ("Cancel", "Save for all e-mails")
    ]
    assert places == sorted(places)
    page.set_viewport_size({"width": 1280, "height": 640})
    expect(dialog.get_by_role("button", name="Save for all e-mails")).to_be_in_viewport(
        ratio=1
    )  # also where the fields scroll
    dialog.get_by_label("Colour", exact=True).fill("#ffee00")
    expect(dialog.get_by_text("A link on white has a contrast of 1.2; at least 4.5 is readable.")).to_be_visible()
    with page.expect_response("**/templates/pale/check*"):
        dialog.get_by_role("button", name="Save for all e-mails").click()
    expect(page.locator(".confirmation")).to_have_text("Saved the brand")
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
    expect(developer.locator("section", has_text="owners only").locator(".setting", has_text="brand")).to_be_visible()
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
