"""Settings, providers and Pusher apps in the console's pages."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect
from tests.browser.console import (
    DESKTOP,
    HOSTILE,
    Console,
    confirm,
    go,
    open_more,
    wait_loaded,
)
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations


def test_owner_changes_a_setting_and_restores_it(open_console: Callable[..., Page], owner: Console) -> None:
    revision = owner.send("GET", "/v1/settings")["revision"]
    page = open_console("/settings")
    wait_loaded(page)
    expect(page.get_by_role("button", name="Save")).to_be_hidden()  # nothing has changed
    assert page.locator("form :invalid").count() == 0
    page.get_by_label("limit_tags").fill("-1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("limit_tags")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("limit_tags")).to_be_focused()
    expect(page.locator(".setting .error")).to_contain_text(re.compile("^(?!set).* must be"))
    url = page.get_by_label("jwks_url")
    url.fill("ftp://keys")
    assert url.evaluate("input => input.validity.patternMismatch")  # before the password is requested
    url.fill("")
    page.get_by_label("limit_tags").fill(" 9 ")  # as it was copied
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"Revision {revision + 1}")).to_be_visible()
    expect(page.get_by_label("limit_tags")).to_have_value("9")
    page.get_by_label("limit_tags").fill("20")
    page.get_by_role("button", name="Save").click()
    restore = page.get_by_role("button", name=f"Restore revision {revision + 1}", exact=True)
    confirm(restore)
    expect(page.get_by_text(f"Revision {revision + 3}")).to_be_visible()
    expect(page.get_by_label("limit_tags")).to_have_value("9")
    assert violations(page) == []


@pytest.mark.thorough
def test_settings_name_the_section_that_is_read(open_console: Callable[..., Page]) -> None:
    page = open_console("/settings", viewport=DESKTOP)
    current = page.get_by_role("navigation", name="Groups").locator("[aria-current]")
    expect(current).to_contain_text("Access")
    page.get_by_role("link", name="Connection limits").click()
    expect(current).to_contain_text("Connection limits")
    row = page.locator(".setting", has_text="limit_frame").first.bounding_box()
    assert row is not None
    assert row["height"] <= 48
    groups = page.get_by_role("navigation", name="Groups").get_by_role("link")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(current).to_contain_text(str(groups.last.text_content()))
    for group in groups.all():  # the last ones are too near the end to be scrolled to the top
        group.click()
        expect(group).to_have_attribute("aria-current", "true")
    page.set_viewport_size(PHONE)
    section = page.get_by_role("combobox", name="Section")
    section.select_option("store")
    title = page.get_by_role("heading", name="Retention")
    wait_until(lambda: title.evaluate("(title) => title.getBoundingClientRect().top") < 200, lambda: "not scrolled")
    expect(section).to_have_value("store")
    assert section.evaluate("(one) => one.getBoundingClientRect().bottom") < title.evaluate(
        "(title) => title.getBoundingClientRect().top"
    )


def test_settings_that_another_operator_saved_keep_what_was_entered(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/settings?find=tag")
    expect(page.locator(".setting")).to_have_count(2)
    page.get_by_label("limit_tags").fill("8")
    bar, row = (page.locator(name).first.bounding_box() for name in (".save", ".setting"))
    assert bar["width"] == row["width"]  # nothing of the page shows beside it
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"limit_tag": "70"}})
    page.get_by_role("button", name="Save 1 change").click()
    expect(page.get_by_role("alert").filter(has_text="Your changes are kept")).to_be_visible()
    expect(page.get_by_label("limit_tag", exact=False).last).to_have_value("70")
    expect(page.get_by_label("limit_tags")).to_have_value("8")
    page.get_by_role("button", name="Save 1 change").click()
    expect(page.get_by_role("button", name="Save 1 change")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Changed")).click()
    expect(page.locator(".setting label code")).to_have_text(["limit_tags", "limit_tag"])
    owner.send("PATCH", "/v1/settings", {"revision": revision + 2, "reset": ["limit_tags", "limit_tag"]})


@pytest.mark.thorough
def test_private_mail_server_is_refused_with_the_setting_that_allows_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/providers?new=smtp", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("Host").fill("127.0.0.1")
    host, port = (page.get_by_label(name, exact=True).bounding_box() for name in ("Host", "Port"))
    assert (host["y"], host["width"] > 1.5 * port["width"]) == (port["y"], True)
    page.get_by_label("Sender").fill("bells@example.com")
    page.get_by_role("button", name="Test these values").click()
    value = "BELLCAST_HTTP_ALLOW=127.0.0.1"
    expect(page.get_by_role("status").filter(has_text=value)).to_contain_text(
        "in the server's environment, then restart"
    )
    page.get_by_role("button", name="Create provider").click()
    refusal = page.get_by_role("alert").filter(has_text=value)
    refusal.get_by_role("button", name=f"Copy {value}").click()
    expect(refusal.get_by_role("button", name=f"Copied {value}")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == value
    assert violations(page, within="[role=alert]") == []


@pytest.mark.thorough
def test_provider_is_made_of_fields_and_tested_before_it_is_saved(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/providers?new=yes")
    expect(page.get_by_role("link", name="Twilio")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Mail server").click()
    page.get_by_label("Key", exact=True).fill("mail")
    values = {
        "Host": "mail.example.com",
        "User": "bells@example",
        "Password": "hunter2:/@",
        "Sender": "bells@example.com",
    }
    for label, value in values.items():
        page.get_by_label(label, exact=True).fill(value)
    expect(page.get_by_label("Password")).to_have_attribute("type", "password")
    tested: list[Any] = []

    def test(route: Route) -> None:
        tested.append(route.request.post_data_json)
        step = {"step": "auth", "state": "ok", "ms": 12, "detail": "Signed in.", "fix": None}
        route.fulfill(json={"ok": True, "error": None, "state": "ok", "steps": [step]})

    page.route("**/v1/providers/*/test", test)
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_role("status").filter(has_text="Signed in.")).to_contain_text("Sign-in")
    url = "smtp://bells%40example:hunter2%3A%2F%40@mail.example.com:587?from=bells%40example.com"
    assert tested[0]["values"]["url"] == url
    owner.send("PUT", "/v1/providers/taken", {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"})
    page.get_by_label("Key", exact=True).fill("taken")
    page.get_by_role("button", name="Create provider").click()
    refused = page.get_by_role("alert").filter(has_text="Key is used by another provider.")
    expect(refused).to_be_visible()
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_text("Signed in.")).to_be_in_viewport()
    expect(refused).to_be_visible()  # no test of the URL proves the key
    owner.send("DELETE", "/v1/providers/taken")
    page.get_by_label("Key", exact=True).fill("mail")
    page.get_by_text("Delivery", exact=True).click()
    page.get_by_label("At the same time").fill("1000000")
    page.get_by_role("button", name="Create provider").click()
    refused = page.get_by_role("alert").filter(has_text="At the same time must be")
    expect(refused).to_be_visible()
    with page.expect_response("**/test"):
        page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_text("Signed in.")).to_be_in_viewport()
    expect(refused).to_be_visible()  # nor how many are sent at the same time
    page.get_by_label("At the same time").fill("10")
    page.get_by_role("button", name="Create provider").click()
    expect(page.locator(".facts code").first).to_have_text(re.compile("^smtp://…@mail.example.com:587"))
    page.unroute("**/v1/providers/*/test")
    expect(page.get_by_label("Sender", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Sender", exact=True).fill("no address")
    page.get_by_label("Password").fill("hunter3")
    page.get_by_label("User").fill("bells")
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_role("status").filter(has_text="Sender must be an address")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="Sender must be an address")).to_be_visible()
    expect(page.get_by_label("Sender", exact=True)).to_be_focused()
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_role("alert").filter(has_text="Sender must be an address")).to_have_count(0)
    expect(page.get_by_role("status").filter(has_text="Sender must be an address")).to_be_visible()
    for label in ("Sender", "Password", "User"):
        page.get_by_label(label, exact=True).fill("")
    expect(page.get_by_label("Host")).to_have_value("mail.example.com")
    page.get_by_label("Host").fill("other.example.com")
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_role("status").filter(has_text="needs its credentials again")).to_be_visible()
    page.get_by_label("Host").fill("mail.example.com")
    page.get_by_label("Port", exact=True).fill("2525")
    page.get_by_label("Password").fill("hunter3")
    page.get_by_label("User").fill("bells")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".facts code").first).to_have_text("smtp://…@mail.example.com:2525")
    expect(page.get_by_role("button", name="Save")).to_be_hidden()
    assert violations(page) == []
    assert "hunter" not in page.content()
    open_more(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    open_more(page)
    confirm(page.get_by_role("button", name="Delete mail"))
    expect(page.locator("h1")).to_have_text("Providers")
    assert "mail" not in [one["key"] for one in owner.send("GET", "/v1/providers")["providers"]]


@pytest.fixture
def texts(owner: Console) -> Iterator[str]:
    """The key of a provider that a test may create."""
    yield "texts"
    owner.send("DELETE", "/v1/providers/texts")


def test_another_sender_leaves_the_account_of_a_provider(open_console: Callable[..., Page], texts: str) -> None:
    page, sent = open_console("/providers?new=vonage"), list[str]()

    def record(request: Request) -> None:
        if request.method == "PUT":
            sent.append(request.post_data_json["url"])

    page.on("request", record)
    for label, value in {"Key": texts, "API key": "K1", "API secret": "hunter2", "Signature secret": "a&b"}.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Sender", exact=True).fill("Shop")
    page.get_by_role("button", name="Create provider").click()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Sender", exact=True).fill("Bell")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Save")).to_be_hidden()
    stored = "vonage://K1:hunter2@default?from=Shop&signature_secret=a%26b"
    assert sent == [stored, "vonage://…@default?from=Bell"]


@pytest.mark.thorough
@pytest.mark.parametrize(("label", "query"), [("Sender", "from=Bell"), ("Signature secret", "signature_secret=Bell")])
def test_field_of_a_provider_behind_a_gateway_leaves_the_others(
    open_console: Callable[..., Page], owner: Console, texts: str, label: str, query: str
) -> None:
    url = "vonage://K1:hunter2@gateway.example.com:9000?tls=off&from=Shop"
    owner.send("PUT", f"/v1/providers/{texts}", {"channel": "sms", "url": url})
    page = open_console(f"/providers/{texts}")
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label(label, exact=True).fill("Bell")
    with page.expect_request(lambda request: request.method == "PUT") as saved:
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Save")).to_be_hidden()
    assert saved.value.post_data_json["url"] == f"vonage://…@gateway.example.com:9000?{query}"


def test_pusher_app_opens_beside_its_list_until_it_is_closed(open_console: Callable[..., Page]) -> None:
    page = open_console("/pusher-apps", viewport=DESKTOP)
    expect(page.get_by_role("region", name="Code of a page")).to_contain_text("new Pusher(")
    page.locator(".row-link").click()
    expect(page.get_by_role("region", name="Code of a page")).to_have_count(1)  # the pane has it
    expect(page.locator(".pane .facts")).to_contain_text("Secretprinted by bellcast envCopy")
    expect(page.locator(".pane pre").first).to_contain_text("new Pusher(")
    expect(page.locator(".pane pre").last).to_contain_text("PUSHER_APP_SECRET=…")
    expect(page.get_by_role("heading", name="Clients can connect")).to_be_visible()
    expect(page.locator(".pane pre .token-string").first).to_be_visible()
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("Pusher connected").first).to_be_visible()
    expect(page.get_by_role("button", name="Test connection")).to_be_focused()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("h1")).to_have_text("Pusher apps")
    expect(page.locator(".row-link")).to_have_count(1)
    expect(page.locator(".pane")).to_have_count(0)
    page.set_viewport_size(PHONE)
    go(page, "/pusher-apps")
    page.locator(".row-link").click()
    expect(page.locator("h1")).to_have_text("This project")


@pytest.mark.thorough
def test_pusher_apps_are_listed_without_reading_connections(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    go(page, "/pusher-apps")
    expect(page.locator(".row-link").first).to_be_visible()
    assert [url for url in urls if "/v1/pusher-apps" in url]
    assert not [url for url in urls if "protocol=pusher" in url]


@pytest.mark.thorough
def test_owner_adds_a_pusher_app_after_a_test_of_its_values(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/leads", {})
    page = open_console("/pusher-apps?new=yes")
    page.get_by_label("App name").fill(HOSTILE[:90])
    page.get_by_label("Tenant").fill("leads")
    page.get_by_text("Move an app from another server").click()
    page.get_by_role("button", name="Test these values").click()
    expect(page.get_by_label("App secret")).not_to_have_value("")
    expect(page.get_by_text("Pusher connected").first).to_be_visible()
    page.get_by_role("button", name="Create Pusher app").click()
    expect(page.locator(".notice pre")).to_contain_text("PUSHER_APP_SECRET=")
    secret = page.locator(".notice .id code").inner_text()
    assert violations(page) == []
    go(page, "/pusher-apps")
    page.get_by_role("link", name="<img").click()
    open_more(page)
    confirm(page.get_by_role("button", name="Disable"))
    expect(page.get_by_role("heading", name="Disabled: its clients are refused")).to_be_visible()
    page.get_by_label("Name of the app").fill("Leads of the south")
    page.get_by_label("Origins of its pages").fill("https://a.example, https://b.example")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("Leads of the south")
    assert secret not in page.content()
    assert page.locator("img:not([src$='favicon.svg'])").count() == 0
    (app,) = [one for one in owner.send("GET", "/v1/pusher-apps")["apps"] if one["source"] != "project"]
    assert (app["name"], app["origins"]) == ("Leads of the south", ["https://a.example", "https://b.example"])
    open_more(page)
    confirm(page.get_by_role("button", name="Delete Leads of the south"))
    expect(page.locator("h1")).to_have_text("Pusher apps")


def test_fields_of_the_brand_that_another_tab_saved_are_kept(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/settings?find=brand")
    footer = page.get_by_label("Closing line")
    expect(footer).to_be_visible()
    footer.fill("See you")
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"brand": '{"name":"Nora"}'}})
    page.get_by_role("button", name="Save 1 change").click()
    expect(page.get_by_role("alert").filter(has_text="Your changes are kept")).to_be_visible()
    expect(page.get_by_label("Name in e-mails")).to_have_value("Nora")
    expect(footer).to_have_value("See you")
    page.get_by_role("button", name="Save 1 change").click()
    expect(page.get_by_text(f"Revision {revision + 2}")).to_be_visible()
    settings = owner.send("GET", "/v1/settings")["settings"]
    assert json.loads(next(one["value"] for one in settings if one["name"] == "brand")) == {
        "name": "Nora",
        "footer": "See you",
    }
    owner.send("PATCH", "/v1/settings", {"revision": revision + 2, "reset": ["brand"]})


@pytest.mark.thorough
def test_setting_that_is_typed_while_others_are_saved_stays(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/settings?find=tag")
    expect(page.locator(".setting")).to_have_count(2)
    other = page.get_by_label("limit_tag", exact=False).last

    def type_before_it_is_saved(route: Route) -> None:
        if route.request.method == "PATCH":
            other.evaluate(
                "(input) => { input.value = 70; input.dispatchEvent(new Event('input', { bubbles: true })) }"
            )
        route.continue_()

    page.route("**/v1/settings", type_before_it_is_saved)
    page.get_by_label("limit_tags").fill("8")
    page.get_by_role("button", name="Save 1 change").click()
    expect(page.get_by_label("limit_tags")).to_have_value("8")
    expect(page.locator(".save")).to_contain_text("→ 70")
    expect(page.locator(".save")).not_to_contain_text("8")
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "reset": ["limit_tags"]})


def test_revision_is_restored_after_another_tab_saved(open_console: Callable[..., Page], owner: Console) -> None:
    revision = owner.send("GET", "/v1/settings")["revision"]
    for value in ("7", "8"):
        owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"limit_tags": value}})
        revision += 1
    page = open_console("/settings?find=tag")
    restore = page.get_by_role("button", name=f"Restore revision {revision - 1}", exact=True)
    expect(restore).to_be_visible()
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"limit_tags": "9"}})
    restore.click()
    dialog = page.get_by_role("dialog").filter(visible=True)
    dialog.get_by_role("button", name="Restore").click()
    expect(dialog.get_by_role("alert")).to_contain_text("revision")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text(f"Revision {revision + 1}")).to_be_visible()
    confirm(restore)
    expect(page.get_by_label("limit_tags")).to_have_value("7")
    owner.send("PATCH", "/v1/settings", {"revision": revision + 2, "reset": ["limit_tags"]})
