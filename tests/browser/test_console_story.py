"""The page of a notification whose e-mail a provider refused: the outcome, the provider's words, and the fix."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from playwright.sync_api import Page, expect
from tests.browser.console import Console, check_looks, confirm, go, start_console, wait_loaded
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations
from tests.servers import free_port

REFUSALS = {"dave": "554 5.7.1 Message refused by policy", "gone": "550 5.1.1 No such mailbox here"}


class RefusingMailbox:
    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return REFUSALS.get(address.partition("@")[0], "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        return "250 OK"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    mail = Controller(RefusingMailbox(), hostname="127.0.0.1", port=free_port())
    mail.start()
    environ = {
        "BELLCAST_EMAIL": f"smtp://127.0.0.1:{mail.port}?from=bells@example.com",
        "BELLCAST_HTTP_ALLOW": "127.0.0.1",
    }
    with start_console(tmp_path_factory.mktemp("story") / "data", environ) as console:
        yield console
    mail.stop()


def send_mail(owner: Console, recipient: str, state: str) -> str:
    """Send a notification with an e-mail to a recipient, and return its id when the e-mail has this state."""
    owner.send("PUT", f"/v1/recipients/{recipient}", {"email": f"{recipient}@example.com"})
    body = {"to": recipient, "title": "Your booking is confirmed", "body": "Saturday, 2 pm at Harbour Studio."}
    sent = owner.send("POST", "/v1/notifications", body | {"type": "booking", "channels": ["inbox", "email"]})
    notification: str = sent["notifications"][0]["id"]

    def states() -> list[str]:
        found = owner.send("GET", f"/v1/messages?notification={notification}")["messages"]
        return [one["state"] for one in found]

    wait_until(lambda: states() == [state], states)
    return notification


def test_notification_page_says_which_provider_refused_the_mail_in_its_words(
    open_console: Callable[..., Page], owner: Console
) -> None:
    notification = send_mail(owner, "dave", "failed")
    page = open_console(f"/notifications/{notification}?full=yes")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text("dave got no e-mail")
    expect(outcome.get_by_role("button", name="Retry the message")).not_to_have_class(re.compile("primary"))
    address = outcome.get_by_role("link", name="Correct the recipient's address")
    expect(address).to_have_attribute("href", "/console/recipients/dave?focus=address")
    expect(address).to_have_class("button primary")  # another attempt would be refused too
    lane = page.get_by_role("region", name="E-mail")
    expect(lane.locator("li.bad").first).to_contain_text("refused it permanently")
    expect(lane.locator("blockquote").first).to_contain_text("5.7.1 Message refused by policy")
    expect(lane.locator("time").first).to_have_text(re.compile(r"^\+\d"))
    seen = page.locator(".seen")
    expect(seen.locator(".bell-row")).to_contain_text("Harbour Studio")
    seen.get_by_role("button", name="E-mail").click()
    expect(seen.frame_locator("iframe").get_by_role("heading", name="Your booking is confirmed")).to_be_visible()
    wait_loaded(page)
    check_looks(page, "a notification")
    # On the recipient's page the same link opens the form again.
    for _ in range(2):
        address.click()
        expect(page.locator(".pane").get_by_label("E-mail")).to_be_focused()
        page.get_by_role("button", name="Cancel").click()


@pytest.mark.thorough
def test_message_that_was_refused_permanently_asks_for_another_address(
    open_console: Callable[..., Page], owner: Console
) -> None:
    notification = send_mail(owner, "dave", "failed")
    message = owner.send("GET", f"/v1/messages?notification={notification}")["messages"][0]["id"]
    page = open_console(f"/messages/{message}?full=yes")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_contain_text("refused it permanently")
    expect(outcome).to_contain_text("554 5.7.1 Message refused by policy")
    expect(outcome.get_by_role("link", name="Correct the address")).to_have_class("button primary")
    expect(outcome.get_by_role("button", name="Retry the message")).to_be_visible()
    head = page.locator(".mail-head")
    expect(head.locator("dd")).to_have_text(["dave@example.com", "Your booking is confirmed"])
    frame = page.locator("iframe[title=E-mail]")
    short = frame.evaluate("(frame) => frame.offsetHeight")
    owner.send("PUT", "/v1/recipients/longy", {"email": "longy@example.com"})
    body = {"to": "longy", "title": "x", "channels": ["email"], "email": {"subject": "Long", "text": "A line.\n" * 30}}
    sent = owner.send("POST", "/v1/notifications", body)["notifications"][0]["id"]
    message = owner.send("GET", f"/v1/messages?notification={sent}")["messages"][0]["id"]
    go(page, f"/messages/{message}?full=yes")
    expect(head.locator("dd").last).to_have_text("Long")
    assert frame.evaluate("(frame) => frame.offsetHeight") > short + 100


@pytest.mark.thorough
def test_freed_chat_address_is_suppressed_again_for_its_reason(
    open_console: Callable[..., Page], owner: Console
) -> None:
    address = "https://hooks.slack.com/services/T000/B000/XyZ"
    owner.send("PUT", f"/v1/suppressions/chat/{quote(address, safe='')}", {"reason": "manual"})
    notification = send_mail(owner, "chatty", "sent")
    message = owner.send("GET", f"/v1/messages?notification={notification}")["messages"][0]["id"]
    page = open_console("/account")
    chat = {
        "channel": "chat",
        "to": address,
        "state": "suppressed",
        "provider": None,
    }  # Slack is not reachable in a test
    page.route(f"**/v1/messages/{message}*", lambda route: route.fulfill(json=route.fetch().json() | chat))
    go(page, f"/messages/{message}")
    free = page.get_by_role("button", name="Free this address").first
    free.click()
    page.get_by_role("button", name="Undo").click()
    expect(free).to_be_visible()
    found = owner.send("GET", "/v1/suppressions?text=XyZ")["suppressions"]
    assert [(one["address"], one["reason"]) for one in found] == [(address, "manual")]
    owner.send("DELETE", f"/v1/suppressions/chat/{quote(address, safe='')}")


@pytest.mark.thorough
def test_page_of_a_provider_has_its_last_failure_and_messages(
    open_console: Callable[..., Page], owner: Console
) -> None:
    notification = send_mail(owner, "dave", "failed")
    provider = owner.send("GET", f"/v1/messages?notification={notification}")["messages"][0]["provider"]
    page = open_console(f"/providers/{provider}")
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("failed in 24 hours")
    expect(state.get_by_role("link", name="5.7.1 Message refused by policy")).to_have_attribute(
        "href", re.compile(f"/failures.*provider={provider}")
    )
    expect(page.locator(".rows-of li").first).to_contain_text("failedYour booking is confirmed")
    assert violations(page) == []


@pytest.mark.thorough
def test_channel_that_rules_did_not_send_is_no_failure(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/nora", {"name": "Nora"})
    body = {"to": "nora", "title": "Hello", "channels": ["inbox", "push"]}
    notification = owner.send("POST", "/v1/notifications", body)["notifications"][0]["id"]
    page = open_console(f"/notifications/{notification}")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text("In the inbox; no push message: no device registered")
    expect(outcome).to_have_class("verdict warn")


@pytest.mark.thorough
def test_bounced_address_is_freed_and_suppressed_again(open_console: Callable[..., Page], owner: Console) -> None:
    notification = send_mail(owner, "gone", "bounced")
    owner.send("PUT", "/v1/suppressions/email/gone@example.com", {"reason": "complaint"})
    page = open_console(f"/notifications/{notification}")
    outcome = page.get_by_role("region", name="Outcome")
    outcome.get_by_role("button", name="Free this address").click()
    expect(outcome.get_by_role("status")).to_contain_text("gone@example.com is free again.")
    assert owner.send("GET", "/v1/suppressions")["suppressions"] == []
    expect(outcome.get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(outcome.get_by_role("button", name="Free this address")).to_be_focused()
    again = owner.send("GET", "/v1/suppressions")["suppressions"]
    assert [(one["address"], one["reason"]) for one in again] == [("gone@example.com", "complaint")]
    message = owner.send("GET", f"/v1/messages?notification={notification}")["messages"][0]["id"]
    go(page, "/suppressions/email/gone@example.com")
    expect(page.get_by_role("link", name="gone", exact=True)).to_be_visible()  # the recipient of the address
    expect(page.locator(".pane .rows-of li")).to_contain_text("5.1.1 No such mailbox here")
    assert violations(page, within=".pane") == []
    page.get_by_role("link", name="Your booking is confirmed").click()
    expect(page).to_have_url(re.compile(f"/messages/{message}"))
    go(page, f"/messages/{message}")
    page.get_by_role("region", name="Outcome").get_by_role("link", name="Correct the address").click()
    email = page.locator(".pane").get_by_label("E-mail")
    expect(email).to_have_value("gone@example.com")
    expect(email).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("region", name="Outcome").get_by_role("link", name="Correct the address").click()
    expect(email).to_be_focused()
    email.fill("found@example.com")
    email.press("Enter")
    expect(page.locator(".facts")).to_contain_text("found@example.com")
    expect(page.get_by_text("came back from gone@example.com")).to_be_visible()
    assert violations(page) == []
    assert owner.send("GET", "/v1/recipients/gone")["email"] == "found@example.com"
    retry = page.get_by_role("button", name="Retry the message")
    confirm(retry)
    expect(retry).to_have_count(0)
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("Everything was sent")
    found = owner.send("GET", f"/v1/messages/{message}")
    assert (found["to"], found["state"]) == ("found@example.com", "sent")


@pytest.mark.thorough
def test_timeline_of_one_channel_is_copied_without_its_name_and_says_what_ends_with_its_choice(
    open_console: Callable[..., Page], owner: Console
) -> None:
    owner.send("PUT", "/v1/recipients/solo", {"email": "solo@example.com"})
    body = {"to": "solo", "title": "Your booking", "channels": ["email"]}
    sent = owner.send("POST", "/v1/notifications", body)["notifications"][0]["id"]
    page = open_console(f"/notifications/{sent}?full=yes", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the timeline as text").click()
    expect(page.get_by_role("button", name="Copied the timeline as text")).to_be_visible()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[:2] == ["Your booking", sent]
    assert "E-mail:" not in lines
    chosen = (
        """async (entries) => (await import('/console/story.js')).chapters(entries, 0, []).map(({ text }) => text)"""
    )
    at = "2026-11-30T12:00:00Z"
    entries = [{"what": "accepted", "at": at}, {"what": "routed", "channel": "email", "at": at}]
    assert page.evaluate(chosen, entries) == ["The server accepted it", "Chosen"]
    entries += [{"what": "queued", "channel": "email", "at": at}]
    assert page.evaluate(chosen, entries) == ["The server accepted it", "Queued"]
