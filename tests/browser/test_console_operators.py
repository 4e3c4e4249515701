"""Operators, keys and secrets in the console's pages."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import (
    DESKTOP,
    PASSWORD,
    Console,
    act_on_row,
    choose_tenant,
    code_now,
    confirm,
    go,
    menu_titles,
    sign_out,
    state_of_operator,
    wait_loaded,
)
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations

LIKE = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME_ON_LINUX = f"Mozilla/5.0 (X11; Linux x86_64) {LIKE} Chrome/140.0 Safari/537.36"


@pytest.mark.thorough
def test_owner_adds_a_viewer_who_sees_numbers_and_lists_without_content(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/operators?new=yes")
    page.get_by_label("Name").fill("vera")
    page.get_by_label("First password").fill(PASSWORD)
    page.get_by_role("button", name="Create operator").click()
    expect(page.get_by_role("row").filter(has_text="vera")).to_contain_text("viewer")
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/broken", {"type": "broken", "steps": [step]})
    owner.send("POST", "/v1/workflows/broken/trigger", {"to": "evil", "data": {}})
    wait_until(lambda: owner.send("GET", "/v1/failures?workflow=broken")["failures"], lambda: "the run did not fail")
    viewer = open_console("/recipients", state={"cookies": [], "origins": []})
    viewer.get_by_label("Name").fill("vera")
    viewer.get_by_label("Password").fill(PASSWORD)
    viewer.get_by_role("button", name="Sign in").click()
    expect(viewer.locator(".row-title").get_by_text("evil", exact=True)).to_be_visible()
    expect(viewer.locator("#main [role=cell] a")).to_have_count(0)
    assert "evil@example.com" not in viewer.content()
    assert violations(viewer) == []
    lists = [
        "Connections",
        "Notifications",
        "Announcements",
        "Messages",
        "Workflow runs",
        "Failures",
        "Recipients",
        "Tenants",
        "Workflows",
        "Templates",
        "Providers",
    ]
    assert menu_titles(viewer) == ["Overview", "Health", *lists]
    viewer.locator("#menu .turn").click()
    for name in lists:
        viewer.get_by_role("link", name="Configure" if name == "Providers" else name, exact=True).first.click()
        expect(viewer.locator("h1")).to_have_text(name)
        expect(viewer.locator("[aria-busy], .skeleton, .failure")).to_have_count(0)
        assert "alert(" not in viewer.locator("#main").inner_text()
    go(viewer, "/failures")
    expect(viewer.get_by_role("row", name="which the trigger did not send in broken")).to_be_visible()
    expect(viewer.locator("#main .row a")).to_have_count(0)
    expect(viewer.get_by_role("button", name="Retry")).to_have_count(0)
    go(viewer, "/recipients/evil")
    expect(viewer.get_by_text("Your role, viewer, does not permit this page")).to_be_visible()
    viewer.get_by_role("link", name="Overview", exact=True).click()
    expect(viewer.get_by_role("heading", name="Stored")).to_be_visible()


@pytest.mark.thorough
def test_support_retries_one_failure_at_a_time(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/tried", {"type": "tried", "steps": [step]})
    owner.send("PUT", "/v1/recipients/eve", {"email": "eve@example.com"})
    for recipient in ("evil", "eve"):
        owner.send("POST", "/v1/workflows/tried/trigger", {"to": recipient, "data": {}})
    wait_until(
        lambda: len(owner.send("GET", "/v1/failures?workflow=tried")["failures"]) == 2, lambda: "the runs did not fail"
    )
    page = open_console("/failures", state=state_of_operator(owner, chromium, "sue", "support"))
    page.get_by_role("row", name="in tried").get_by_role("link").click()
    for recipient in ("evil", "eve"):
        page.get_by_role("checkbox", name=f"Select {recipient}").check()
    expect(page.get_by_text("Select one to retry.")).to_be_visible()
    page.get_by_role("checkbox", name="Select evil").uncheck()
    page.get_by_role("button", name="Retry 1 selected").click()
    page.get_by_role("dialog", name="Retry").get_by_role("button", name="Continue 1 run", exact=True).click()
    expect(page.get_by_text("1 failure retried")).to_be_visible()


@pytest.mark.thorough
def test_created_key_is_shown_once_and_revoked_after_a_question(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/keys?new=yes", viewport=DESKTOP)
    scopes = page.get_by_role("group", name="Scopes")
    top = (scopes.bounding_box() or {})["y"]
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_text("This is required.")).to_be_visible()
    assert (scopes.bounding_box() or {})["y"] == top  # the help in its place had one line too
    page.get_by_label("Name").fill("shop")
    page.get_by_role("button", name="Create API key").click()
    key = page.locator(".notice code").inner_text()
    expect(page.get_by_role("region", name="A first request")).to_contain_text("curl")
    assert violations(page) == []
    assert httpx.get(f"{owner.server.url}/v1/keys", headers={"authorization": f"Bearer {key}"}).status_code == 403
    expect(page.get_by_role("button", name="Actions of shop")).to_be_attached()  # in the list, next to the key
    expect(page.locator(".notice code")).to_have_text(key)
    page.get_by_role("link", name="Done").click()
    page.get_by_role("button", name="Actions of shop").click()
    revoke = page.get_by_role("button", name="Revoke shop")
    expect(revoke).to_be_visible()
    assert key not in page.content()
    confirm(revoke)
    assert httpx.get(f"{owner.server.url}/v1/keys", headers={"authorization": f"Bearer {key}"}).status_code == 401


@pytest.mark.thorough
def test_operator_adds_an_authenticator_app_and_signs_in_with_its_code(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/operators", {"name": "mia", "role": "developer", "password": PASSWORD})
    page = open_console("/account", state={"cookies": [], "origins": []}, viewport=PHONE)
    page.get_by_role("textbox", name="Name").fill("mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Set up an authenticator app").click()
    secret = page.locator(".steps .id code").inner_text()
    image = page.get_by_role("img", name="QR code of the key")
    width = "image => image.decode().then(() => image.naturalWidth)"
    assert image.evaluate(width) > 100
    assert violations(page) == []
    page.get_by_label("Code").fill(code_now(secret))
    page.get_by_role("button", name="Confirm").click()
    codes = page.locator(".steps pre").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("button", name="I have stored them").click()
    page.get_by_role("button", name="Create new recovery codes").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Create new recovery codes").click()
    page.get_by_role("dialog").get_by_role("button", name="New recovery codes").click()
    first, codes = codes[0], page.locator(".steps pre").inner_text().split()
    assert first not in codes
    page.get_by_role("button", name="I have stored them").click()
    sign_out(page)
    page.get_by_role("textbox", name="Name").fill("mia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("The code is wrong")
    assert violations(page) == []
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_password_is_typed_again_for_a_sensitive_action(open_console: Callable[..., Page]) -> None:
    page = open_console("/keys?new=yes")
    refusal = {"code": "password_required", "detail": "Type your password again.", "status": 403}
    page.route(
        "**/v1/keys",
        lambda route: (
            route.fulfill(status=403, json=refusal, content_type="application/problem+json")
            if route.request.method == "POST"
            else route.fallback()
        ),
    )
    page.get_by_label("Name").fill("after a while")
    page.get_by_role("button", name="Create API key").click()
    dialog = page.get_by_role("dialog", name="Confirm it’s you")
    dialog.get_by_label("Current password").fill("not the password")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    assert violations(page, within="dialog[open]") == []
    page.unroute("**/v1/keys")
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".notice code")).to_contain_text("bc_")


@pytest.mark.thorough
def test_audit_log_shows_a_question_for_the_password_as_no_failure_and_changes_in_words(
    open_console: Callable[..., Page], owner: Console
) -> None:
    changed = owner.send("GET", "/v1/audit?limit=1")["entries"][0] | {
        "action": "PUT /v1/types/{key}",
        "target": "/v1/types/worded",
        "outcome": "ok",
        "changes": [{"field": "data_check", "from": "refuse", "to": "warn"}],
    }
    needed = {"action": "POST /v1/keys", "target": "/v1/keys", "outcome": "password_required", "changes": []}
    refused = needed | {"outcome": "forbidden"}
    done = needed | {"id": "5", "outcome": "ok"}
    entries = [changed | needed | {"id": "1"}, changed | refused | {"id": "2"}, changed]
    # The act that followed a question is shown once.
    entries += [changed | done | {"actor": "ann"}, changed | needed | {"id": "6", "actor": "ann"}]
    page = open_console(None)
    page.route("**/v1/audit*", lambda route: route.fulfill(json={"entries": entries, "next": None}))
    page.goto(f"{owner.server.url}/console/audit")
    rows = page.locator(".chunk .row")
    expect(rows).to_have_count(4)
    question, refusal, change, created = rows.all()
    expect(created).to_contain_text("created an API key")
    expect(question).to_contain_text("began to create an API key")
    expect(question.locator(".state.open")).to_have_text("password needed")
    expect(refusal.locator(".state.bad")).to_have_text("forbidden")
    expect(change).to_contain_text("data check: refuse → warn")
    assert violations(page) == []


@pytest.mark.thorough
def test_audit_log_counts_no_entry_as_new_that_it_leaves_out(open_console: Callable[..., Page], owner: Console) -> None:
    one = owner.send("GET", "/v1/audit?limit=1")["entries"][0] | {"action": "POST /v1/keys", "target": "/v1/keys"}
    entries = [one | {"id": "2", "outcome": "ok"}, one | {"id": "1", "outcome": "password_required"}]
    page = open_console("/account", is_alone=True)
    wait_loaded(page)
    page.clock.install()
    page.route("**/v1/audit*", lambda route: route.fulfill(json={"entries": entries, "next": None}))
    go(page, "/audit")
    expect(page.locator(".chunk .row")).to_have_count(1)
    entries.insert(0, one | {"id": "3", "target": "/v1/keys?tenant=acme", "outcome": "ok"})
    page.clock.run_for(16_000)
    page.get_by_role("button", name=re.compile("^1 new")).click()
    expect(page.locator(".chunk .row")).to_have_count(2)


@pytest.mark.thorough
def test_audit_log_is_read_with_any_key_of_a_recipient(open_console: Callable[..., Page], owner: Console) -> None:
    key = owner.send("POST", "/v1/keys", {"name": "hundred", "scopes": ["read"]})
    secret = {"authorization": f"Bearer {key['key']}"}
    assert httpx.delete(f"{owner.server.url}/v1/recipients/100%25", headers=secret).status_code == 403
    page = open_console("/audit?text=100", viewport=DESKTOP)
    page.get_by_role("link", name="hundred tried to erase recipient 100%").click()
    expect(page.locator(".facts").get_by_role("link", name="recipient 100%", exact=True)).to_have_attribute(
        "href", "/console/recipients/100%25"
    )
    # As a client wrote it that encodes nothing, and as a parameter.
    one = owner.send("GET", "/v1/audit?limit=1")["entries"][0] | {"action": "GET /v1/messages", "outcome": "ok"}
    targets = ("/v1/recipients/100%", "/v1/messages?recipient=100%25")
    entries = [one | {"id": str(number), "target": target} for number, target in enumerate(targets)]
    page.route("**/v1/audit*", lambda route: route.fulfill(json={"entries": entries, "next": None}))
    go(page, "/audit?outcome=ok")
    expect(page.locator(".chunk .row")).to_have_count(2)
    owner.send("DELETE", f"/v1/keys/{key['id']}")


@pytest.mark.thorough
def test_audit_log_says_what_a_failure_of_the_server_leaves_open(
    open_console: Callable[..., Page], owner: Console
) -> None:
    one = owner.send("GET", "/v1/audit?limit=1")["entries"][0] | {"outcome": "internal", "changes": []}
    page = open_console("/")
    page.route("**/v1/audit*", lambda route: route.fulfill(json={"entries": [one], "next": None}))
    go(page, f"/audit/{one['id']}")
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("Failed: internalA part of it may have been done.")


@pytest.mark.thorough
@pytest.mark.parametrize("id", ["missing", "01890a5d-ac96-774b-bcce-b302099a8057"])
def test_audit_log_has_no_entry_of_an_unknown_id(open_console: Callable[..., Page], id: str) -> None:
    page = open_console(f"/audit/{id}")
    expect(page.get_by_text("The audit log has no such entry.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit")


@pytest.mark.thorough
def test_audit_log_counts_no_fields_of_what_was_created(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/")
    change = {"field": "url", "from": None, "to": "https://example.com"}
    one = owner.send("GET", "/v1/audit?limit=1")["entries"][0] | {"action": "POST /v1/webhooks", "outcome": "ok"}
    body = {"entries": [one | {"target": "/v1/webhooks", "changes": [change]}], "next": None}
    page.route("**/v1/audit*", lambda route: route.fulfill(json=body))
    go(page, f"/audit/{one['id']}")
    read: list[str] = []
    page.on("request", lambda request: read.append(request.url))
    page.reload()
    expect(page.get_by_role("region", name="State")).to_have_text("Created with 1 field")
    expect(page.get_by_role("link", name=f"All by {one['actor']}")).to_have_attribute(
        "href", re.compile(r"/audit\?actor=")
    )
    wait_loaded(page)
    assert [url for url in read if "/v1/audit" in url and "actor=" in url] == []  # it would compare many entries
    expect(page.get_by_role("heading", name="Fields")).to_be_visible()


@pytest.mark.thorough
def test_actions_of_a_quiet_operator_are_not_denied_beyond_what_was_searched(
    open_console: Callable[..., Page], owner: Console
) -> None:
    quiet = owner.send("POST", "/v1/operators", {"name": "quiet", "role": "viewer", "password": PASSWORD})["id"]
    page = open_console("/")
    found: dict[str, Any] = {"entries": [], "next": None, "scanned_until": quiet}
    page.route("**/v1/audit*", lambda route: route.fulfill(json=found))
    go(page, f"/operators/{quiet}")
    expect(page.get_by_text("None among the newest 20,000 entries.")).to_be_visible()
    found["scanned_until"] = None
    page.reload()
    expect(page.get_by_text("None in the last 400 days.")).to_be_visible()
    owner.send("DELETE", f"/v1/operators/{quiet}")


@pytest.mark.thorough
def test_pane_of_a_key_begins_with_its_state_and_last_use(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/tenants/acme", {"name": "Acme Ltd"})
    key = owner.send("POST", "/v1/keys", {"name": "verdict", "scopes": ["read", "observe"], "tenants": ["acme"]})
    page = open_console(f"/keys/{key['id']}", viewport=DESKTOP)
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("Never used")
    expect(page.locator(".facts")).to_contain_text("Acme Ltd")
    expect(page.get_by_role("row", name="verdict")).to_contain_text("Acme Ltd")
    for _ in range(9):  # more than are shown
        httpx.get(f"{owner.server.url}/v1/recipients?tenant=acme", headers={"authorization": f"Bearer {key['key']}"})
    keys = "/v1/keys?limit=200&tenant=*"
    wait_until(
        lambda: key["id"] in {one["id"] for one in owner.send("GET", keys)["keys"] if one["used_at"]}, lambda: keys
    )
    page.reload()
    expect(state).to_contain_text("Last used")
    latest = page.get_by_role("region").filter(has=page.get_by_role("heading", name="Latest requests"))
    expect(latest.get_by_role("link", name="GET /v1/recipients").first).to_be_visible()
    latest.get_by_role("link", name=re.compile("^All .* requests$")).click()
    expect(page.get_by_role("row").filter(has_text="/v1/recipients").first).to_be_visible()
    page.go_back()
    owner.send("DELETE", f"/v1/keys/{key['id']}")
    page.reload()
    expect(state).to_contain_text("Revoked")
    assert violations(page) == []


@pytest.mark.thorough
def test_operator_without_a_second_factor_finds_the_way_to_one(
    open_console: Callable[..., Page], owner: Console
) -> None:
    wanda = owner.send("POST", "/v1/operators", {"name": "wanda", "role": "viewer", "password": PASSWORD})
    page = open_console("/operators", viewport=DESKTOP)
    own = page.get_by_role("row", name="wanda")
    expect(own.locator(".state.info")).to_have_text("password only")
    expect(page.get_by_role("row").filter(has_text="you").locator(".state.warn")).to_have_text("password only")
    expect(page.get_by_role("link", name="Set up", exact=True)).to_have_count(1)  # of one's own row
    page.get_by_role("link", name="wanda").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("Only a password protects this account")
    page.get_by_role("link", name="Set up", exact=True).click()
    expect(page.locator("h1")).to_have_text("Account")
    owner.send("DELETE", f"/v1/operators/{wanda['id']}")


def test_operator_changes_the_password_in_a_form_that_opens(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    page = open_console("/account", state=state_of_operator(owner, chromium, "changer", "viewer"))
    field = page.get_by_label("New password")
    expect(page.get_by_role("heading", name="Password")).to_be_visible()
    expect(field).to_have_count(0)
    page.get_by_role("button", name="Change the password…").click()
    expect(page.get_by_label("Current password")).to_be_focused()
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(page.get_by_role("button", name="Change the password…")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Current password").fill(PASSWORD)
    field.fill("another horse battery")
    assert violations(page) == []
    page.get_by_role("button", name="Change password", exact=True).click()
    expect(page.get_by_text("The password was changed.")).to_be_visible()
    expect(field).to_have_count(0)


def test_owner_encrypts_the_secrets_again(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/webhooks", {"url": "https://app.example.com/hook", "events": ["message.sent"]})
    page = open_console("/secrets")
    verdict, rows = page.get_by_role("region", name="State"), page.get_by_role("table", name="Keys").locator(".row")
    expect(page.get_by_role("heading", name="encrypted with the current key")).to_be_visible()
    expect(verdict).to_contain_text("It encrypts new secrets too.")
    expect(rows).to_have_count(0)  # the sentence says all of the only key
    expect(page.get_by_role("button", name="Re-encrypt")).to_have_count(0)
    change = page.get_by_role("listitem").locator("b")
    expect(change).to_have_text(["Set the same key on all servers", "Re-encrypt all secrets"])
    assert violations(page) == []
    keys = [
        {"id": "new", "is_current": True, "secrets": 1},
        {"id": "old", "is_current": False, "secrets": 2},
    ]
    page.route("**/v1/secrets", lambda route: route.fulfill(json={"keys": keys, "unreadable": 0}))
    page.reload()
    expect(page.get_by_role("heading", name="2 secrets use an older key")).to_be_visible()
    expect(rows.filter(has_text="old")).to_contain_text("needed until all secrets are re-encrypted")
    expect(change).to_have_count(4)  # a list of keys, which servers read in steps
    assert violations(page) == []
    rotate = page.get_by_role("button", name="Re-encrypt all secrets")
    page.unroute("**/v1/secrets")
    confirm(rotate)
    expect(page.get_by_role("status").filter(has_text="re-encrypted.")).to_be_visible()
    expect(rotate).to_have_count(0)
    keys = [
        {"id": "encryption.json 1", "is_current": True, "secrets": 1},
        {"id": "project secret", "is_current": False, "secrets": 0},
    ]
    page.route("**/v1/secrets", lambda route: route.fulfill(json={"keys": keys, "unreadable": 3}))
    page.reload()
    expect(page.get_by_role("heading", name="3 secrets cannot be decrypted")).to_be_visible()
    expect(change).to_have_text(["Generate a new key", "Restart the servers"])
    older = rows.filter(has_text="project secret")
    expect(older).to_contain_text("of the credentials")
    expect(older).to_contain_text("for secrets of older versions")
    expect(older.locator(".state.info")).to_have_text("kept")
    page.route("**/v1/secrets", lambda route: route.fulfill(json={"keys": keys, "unreadable": 0}))
    page.reload()
    expect(verdict).to_have_text("The secret is encrypted with the current key")  # the list says the rest


def test_console_cannot_be_framed(chromium: Browser, owner: Console) -> None:
    context = chromium.new_context(storage_state=owner.state)
    page = context.new_page()
    page.route(
        "https://evil.test/",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<iframe src="{owner.server.url}/console"></iframe>'
        ),
    )
    page.goto("https://evil.test/")
    # Evaluating lets Playwright process its events.
    refused = "chrome-error://chromewebdata/"
    wait_until(lambda: page.evaluate("1") and page.frames[-1].url == refused, lambda: page.frames[-1].url)
    context.close()


@pytest.mark.thorough
def test_keys_are_filtered_by_tenant(open_console: Callable[..., Page], owner: Console) -> None:
    for tenant in ("acme", "globex"):
        owner.send("POST", "/v1/keys", {"name": f"key of {tenant}", "scopes": ["send"], "tenants": [tenant]})
    page = open_console("/keys")
    titles = page.locator(".row-link")
    expect(titles.get_by_text("key of globex", exact=True)).to_be_visible()
    choose_tenant(page, "acme")
    expect(titles.get_by_text("key of globex", exact=True)).to_have_count(0)
    expect(titles.get_by_text("key of acme", exact=True)).to_be_visible()
    assert "tenant=acme" in page.url


@pytest.mark.thorough
def test_keys_show_their_scopes_and_last_use_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/keys", {"name": "phone key", "scopes": ["observe", "read", "agent"]})
    page = open_console("/keys", viewport=PHONE)
    row = page.get_by_role("row", name="phone key")
    used = row.get_by_text("never used")
    expect(used).to_be_in_viewport(ratio=1)
    assert used.evaluate("(one) => getComputedStyle(one.closest('.cell'), '::before').content") == "none"
    scopes = row.locator(".cell:has(.tags)")
    assert scopes.evaluate("(one) => one.scrollWidth <= one.clientWidth")


@pytest.mark.thorough
def test_account_is_one_list_of_rows(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport=DESKTOP, user_agent=CHROME_ON_LINUX)
    rows = page.locator(".account > section")
    wait_loaded(page)
    edges = rows.evaluate_all("(all) => all.map((one) => [...one.children].map((part) => part.offsetLeft))")
    assert len(edges) >= 4
    assert {tuple(left) for left in edges} == {tuple(edges[0])}, "names and values begin at the same places"
    assert page.locator(".account").bounding_box()["width"] <= 760, "a value is near its name"
    expect(page.get_by_role("region", name="Sessions")).to_contain_text("Chrome on Linux")


def test_operator_signs_another_browser_out(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    state = state_of_operator(owner, chromium, "traveller", "viewer")
    other = chromium.new_context(base_url=owner.server.url)
    credentials = {"name": "traveller", "password": PASSWORD}
    assert other.request.post("/v1/session", data=credentials, headers={"origin": owner.server.url}).ok
    elsewhere = chromium.new_context(base_url=owner.server.url)
    assert elsewhere.request.post("/v1/session", data=credentials, headers={"origin": owner.server.url}).ok
    page = open_console("/account", state=state)
    sessions = page.get_by_role("region", name="Sessions")
    expect(sessions.get_by_role("listitem")).to_have_count(3)
    expect(sessions.get_by_role("listitem").first).to_contain_text("This browser")
    # A session that ended meanwhile is one less, and no error.
    assert elsewhere.request.delete("/v1/session", headers={"origin": owner.server.url}).ok
    elsewhere.close()
    confirm(sessions.get_by_role("listitem").nth(1).get_by_role("button", name=re.compile("Sign out the session of")))
    expect(sessions.get_by_role("listitem")).to_have_count(2)
    confirm(sessions.get_by_role("button", name=re.compile("Sign out the session of")))
    expect(sessions.get_by_role("listitem")).to_have_count(1)
    assert other.request.get("/v1/me").status == 401
    assert violations(page) == []
    other.close()


@pytest.mark.thorough
def test_sessions_are_named_by_their_browsers(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    state = state_of_operator(owner, chromium, "commuter", "viewer")
    agents = {
        "Firefox on Linux": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Edge on Windows": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {LIKE} Chrome/140.0 Safari/537.36 Edg/140.0",
        "Chrome on Android": f"Mozilla/5.0 (Linux; Android 10; K) {LIKE} Chrome/140.0 Mobile Safari/537.36",
        "Chrome on iPhone": f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {LIKE} CriOS/140.0 Safari/604.1",
        "Safari on macOS": f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {LIKE} Version/18.0 Safari/605.1.15",
        "Another browser": "curl/8.5.0",
    }
    for agent in agents.values():
        other = chromium.new_context(base_url=owner.server.url, user_agent=agent)
        body = {"name": "commuter", "password": PASSWORD}
        assert other.request.post("/v1/session", data=body, headers={"origin": owner.server.url}).ok
        other.close()
    page = open_console("/account", state=state, user_agent=CHROME_ON_LINUX)
    sessions = page.get_by_role("region", name="Sessions").get_by_role("listitem")
    expect(sessions).to_have_count(len(agents) + 1)
    for name in ("This browser Chrome on Linux", *agents):
        expect(sessions.filter(has_text=f"{name}Signed in")).to_have_count(1)
    assert violations(page) == []


def test_sign_out_that_fails_shows_the_reason_and_can_be_repeated(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    page = open_console("/account", state=state_of_operator(owner, chromium, "leaver", "viewer"))
    page.route("**/v1/session", lambda route: route.abort())
    sign_out(page)
    mark = page.get_by_role("alert").filter(has_text="The server cannot be reached.")
    expect(mark).to_be_visible()
    page.unroute("**/v1/session")
    mark.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.thorough
def test_refused_change_of_a_role_shows_the_reason(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/operators", {"name": "rolf", "role": "viewer", "password": PASSWORD})
    page = open_console("/operators", viewport=DESKTOP)
    problem = {"title": "Unavailable", "detail": "The store is away.", "status": 503}
    page.route("**/v1/operators/*", lambda route: route.fulfill(status=503, json=problem))
    page.get_by_role("link", name="rolf").click()
    page.get_by_role("button", name="Edit", exact=True).click()
    role = page.get_by_label("Role")
    expect(role).to_have_value("viewer")
    role.select_option("support")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="The store is away.")).to_be_visible()
    expect(role).to_have_value("support")  # as it was entered
    page.unroute("**/v1/operators/*")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="rolf")).to_contain_text("support")


@pytest.mark.thorough
def test_saved_tenants_keep_the_role_that_another_operator_has_set(
    open_console: Callable[..., Page], owner: Console
) -> None:
    dora = {"name": "dora", "role": "developer", "password": PASSWORD, "tenants": ["acme"]}
    id = owner.send("POST", "/v1/operators", dora)["id"]
    page = open_console(f"/operators/{id}?focus=role", viewport=DESKTOP)
    expect(page.get_by_label("Role")).to_have_value("developer")
    owner.send("PATCH", f"/v1/operators/{id}", {"role": "viewer"})
    page.get_by_role("button", name="Remove acme").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("viewer:")).to_be_visible()
    (stored,) = [one for one in owner.send("GET", "/v1/operators")["operators"] if one["id"] == id]
    assert (stored["role"], stored["tenants"]) == ("viewer", None)


@pytest.mark.thorough
def test_buttons_of_a_new_object_are_in_sight_and_one_goes_back(open_console: Callable[..., Page]) -> None:
    page = open_console("/keys?new=yes&tenant=acme", viewport={"width": 1280, "height": 500})
    create, name = page.get_by_role("button", name="Create API key"), page.get_by_label("Name")
    expect(name).to_be_focused()
    expect(create).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1280, "height": 1000})
    box = create.bounding_box()
    assert box
    assert 1000 - 24 <= box["y"] + box["height"] <= 1000
    assert violations(page) == []
    page.get_by_role("link", name="Cancel").click()
    expect(page).to_have_url(re.compile(r"/keys\?tenant=acme$"))
    expect(name).to_have_count(0)


def test_audit_log_is_searched_and_has_names_in_place_of_ids(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/audited-1", {"name": "Audrey Audited"})
    key = owner.send("POST", "/v1/keys", {"name": "audited key", "scopes": ["read"]})
    secret = {"authorization": f"Bearer {key['key']}"}
    assert httpx.delete(f"{owner.server.url}/v1/recipients/audited-1", headers=secret).status_code == 403
    page = open_console("/audit", viewport=DESKTOP)
    page.get_by_role("searchbox", name="Search actors and objects").fill("AUDITED-1")
    refused = page.get_by_role("row", name="audited key tried to erase recipient Audrey Audited")
    expect(page.locator(".chunk .row")).to_have_count(1)
    page.get_by_role("button", name="Refused", exact=True).click()
    expect(page.locator(".chunk .row").filter(has_not=page.locator(".state.bad"))).to_have_count(0)
    refused.get_by_role("link").click()
    expect(page.get_by_role("region", name="State")).to_contain_text("Nothing was changed.")
    expect(page.locator(".facts").get_by_role("link", name="recipient Audrey Audited")).to_be_visible()
    assert violations(page) == []
    owner.send("DELETE", f"/v1/keys/{key['id']}")
    owner.send("DELETE", "/v1/recipients/audited-1")


def test_question_for_the_password_ends_when_the_history_leaves_its_page(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/keys", {"name": "left alone", "scopes": ["read"]})
    page = open_console("/health")
    go(page, "/keys")
    refusal = {"code": "password_required", "detail": "Type your password again.", "status": 403}
    page.route(
        re.compile("/v1/keys/"),
        lambda route: route.fulfill(status=403, json=refusal, content_type="application/problem+json"),
    )
    act_on_row(page, "left alone", "Revoke left alone")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("dialog", name="Confirm it’s you")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Health", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog").filter(visible=True)).to_have_count(0)
    assert owner.send("GET", "/v1/keys")["keys"]


@pytest.mark.parametrize(("path", "title"), [("/webhooks", "Webhooks"), ("/recipients", "Recipients")])
def test_form_of_a_new_object_is_shown_to_operators_who_may_create_it(
    open_console: Callable[..., Page], owner: Console, chromium: Browser, path: str, title: str
) -> None:
    page = open_console(f"{path}?new=yes")
    expect(page.get_by_role("region", name="Opened").get_by_role("heading", name="New")).to_be_visible()
    state = state_of_operator(owner, chromium, f"support.of.{title.lower()}", "support")
    support = open_console(f"{path}?new=yes", state=state)
    expect(support.get_by_role("heading", name=title, exact=True)).to_be_visible()
    wait_loaded(support)
    expect(support.get_by_role("region", name="Opened")).to_have_count(0)
