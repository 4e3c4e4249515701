"""Notifications, messages, topics, types and keys in the console's pages."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import (
    HOSTILE,
    Console,
    add_filter,
    confirm,
    excess_width,
    go,
    open_more,
    state_of_operator,
    wait_loaded,
)
from tests.browser.shop import PHONE, wait_page, wait_until
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled


@pytest.mark.thorough
def test_owner_filters_notifications_and_recalls_one(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/notifications", {"to": "walter", "title": "Mistake", "type": "mistake"})
    page = open_console("/notifications")
    add_filter(page, "Type", "mistake")
    expect(page.locator(".row-link")).to_have_text(["Mistake"])
    add_filter(page, "Time", "last hour")
    expect(page).to_have_url(re.compile("type=mistake.*range=1h"))
    page.locator(".row-link").click()
    open_more(page)
    confirm(page.get_by_role("button", name="Recall this notification"))
    expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    go(page, "/notifications?type=mistake")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()


def test_email_is_shown_in_a_frame_that_runs_and_loads_nothing(
    open_console: Callable[..., Page], owner: Console
) -> None:
    requests: list[str] = []
    page = open_console(f"/messages/{owner.message}")
    page.on("request", lambda request: requests.append(request.url))
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="alert").first).to_be_visible()
    handle = page.locator("iframe").element_handle()
    assert handle is not None
    content = handle.content_frame()
    assert content is not None
    assert content.evaluate("origin") == "null"
    page.get_by_role("button", name="Source").click()
    expect(page.locator("pre")).to_contain_text("Subject:")
    page.get_by_role("button", name="Text").click()
    expect(page.locator("pre")).not_to_contain_text("Subject:")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download .eml").click()
    assert download.value.suggested_filename == f"{owner.message}.eml"
    assert [url for url in requests if not url.startswith(owner.server.url)] == []


@contextmanager
def late_provider(owner: Console) -> Iterator[None]:
    """A provider of e-mail, which other tests do not have."""
    owner.send("PUT", "/v1/providers/late", {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"})
    try:
        yield
    finally:
        owner.send("DELETE", "/v1/providers/late")


def test_simulated_message_is_sent_by_hand_once_there_is_a_provider(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    to = {"to": "winnie", "title": "Hello", "channels": ["email"]}
    owner.send("PUT", "/v1/recipients/winnie", {"email": "winnie@example.com"})
    owner.send("POST", "/v1/notifications", to)
    (message,) = owner.send("GET", "/v1/messages?recipient=winnie")["messages"]
    helper = open_console(f"/messages/{message['id']}", state=state_of_operator(owner, chromium, "sue", "support"))
    page = open_console(f"/messages/{message['id']}")
    for shown, count in ((helper, 0), (page, 1)):  # only builders set up providers
        expect(shown.get_by_role("region", name="Outcome")).to_contain_text("no e-mail provider is set up")
        expect(shown.get_by_role("link", name="Set up an e-mail provider")).to_have_count(count)
        expect(shown.get_by_role("button", name="Send now")).to_have_count(0)
    link = page.get_by_role("link", name="Set up an e-mail provider")
    expect(link).to_have_attribute("href", re.compile("channel=email"))
    send = helper.get_by_role("dialog").get_by_role("button", name="Send now")
    with late_provider(owner):
        helper.reload()
        helper.get_by_role("button", name="Send now").click()
        expect(send).to_be_visible()
    send.click()
    expect(helper.get_by_role("alert")).to_contain_text("No provider delivers email messages")
    with late_provider(owner):
        send.click()
        expect(helper.get_by_role("region", name="Outcome")).not_to_contain_text("Simulated")
        assert owner.send("GET", f"/v1/messages/{message['id']}")["state"] != "simulated"


def test_corrected_notification_has_the_new_title(open_console: Callable[..., Page], owner: Console) -> None:
    sent = owner.send("POST", "/v1/notifications", {"to": "walter", "title": "Tuseday", "type": "corrected"})
    page = open_console(f"/notifications/{sent['notifications'][0]['id']}")
    page.locator(".heading").get_by_role("button", name="Edit", exact=True).click()
    expect(page.locator("h1")).to_have_text("Edit notification")
    page.get_by_label("Title").fill("Tuesday")
    expect(page.locator(".seen .bell-row")).to_contain_text("Tuesday")
    assert violations(page) == []
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("Tuesday")


# A complete list of fewer rows has no search.
LONG = 10


@pytest.mark.thorough
@pytest.mark.parametrize("kind", sampled(("templates", "workflows", "types", "sources")))
def test_list_of_objects_is_searched_by_a_part_of_the_key(
    open_console: Callable[..., Page], owner: Console, kind: str
) -> None:
    bodies: dict[str, Any] = {
        "templates": {"inbox": {"title": "Hi"}},
        "workflows": {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]},
        "types": {"channels": ["inbox"]},
        "sources": {"event": "paid", "topic": "till", "notification": {"to": "alice", "title": "Paid"}},
    }
    keys = ["needle-in-hay", *(f"hay-{number}" for number in range(LONG))]
    for key in keys:
        owner.send("PUT", f"/v1/{kind}/{key}", bodies[kind])
    page = open_console(f"/{kind}")
    expect(page.locator(".row-link").filter(has_text=re.compile("^hay")).first).to_be_visible()
    page.get_by_role("searchbox", name=re.compile("^Search")).fill("needle")
    expect(page).to_have_url(re.compile("text=needle"))
    expect(page.locator(".row-link")).to_have_count(1)
    expect(page.locator(".row-link")).to_contain_text("needle-in-hay")
    page.get_by_role("searchbox", name=re.compile("^Search")).fill("nothing of it")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    for key in keys:
        owner.send("DELETE", f"/v1/{kind}/{key}")


@pytest.mark.thorough
def test_source_shows_when_it_could_not_use_an_event(open_console: Callable[..., Page], owner: Console) -> None:
    source = {
        "event": "shipped",
        "topic": "depot",
        "notification": {"to": "{{ event.data.buyer }}", "title": "Shipped"},
    }
    owner.send("PUT", "/v1/sources/shipping", source)
    owner.send("POST", "/v1/events", {"topic": "depot", "name": "shipped", "data": {}})
    wait_until(
        lambda: owner.send("GET", "/v1/sources/shipping")["last_error_at"] is not None, lambda: "no error is stored"
    )
    page = open_console("/sources?text=shipping")
    row = page.get_by_role("row").filter(has_text="shipping")
    expect(row.locator(".state.bad")).to_have_text("failing")
    row.get_by_role("link", name="shipping").click()
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("event.data.buyer has no value")
    expect(state.locator("time")).to_be_visible()


@pytest.mark.thorough
def test_list_of_workflows_has_the_runs_of_a_day_those_that_failed_and_who_edited_last(
    open_console: Callable[..., Page], owner: Console
) -> None:
    bell = {"steps": [{"key": "bell", "type": "inbox", "title": "Hi {{ data.name }}"}]}
    # Counts of a tenant are not cached.
    owner.send("PUT", "/v1/workflows/listed-ran?tenant=acme", bell)
    for recipient, data in (("ann", {"name": "Ben"}), ("ben", {})):
        owner.send("POST", "/v1/workflows/listed-ran/trigger?tenant=acme", {"to": recipient, "data": data})
    page = open_console("/workflows?text=listed-ran")
    row = page.get_by_role("row").filter(has_text="listed-ran")
    failed = "/v1/runs?tenant=acme&workflow=listed-ran&state=failed"
    wait_until(lambda: owner.send("GET", failed)["runs"], lambda: "no run failed")
    page.reload()
    expect(row.get_by_title("Published by your server")).to_have_text("v1")
    expect(row.get_by_role("link", name="1 failed")).to_have_attribute("href", re.compile("state=failed"))
    assert page.get_by_role("table").evaluate("table => table.scrollWidth <= table.clientWidth")
    row.get_by_role("link", name="2", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs\?workflow=listed-ran&range=24h&tenant=acme$"))
    expect(page.locator(".row-link")).to_have_count(2)
    # Of a workflow of the project, those of all tenants are counted, also where a tenant has its own.
    owner.send("PUT", "/v1/workflows/listed-ran", bell)
    listed = "/v1/workflows?text=listed-ran&tenant=*"
    wait_until(
        lambda: [one["recent_runs"]["value"] for one in owner.send("GET", listed)["workflows"]] == [2, 2],
        lambda: "the runs are not counted",
    )
    go(page, "/workflows?text=listed-ran&scope=all")
    expect(page.get_by_role("link", name="1 failed")).to_have_count(2)


@pytest.mark.thorough
@pytest.mark.parametrize("path", sampled(["workflows", "templates"]))
def test_date_in_a_list_has_room_for_a_wider_font(open_console: Callable[..., Page], owner: Console, path: str) -> None:
    page = open_console("/account", viewport={"width": 1280, "height": 800})

    def date(route: Route) -> None:
        answer = route.fetch()
        rows = [{**one, "updated_at": "2025-11-25T14:48:00Z"} for one in answer.json()[path]]
        route.fulfill(json={**answer.json(), path: rows})

    page.route(f"**/v1/{path}?*", date)
    go(page, f"/{path}")
    time = page.locator(".cell time").first
    expect(time).to_have_text(re.compile("25 Nov"))
    time.evaluate("(one) => { one.style.letterSpacing = '.8px' }")
    assert (
        time.evaluate(
            "(one) => { const { clientWidth, scrollWidth } = one.closest('.cell'); return scrollWidth - clientWidth }"
        )
        == 0
    )
    row = page.get_by_role("row").last
    assert row.evaluate("(one) => one.scrollWidth <= one.clientWidth")


@pytest.mark.thorough
def test_topic_is_published_to_and_tenant_gets_limits(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/topics/published?tenant=evil")
    page.get_by_text("Publish a test event").click()
    page.get_by_label("Event", exact=True).fill("lead.assigned")
    page.get_by_label("Data as JSON").fill('{"lead": 7}')
    page.get_by_role("button", name="Publish event").click()
    expect(page.locator("summary").filter(has_text="lead.assigned")).to_be_visible()
    page.get_by_role("link", name="Tenants").click()
    page.get_by_role("row").filter(has_text="evil").get_by_role("link").click()
    parts = page.get_by_role("navigation", name="Parts of this page")
    parts.get_by_role("link", name="Limits and retention").click()
    retention = page.get_by_role("spinbutton", name="Retention")
    expect(retention).to_have_accessible_description("Older notifications are deleted. Server default: 180 days.")
    retention.fill("90")
    owner.send("PUT", "/v1/tenants/evil", {"settings": {"plan": HOSTILE, "weight": 2}})
    page.get_by_role("button", name="Save limits").click()
    expect(page.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    expect(retention).to_have_value("90")
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator("pre")).to_contain_text('"retention_days": 90')
    # What is entered replaces what the other operator entered in the same form.
    assert owner.send("GET", "/v1/tenants/evil")["settings"] == {"plan": HOSTILE, "retention_days": 90}
    # The form shows what is stored too if the other operator has changed none of its fields.
    retention.fill("30")
    owner.send("PUT", "/v1/tenants/evil", {"name": "Evil", "settings": {"plan": HOSTILE, "retention_days": 90}})
    page.get_by_role("button", name="Save limits").click()
    page.get_by_role("button", name="Take theirs").click()
    expect(retention).to_have_value("90")
    expect(page.get_by_role("button", name="Save limits")).to_be_focused()
    parts.get_by_role("link", name="Brand").click()
    save_brand = page.get_by_role("button", name="Save brand")
    page.get_by_label("Choose: Colour").fill("#112233")  # it changes another field
    expect(save_brand).not_to_have_attribute("aria-disabled", "true")
    page.get_by_label("Colour", exact=True).fill("")
    expect(save_brand).to_have_attribute("aria-disabled", "true")
    page.get_by_label("Closing line").fill("Mine")
    owner.send("PUT", "/v1/tenants/evil", {"settings": {"plan": HOSTILE, "brand": {"footer": "Theirs"}}})
    page.get_by_role("button", name="Save brand").click()
    page.get_by_role("button", name="Take theirs").click()
    expect(page.get_by_label("Closing line")).to_have_value("Theirs")
    expect(page.get_by_role("button", name="Save brand")).to_be_focused()


@pytest.mark.thorough
def test_owner_infers_the_schema_of_a_type_and_sees_what_it_would_refuse(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for total in (1, 2.5, "3"):
        draft = {"to": "walter", "title": "Paid", "type": "paid", "data": {"total": total}}
        owner.send("POST", "/v1/notifications", draft)
    owner.send("PUT", "/v1/types/paid", {"name": "Paid orders"})
    page = open_console("/types/paid")
    page.get_by_role("button", name="Infer from the last sends").click()
    page.get_by_label("Value of total").select_option("number")
    page.get_by_role("button", name="Save schema").click()
    expect(page.get_by_role("status").filter(has_text="would be refused")).to_contain_text(
        "Of the last 3 sends, 1 would be refused: data.total must be of type number."
    )
    assert not owner.send("GET", "/v1/types/paid").get("data")
    page.get_by_role("checkbox", name="Required").uncheck()
    page.get_by_role("button", name="Save schema").click()  # the changed fields are checked again
    page.get_by_role("button", name="Save anyway").click()
    expect(page.get_by_role("cell", name="total")).to_be_visible()
    assert violations(page) == []


def test_fields_of_a_type_do_not_undo_what_another_operator_saved(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/shared-data", {"name": "Before"})
    page = open_console("/types/shared-data")
    page.get_by_role("button", name="Add fields").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("total")
    owner.send("PUT", "/v1/types/shared-data", {"name": "Theirs"})
    page.get_by_role("button", name="Save schema").click()
    expect(page.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    expect(page.locator("form[data-unsaved]")).to_have_count(1)
    page.get_by_role("button", name="Keep mine").click()
    expect(page.get_by_role("cell", name="total")).to_be_visible()
    expect(page.locator("form[data-unsaved]")).to_have_count(0)
    stored = owner.send("GET", "/v1/types/shared-data")
    assert (stored["name"], list(stored["data"]["properties"])) == ("Theirs", ["total"])


def serve_below(page: Page, root: str) -> None:
    """Serve the console below a path too, as behind a proxy that removes the path."""

    def answer(route: Route) -> None:
        response = route.fetch(url=route.request.url.replace(f"{root}/", "/", 1))
        if "text/html" not in response.headers.get("content-type", ""):
            route.fulfill(response=response)
        else:
            route.fulfill(response=response, body=response.text().replace('"/', f'"{root}/'))

    page.route(f"**{root}/**", answer)


def test_owner_connects_an_agent(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/keys")
    serve_below(page, "/bell")
    page.goto("/bell/console/keys")
    page.get_by_role("link", name="Connect an agent").click()
    page.get_by_label("Name", exact=True).fill("helper of tests")
    expect(page.get_by_role("checkbox")).to_have_count(3)  # the others are folded
    page.get_by_text("More scopes").click()
    expect(page.get_by_role("checkbox", name=re.compile("^manage"))).not_to_be_checked()
    expect(page.get_by_role("region", name="Configuration of the agent")).to_contain_text('"Bearer …"')
    assert violations(page) == []
    expect(page.get_by_label("Expires")).to_have_value("90d")
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_text('"Authorization": "Bearer bc_')).to_be_visible()
    expect(page.get_by_text(f'"url": "{owner.server.url}/bell/mcp"')).to_be_visible()
    expect(page.get_by_text(f'"BELLCAST_URL": "{owner.server.url}/bell"')).to_be_visible()
    assert violations(page) == []
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.thorough
def test_form_that_is_refused_keeps_its_places(open_console: Callable[..., Page]) -> None:
    page = open_console("/keys?new=yes", viewport={"width": 320, "height": 800})
    name, scopes = page.get_by_label("Name", exact=True), page.get_by_role("group", name="Scopes")
    expect(name).to_be_focused()
    places = [one.bounding_box()["y"] for one in (name, scopes)]
    page.get_by_role("button", name="Create API key").click()
    alert = page.get_by_role("alert").filter(has_text="This is required.")
    expect(alert).to_have_text("This is required.")
    assert alert.bounding_box()["height"] > 30, "as high as the help of two lines"
    moved = [one.bounding_box()["y"] for one in (name, scopes)]
    assert moved[1] - moved[0] == places[1] - places[0]
    name.fill("of a form")
    expect(name).to_have_accessible_description(re.compile("The app or person"))


@pytest.mark.thorough
def test_key_gets_an_end_in_the_console(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/keys?new=yes")
    page.get_by_label("Name", exact=True).fill("for a month")
    ends, warning = page.get_by_label("Expires"), page.get_by_text("If it leaks, it works until it is revoked.")
    expect(ends).to_have_value("365d")
    ends.select_option("never")
    expect(warning).to_be_visible()
    ends.select_option("after 30 days")
    expect(warning).to_have_count(0)
    page.get_by_role("button", name="Create API key").click()
    expect(page.get_by_text("Copy the key of for a month now")).to_be_visible()
    (key,) = (one for one in owner.send("GET", "/v1/keys")["keys"] if one["name"] == "for a month")
    created, end = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    assert end - created == timedelta(days=30)


@pytest.mark.thorough
def test_owner_changes_preference_defaults_beside_another_operator(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/preferred", {"name": "Preferred", "required": ["inbox"]})
    path = "/v1/preference-defaults?tenant=defaulted"
    page = open_console("/preference-defaults?tenant=defaulted", viewport=PHONE)
    row = page.get_by_role("row").filter(has_text="Preferred")
    # On a phone, a row is a line with the channels that are on, until it is unfolded.
    expect(row.locator(".brief")).to_have_text("Inbox, E-mail, SMS, Push, Chat")
    expect(row.get_by_text("Always on")).to_be_hidden()
    expect(page.locator(".legend")).to_be_hidden()
    row.get_by_role("button", name="Details of Preferred").click()
    expect(row.get_by_text("Always on")).to_be_visible()  # and no button: recipients cannot turn it off
    expect(page.locator(".legend")).to_be_visible()
    row.get_by_role("button", name="Preferred by SMS: On").click()
    page.get_by_role("button", name="Off until the recipient turns it on").click()
    page.get_by_role("button", name="Details of Every type").click()
    page.get_by_role("button", name="Every type by Chat: On").click()
    page.get_by_role("button", name="Urgent only urgent notifications").click()
    expect(row.locator(".brief")).to_have_text("Inbox, E-mail, SMS off, Push, Chat urgent")
    row.get_by_role("button", name="Details of Preferred").click()
    expect(row.get_by_role("button", name="Preferred by SMS: Off, set here")).to_be_visible()
    expect(row.get_by_role("button", name="Preferred by Chat: Urgent from every type")).to_be_visible()
    assert excess_width(page) == 0
    assert violations(page) == []
    owner.send("PATCH", path, {"channels": {"push": False}})
    page.get_by_role("button", name="Save 2 changes").click()
    expect(page.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    expect(row.get_by_role("button", name="Preferred by Push: Off from every type")).to_be_visible()
    assert "types" not in owner.send("GET", path)
    page.get_by_role("button", name="Save 2 changes").click()
    expect(page.get_by_role("button", name="Save 2 changes")).to_have_count(0)
    saved = owner.send("GET", path)
    assert (saved["channels"], saved["types"]) == (
        {"push": False, "chat": "urgent"},
        {"preferred": {"sms": False}},
    )
    row.get_by_role("button", name="All channels of Preferred").click()
    page.get_by_role("button", name="Set nothing here").click()
    page.get_by_role("button", name="Save 1 change").click()
    expect(row.get_by_role("button", name="Preferred by SMS: On", exact=True)).to_be_visible()


def test_preference_defaults_save_channels_frequencies_and_times_at_once(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/timed", {"name": "Timed"})
    project = {"types": {"timed": {"push": False}}, "digest": {"timed": "hourly"}}
    owner.send("PUT", "/v1/preference-defaults", project)
    page = open_console("/preference-defaults?tenant=timely")
    row = page.get_by_role("row").filter(has_text="Timed")
    expect(row.get_by_role("button", name="Timed by Push: Off from the project")).to_be_visible()
    row.get_by_role("button", name="Timed by E-mail: On").click()
    page.get_by_role("button", name="Off until the recipient turns it on").click()
    row.get_by_role("button", name="E-mails of Timed: Hourly from the project").click()
    page.get_by_role("button", name="Daily together, every day").click()
    page.get_by_role("button", name="Quiet hours: Off").click()
    page.get_by_role("button", name="On between two times").click()
    page.get_by_label("Quiet from").fill("21:30")
    page.get_by_label("Time of daily and weekly e-mails").fill("06:45")
    page.get_by_role("button", name="Set here 1").click()  # and what was chosen stays
    expect(page.locator("tbody tr")).to_have_count(1)
    assert violations(page) == []
    page.get_by_role("button", name="Save 4 changes").click()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    names = ("types", "digest", "quiet_hours", "digest_at")
    saved = owner.send("GET", "/v1/preference-defaults?tenant=timely")
    assert {name: saved[name] for name in names} == {
        "types": {"timed": {"email": False}},
        "digest": {"timed": "daily"},
        "quiet_hours": {"start": "21:30", "end": "07:00"},
        "digest_at": "06:45",
    }
    page.get_by_role("button", name="Not set here").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_label("Time of daily and weekly e-mails")).to_have_value("06:45")
    owner.send("PUT", "/v1/preference-defaults", {})


@pytest.mark.thorough
def test_preference_defaults_of_many_types_are_shown_in_parts_and_found(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")

    def add_types(route: Route) -> None:
        response = route.fetch()
        found = response.json()
        many = [{**found["effective"][0], "type": f"many-{number}", "name": f"Many {number}"} for number in range(150)]
        route.fulfill(response=response, json={**found, "effective": many})

    page.route("**/v1/preference-defaults*", add_types)
    go(page, "/preference-defaults")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Show more types").click()
    expect(rows).to_have_count(151)
    expect(page.get_by_role("button", name="Show more types")).to_have_count(0)
    page.get_by_label("Search types").fill("many-149")
    expect(rows).to_have_count(1)
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.thorough
def test_preference_defaults_are_changed_with_the_keyboard(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/keyed", {"name": "Keyed", "required": ["email"]})
    page = open_console("/preference-defaults?find=keyed&show=all")
    page.get_by_label("Search types").fill("")
    every, general = (
        page.get_by_role("button", name=f"{one} by E-mail") for one in ("Every type", "Other notifications")
    )
    page.get_by_role("button", name="Every type by Inbox").focus()
    page.keyboard.press("ArrowRight")
    expect(every).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(general).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Not set here")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Other notifications by E-mail: Off, set here")).to_be_focused()
    expect(page.get_by_role("button", name="Save 1 change")).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(every).to_be_focused()


@pytest.mark.thorough
def test_preference_defaults_mark_channels_that_a_type_does_not_have(
    open_console: Callable[..., Page], owner: Console
) -> None:
    channels = ["inbox", "email"]
    owner.send("PUT", "/v1/types/two-ways", {"name": "Two ways", "channels": channels, "required": channels})
    owner.send("PUT", "/v1/types/no-choice", {"name": "No choice", "channels": channels, "required": True})
    page = open_console("/preference-defaults")
    fixed = page.get_by_role("row").filter(has_text="No choice").locator("td[data-label]")
    expect(fixed).to_have_text(["Always on", "Always on", "–", "–", "–", "Immediately"])
    row = page.get_by_role("row").filter(has_text="Two ways")
    expect(row.get_by_role("rowheader")).to_contain_text("two-ways")
    expect(row.locator("td[data-label]")).to_have_text(["Always on", "Always on", "–", "–", "–", "Immediately"])
    added = row.get_by_role("button", name="Two ways by SMS: not a channel of the type")
    expect(added.locator(".icon")).to_have_css("opacity", "0")
    added.hover()
    expect(added.locator(".icon")).to_have_css("opacity", "1")
    added.click()
    page.get_by_role("button", name="On until the recipient turns it off").click()
    expect(row.get_by_role("button", name="Two ways by SMS: On, set here")).to_have_text("On")
    for cell in row.get_by_role("cell").all()[:2]:
        expect(cell.locator("[title='Recipients cannot turn it off']")).to_be_visible()
    assert violations(page) == []


@pytest.mark.thorough
def test_settings_stay_changed_while_others_are_searched(open_console: Callable[..., Page]) -> None:
    page = open_console("/settings")
    page.get_by_label("limit_tags").fill("8")
    page.get_by_label("Search settings").press_sequentially("jwks issuer")
    expect(page.get_by_label("Search settings")).to_have_value("jwks issuer")
    expect(page.locator(".setting")).to_have_count(1)
    expect(page.get_by_role("button", name="Save 1 change")).to_be_visible()


@pytest.mark.thorough
def test_settings_have_labels_in_words_and_are_reset_to_their_default(
    open_console: Callable[..., Page], owner: Console
) -> None:
    revision = owner.send("GET", "/v1/settings")["revision"]
    owner.send("PATCH", "/v1/settings", {"revision": revision, "set": {"pusher_watchlists": "off"}})
    page = open_console("/settings?show=changed")
    watchlists = page.get_by_role("checkbox", name="Watchlists pusher_watchlists")
    expect(watchlists).not_to_be_checked()
    page.get_by_role("button", name="Reset Watchlists").click()
    expect(watchlists).to_be_checked()
    page.get_by_role("button", name="Save 1 change").click()
    expect(watchlists).to_have_count(0)
    page.goto("/console/settings")
    wait_loaded(page)
    labels = page.locator(".setting :is(label, b):has(> code)").evaluate_all(
        "all => all.map((one) => [one.firstChild.textContent.trim(), one.querySelector('code').textContent])"
    )
    assert len(labels) == len(owner.send("GET", "/v1/settings")["settings"])
    assert [name for label, name in labels if label == name] == []


@pytest.mark.thorough
def test_email_is_light_in_a_dark_console(open_console: Callable[..., Page], owner: Console) -> None:
    email = {"subject": "Booked", "blocks": [{"type": "heading", "text": "See you"}]}
    owner.send("PUT", "/v1/templates/paper", {"email": email})
    owner.send("PUT", "/v1/recipients/reader", {"email": "reader@example.com"})
    draft = {"to": "reader", "template": "paper", "channels": ["email"]}
    id = owner.send("POST", "/v1/notifications", draft)["notifications"][0]["id"]
    message = owner.send("GET", "/v1/messages?recipient=reader")["messages"][0]["id"]
    page = open_console("/account", color_scheme="dark")
    for path in (f"/notifications/{id}", f"/messages/{message}"):
        go(page, path)
        heading = page.frame_locator("iframe").get_by_role("heading", name="See you")
        colour = heading.evaluate("one => getComputedStyle(one).color")
        assert max(map(int, re.findall(r"\d+", colour))) < 100  # dark letters on light paper


STREAM = """
const original = window.fetch;
window.fetch = (url, options) => {
  if (!String(url).includes('/v1/feed')) return original(url, options);
  const body = new ReadableStream({ start: (controller) => { window.feed = controller; } });
  options.signal.addEventListener('abort', () => window.feed.error(new DOMException('Closed', 'AbortError')));
  window.feedSignal = options.signal;
  return Promise.resolve(new Response(body));
};
"""


@pytest.mark.thorough
def test_last_events_of_a_source_are_shown_whenever_they_arrive_and_end_with_the_feed(
    open_console: Callable[..., Page], owner: Console
) -> None:
    source = {"event": "seat.taken", "topic": "hall", "notification": {"to": "sol", "title": "Taken"}}
    owner.send("PUT", "/v1/sources/streamed", source)
    page = open_console(None, is_alone=True)
    page.add_init_script(STREAM)
    page.clock.install()
    page.goto("/console/sources/streamed")
    # The page does not wait for the feed.
    expect(page.get_by_role("button", name="Edit", exact=True)).to_be_visible()
    wait_page(page, "window.feed !== undefined")
    rows = page.locator(".panel").filter(has=page.get_by_role("heading", name="Last events")).get_by_role("listitem")
    for number, name in enumerate(("seat.taken", "seat.freed", "seat.taken")):
        event = {"at": "2026-01-01T00:00:00Z", "topic": f"hall-{number}", "detail": {"id": str(number), "name": name}}
        frame = f"event: publish\ndata: {json.dumps(event)}\n\n"
        page.evaluate("(text) => window.feed.enqueue(new TextEncoder().encode(text))", frame)
        expect(rows).to_have_count(1 if number < 2 else 2)
    expect(rows.locator("code")).to_have_text(["hall-2", "hall-0"])
    assert not page.evaluate("window.feedSignal.aborted")
    page.clock.run_for(6_000)
    assert page.evaluate("window.feedSignal.aborted")
    expect(rows).to_have_count(2)


@pytest.mark.thorough
def test_focus_stays_in_the_pane_when_the_button_that_had_it_is_gone(
    open_console: Callable[..., Page], owner: Console
) -> None:
    made = owner.send("POST", "/v1/webhooks", {"url": "https://app.example.com/paused", "events": ["*"]})
    owner.send("PATCH", f"/v1/webhooks/{made['id']}", {"active": False})
    page = open_console(f"/webhooks/{made['id']}")
    resume = page.get_by_role("button", name="Resume", exact=True)
    expect(resume).to_be_visible()
    resume.press("Enter")
    expect(resume).to_have_count(0)
    pane = page.get_by_role("region", name="Opened")
    expect(pane).to_be_focused()
    page.get_by_role("button", name="Edit", exact=True).press("Enter")
    expect(page.get_by_role("textbox", name="URL")).to_be_focused()
    pane.get_by_role("button", name="Cancel").press("Enter")
    expect(pane).to_be_focused()
    dismiss = page.get_by_role("button", name="Dismiss")
    dismiss.press("Enter")
    expect(dismiss).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()
