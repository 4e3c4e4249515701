"""Notifications, recipients, workflows and topics in the console's pages."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.console import DESKTOP, HOSTILE, Console, add_filter
from tests.browser.shop import PHONE, wait_until
from tests.browser.test_accessibility import violations
from tests.thoroughness import sampled


def test_owner_explains_a_notification_and_follows_it_to_its_message(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/recipients")
    page.get_by_role("link", name="evil", exact=True).click()
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("was put into the inbox")
    page.get_by_text("Ask about another notification").click()
    page.get_by_role("textbox", name="Notification").fill(owner.notification)
    page.get_by_role("textbox", name="Type").fill("invoice")
    page.get_by_role("button", name="Explain").click()
    expect(page).to_have_url(re.compile(f"notification={owner.notification}"))
    expect(page.locator(".text")).not_to_be_empty()
    expect(page.get_by_role("textbox", name="Type")).to_have_value("invoice")
    page.get_by_role("link", name="Messages").last.click()
    page.locator(".row-link").first.click()
    page.get_by_role("link", name=owner.notification).click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Attempts")).to_be_visible()


@pytest.mark.thorough
def test_owner_filters_notifications_and_recalls_one(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("POST", "/v1/notifications", {"to": "walter", "title": "Mistake", "type": "mistake"})
    page = open_console("/notifications")
    add_filter(page, "Type", "mistake")
    expect(page.locator(".row-link")).to_have_text(["Mistake"])
    add_filter(page, "Time", "last hour")
    expect(page).to_have_url(re.compile("type=mistake.*range=1h"))
    page.locator(".row-link").click()
    page.get_by_role("button", name="Recall this notification").click()
    page.get_by_role("button", name="Recall this notification").click()
    expect(page.get_by_role("heading", name="Notifications")).to_be_visible()
    page.goto("/console/notifications?type=mistake")
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()


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
    for _ in range(2):
        page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("No provider delivers email messages")).to_be_visible()
    assert [url for url in requests if not url.startswith(owner.server.url)] == []


def test_profile_is_edited_and_warns_of_an_address_that_cannot_be_used(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/petra", {"name": "Petra", "email": "petra@example.com", "locale": "de"})
    page = open_console("/recipients/petra")
    page.get_by_role("button", name="Edit", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("Petra Maier")
    page.get_by_label("Time zone").fill("Europe/Vienna")
    email = page.get_by_role("textbox", name="E-mail")
    email.fill("petra")
    expect(email).to_have_accessible_description(re.compile("stored, but e-mails to it are skipped"))
    email.fill("petra@localhost")
    expect(email).not_to_have_accessible_description(re.compile("skipped"))
    email.fill("petra")
    page.get_by_label("Phone").fill("0664 1234567")
    expect(page.get_by_label("Phone")).to_have_accessible_description(re.compile("not a number such as"))
    assert violations(page) == []
    page.get_by_label("Phone").fill("")
    # Another operator changes another field, then one of these.
    owner.send("PATCH", "/v1/recipients/petra", {"locale": "fr", "email": "maier@example.com"})
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator(".pane .titles")).to_contain_text("Petra Maier")
    stored = owner.send("GET", "/v1/recipients/petra")
    fields = ("name", "email", "phone", "locale", "timezone")
    assert [stored[name] for name in fields] == ["Petra Maier", "petra", None, "fr", "Europe/Vienna"]


def test_entries_of_a_profile_stay_while_another_operator_changes_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/paula", {"name": "Paula", "locale": "de"})
    page = open_console("/recipients/paula")
    page.get_by_role("button", name="Edit", exact=True).click()
    name, locale = page.get_by_label("Name", exact=True), page.get_by_label("Language")
    name.fill("Paula Maier")
    owner.send("PATCH", "/v1/recipients/paula", {"name": "Theirs", "locale": "fr"})
    for _ in range(2):
        page.get_by_role("button", name="End sessions").click()
    expect(page.locator("pre").filter(has_text='"locale": "fr"')).to_have_count(1)
    expect(name).to_have_value("Paula Maier")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Take theirs").click()
    expect(name).to_have_value("Theirs")
    expect(locale).to_have_value("fr")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_focused()
    name.fill("Paula")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".pane .titles")).to_contain_text("Paula")
    expect(page.locator(".facts")).to_contain_text("French, fr")
    assert owner.send("GET", "/v1/recipients/paula")["locale"] == "fr"


def test_time_of_the_last_notification_is_shown_to_the_second(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/notifications", {"to": "olga", "title": "Hello"})
    page = open_console("/recipients/olga")
    time = page.get_by_text("The last notification was sent").locator("time")
    expect(time).to_have_attribute("datetime", re.compile(r"T\d\d:\d\d:\d\d\.\d+Z$"))


def test_time_since_when_a_recipient_is_not_connected_is_written_as_other_times(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/notifications", {"to": "olga", "title": "Hello"})
    with httpx.stream("GET", f"{owner.server.url}/v1/stream", headers=owner.server.as_recipient("olga")) as stream:
        next(stream.iter_bytes())
    wait_until(lambda: "since" in owner.send("GET", "/v1/explain?recipient=olga")["presence"], lambda: "connected")
    page = open_console("/recipients/olga", timezone_id="Asia/Tokyo")
    since = page.get_by_text("has not been connected since").locator("time").last
    expect(since).to_have_text(re.compile(r"^\d+ \w+ \d{4}, \d\d:\d\d:\d\d GMT\+9$"))


def test_preferences_say_which_channels_are_off_and_name_the_key_of_other_notifications(
    open_console: Callable[..., Page], owner: Console
) -> None:
    types = owner.send("GET", "/v1/recipients/carol/preferences")["effective"]
    off = {one["type"]: {"email": False} for one in types}
    owner.send("PATCH", "/v1/recipients/carol/preferences", {"types": off})
    page = open_console("/recipients/carol")
    expect(page.get_by_text("E-mail is off", exact=True)).to_be_visible()
    expect(page.get_by_text("Nothing is muted")).to_have_count(0)
    expect(page.get_by_role("rowheader", name="Other notifications (general)")).to_be_visible()
    owner.send("PATCH", "/v1/recipients/carol/preferences", {"types": dict.fromkeys(off)})


def test_recipient_has_switches_only_for_the_channels_of_a_type(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/reviews", {"name": "Reviews", "channels": ["inbox", "email"]})
    owner.send("PUT", "/v1/recipients/ursula", {"email": "ursula@example.com"})
    page = open_console("/recipients/ursula")
    row = page.get_by_role("row", name="Reviews")
    expect(row.get_by_role("checkbox", name="Reviews by Inbox")).to_be_checked()
    expect(row.get_by_role("checkbox", name=re.compile("SMS|Push|Chat"))).to_have_count(0)
    expect(row.get_by_role("cell").filter(has_text="–")).to_have_count(3)


def test_suggested_switch_is_shown_below_and_the_notification_is_sent_as_mail(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/offers", {"name": "Offers"})
    owner.send("PUT", "/v1/recipients/otto", {"email": "otto@example.com"})
    owner.send("PATCH", "/v1/recipients/otto/preferences", {"types": {"offers": {"email": False}}})
    draft = {"to": "otto", "title": "Two for one", "type": "offers", "data": {"id": 7}, "channels": ["inbox", "email"]}
    owner.send("POST", "/v1/notifications", draft)
    page = open_console("/recipients/otto")
    switch = page.get_by_role("checkbox", name="Offers by E-mail")
    expect(switch).not_to_be_checked()
    outcome = page.get_by_role("region", name="Outcome")
    outcome.get_by_role("button", name="Send as e-mail").click()
    # The send may have had a text for e-mail, which is not stored.
    expect(page.get_by_role("dialog")).to_contain_text("The e-mail that was not sent is not stored.")
    expect(page.get_by_role("note")).to_contain_text("It would not be sent now either")
    page.get_by_role("button", name="Cancel").click()
    outcome.get_by_role("button", name="Switch e-mail on").click()
    expect(switch).to_be_checked()
    outcome.get_by_role("button", name="Send as e-mail").click()
    expect(page.get_by_role("note")).to_have_count(0)
    assert violations(page) == []
    page.get_by_label("Title").fill("Two for one, again")
    with page.expect_request(lambda request: request.method == "POST") as sending:
        page.get_by_role("button", name="Send", exact=True).click()
    again = sending.value.post_data_json
    assert (again["title"], again["type"], again["data"], again["channels"]) == (
        "Two for one, again",
        "offers",
        {"id": 7},
        ["email"],
    )
    simulated = outcome.get_by_role("status").filter(has_text="Simulated: no e-mail provider is set up.")
    expect(simulated).to_be_visible()
    outcome.get_by_role("link", name="Open it").click()
    expect(page.get_by_role("heading", level=1, name="Two for one, again")).to_be_visible()


def test_skipped_step_of_a_run_is_sent_with_its_template(open_console: Callable[..., Page], owner: Console) -> None:
    texts = {"subject": "Order {{ data.id }}", "text": "It is packed."}
    owner.send("PUT", "/v1/templates/stopped", {"email": texts})
    bell = {"key": "bell", "type": "inbox", "title": "Packed"}
    owner.send(
        "PUT", "/v1/workflows/packed", {"steps": [bell, {"key": "mail", "type": "email", "template": "stopped"}]}
    )
    owner.send("PUT", "/v1/recipients/nina", {"email": "nina@example.com"})
    owner.send("PATCH", "/v1/recipients/nina/preferences", {"channels": {"email": False}})
    run = owner.send("POST", "/v1/workflows/packed/trigger", {"to": "nina", "data": {"id": 7}})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "completed", lambda: "it does not end")
    owner.send("PATCH", "/v1/recipients/nina/preferences", {"channels": {"email": True}})
    page = open_console("/recipients/nina")
    page.get_by_role("button", name="Send as e-mail").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the e-mail of the step mail")
    shown = dialog.get_by_role("group", name="What is sent")
    expect(shown).to_contain_text("Order 7")
    expect(shown).to_contain_text("It is packed.")
    assert violations(page) == []
    boxes = [dialog.get_by_role("button", name=name, exact=True).bounding_box() for name in ("Cancel", "Send")]
    assert [box["x"] for box in boxes if box] == sorted(
        box["x"] for box in boxes if box
    )  # as in the dialogs of editors
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Simulated: no e-mail provider is set up.")).to_be_visible()
    (sent,) = owner.send("GET", "/v1/messages?recipient=nina&channel=email&limit=1")["messages"]
    content = owner.send("GET", f"/v1/messages/{sent['id']}")["content"]
    assert (content["subject"], "It is packed." in content["text"]) == ("Order 7", True)


def test_recipient_page_names_the_run_that_failed(open_console: Callable[..., Page], owner: Console) -> None:
    steps = [
        {"key": "bell", "type": "inbox", "title": "Hi"},
        {"key": "mail", "type": "email", "subject": "For {{ data.client }}", "text": "Hi"},
    ]
    owner.send("PUT", "/v1/workflows/incomplete", {"steps": steps})
    owner.send("PUT", "/v1/recipients/rosa", {"email": "rosa@example.com"})
    run = owner.send("POST", "/v1/workflows/incomplete/trigger", {"to": "rosa"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "failed", lambda: "it does not fail")
    page = open_console("/recipients/rosa")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text("rosa got no e-mail")
    expect(outcome).to_contain_text("the e-mail needs data.client, which the trigger did not send")
    expect(outcome.get_by_role("link", name="Open the run")).to_have_attribute("href", f"/console/runs/{run}")
    assert violations(page) == []


def test_reason_of_a_run_is_shown_in_full_on_a_phone(open_console: Callable[..., Page], owner: Console) -> None:
    text = {"key": "bell", "type": "inbox", "title": "For {{ data.the_client_of_this_booking }}"}
    owner.send("PUT", "/v1/workflows/long-reason", {"steps": [text]})
    run = owner.send("POST", "/v1/workflows/long-reason/trigger", {"to": "rosa"})["run"]
    wait_until(lambda: owner.send("GET", f"/v1/runs/{run}")["state"] == "failed", lambda: "it does not fail")
    page = open_console("/runs?workflow=long-reason", viewport=PHONE)
    reason = page.get_by_text("needs data.the_client_of_this_booking, which the trigger did not send")
    expect(reason).to_be_visible()
    assert reason.evaluate(
        "({ scrollWidth, clientWidth, offsetHeight }) => scrollWidth <= clientWidth && offsetHeight > 30"
    )
    row = page.locator(".chunk .row")
    assert row.evaluate("({ scrollHeight, clientHeight }) => scrollHeight <= clientHeight")


def test_mail_without_a_title_is_not_offered_as_a_notification(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/workflows/mail-only", {"steps": [{"key": "mail", "type": "email", "subject": "Hi"}]})
    owner.send("PUT", "/v1/recipients/oscar", {"email": "oscar@example.com"})
    owner.send("PATCH", "/v1/recipients/oscar/preferences", {"channels": {"email": False}})
    owner.send("POST", "/v1/workflows/mail-only/trigger", {"to": "oscar"})
    explained = "/v1/explain?recipient=oscar"
    wait_until(lambda: owner.send("GET", explained)["channels"] != [], lambda: owner.send("GET", explained))
    page = open_console("/recipients/oscar")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("button", name="Switch e-mail on")).to_be_visible()
    expect(outcome.get_by_role("button")).to_have_count(1)


def test_wide_recipient_has_its_preferences_beside_the_explanation(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/wilma", {"name": "Wilma"})
    page = open_console("/recipients/wilma?full=yes", viewport={"width": 1440, "height": 900})
    tops = [page.get_by_role("heading", name=name).bounding_box() for name in ("Why did it arrive", "Preferences")]
    assert tops[0] is not None
    assert tops[1] is not None
    assert abs(tops[0]["y"] - tops[1]["y"]) < 1


@pytest.mark.parametrize("width", [1280, 820, 390])
def test_types_and_channels_fit_their_place(open_console: Callable[..., Page], owner: Console, width: int) -> None:
    owner.send("PUT", "/v1/types/overdue-invoices", {"name": "Overdue invoices", "required": True})
    owner.send("PUT", "/v1/recipients/fritz", {})
    page = open_console("/recipients/fritz", viewport={"width": width, "height": 900})
    for path in ("/recipients/fritz", "/preference-defaults"):
        page.goto(f"/console{path}")
        expect(page.get_by_role("rowheader", name="Overdue invoices")).to_be_visible()
        cut = page.locator(".scroll.types").evaluate("place => place.scrollWidth - place.clientWidth")
        assert cut == 0, path


@pytest.mark.thorough
def test_owner_reads_and_changes_all_about_a_recipient_and_erases_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/recipients")
    page.get_by_role("link", name="New recipient").click()
    for label, text in {"Key": "evil", "Name": "Rita", "E-mail": "rita@example.com", "Time zone": "Vienna"}.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_label("Time zone").press("Enter")
    expect(page.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert").filter(has_text="Time zone must be")).to_be_visible()
    page.get_by_label("Time zone").fill("Europe/Vienna")
    page.get_by_label("Time zone").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Key exists already")).to_be_visible()
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    assert violations(page) == []
    page.get_by_label("Key", exact=True).fill("rita")
    page.get_by_label("Key", exact=True).press("Enter")
    expect(page.get_by_role("heading", level=1, name="rita")).to_be_visible()
    created = owner.send("GET", "/v1/recipients/rita")
    assert (created["name"], created["timezone"], created["phone"]) == ("Rita", "Europe/Vienna", None)
    owner.send("POST", "/v1/notifications", {"to": "rita", "title": "Hello Rita", "type": "greeting"})
    page.reload()
    expect(page.get_by_role("link", name="Hello Rita", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Live").last).to_have_attribute("href", re.compile(r"live\?recipient=rita"))
    page.get_by_role("button", name="Mute everything").click()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    page.get_by_label("Quiet from").fill("22:00")
    page.get_by_label("Quiet until").fill("07:00")
    page.get_by_role("button", name="Save quiet hours").click()
    expect(page.get_by_text("Settings of the recipient")).to_be_visible()
    expect(page.get_by_label("Quiet from")).to_have_value("22:00")
    page.get_by_label("Subscribe to").fill("news")
    page.get_by_role("button", name="Subscribe", exact=True).click()
    expect(page.get_by_role("link", name="news")).to_be_visible()
    stored = owner.send("GET", "/v1/recipients/rita/preferences")
    assert (stored["muted"], stored["quiet_hours"]) == ({"*": True}, {"start": "22:00", "end": "07:00"})
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    assert download.value.suggested_filename == "rita.json"
    page.get_by_text("Erase this recipient").click()
    assert violations(page) == []
    page.get_by_label("Type rita to confirm").fill("rit")
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_text("This is not the key of the recipient.")).to_be_visible()
    page.get_by_label("Type rita to confirm").fill("rita")
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("heading", name="Recipients")).to_be_visible()
    gone = httpx.get(f"{owner.server.url}/v1/recipients/rita", headers=owner.server.as_app())
    assert gone.status_code == 404
    actions = [entry["action"] for entry in owner.send("GET", "/v1/audit")["entries"]]
    assert {"DELETE /v1/recipients/{key}", "PATCH /v1/recipients/{key}/preferences"} <= set(actions)


def test_all_failures_are_retried_in_the_tenants_that_are_chosen(
    open_console: Callable[..., Page], owner: Console
) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/of-tenants", {"type": "of-tenants", "steps": [step]})
    tenants = ("acme", "globex", "globex")
    for tenant in tenants:
        owner.send("PUT", f"/v1/recipients/ann?tenant={tenant}", {"email": "ann@example.com"})
        owner.send("POST", "/v1/workflows/of-tenants/trigger", {"to": "ann", "tenant": tenant, "data": {}})
    failures = "/v1/failures?workflow=of-tenants&tenant=*"
    wait_until(lambda: len(owner.send("GET", failures)["failures"]) == len(tenants), lambda: "no run failed")
    page = open_console("/failures?workflow=of-tenants")
    page.get_by_role("button", name="Retry all…").click()
    dialog = page.get_by_role("dialog", name="Retry all failures")
    expect(dialog.get_by_role("button", name="Retry 3", exact=True)).to_be_visible()
    expect(dialog).to_contain_text("Continues 3 runs of of-tenants")
    dialog.get_by_label("acme 1 failure").uncheck()
    assert violations(page) == []
    page.route("**/v1/replays?tenant=globex", lambda route: route.fulfill(status=503, json={"detail": "It is busy."}))
    dialog.get_by_role("button", name="Retry 2", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("It is busy.")
    page.unroute("**/v1/replays?tenant=globex")
    dialog.get_by_role("button", name="Retry 2", exact=True).click()
    expect(page.locator(".replays")).to_contain_text("globex")
    assert {one["tenant"] for one in owner.send("GET", "/v1/replays?tenant=*")["replays"]} == {"globex"}


@pytest.mark.thorough
def test_owner_retries_a_failed_run_by_its_cause(open_console: Callable[..., Page], owner: Console) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/greeting", {"type": "greeting", "steps": [step]})
    owner.send("POST", "/v1/workflows/greeting/trigger", {"to": "evil", "data": {}})
    wait_until(lambda: owner.send("GET", "/v1/failures?workflow=greeting")["failures"], lambda: "the run did not fail")
    page = open_console("/failures")
    page.get_by_role("button", name="Runs", exact=True).click()
    page.get_by_role("row", name="in greeting").get_by_role("link").click()
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("1 run of greeting failed")
    page.get_by_role("checkbox", name="Select evil").check()
    page.get_by_role("button", name="Retry 1 selected").click()
    dialog = page.get_by_role("dialog", name="Retry the selected failures")
    expect(dialog.get_by_text("Continues 1 run of greeting at the step that failed")).to_be_visible()
    assert violations(page) == []
    dialog.get_by_role("button", name="Retry 1", exact=True).click()
    expect(page.get_by_text("1 failure retried")).to_be_visible()
    page.goto(f"{owner.server.url}/console/failures?channel=push")
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()


def test_corrected_notification_has_the_new_title(open_console: Callable[..., Page], owner: Console) -> None:
    sent = owner.send("POST", "/v1/notifications", {"to": "walter", "title": "Tuseday", "type": "corrected"})
    page = open_console(f"/notifications/{sent['notifications'][0]['id']}")
    page.get_by_text("Correct this notification").click()
    page.get_by_label("Title").fill("Tuesday")
    page.get_by_role("button", name="Correct in every inbox").click()
    expect(page.locator("h1")).to_have_text("Tuesday")


def test_trigger_creates_a_recipient_only_at_the_second_click(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/workflows/simple", {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]})
    page = open_console("/workflows/simple")
    suggested = page.locator(".suggested button").first
    suggested.click()
    expect(page.get_by_role("combobox", name="Recipient")).to_have_value(suggested.inner_text())
    page.get_by_role("combobox", name="Recipient").fill("newcomer")
    trigger = page.get_by_role("button", name="Trigger", exact=True)
    expect(trigger).to_have_class("primary")
    trigger.click()
    expect(page.get_by_text("There is no recipient newcomer yet.")).to_be_visible()
    assert violations(page) == []
    assert owner.send("GET", "/v1/runs?workflow=simple")["runs"] == []
    trigger.click()
    expect(page.get_by_role("link", name="Open the run")).to_be_visible()


def test_list_of_workflows_has_their_drafts_and_unusual_states(
    open_console: Callable[..., Page], owner: Console
) -> None:
    bell = {"steps": [{"key": "bell", "type": "inbox", "title": "Hi"}]}
    for key in ("listed-on", "listed-off"):
        owner.send("PUT", f"/v1/workflows/{key}", bell)
    owner.send("PATCH", "/v1/workflows/listed-off", {"active": False})
    owner.send("PUT", "/v1/workflows/listed-on/draft", {"values": bell, "base": 1})
    page = open_console("/workflows")
    on, off = (page.get_by_role("row").filter(has_text=key) for key in ("listed-on", "listed-off"))
    expect(off.locator(".state-word")).to_have_text("inactive")
    expect(on).to_contain_text(re.compile(r"v1 \+ draft.*ago"))
    expect(on.locator(".state-word")).to_have_count(0)


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
    for key in ("needle-in-hay", "hay"):
        owner.send("PUT", f"/v1/{kind}/{key}", bodies[kind])
    page = open_console(f"/{kind}")
    expect(page.locator(".row-link").filter(has_text=re.compile("^hay"))).to_be_visible()
    page.get_by_role("searchbox", name="Key contains").fill("needle")
    expect(page).to_have_url(re.compile("text=needle"))
    expect(page.locator(".row-link")).to_have_count(1)
    expect(page.locator(".row-link")).to_contain_text("needle-in-hay")
    page.get_by_role("searchbox", name="Key contains").fill("nothing of it")
    expect(page.get_by_text("Nothing matches these filters.")).to_be_visible()


def test_page_of_a_workflow_shows_its_whole_flow_and_offers_to_edit_it_first(
    open_console: Callable[..., Page], owner: Console
) -> None:
    bell = {"type": "inbox", "title": "Hi"}
    ways = [{"if": {"var": "data.total", "op": "gte", "value": 1}, "steps": [{**bell, "key": "one"}]}]
    steps = [{"key": "gate", "type": "branch", "branches": ways, "else": [{**bell, "key": "two"}]}]
    steps += [{"key": f"wait-{number}", "type": "delay", "for": "1h"} for number in range(8)]
    owner.send("PUT", "/v1/workflows/laned", {"steps": steps})
    page = open_console("/workflows/laned", viewport={"width": 1280, "height": 800})
    expect(page.get_by_role("link", name="Edit", exact=True)).to_have_class("button primary")
    one, two = (page.locator(f"[data-step={key}]") for key in ("one", "two"))
    expect(one).to_be_visible()
    assert one.evaluate("one => one.getBoundingClientRect().top") == two.evaluate(
        "one => one.getBoundingClientRect().top"
    )
    assert page.locator(".flow-scroll").evaluate("flow => flow.scrollHeight <= flow.clientHeight")
    page.set_viewport_size({"width": 390, "height": 800})  # the trunk is joined to its lanes
    gap = """lane => Math.round(lane.getBoundingClientRect().top + parseFloat(getComputedStyle(lane, '::before').top)
        - lane.parentElement.previousElementSibling.getBoundingClientRect().bottom)"""
    expect(page.locator(".stacked .flow-lane")).to_have_count(2)
    assert page.locator(".flow-lane").first.evaluate(gap) <= 0
    page.get_by_role("button", name="More for laned").click()
    for _ in range(2):
        page.get_by_role("button", name="Switch off laned").click()
    expect(page.get_by_role("main").get_by_text("inactive")).to_be_visible()
    assert owner.send("GET", "/v1/workflows/laned")["active"] is False


@pytest.mark.thorough
def test_workflow_is_compared_with_the_version_before_and_rolled_back(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for title in ("Before", "After"):
        owner.send("PUT", "/v1/workflows/rolled", {"steps": [{"key": "bell", "type": "inbox", "title": title}]})
    page = open_console("/workflows/rolled")
    page.get_by_role("button", name="Changes of version 2").click()
    expect(page.locator(".diff .ok")).to_contain_text("title: After")
    expect(page.locator(".diff .bad")).to_contain_text("title: Before")
    page.get_by_role("combobox", name="Recipient").fill("rudi")
    page.get_by_label("Data as JSON").fill("{name}")
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.get_by_role("alert").filter(has_text="The data is not valid JSON: ")).to_be_visible()
    page.get_by_label("Data as JSON").fill("{}")
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.locator(".panel .rows-of li").filter(has_text="Inbox")).to_contain_text("in the inbox")
    assert violations(page) == []
    owner.send("PUT", "/v1/recipients/rudi", {"name": "Rudi"})
    page.get_by_role("button", name="Trigger", exact=True).click()
    page.get_by_role("link", name="Open the run").click()
    expect(page.locator("h1")).to_have_text("Rudi · rolled")
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("Completed")
    page.go_back()
    restore = page.get_by_role("button", name="Make current: version 1")
    restore.click()
    restore.click()
    expect(page.get_by_role("treeitem", name="bell")).to_have_accessible_name(re.compile("Before"))
    assert owner.send("GET", "/v1/workflows/rolled")["version"] == 1


@pytest.mark.thorough
def test_topic_is_published_to_and_tenant_gets_limits(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/topics/published?tenant=evil")
    page.get_by_label("Event").fill("lead.assigned")
    page.get_by_label("Data as JSON").fill('{"lead": 7}')
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("summary").filter(has_text="lead.assigned")).to_be_visible()
    page.get_by_role("link", name="Tenants").click()
    page.get_by_role("row").filter(has_text="evil").get_by_role("link").click()
    parts = page.get_by_role("navigation", name="Parts of this page")
    parts.get_by_role("link", name="Limits and retention").click()
    retention = page.get_by_label("Retention in days")
    expect(retention).to_have_accessible_description(re.compile("0: never. Empty: the setting of the server."))
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
    page.get_by_label("Footer").fill("Mine")
    owner.send("PUT", "/v1/tenants/evil", {"settings": {"plan": HOSTILE, "brand": {"footer": "Theirs"}}})
    page.get_by_role("button", name="Save brand").click()
    page.get_by_role("button", name="Take theirs").click()
    expect(page.get_by_label("Footer")).to_have_value("Theirs")
    expect(page.get_by_role("button", name="Save brand")).to_be_focused()


def test_command_of_dead_jobs_is_behind_its_word(open_console: Callable[..., Page]) -> None:
    page = open_console("/jobs")
    command = page.get_by_text("bellcast job list")
    expect(page.get_by_text("No job is dead.")).to_be_visible()
    expect(command).to_be_hidden()
    page.get_by_text("By terminal").click()
    expect(command).to_be_visible()


def test_effects_of_a_retry_of_one_cause_use_the_whole_dialog(open_console: Callable[..., Page]) -> None:
    one = {"kind": "message", "cause": "550", "channel": "email", "tenant": None, "count": 16}
    times = {"newest": {"created_at": "2026-06-01T10:00:00Z"}, "oldest_at": "2026-06-01T10:00:00Z"}
    page = open_console("/account")
    page.route("**/v1/failures?*", lambda route: route.fulfill(json={"failures": [], "next": None}))
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json={"causes": [one | times], "next": None}))
    effects = [{"kind": "message", "channel": "email", "count": 16}]
    page.route("**/v1/replays*", lambda route: route.fulfill(json={"matched": 16, "exact": True, "effects": effects}))
    page.goto("/console/failures/kind%3Dmessage%26channel%3Demail%26cause%3D550")
    page.get_by_role("button", name="Retry all", exact=True).click()
    effect = page.get_by_role("dialog").get_by_role("listitem")
    expect(effect).to_have_text("Sends 16 e-mails again")
    assert effect.evaluate("(one) => one.getClientRects().length === 1 && one.offsetHeight < 30")


def test_dead_job_shows_its_whole_error_and_is_retried(open_console: Callable[..., Page]) -> None:
    error = "The workflow digest-weekly does not exist, and the schedule names it. " * 3
    job = {
        "id": "schedule  weekly",
        "tenant": None,
        "kind": "schedule",
        "state": "dead",
        "attempts": 10,
        "error": error,
    }
    retried: list[str] = []
    page = open_console("/account")
    page.route(
        "**/v1/jobs**",
        lambda route: route.fulfill(json={"jobs": [{**job, "created_at": "2026-06-01T10:00:00Z"}], "next": None}),
    )
    page.route("**/v1/jobs/*/retry", lambda route: (retried.append(route.request.url), route.fulfill(json={}))[1])
    page.get_by_role("link", name="Dead jobs").click()
    page.get_by_role("link", name="Fire a schedule").click()
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome).to_contain_text("Given up after 10 attempts")
    expect(outcome).to_contain_text(error.strip())
    assert violations(page) == []
    for _ in range(2):  # the second click confirms
        outcome.get_by_role("button", name="Retry schedule").click()
    expect(page).to_have_url(re.compile("/jobs$"))
    assert [url.rpartition("/v1")[2] for url in retried] == ["/jobs/schedule%20%20weekly/retry"]


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
    page.get_by_label("Required").uncheck()
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
    expect(page.get_by_label("Ends")).to_have_value("90d")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text('"Authorization": "Bearer bc_')).to_be_visible()
    expect(page.get_by_text(f'"url": "{owner.server.url}/bell/mcp"')).to_be_visible()
    expect(page.get_by_text(f'"BELLCAST_URL": "{owner.server.url}/bell"')).to_be_visible()
    assert violations(page) == []
    page.unroute_all(behavior="ignoreErrors")


def test_key_gets_an_end_in_the_console(open_console: Callable[..., Page], owner: Console) -> None:
    page = open_console("/keys?new=yes")
    page.get_by_label("Name", exact=True).fill("for a month")
    page.get_by_label("Ends").select_option("after 30 days")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy the key of for a month now")).to_be_visible()
    (key,) = (one for one in owner.send("GET", "/v1/keys")["keys"] if one["name"] == "for a month")
    created, ends = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    assert ends - created == timedelta(days=30)


@pytest.mark.thorough
def test_owner_changes_preference_defaults_beside_another_operator(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/preferred", {"name": "Preferred", "required": ["inbox"]})
    page = open_console("/preference-defaults?tenant=defaulted", viewport=PHONE)
    row = page.get_by_role("row").filter(has_text="Preferred")
    expect(row.get_by_text("Required")).to_be_visible()  # and no button: recipients cannot turn it off
    row.get_by_role("button", name="Preferred by SMS: On").click()
    page.get_by_role("button", name="Off", exact=True).click()
    page.get_by_role("button", name="Every type by Chat: On").click()
    page.get_by_role("button", name="Only urgent ones").click()
    expect(row).to_contain_text("By Inbox, E-mail, Push, Chat")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    owner.send("PATCH", "/v1/preference-defaults?tenant=defaulted", {"channels": {"push": False}})
    page.get_by_role("button", name="Save 2 changes").click()
    expect(page.get_by_role("alert").filter(has_text="Another operator has changed this")).to_be_visible()
    expect(row.get_by_role("button", name="Preferred by Push: Off")).to_be_visible()
    assert "types" not in owner.send("GET", "/v1/preference-defaults?tenant=defaulted")
    page.get_by_role("button", name="Save 2 changes").click()
    expect(page.get_by_role("button", name="Save 2 changes")).to_have_count(0)
    saved = owner.send("GET", "/v1/preference-defaults?tenant=defaulted")
    assert (saved["channels"], saved["types"]) == (
        {"push": False, "chat": "urgent"},
        {"preferred": {"sms": False}},
    )
    page.get_by_label("Quiet from").fill("22:00")
    page.get_by_label("E-mails: Preferred").select_option("Every day")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="Quiet until must be")).to_be_visible()
    page.get_by_label("Quiet until").fill("07:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("quiet_hours:")).to_be_attached()
    delivery = owner.send("GET", "/v1/preference-defaults?tenant=defaulted")
    hours, digest = {"start": "22:00", "end": "07:00"}, {"preferred": "daily"}
    assert (delivery["quiet_hours"], delivery["digest"], delivery["types"]) == (hours, digest, saved["types"])
    page.get_by_role("button", name="All channels of Preferred").click()
    page.get_by_role("button", name="Set nothing here").click()
    page.get_by_role("button", name="Save 1 change").click()
    expect(row.get_by_role("button", name="Preferred by SMS: On", exact=True)).to_be_visible()


def test_preference_defaults_mark_channels_that_a_type_does_not_have(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/types/two-ways", {"name": "Two ways", "channels": ["inbox", "email"], "required": True})
    page = open_console("/preference-defaults")
    row = page.get_by_role("row").filter(has_text="Two ways")
    expect(row).to_contain_text("By Inbox, E-mail")
    expect(row.locator("td")).to_have_text(["Required", "Required", "–", "–", "–"])


def test_picture_of_a_workflow_fits_its_place(open_console: Callable[..., Page], owner: Console) -> None:
    lanes = [{"key": key, "type": "inbox", "title": key} for key in ("bell", "again")]
    condition = {"var": "data.total", "op": "gte", "value": 100}
    branch = {"key": "choice", "type": "branch", "branches": [{"if": condition, "steps": lanes[:1]}], "else": lanes[1:]}
    owner.send("PUT", "/v1/workflows/wide", {"steps": [branch]})
    page = open_console("/workflows/wide", viewport={"width": 390, "height": 844})
    place, card = page.locator(".flow-scroll"), page.locator(".step-card").last
    expect(place.locator(".step-card")).to_have_count(4)
    wait_until(lambda: place.evaluate("place => place.scrollWidth <= place.clientWidth"), lambda: "the picture is cut")
    width = card.bounding_box()["width"]
    page.set_viewport_size({"width": 820, "height": 844})
    wait_until(lambda: card.bounding_box()["width"] > width, lambda: "the picture stays small")
    expect(page.get_by_label("Data as JSON")).to_have_value(re.compile('"total": 101'))


def test_pane_of_a_recipient_without_notifications_shows_the_whole_command(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/unwritten", {})
    page = open_console("/recipients", viewport=DESKTOP)
    button = page.get_by_role("link", name="New recipient")
    colour = button.evaluate("one => getComputedStyle(one).backgroundColor")
    page.goto("/console/recipients/unwritten")
    empty = page.locator(".pane .empty").filter(has_text="Nothing has been sent yet.")
    assert empty.locator("pre").evaluate("one => one.scrollWidth <= one.clientWidth")
    expect(empty).to_have_css("padding-top", "0px")
    expect(button).to_have_css("background-color", colour)  # what is empty is not the list


def test_email_is_light_in_a_dark_console(open_console: Callable[..., Page], owner: Console) -> None:
    email = {"subject": "Booked", "blocks": [{"type": "heading", "text": "See you"}]}
    owner.send("PUT", "/v1/templates/paper", {"email": email})
    owner.send("PUT", "/v1/recipients/reader", {"email": "reader@example.com"})
    draft = {"to": "reader", "template": "paper", "channels": ["email"]}
    id = owner.send("POST", "/v1/notifications", draft)["notifications"][0]["id"]
    message = owner.send("GET", "/v1/messages?recipient=reader")["messages"][0]["id"]
    page = open_console("/account", color_scheme="dark")
    for path in (f"/notifications/{id}", f"/messages/{message}"):
        page.goto(f"/console{path}")
        heading = page.frame_locator("iframe").get_by_role("heading", name="See you")
        colour = heading.evaluate("one => getComputedStyle(one).color")
        assert max(map(int, re.findall(r"\d+", colour))) < 100  # dark letters on light paper
