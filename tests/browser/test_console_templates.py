"""Templates in the console: their list, previews with sample data, and copies for a tenant."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from tests.browser.console import Console, confirm, open_more
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations


@pytest.mark.thorough
def test_template_is_created_for_a_tenant_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/welcome", {"sms": {"text": "Hello"}})
    owner.send("PUT", "/v1/tenants/acme", {})
    page = open_console("/templates", viewport=PHONE)
    page.get_by_role("link", name="New template").click()
    page.get_by_label("Tenant").fill("acme")
    page.get_by_label("Key", exact=True).fill("hello")
    page.get_by_text("An e-mail with a list of items").click()
    assert violations(page) == []
    page.get_by_role("button", name="Create template").click()
    expect(page.locator("h1")).to_have_text("hello")
    expect(page.frame_locator("iframe").get_by_role("heading", name="Thank you")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("[data-save]")).to_contain_text("Draft saved")
    page.goto("/console/templates/welcome?tenant=acme")
    page.get_by_role("link", name="Override for acme").click()
    expect(page.get_by_text("Publishing creates a copy for acme")).to_be_visible()
    page.get_by_role("textbox", name="Text").fill("Hello from Acme")
    page.get_by_role("button", name="Review and publish").click()
    page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Publishing creates a copy for acme")).to_have_count(0)
    owner.send("PUT", "/v1/templates/welcome-later", {"sms": {"text": "Hello"}})
    page.goto("/console/templates")
    expect(page.get_by_role("row").filter(has_text="welcome").filter(has_text="acme")).to_be_visible()
    keys = page.locator(".row-link").all_inner_texts()
    assert keys[keys.index("welcome") :][:3] == ["welcome", "welcome", "welcome-later"]  # below what it replaces
    assert owner.send("GET", "/v1/templates/welcome")["sms"] == {"text": "Hello"}
    page.goto("/console/templates/welcome?tenant=acme")
    open_more(page)
    confirm(page.get_by_role("button", name="Delete welcome"))
    expect(page.locator("h1")).to_have_text("Templates")


@pytest.mark.thorough
def test_list_of_templates_shows_channels_as_named_signs(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/two-ways", {"inbox": {"title": "Hi"}, "email": {"subject": "Hi", "text": "Hi"}})
    page = open_console("/templates")
    row = page.get_by_role("row").filter(has_text="two-ways")
    expect(row.get_by_role("img", name="Inbox, E-mail")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_template_is_previewed_by_language_and_tested(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/templates/evil")
    expect(page.get_by_label("Data as JSON").first).to_have_value(re.compile('"name": "Ann Lind"'))
    expect(page.frame_locator("iframe").get_by_text("alert")).to_be_visible()
    expect(page.locator(".subject b")).to_have_text("Ann Lind")
    page.get_by_role("group", name="Language").get_by_role("button", name="German", exact=True).click()
    expect(page.locator(".subject b")).to_have_text("Hallo")
    page.get_by_role("button", name="Test…").click()
    page.get_by_label("To recipient").fill("evil")
    page.get_by_role("button", name="Send test").click()
    page.get_by_role("link", name="Open the message").click()
    expect(page.get_by_role("heading", name="E-mail", exact=True)).to_be_visible()


@pytest.mark.thorough
def test_sample_data_of_a_template_suits_its_filters(open_console: Callable[..., Page], owner: Console) -> None:
    text = "{{ data.client }}: {{ data.when }}, {{ data.when | default('') | datetime('long') }}, {{ data.fee.net|money('SEK') }}"
    owner.send("PUT", "/v1/templates/dated", {"sms": {"text": f"{text}, {{{{ data.starts_at }}}} {{{{ data.rate }}}}"}})
    page = open_console("/templates/dated")
    sample = json.loads(page.get_by_label("Data as JSON").first.input_value())
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    time = sample.pop("when")
    assert abs(datetime.fromisoformat(time).date() - tomorrow) <= timedelta(days=1)  # the test may run at midnight
    assert sample == {"client": "Ann Lind", "fee": {"net": 49}, "starts_at": time, "rate": "Rate"}
    expect(page.locator(".device")).to_contain_text(re.compile(r"2:00\sPM, SEK\s*49\.00"))


@pytest.mark.thorough
def test_sample_data_of_a_template_changes_no_prototype(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/proto", {"sms": {"text": "{{ data.__proto__.polluted }} {{ data.name }}"}})
    page = open_console("/templates/proto")
    expect(page.get_by_label("Data as JSON").first).to_have_value(re.compile('"__proto__"'))
    assert page.evaluate("({}).polluted === undefined")


def test_template_links_to_the_workflow_that_uses_it(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/templates/greeting?tenant=evil", {"inbox": {"title": "Hello"}})
    steps = [{"key": "bell", "type": "inbox", "template": "greeting"}]
    owner.send("PUT", "/v1/workflows/greeter?tenant=evil", {"steps": steps})
    page = open_console("/templates?tenant=evil")
    page.get_by_role("link", name="greeter", exact=True).click()
    expect(page).to_have_url(re.compile(r"/workflows/greeter\?tenant=evil"))
    expect(page.get_by_role("heading", name="greeter", exact=True)).to_be_visible()
