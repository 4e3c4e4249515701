"""The page of a recipient: its profile, explanation and preferences."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.console import DESKTOP, Console, go, open_more, state_of_operator, wait_loaded
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations


def test_owner_explains_a_notification_and_follows_it_to_its_message(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/recipients")
    page.get_by_role("row").filter(has=page.get_by_text("evil", exact=True)).get_by_role("link").click()
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
    page.locator(".facts a[href*='/notifications/']").click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="E-mail", exact=True)).to_be_visible()


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
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    name.fill("Paula Maier")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    owner.send("PATCH", "/v1/recipients/paula", {"name": "Theirs", "locale": "fr"})
    with page.expect_response(re.compile("/v1/recipients/paula")):
        page.get_by_role("button", name="Refresh", exact=True).click()
    expect(name).to_have_value("Paula Maier")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Take theirs").click()
    expect(name).to_have_value("Theirs")
    expect(locale).to_have_value("fr")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_focused()
    name.fill("Paula")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".pane .titles")).to_contain_text("Paula")
    expect(page.get_by_text("Saved Paula")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("French, fr")
    assert owner.send("GET", "/v1/recipients/paula")["locale"] == "fr"


@pytest.mark.thorough
def test_time_of_the_last_notification_is_shown_to_the_second(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("POST", "/v1/notifications", {"to": "olivia", "title": "Hello"})
    page = open_console("/recipients/olivia")
    time = page.get_by_text("The last notification was sent").locator("time")
    expect(time).to_have_attribute("datetime", re.compile(r"T\d\d:\d\d:\d\d\.\d+Z$"))


@pytest.mark.thorough
def test_refused_requests_of_a_recipient_stay_beside_its_notifications(
    open_console: Callable[..., Page], owner: Console
) -> None:
    for number in range(4):
        owner.send("POST", "/v1/notifications", {"to": "oswald", "title": f"Hello {number}"})
    refused = httpx.get(f"{owner.server.url}/v1/inbox?limit=0", headers=owner.server.as_recipient("oswald"))
    assert refused.is_client_error
    page = open_console("/recipients/oswald")
    reasons = page.locator("details summary")
    expect(reasons.filter(has_text="Hello")).to_have_count(3)
    expect(reasons.filter(has_text="Connections and refused requests")).to_have_count(1)


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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
    assert violations(page, within="dialog[open]") == []
    boxes = [dialog.get_by_role("button", name=name, exact=True).bounding_box() for name in ("Cancel", "Send")]
    assert [box["x"] for box in boxes if box] == sorted(
        box["x"] for box in boxes if box
    )  # as in the dialogs of editors
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Simulated: no e-mail provider is set up.")).to_be_visible()
    (sent,) = owner.send("GET", "/v1/messages?recipient=nina&channel=email&limit=1")["messages"]
    content = owner.send("GET", f"/v1/messages/{sent['id']}")["content"]
    assert (content["subject"], "It is packed." in content["text"]) == ("Order 7", True)


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_outcome_with_a_failed_message_and_no_provider_has_one_main_button(
    open_console: Callable[..., Page], owner: Console, chromium: Browser
) -> None:
    owner.send("PUT", "/v1/recipients/otis", {})
    sent = {"outcome": "send", "rule": None, "by": None, "text": "It was sent.", "message": None, "provider": None}
    channels = [
        {**sent, "channel": channel, "state": state} for channel, state in (("email", "failed"), ("sms", "simulated"))
    ]
    actions = [
        {"text": "Add a provider of SMS.", "method": "PUT", "path": "/v1/providers/sms"},
        {"text": "Send it again.", "method": "POST", "path": "/v1/messages/1/retry"},
    ]
    explained = {"verdict": "not_delivered", "channels": channels, "actions": actions, "facts": []}
    helper = state_of_operator(owner, chromium, "olaf", "support")
    for state, links in ((None, 1), (helper, 0)):  # only builders set up providers
        page = open_console("/account", state=state) if state else open_console("/account")
        page.route("**/v1/explain?*", lambda route: route.fulfill(json={**route.fetch().json(), **explained}))
        go(page, "/recipients/otis")
        outcome = page.get_by_role("region", name="Outcome")
        expect(outcome.get_by_role("button", name="Retry the message")).to_be_visible()
        expect(outcome.get_by_role("link", name="Set up an SMS provider")).to_have_count(links)
        expect(outcome.locator(".primary")).to_have_text(["Retry…"])


@pytest.mark.thorough
def test_wide_recipient_has_its_preferences_beside_the_explanation(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/wilma", {"name": "Wilma"})
    page = open_console("/recipients/wilma?full=yes", viewport={"width": 1440, "height": 900})
    wait_loaded(page)
    tops = [page.get_by_role("heading", name=name).bounding_box() for name in ("Why did it arrive", "Preferences")]
    assert tops[0] is not None
    assert tops[1] is not None
    assert abs(tops[0]["y"] - tops[1]["y"]) < 1
    about = page.get_by_role("navigation", name="About this recipient")
    lists = about.get_by_role("link")
    expect(about).to_have_text("Live")
    owner.send("POST", "/v1/notifications", {"to": "wilma", "title": "Hello"})
    page.reload()
    expect(lists.first).to_have_text("1 notification")
    expect(lists.first).to_have_attribute("href", "/console/notifications?recipient=wilma")
    expect(page.locator(".inbox li")).to_contain_text("Hellounseen")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome).to_have_text("“Hello” is in the inbox · unread")
    # Without being read.
    token = owner.server.as_recipient("wilma")
    httpx.post(f"{owner.server.url}/v1/inbox/archive", headers=token, json={"all": True}).raise_for_status()
    page.reload()
    expect(outcome).to_have_text(re.compile("^“Hello” was archived "))


@pytest.mark.thorough
def test_notification_that_was_read_at_once_is_shown_as_its_recipient_saw_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    (one,) = owner.send("POST", "/v1/notifications", {"to": "reader", "title": "Only a title"})["notifications"]
    page = open_console("/account")
    at, read = "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.055Z"
    entry = {
        "title": "Only a title",
        "notification": one["id"],
        "channel": "inbox",
        "text": "It was put into the inbox.",
    }
    facts = [{**entry, "what": what, "at": when} for what, when in (("created", at), ("seen", read), ("read", read))]
    page.route("**/v1/explain?*", lambda route: route.fulfill(json={**route.fetch().json(), "facts": facts}))
    go(page, f"/notifications/{one['id']}")
    expect(page.locator(".story-text")).to_have_text(["Put into the inbox", "Read"])
    expect(page.locator(".seen")).to_contain_text("Only a title")


@pytest.mark.thorough
def test_types_and_channels_fit_their_place(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/types/overdue-invoices", {"name": "Overdue invoices", "required": True})
    owner.send("PUT", "/v1/recipients/fritz", {})
    page = open_console("/account")
    for path in ("/recipients/fritz", "/preference-defaults"):
        go(page, path)
        place = page.locator(".scroll.types" if "recipients" in path else ".defaults-place")
        for width in (1280, 820, 390):
            page.set_viewport_size({"width": width, "height": 900})
            expect(page.get_by_role("rowheader", name="Overdue invoices")).to_be_visible()
            assert place.evaluate("place => place.scrollWidth - place.clientWidth") == 0, (path, width)
    owner.send("DELETE", "/v1/types/overdue-invoices")


@pytest.mark.thorough
def test_owner_reads_and_changes_all_about_a_recipient_and_erases_it(
    open_console: Callable[..., Page], owner: Console
) -> None:
    page = open_console("/recipients")
    page.get_by_role("link", name="New recipient").click()
    for label, text in {"Key": "evil", "Name": "Rita", "E-mail": "rita@example.com", "Time zone": "Vienna"}.items():
        page.locator(".pane").get_by_label(label, exact=True).fill(text)
    page.get_by_label("Time zone").press("Enter")
    expect(page.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert").filter(has_text="Time zone must be")).to_be_visible()
    page.get_by_label("Time zone").fill("Europe/Vienna")
    page.get_by_label("Time zone").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Key is used by another recipient.")).to_be_visible()
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
    open_more(page)
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


@pytest.mark.thorough
def test_pane_of_a_recipient_without_notifications_shows_the_whole_command(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/unwritten", {})
    page = open_console("/recipients", viewport=DESKTOP)
    button = page.get_by_role("link", name="New recipient")
    colour = button.evaluate("one => getComputedStyle(one).backgroundColor")
    go(page, "/recipients/unwritten")
    empty = page.locator(".pane .empty").filter(has_text="No notifications yet")
    assert empty.locator("pre").evaluate("one => one.scrollWidth <= one.clientWidth")
    expect(empty).to_have_css("padding-top", "0px")
    expect(button).to_have_css("background-color", colour)  # what is empty is not the list


@pytest.mark.thorough
def test_times_of_day_are_typed_with_24_hours(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/nightly", {})
    page = open_console("/recipients/nightly", locale="en-US")
    start, end = page.get_by_label("Quiet from"), page.get_by_label("Quiet until")
    start.fill("22.30")
    end.fill("25:00")
    page.get_by_role("button", name="Save quiet hours").click()
    assert end.evaluate("input => input.validationMessage") == "Enter a time from 00:00 to 23:59, such as 09:30."
    end.fill("7")
    page.get_by_role("button", name="Save quiet hours").click()
    expect(page.get_by_text("Settings of the recipient")).to_be_visible()
    expect(start).to_have_value("22:30")
    expect(end).to_have_value("07:00")
    assert owner.send("GET", "/v1/recipients/nightly/preferences")["quiet_hours"] == {"start": "22:30", "end": "07:00"}
    assert start.evaluate("input => input.list.options.length") == 48
    assert violations(page) == []


@pytest.mark.thorough
def test_time_of_a_schedule_is_applied_when_it_is_whole(open_console: Callable[..., Page], owner: Console) -> None:
    body = {"cron": "0 8 * * *", "notification": {"to": "nightly", "title": "Good morning"}}
    owner.send("PUT", "/v1/schedules/daily-time", body)
    page = open_console("/schedules/daily-time?edit=yes", locale="en-US")
    time = page.get_by_label("Time", exact=True)
    expect(time).to_be_visible()
    expect(time).to_have_value("08:00")
    time.press_sequentially("x")
    time.fill("1")
    expect(time).to_have_value("1")
    time.fill("17:4")
    time.press_sequentially("5")
    expect(page.get_by_text("Next, UTC")).to_have_text(re.compile(r"17:45 · .* 17:45$"))
    page.get_by_role("button", name="YAML").click()
    expect(page.get_by_role("textbox", name="Definition as YAML")).to_have_value(re.compile(r'cron: "45 17 '))


def test_undo_of_an_address_keeps_one_that_was_set_since(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/unreached", {})
    sent = {"to": "unreached", "title": "Hello", "channels": ["inbox", "email"]}
    owner.send("POST", "/v1/notifications", sent)
    page = open_console("/recipients/unreached")
    outcome = page.get_by_role("region", name="Outcome")
    address = outcome.get_by_label("E-mail address")
    undo = outcome.get_by_role("button", name="Undo")
    expect(address).to_be_visible()
    address.fill("first@example.com")
    outcome.get_by_role("button", name="Set the address").click()
    undo.click()
    expect(address).to_be_focused()
    assert owner.send("GET", "/v1/recipients/unreached")["email"] is None
    address.fill("first@example.com")
    outcome.get_by_role("button", name="Set the address").click()
    expect(undo).to_be_visible()
    owner.send("PATCH", "/v1/recipients/unreached", {"email": "second@example.com"})
    undo.click()
    expect(outcome.get_by_role("alert")).to_contain_text("changed in the meantime, to second@example.com")
    assert owner.send("GET", "/v1/recipients/unreached")["email"] == "second@example.com"
