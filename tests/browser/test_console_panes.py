"""What the console shows and offers beside a list, from what the server has in memory or stored."""

import json
import re
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import DESKTOP, Console, confirm, go, open_more, wait_loaded
from tests.browser.shop import PHONE
from tests.browser.test_accessibility import violations

from bellcast.channels import types as message_types
from bellcast.workflows.types import runs as run_types


@pytest.mark.thorough
def test_title_of_an_object_stays_in_place_with_and_without_buttons(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/placed", {"name": "Placed"})
    owner.send("POST", "/v1/keys", {"name": "placed", "scopes": ["send"]})
    tops = []
    page = open_console("/account", viewport=DESKTOP)
    for path, name in (("/types", "Placed"), ("/keys", "placed"), ("/audit", "project secret created an API key")):
        go(page, path)
        page.get_by_role("link", name=name).first.click()
        title, close = (page.locator(one) for one in (".pane h1", ".pane .close"))
        expect(title).to_contain_text(name)
        wait_loaded(page)
        boxes = title.bounding_box(), close.bounding_box()
        tops.append([round(one["y"], 1) for one in boxes if one])
    assert tops[0] == tops[1] == tops[2]


@pytest.mark.thorough
def test_buttons_of_an_object_are_on_the_line_of_its_title(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/placed", {"name": "A type with a title that needs two lines beside a list"})
    page = open_console("/types/placed", viewport=DESKTOP)
    pane = page.locator(".pane")
    expect(pane.get_by_role("heading", level=1)).to_contain_text("two lines")
    edit, more = pane.get_by_role("button", name="Edit", exact=True), pane.get_by_role("button", name="More for")
    tops = {round(place["y"] + place["height"] / 2) for one in (edit, more) if (place := one.bounding_box())}
    close = pane.get_by_role("button", name="Close, back to").bounding_box()
    assert close
    assert all(abs(top - close["y"] - close["height"] / 2) <= 1 for top in tops)


@pytest.mark.thorough
def test_button_of_the_whole_page_leads_back_beside_the_list(open_console: Callable[..., Page]) -> None:
    page = open_console("/audit", viewport=DESKTOP)
    page.locator(".row-link").first.click()
    page.get_by_role("button", name="Use the whole page").click()
    expect(page.locator(".row-link").first).to_be_hidden()
    page.get_by_role("button", name="Back beside the list").click()
    expect(page.locator(".row-link").first).to_be_visible()


@pytest.mark.thorough
def test_row_without_a_second_line_is_in_the_middle_of_its_place(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/keys", {"name": "of all", "scopes": ["send"]})
    page = open_console("/audit", viewport=DESKTOP)
    page.locator(".row-link").first.click()
    expect(page.locator(".pane h1")).to_be_visible()
    from_middle = """(row) => {
      const [of, title] = [row, row.querySelector('.row-link')].map((one) => one.getBoundingClientRect());
      return Math.abs(of.top + of.height / 2 - title.top - title.height / 2);
    }"""
    row = page.locator(".chunk .row").filter(has_text="created an API key").first
    assert row.evaluate(from_middle) <= 2


def test_provider_is_paused_and_active_again_by_undo(open_console: Callable[..., Page], owner: Console) -> None:
    body = {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"}
    owner.send("PUT", "/v1/providers/undone", body)
    page = open_console("/providers/undone")
    expect(page.get_by_text("No message in the last 24 hours")).to_be_visible()
    open_more(page)
    page.get_by_role("button", name="Pause").click()
    toast = page.get_by_role("status").filter(has_text="undone is paused.")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert violations(page) == []
    assert owner.send("GET", "/v1/providers/undone")["active"] is False
    toast.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    assert owner.send("GET", "/v1/providers/undone")["active"] is True
    owner.send("DELETE", "/v1/providers/undone")


@pytest.mark.thorough
def test_provider_that_another_operator_paused_is_read_again(open_console: Callable[..., Page], owner: Console) -> None:
    body = {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"}
    owner.send("PUT", "/v1/providers/raced", body)
    page = open_console("/providers/raced")
    expect(page.get_by_text("No message in the last 24 hours")).to_be_visible()
    owner.send("PUT", "/v1/providers/raced", body | {"active": False})
    open_more(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".toast")).to_contain_text("Another operator has changed this in the meantime")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    owner.send("DELETE", "/v1/providers/raced")


@pytest.mark.thorough
def test_page_of_a_key_has_its_last_requests(open_console: Callable[..., Page], owner: Console) -> None:
    key = owner.send("POST", "/v1/keys", {"name": "calling", "scopes": ["send"]})
    page = open_console("/keys")
    body = {
        "requests": [
            {
                "id": "r1",
                "at": "2026-06-01T10:00:00Z",
                "method": "GET",
                "path": "/v1/me",
                "status": 403,
                "code": "forbidden",
            }
        ],
        "total": {"value": 4, "exact": True},
        "next": None,
    }
    page.route("**/v1/requests?*", lambda route: route.fulfill(json=body))
    page.get_by_role("link", name="calling").click()
    expect(page.get_by_role("link", name="GET /v1/me")).to_have_attribute("href", "/console/requests/r1")
    expect(page.get_by_role("link", name="All 4 requests")).to_have_attribute("href", re.compile(f"key={key['id']}"))
    assert violations(page) == []


@pytest.mark.thorough
def test_duration_of_a_request_is_below_its_path_with_and_without_a_caller_on_a_phone(
    open_console: Callable[..., Page],
) -> None:
    one = {"at": "2026-06-01T10:00:00Z", "method": "GET", "path": "/v1/health", "status": 200, "ms": 2.5, "body": None}
    rows = [{"id": "r1", **one}, {"id": "r2", **one, "key": "shop"}]
    body = {"requests": rows, "total": {"value": 2, "exact": True}, "next": None}
    page = open_console("/", viewport=PHONE)
    page.route("**/v1/requests?*", lambda route: route.fulfill(json=body))
    go(page, "/requests")
    expect(page.get_by_role("row", name="/v1/health")).to_have_count(2)
    below = page.locator(".chunk .row .number").evaluate_all(
        "all => all.map((one) => one.offsetTop >= one.closest('.row').querySelector('.title').offsetTop + 16)"
    )
    assert below == [True, True]


@pytest.mark.thorough
def test_events_of_a_webhook_are_counted_before_they_are_replayed(
    open_console: Callable[..., Page], owner: Console
) -> None:
    made = owner.send("POST", "/v1/webhooks", {"url": "https://app.example.com/again", "events": ["run.failed"]})
    page = open_console(f"/webhooks/{made['id']}")
    sent: list[bool] = []

    def replay(route: Route) -> None:
        sent.append("dry_run=true" in route.request.url)
        route.fulfill(json={"replayed": 12})

    replays = page.get_by_role("button", name="Replay…")
    page.get_by_label("Events of").select_option("the last 7 days")
    replays.click()
    expect(page.get_by_text("There is no event of the last 7 days.")).to_be_visible()
    page.route("**/replay*", replay)
    replays.click()
    expect(page.get_by_role("dialog", name="Replay 12 events?")).to_contain_text("They keep their ids")
    assert sent == [True]
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    expect(page.get_by_text("12 events are sent again.")).to_be_visible()
    assert sent == [True, False]
    open_more(page)
    confirm(page.get_by_role("button", name="Delete this webhook"))


@pytest.mark.thorough
def test_entry_of_the_audit_log_leads_to_what_was_changed(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/suppressions?new=yes")
    page.get_by_label("Address", exact=True).fill("far@example.com")
    page.get_by_role("button", name="Create suppression", exact=True).click()
    expect(page.locator("h1")).to_have_text("Suppressions")
    go(page, "/audit")
    page.get_by_role("link", name="suppressed far@example.com").click()
    expect(page.get_by_role("region", name="State")).to_have_text("Done")
    page.locator(".facts").get_by_role("link", name="suppression far@example.com").click()
    expect(page.locator("h1")).to_have_text("far@example.com")
    owner.send("DELETE", "/v1/suppressions/email/far@example.com")


@pytest.mark.thorough
def test_what_is_wrong_is_said_below_its_field_until_it_is_changed(open_console: Callable[..., Page]) -> None:
    page = open_console("/recipients?new=yes")
    key = page.get_by_label("Key", exact=True)
    page.get_by_label("Name", exact=True).fill("Zoë’s Nameless")
    expect(key).to_have_value("")  # the app's id, which no name has
    page.get_by_role("button", name="Create recipient").click()
    expect(key).to_be_focused()
    expect(key).to_have_accessible_description("This is required.")
    assert violations(page) == []
    key.fill("nameless")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(key).to_have_accessible_description("The id of the user in your app.")
    page.get_by_label("Time zone").fill("Mars")
    page.get_by_role("button", name="Create recipient").click()
    expect(page.get_by_label("Time zone")).to_have_accessible_description(re.compile("Time zone must be an IANA"))


@pytest.mark.thorough
def test_field_is_examined_when_it_is_left_for_another_one(open_console: Callable[..., Page]) -> None:
    page = open_console("/webhooks?new=yes")
    url = page.get_by_label("URL", exact=True)
    expect(url).to_be_visible()
    page.get_by_label("Tenant").focus()
    expect(url).not_to_have_attribute("aria-invalid", "true")  # nothing was entered
    url.fill("nonsense")
    page.get_by_label("Tenant").focus()
    expect(url).to_have_accessible_description("Please enter a URL.")
    url.fill("https://app.example.com")
    expect(url).not_to_have_attribute("aria-invalid", "true")


@pytest.mark.thorough
def test_webhook_of_all_tenants_is_a_choice(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/webhooks?new=yes")
    page.get_by_label("URL", exact=True).fill("https://app.example.com/all")
    expect(page.get_by_label("Tenant", exact=True)).to_have_value("")  # the default tenant
    page.get_by_label("Tenant", exact=True).click()
    page.get_by_role("option", name="All tenants").click()
    expect(page.get_by_label("Tenant", exact=True)).to_have_value("All tenants")
    page.get_by_label("Every event").check()
    page.get_by_role("button", name="Create webhook").click()
    expect(page.locator("h1")).to_have_text("Webhook created")
    (made,) = owner.send("GET", "/v1/webhooks?tenant=*")["webhooks"][:1]
    assert (made["url"], made["tenant"]) == ("https://app.example.com/all", "*")
    owner.send("DELETE", f"/v1/webhooks/{made['id']}?tenant=*")


@pytest.mark.thorough
def test_scopes_of_a_key_are_chosen_by_a_preset(open_console: Callable[..., Page]) -> None:
    page = open_console("/keys?new=yes")
    page.get_by_role("button", name="Read only").click()
    expect(page.get_by_role("button", name="Read only")).to_be_focused()
    chosen = page.locator("[name=scopes]:checked")
    assert [one.input_value() for one in chosen.all()] == ["read", "observe"]
    page.get_by_role("checkbox", name=re.compile("^observe ")).uncheck()
    expect(page.get_by_role("button", name="Read only")).to_have_attribute("aria-pressed", "false")


@pytest.mark.thorough
def test_field_that_is_folded_opens_with_what_is_wrong_in_it(open_console: Callable[..., Page]) -> None:
    page = open_console("/providers?new=smtp")
    page.get_by_label("Host").fill("mail.example.com")
    page.get_by_label("Sender").fill("bells@example.com")
    page.get_by_text("Delivery", exact=True).click()
    timeout = page.get_by_label("Timeout in seconds")
    timeout.fill("0")
    page.get_by_text("Delivery", exact=True).click()
    expect(timeout).to_be_hidden()
    page.get_by_role("button", name="Create provider").click()
    expect(timeout).to_be_focused()
    expect(timeout).to_have_attribute("aria-invalid", "true")


@pytest.mark.thorough
def test_page_of_a_source_has_its_last_events(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send(
        "PUT", "/v1/sources/paid", {"event": "paid", "topic": "till", "notification": {"to": "a", "title": "Hi"}}
    )
    owner.send("POST", "/v1/events", {"topic": "till", "name": "paid", "data": {}})
    owner.send("POST", "/v1/events", {"topic": "till", "name": "other", "data": {}})
    page = open_console("/sources/paid")
    last = page.locator(".panel").filter(has=page.get_by_role("heading", name="Last events"))
    expect(last.get_by_role("listitem")).to_have_text([re.compile("^till")])
    assert violations(page) == []
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("1 event in 24 hours")
    go(page, "/sources/paid?tenant=acme")  # the events of one tenant are not counted
    expect(state).to_contain_text("ActiveEach paid on till")
    owner.send("DELETE", "/v1/sources/paid")


def test_deleted_object_leaves_its_list_and_a_line_says_so(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/doomed", {"name": "Doomed"})
    owner.send("PUT", "/v1/templates/doomed", {"inbox": {"title": "Hi"}})
    owner.send("PUT", "/v1/workflows/doomed", {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]})
    owner.send("PUT", "/v1/providers/doomed", {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"})
    page = open_console("/types", viewport=DESKTOP)
    for kind, name in (("types", "Doomed"), ("templates", "doomed"), ("workflows", "doomed"), ("providers", "doomed")):
        go(page, f"/{kind}")
        page.get_by_role("link", name=name).first.click()
        open_more(page)
        confirm(page.get_by_role("button", name="Delete doomed"))
        expect(page.get_by_role("status").filter(has_text="Deleted doomed")).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("link", name=name)).to_have_count(0)


# Notes the row that is highlighted, which is over in two seconds.
NOTE_HIGHLIGHT = """() => {
  const note = () => { document.body.dataset.seen ||= document.querySelector('.row[data-new]')?.textContent ?? ''; };
  new MutationObserver(note).observe(document.body, { subtree: true, attributeFilter: ['data-new'] });
}"""


@pytest.mark.thorough
def test_new_object_is_named_and_its_row_highlighted(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/suppressions?new=yes", viewport=DESKTOP)
    page.evaluate(NOTE_HIGHLIGHT)
    page.get_by_label("Address", exact=True).fill("fresh@example.com")
    page.get_by_role("button", name="Create suppression", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Created fresh@example.com")
    expect(page.locator("body[data-seen*='fresh@example.com']")).to_have_count(1)
    expect(page.locator(".row[data-new]")).to_have_count(0)
    owner.send("DELETE", "/v1/suppressions/email/fresh@example.com")


@pytest.mark.thorough
def test_row_of_a_new_object_is_highlighted_in_its_tenant_only(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for tenant in ("acme", "zenith"):
        owner.send("PUT", f"/v1/recipients/double?tenant={tenant}", {"name": f"Double of {tenant}"})
    owner.send("PUT", "/v1/tenants/globex", {})
    page = open_console("/recipients?new=yes", viewport=DESKTOP)
    page.evaluate(NOTE_HIGHLIGHT)
    page.get_by_label("Key", exact=True).fill("double")
    page.get_by_label("Name", exact=True).fill("Double of the new one")
    page.get_by_label("Tenant", exact=True).fill("globex")
    page.get_by_role("button", name="Create recipient").click()
    expect(page.locator("body[data-seen*='Double of']")).to_have_attribute("data-seen", re.compile("the new one"))


def test_deleted_type_is_restored(open_console: Callable[..., Page], owner: Console) -> None:
    before = owner.send("PUT", "/v1/types/regretted", {"name": "Regretted", "channels": ["inbox", "email"]})
    page = open_console("/types/regretted", viewport=DESKTOP)
    open_more(page)
    confirm(page.get_by_role("button", name="Delete regretted"))
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("Restored regretted")
    expect(page.locator(".pane h1")).to_have_text("Regretted")
    expect(page.get_by_role("link", name="Regretted")).to_be_visible()
    after = owner.send("GET", "/v1/types/regretted")
    assert {name: after[name] for name in ("name", "channels")} == {name: before[name] for name in ("name", "channels")}


@pytest.mark.thorough
def test_example_of_a_webhook_has_the_fields_of_its_events(open_console: Callable[..., Page]) -> None:
    page = open_console("/webhooks?new=yes")
    boxes = page.locator("input[name=events]")
    expect(boxes.first).to_be_attached()
    seen = {"id", "recipient"}
    fields = {
        "message.failed": message_types.as_change(Mock()).keys(),
        "run.failed": run_types.as_change(Mock()).keys(),
        "notification.created": seen | {"type", "title"},  # and all others of a notification
        "notification.seen": seen,
        "notification.read": seen,
        "notification.acted": seen | {"action"},
    }
    found = {}
    for type in fields:
        boxes.evaluate_all(
            "(all, type) => all.filter((one) => one.checked !== (one.value === type)).forEach((one) => one.click())",
            type,
        )
        example = page.locator("details.panel").filter(has_text=f"What your URL receives for {type}").locator("code")
        found[type] = json.loads(example.last.text_content() or "")["data"].keys()
    assert found == fields


@pytest.mark.thorough
@pytest.mark.parametrize("title", ["Request", "Dead job", "Operator", "Connection"])
def test_object_that_cannot_be_read_has_a_heading(open_console: Callable[..., Page], title: str) -> None:
    page = open_console("/account")
    place = f"{title.lower().split()[-1]}s"
    page.route(
        re.compile(rf"/v1/{place}\b"),
        lambda route: route.fulfill(status=503, json={"title": "Busy", "detail": "Busy."}),
    )
    go(page, f"/{place}/0199c0100199c010")
    expect(page.locator(".pane").get_by_role("button", name="Retry")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
