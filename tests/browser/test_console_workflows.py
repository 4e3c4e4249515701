"""The ten questions that the console answers, each from the Overview with at most four clicks."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.console import Console, go, run_state, wait_loaded
from tests.browser.shop import wait_until
from tests.browser.test_accessibility import violations
from tests.browser.workflow_editor import MAIL
from tests.wire.clients import websocket

MAX_CLICKS = 4


# Pages of the menu that “Configure” opens.
OF_SERVER = {"Pusher apps", "Audit"}
WITHIN = {"Mail": "Messages"}


class Operator:
    """An operator on the Overview, who counts clicks."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.click()

    def open(self, name: str) -> None:
        menu = self.page.locator("#menu")
        if name in OF_SERVER:
            self.click(menu.get_by_role("link", name="Configure"))
        self.click(menu.get_by_role("link", name=WITHIN.get(name, name), exact=True))
        if name in WITHIN:
            self.click(self.page.get_by_role("link", name=name, exact=True))
        expect(self.page.get_by_role("heading", level=1, name=name)).to_be_visible()

    def row(self, name: str) -> None:
        self.click(self.page.locator(".row-link").filter(has_text=name).first)


@pytest.fixture
def operator(open_console: Callable[..., Page]) -> Iterator[Operator]:
    operator = Operator(open_console("/"))
    yield operator
    assert operator.clicks <= MAX_CLICKS


@contextmanager
def connected(owner: Console, recipient: str) -> Iterator[None]:
    with websocket(owner.server, recipient) as client:
        client.until("ready")
        yield


@pytest.mark.thorough
def test_overview_shows_that_the_server_works(operator: Operator) -> None:
    expect(operator.page.locator(".headline")).to_contain_text("Server ready")


def cause_of(text: str, count: int) -> dict[str, Any]:
    newest = {"created_at": "2026-11-01T10:00:00Z"}
    kind = {"kind": "message", "channel": "email", "provider": "posts", "tenant": None}
    return {**kind, "cause": text, "count": count, "newest": newest, "oldest_at": newest["created_at"]}


@pytest.mark.thorough
def test_overview_groups_the_causes_of_a_provider_and_offers_a_retry(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport={"width": 1280, "height": 800})
    causes = [cause_of("552 Mailbox full", 2), cause_of("451 Greylisted", 3)]
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json={"causes": causes}))
    page.locator("#menu").get_by_role("link", name="Overview", exact=True).click()
    row = page.locator(".briefing li.bad")
    expect(row.get_by_role("link", name="5 e-mails failed through posts")).to_be_visible()
    expect(row).to_contain_text("2 causes, most often: 451 Greylisted")
    expect(page.locator(".headline b")).to_contain_text("1 problem")
    expect(page.locator(".headline b .icon")).to_be_visible()  # in the line of its words on each width
    row.hover()
    row.get_by_role("link", name="Retry 5…").click()
    expect(page).to_have_url(re.compile("/failures\\?.*provider=posts.*retry=yes"))
    heading = page.get_by_role("dialog", name="Retry all failures").get_by_role("heading")
    expect(heading).to_have_css("font-size", "16px")  # as in all dialogs


@pytest.mark.thorough
def test_overview_shows_the_most_important_rows_and_then_the_others(open_console: Callable[..., Page]) -> None:
    page = open_console("/account", viewport={"width": 390, "height": 844})
    causes = [{**cause_of("451 Greylisted", 10 - number), "provider": f"post{number}"} for number in range(8)]
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json={"causes": causes}))
    page.route("**/v1/requests?*", lambda route: route.fulfill(json={"requests": []}))
    go(page, "/")
    rows = page.locator(".briefing li.bad")
    expect(rows).to_have_count(6)
    wait_loaded(page)  # its headline counts what is read by itself
    expect(rows.first).to_contain_text("10 e-mails failed through post0")
    page.get_by_role("button", name=re.compile("^Show .* more$")).click()
    expect(rows).to_have_count(8)
    counts = re.findall(r"(\d+) (?:problem|notice)", page.locator(".headline b").inner_text())
    expect(page.locator(".briefing li")).to_have_count(sum(map(int, counts)))
    expect(page.locator(".briefing li.info")).to_have_count(1)  # simulated messages are counted too
    top = "row.querySelector('{}').getBoundingClientRect().top"
    assert rows.first.evaluate(f"row => {top.format('.note')} > {top.format('.row-link')}")
    retry = rows.first.get_by_role("link", name="Retry 10…", include_hidden=True)
    expect(retry).to_have_count(1)
    expect(retry).to_be_hidden()  # the list that the row opens has it
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # At the same moment: charts that are still drawn move what is below them.
    gap = """() => document.querySelector('.overview-charts + .panel').getBoundingClientRect().top
      - document.querySelector('.overview-charts').getBoundingClientRect().bottom"""
    assert page.evaluate(gap) <= 16  # no hole between them


@pytest.mark.thorough
def test_cause_says_what_helps_and_selects_all_its_failures(open_console: Callable[..., Page]) -> None:
    page = open_console("/account")
    one = {"kind": "message", "recipient": "ann", "created_at": "2026-11-01T10:00:00Z", "reason": "552 Mailbox full"}
    failures = [{**one, "id": f"m{number}"} for number in range(3)]
    causes = {"causes": [cause_of("552 Mailbox full", 3)]}
    page.route("**/v1/failures?*", lambda route: route.fulfill(json={"failures": failures, "next": None}))
    page.route("**/v1/failures/causes?*", lambda route: route.fulfill(json=causes))
    go(page, "/failures")
    expect(page.locator(".chunk .row .preview")).to_have_text("through posts")
    expect(page.locator(".chunk .row b.bad")).to_have_count(0)  # failures of weeks ago are not red
    page.get_by_role("link", name="552 Mailbox full").click()
    expect(page.get_by_role("region", name="Outcome")).to_contain_text("a retry helps only when it has room again")
    page.get_by_label("Select all 3").check()
    expect(page.get_by_role("button", name="Retry 3 selected")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select ann")).to_have_count(3)
    assert violations(page) == []


@pytest.mark.thorough
@pytest.mark.parametrize("count", [4, 5])
def test_overview_warns_of_refused_sign_ins_only_if_they_are_many(
    open_console: Callable[..., Page], count: int
) -> None:
    page = open_console("/account")
    refused = {"method": "POST", "path": "/v1/session", "code": "unauthenticated", "status": 401}
    requests = [{**refused, "at": "2026-11-01T10:00:00Z"}] * count
    page.route("**/v1/requests?*", lambda route: route.fulfill(json={"requests": requests}))
    page.locator("#menu").get_by_role("link", name="Overview", exact=True).click()
    expect(page.locator(".headline")).to_contain_text("Server ready")
    expect(page.get_by_text(f"{count} requests refused in an hour")).to_have_count(int(count == 5))


@pytest.mark.thorough
def test_overview_has_a_notice_while_mails_are_simulated(open_console: Callable[..., Page], owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/simulated", {"email": "simulated@example.com"})
    owner.send("POST", "/v1/notifications", {"to": "simulated", "title": "Hi", "channels": ["email"]})
    page = open_console("/")
    notice = page.locator(".briefing li").filter(has_text="Simulated: no e-mail provider is set up")
    expect(notice).to_have_attribute("class", "info")
    expect(notice.get_by_role("link", name="Simulated: no e-mail provider is set up")).to_have_attribute(
        "href", re.compile("state=simulated")
    )
    expect(page.locator(".headline")).not_to_contain_text("All well")
    assert violations(page) == []
    notice.get_by_role("link", name="Set up an e-mail provider").click()
    expect(page).to_have_url(re.compile("/providers\\?.*new=yes"))


@pytest.fixture
def provided(owner: Console, person: str) -> Iterator[str]:
    """The workflow of one e-mail that was simulated before the project had a provider."""
    workflow = f"mail-to-{person}"
    owner.send("PUT", f"/v1/recipients/{person}", {"email": "early@example.com"})
    owner.send("PUT", f"/v1/workflows/{workflow}", {"steps": [MAIL]})
    owner.run = owner.send("POST", f"/v1/workflows/{workflow}/trigger", {"to": person})["run"]
    wait_until(lambda: run_state(owner) == "completed", lambda: run_state(owner))
    owner.send("PUT", "/v1/providers/posts", {"channel": "email", "url": "smtp://mail.example.com?from=a@example.com"})
    yield workflow
    owner.send("DELETE", "/v1/providers/posts")


@pytest.mark.thorough
def test_message_simulated_before_there_was_a_provider_says_only_that_it_is_stored(
    open_console: Callable[..., Page], owner: Console, provided: str
) -> None:
    (message,) = owner.send("GET", f"/v1/messages?workflow={provided}")["messages"]
    page = open_console(f"/messages/{message['id']}")
    outcome = page.get_by_role("region", name="Outcome")
    expect(outcome.get_by_role("heading")).to_have_text("Simulated: stored, not sent")
    expect(outcome.get_by_role("link", name="Set up an e-mail provider")).to_have_count(0)
    go(page, f"/workflows/{provided}?edit=yes")
    expect(page.locator("[data-step=mail]")).to_have_attribute(
        "aria-description", "1 done (Simulated: stored, not sent)"
    )


@pytest.mark.thorough
@pytest.mark.parametrize("cause", [None, "setting"])
def test_overview_does_not_ask_for_a_provider_that_is_set_up(
    open_console: Callable[..., Page], provided: str, cause: str | None
) -> None:
    page = open_console("/account")
    explained = {"channels": [{"channel": "email", "state": "simulated", "simulated": cause}]}
    if cause:
        page.route("**/v1/explain?*", lambda route: route.fulfill(json=explained))
    page.locator("#menu").get_by_role("link", name="Overview", exact=True).click()
    notice = page.locator(".briefing li.info")
    expect(page.locator(".briefing .headline")).to_be_visible()
    if cause:
        expect(notice.get_by_role("link")).to_have_text("Simulated: stored, not sent")
        expect(notice).to_contain_text("E-mails, by the setting BELLCAST_SIMULATE")
    else:
        expect(notice).to_have_count(0)


def test_notification_page_explains_why_alice_did_not_get_it(operator: Operator, owner: Console) -> None:
    owner.send("PUT", "/v1/recipients/alice", {"email": "alice@example.com"})
    owner.send("PATCH", "/v1/recipients/alice/preferences", {"muted": {"*": True}})
    owner.send("POST", "/v1/notifications", {"to": "alice", "title": "For Alice", "channels": ["inbox", "email"]})
    operator.open("Notifications")
    operator.row("For Alice")
    verdict = operator.page.get_by_role("region", name="Outcome")
    expect(verdict).to_contain_text(re.compile("The e-mail was not sent, because.*muted"))
    operator.click(verdict.get_by_role("button", name="Unmute"))
    expect(verdict).to_contain_text("It applies to the next notification.")
    assert "muted" not in owner.send("GET", "/v1/recipients/alice/preferences")
    operator.click(verdict.get_by_role("button", name="Undo"))
    expect(verdict.get_by_role("button", name="Unmute")).to_be_visible()
    assert owner.send("GET", "/v1/recipients/alice/preferences")["muted"] == {"*": True}


def test_live_page_shows_what_the_app_sent_and_what_was_refused(operator: Operator, owner: Console) -> None:
    owner.send("POST", "/v1/notifications", {"to": "questions", "title": "Sent", "type": "just.sent"})
    httpx.post(f"{owner.server.url}/v1/notifications", headers=owner.server.as_app(), json={"to": "a", "titel": "x"})
    operator.open("Live")
    expect(operator.page.get_by_role("row").filter(has_text="just.sent")).to_contain_text("questions")
    refused = operator.page.locator(".feed .row", has_text="422 · ")
    operator.click(refused.get_by_role("button", name="POST /v1/notifications").first)
    expect(operator.page.locator(".details")).to_contain_text("did you mean")


def test_live_page_explains_why_a_page_does_not_connect(operator: Operator, owner: Console) -> None:
    httpx.get(f"{owner.server.url}/v1/stream", params={"token": "wrong"})
    operator.open("Live")
    refused = operator.page.locator(".feed .row", has_text="401 · ")
    operator.click(refused.get_by_role("button", name="GET /v1/stream").first)
    expect(operator.page.locator(".details").get_by_role("link", name="Causes and fixes")).to_be_visible()
    assert "/bellcast/check.js" in httpx.get(f"{owner.server.url}/check", headers={"accept": "text/html"}).text


@pytest.mark.thorough
def test_connections_page_lists_open_and_closed_connections(operator: Operator, owner: Console) -> None:
    with connected(owner, "present"):
        operator.open("Connections")
        expect(operator.page.get_by_role("link", name="present", exact=True)).to_be_visible()
    operator.click(operator.page.get_by_role("button", name="Closed", exact=True))
    expect(operator.page.get_by_role("row").filter(has_text="present").first).to_contain_text("(10")


def test_timeline_shows_what_happened_to_a_notification(operator: Operator, owner: Console) -> None:
    owner.send("POST", "/v1/notifications", {"to": "questions", "title": "Followed", "channels": ["inbox", "email"]})
    operator.open("Notifications")
    operator.row("Followed")
    expect(operator.page.get_by_role("region", name="Inbox")).to_contain_text("Put into the inbox")
    operator.page.get_by_text("Not written to a live connection").click()
    expect(operator.page.get_by_text("No node has a record of it")).to_be_visible()


def test_timeline_shows_the_write_to_a_live_connection(operator: Operator, owner: Console) -> None:
    with websocket(owner.server, "questions") as client:
        client.until("ready")
        owner.send("POST", "/v1/notifications", {"to": "questions", "title": "Written immediately"})
        client.until("notification")
    operator.open("Notifications")
    operator.row("Written immediately")
    written = operator.page.locator(".timeline li").filter(has_text="Written to 1 connection")
    expect(written.locator(".story-text")).to_have_attribute("title", re.compile("^Node "))
    expect(operator.page.get_by_text("Not written to a live connection")).to_have_count(0)
    expect(operator.page.get_by_role("region", name="Outcome")).to_have_text("In questions’s inbox · unread")


@pytest.mark.thorough
def test_failures_page_retries_a_failed_run(operator: Operator, owner: Console) -> None:
    step = {"key": "mail", "type": "email", "subject": "Hi {{ data.name }}", "text": "Hello"}
    owner.send("PUT", "/v1/workflows/failing", {"type": "failing", "steps": [step]})
    owner.send("POST", "/v1/workflows/failing/trigger", {"to": "evil", "data": {}})
    wait_until(lambda: owner.send("GET", "/v1/failures?workflow=failing")["failures"], lambda: "the run did not fail")
    operator.open("Failures")
    operator.click(operator.page.get_by_role("row", name="in failing").get_by_role("link"))
    operator.click(operator.page.get_by_role("button", name="Retry…", exact=True))
    dialog = operator.page.get_by_role("dialog", name="Retry 1 failure")
    expect(dialog).to_contain_text("Continues 1 run of failing")
    operator.click(dialog.get_by_role("button", name="Continue 1 run", exact=True))
    expect(operator.page.get_by_text("1 failure retried")).to_be_visible()


def test_mail_page_shows_an_email(operator: Operator) -> None:
    operator.open("Mail")
    operator.click(operator.page.locator(".row-link").first)
    expect(operator.page.locator("iframe[title='E-mail']")).to_be_visible()


@pytest.mark.thorough
def test_page_of_a_pusher_app_tests_its_connection(operator: Operator) -> None:
    operator.open("Pusher apps")
    operator.row("This project")
    operator.click(operator.page.get_by_role("button", name="Test connection"))
    # Another test may have used the one connection test that the server allows in six seconds.
    outcome = operator.page.get_by_text("Pusher connected").or_(
        operator.page.get_by_text("A test may run every 6 seconds.")
    )
    expect(outcome.first).to_be_visible()


@pytest.mark.thorough
def test_audit_log_names_who_changed_what(operator: Operator, owner: Console) -> None:
    owner.send("POST", "/v1/keys", {"name": "report", "scopes": ["read", "observe"]})
    operator.open("Audit")
    expect(operator.page.get_by_role("row").filter(has_text="report").first).to_contain_text(
        "name: report · scopes: read, observe"
    )
    entry = operator.page.get_by_role("row").filter(has_text="created the first owner")
    expect(entry).to_contain_text("olive@example.com created the first owner")
    operator.page.get_by_role("link", name="created the first owner").click()
    expect(operator.page.locator("h1")).to_have_text("olive@example.com created the first owner")
    expect(operator.page.get_by_text("POST /v1/setup", exact=True)).to_be_visible()


SENTENCES = """async (entries) => {
  const { sentenceOf } = await import('/console/audit-sentences.js');
  return entries.map(([action, target, outcome = 'ok', ...changed]) =>
    sentenceOf({ action, target, outcome, changes: changed.map((field) => ({ field })) }));
}"""


def test_audit_log_has_sentences(operator: Operator) -> None:
    cases = {
        ("POST /v1/keys", "/v1/keys"): "created an API key",
        ("PUT /v1/types/{key}", "/v1/types/edited"): "saved notification type edited",
        ("PUT /v1/types/{key}", "/bell/v1/types/edited", "invalid"): "tried to save notification type edited",
        ("PUT /v1/types/{key}", "/v1/types/a?dry_run=true", "forbidden"): (
            "tried to save notification type a (dry run)"
        ),
        ("POST /v1/workflows/{key}/publish", "/v1/workflows/a b/publish"): "published the draft of workflow a b",
        (
            "DELETE /v1/workflows/{key}/draft",
            "/v1/workflows/reminder/draft",
        ): "discarded the draft of workflow reminder",
        ("POST /v1/webhooks/{id}/rotate", "/v1/webhooks/7/rotate"): "replaced the secret of webhook 7",
        ("PATCH /v1/recipients/{key}", "/v1/recipients/dave?tenant=harbor"): "changed recipient dave",
        ("DELETE /v1/runs/{id}", "/v1/runs/7"): "cancelled run 7",
        ("POST /v1/recipients/bulk", "/v1/recipients/bulk"): "saved many recipients",
        ("PUT /v1/suppressions/{channel}/{address}", "/v1/suppressions/email/ann@example.com"): (
            "suppressed ann@example.com for email"
        ),
        ("PUT /v1/topics/{topic}/subscriptions/{recipient}", "/v1/topics/news/subscriptions/dave"): (
            "subscribed dave to topic news"
        ),
        ("PUT /v1/me/password", "/v1/me/password"): "changed their password",
        ("DELETE /v1/me/passkeys/{id}", "/v1/me/passkeys/7"): "deleted a passkey of their account",
        ("POST /v1/session", "/v1/session", "unauthenticated"): "tried to sign in with a password",
        ("GET /v1/session/oidc/callback", "/v1/session/oidc/callback"): "signed in with the identity provider",
        ("GET /v1/recipients", "/v1/recipients", "ok", "export"): "exported the recipients",
        ("GET /v1/recipients", "/v1/recipients", "forbidden"): "tried to read the recipients",
        ("POST /v1/replays", "/v1/replays", "ok", "dry_run"): "replayed failures (dry run)",
        ("POST /v1/doctor", "/v1/doctor"): "ran the doctor",
        ("POST /v1/secrets/rotation", "/v1/secrets/rotation"): "re-encrypted all secrets",
        ("TOOL explain_delivery", '{"recipient": "alice"}'): "called the tool explain_delivery",
        ("TOOL retry", "{}", "forbidden"): "tried to call the tool retry",
        ("POST /v1/keys", "/v1/keys", "password_required"): "began to create an API key",
        ("PUT /v1/new/{key}", "/v1/new/a?tenant=b"): "called PUT /v1/new/a",
        ("set-password", "olive@example.com"): "called set-password olive@example.com",
    }
    words = operator.page.evaluate(SENTENCES, [list(entry) for entry in cases])
    assert dict(zip(cases, words, strict=True)) == cases


# Operations that need no operator and no key, and are in the audit log.
SIGN_IN = {"POST /v1/session", "POST /v1/session/passkey", "GET /v1/session/oidc/callback", "POST /v1/setup"}


def audited_operations(owner: Console) -> list[str]:
    """Return the method and the path of each operation that can have an entry."""
    paths = httpx.get(f"{owner.server.url}/openapi.json").json()["paths"]
    schemes = {
        f"{method.upper()} {path}": {name for scheme in operation.get("security", []) for name in scheme}
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    return [name for name, given in schemes.items() if name in SIGN_IN or given & {"server", "console"}]


def test_audit_log_has_a_sentence_for_each_operation(operator: Operator, owner: Console) -> None:
    entries = [
        [action, re.sub(r"\{(\w+)\}", r"the-\1", action.partition(" ")[2]), outcome]
        for action in audited_operations(owner)
        for outcome in ("ok", "forbidden")
    ]
    sentences = dict(zip(map(tuple, entries), operator.page.evaluate(SENTENCES, entries), strict=True))
    assert len(sentences) > 300
    for (action, target, outcome), sentence in sentences.items():
        assert sentence.startswith("tried to ") == (outcome != "ok"), action
        assert not re.search(r"\bcall(ed)?\b", sentence), action
        assert not re.search(r"[{}?]|undefined|created .* of|[a-z][A-Z]|eded\b", sentence), (action, sentence)
        # Sentences about push endpoints and passkeys omit their ids.
        assert all(name in sentence for name in re.findall(r"the-\w+", target) if name != "the-id"), (action, sentence)


@pytest.mark.thorough
def test_audit_log_names_changed_fields_of_an_object_with_the_object(operator: Operator) -> None:
    changes = operator.page.evaluate(
        """async () => (await import('/console/audit-sentences.js')).changesOf({ changes: [
          { field: 'settings', from: { a: 1, b: [2] }, to: { a: 2, b: [2] } }, { field: 'brand', from: { a: 1 }, to: {} },
          { field: 'role', from: null, to: 'owner' },
        ] }).map(({ field, from, to }) => [field, from, to])"""
    )
    assert changes == [["settings.a", 1, 2], ["brand.a", 1, None], ["role", None, "owner"]]
