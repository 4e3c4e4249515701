"""Sign-in to the console by an identity provider, in Chromium."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from tests.browser.console import confirm, sign_out
from tests.browser.shop import PHONE, WIDE
from tests.browser.test_accessibility import violations
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, identity_provider
from tests.servers import ServerProcess

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def server(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environ = {
        "BELLCAST_OIDC_ISSUER": provider.issuer,
        "BELLCAST_OIDC_CLIENT_ID": CLIENT_ID,
        "BELLCAST_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "BELLCAST_OIDC_NAME": "Acme ID",
        "BELLCAST_OIDC_ROLE_MAP": "admins=owner,staff=viewer",
        "BELLCAST_HTTP_ALLOW": "127.0.0.1",
    }
    with ServerProcess(tmp_path_factory.mktemp("sign-in") / "data", environ) as server:
        owner = {"name": "olive", "role": "owner", "password": PASSWORD}
        httpx.post(f"{server.url}/v1/operators", json=owner, headers=server.as_app()).raise_for_status()
        yield server


@pytest.fixture
def open_page(chromium: Browser, server: ServerProcess) -> Iterator[Callable[..., Page]]:
    """Opens pages of new browsers. No page may log an error except those of refused requests."""
    contexts, complaints = [], list[str]()

    def open_page(viewport: dict[str, int] = WIDE, scheme: str = "light") -> Page:
        context = chromium.new_context(base_url=server.url, viewport=viewport, color_scheme=scheme)
        context.set_default_timeout(40_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def sign_in(page: Page) -> None:
    page.get_by_role("button", name="Sign in with Acme ID").click()


def open_as_otto(open_page: Callable[..., Page], provider: IdentityProvider, path: str) -> Page:
    """Return a page of an owner who has signed in with the identity provider."""
    provider.user = {"sub": "u2", "preferred_username": "otto", "groups": ["admins"]}
    page = open_page()
    page.goto(path)
    sign_in(page)
    return page


def add_operator(page: Page, name: str = "newcomer") -> None:
    form = page.locator("form", has=page.get_by_role("button", name="Create operator"))
    form.get_by_label("Name").fill(name)
    form.get_by_label("First password").fill(PASSWORD)
    form.get_by_role("button", name="Create operator").click()


@pytest.mark.thorough
def test_deep_link_survives_the_sign_in_at_the_provider(
    open_page: Callable[..., Page], provider: IdentityProvider
) -> None:
    provider.user = {"sub": "u1", "preferred_username": "vera", "groups": ["staff"]}
    page = open_page()
    page.goto("/console/setup#code=used")
    expect(page.get_by_text("The console is set up already.")).to_be_visible()
    page.goto("/console/health?tz=utc")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("main.card")).not_to_contain_text(page.url.split("/")[2])  # the address bar has it
    assert violations(page) == []
    sign_in(page)
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    assert page.url.endswith("/console/health?tz=utc")
    page.goto("/console/account")
    expect(page.get_by_text("You sign in with your identity provider")).to_be_visible()
    expect(page.get_by_label("Current password")).to_have_count(0)


@pytest.mark.thorough
def test_sensitive_action_repeats_the_sign_in_at_the_provider(
    open_page: Callable[..., Page], provider: IdentityProvider
) -> None:
    page = open_as_otto(open_page, provider, "/console/operators?new=yes")
    add_operator(page)
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_be_visible()
    assert violations(page) == []
    # The provider opens in a window of its own: the form is sent as it was entered.
    sign_in(page)
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="newcomer", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="otto").get_by_text("identity provider")).to_be_visible()


def test_sensitive_action_is_not_repeated_as_another_operator(
    open_page: Callable[..., Page], provider: IdentityProvider
) -> None:
    page = open_as_otto(open_page, provider, "/console/operators?new=yes")
    add_operator(page, "unwanted")
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_be_visible()
    provider.user = {"sub": "u4", "preferred_username": "zoe", "groups": ["admins"]}
    sign_in(page)
    expect(page.get_by_role("button", name="zoe")).to_be_visible()
    page.goto("/console/operators")
    expect(page.get_by_role("link", name="zoe", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="unwanted", exact=True)).to_have_count(0)


@pytest.mark.thorough
def test_sensitive_action_is_not_repeated_with_the_password_of_another_operator(
    open_page: Callable[..., Page], server: ServerProcess
) -> None:
    other = {"name": "paula", "role": "owner", "password": PASSWORD}
    httpx.post(f"{server.url}/v1/operators", json=other, headers=server.as_app()).raise_for_status()
    page = open_page()
    page.goto("/console/operators?new=yes")
    password_sign_in(page)
    refusal = {"code": "password_required", "detail": "Type your password again.", "status": 403}
    refused = list[Route]()

    def refuse(route: Route) -> None:
        if route.request.method == "POST" and not refused:
            refused.append(route)
            route.fulfill(status=403, json=refusal, content_type="application/problem+json")
        else:
            route.fallback()

    page.route("**/v1/operators", refuse)
    add_operator(page, "unsent")
    dialog = page.get_by_role("dialog", name="Confirm it’s you")
    expect(dialog).to_be_visible()
    # Another tab signs another operator in.
    signed_in = {"name": "paula", "password": PASSWORD}
    assert page.request.post("/v1/session", data=signed_in, headers={"origin": server.url}).ok
    dialog.get_by_label("Current password").fill(PASSWORD)
    dialog.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="paula")).to_be_visible()
    page.goto("/console/operators")
    expect(page.get_by_role("link", name="paula", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="unsent", exact=True)).to_have_count(0)


@pytest.mark.thorough
def test_form_survives_a_new_sign_in_at_the_provider(
    open_page: Callable[..., Page], provider: IdentityProvider
) -> None:
    page = open_as_otto(open_page, provider, "/console/recipients?new=yes")
    page.get_by_label("Key", exact=True).fill("rosa")
    page.get_by_label("Name", exact=True).fill("Rosa")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create").click()
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_contain_text("this page stays as it is")
    with page.context.expect_page():
        sign_in(page)
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", level=1, name="rosa")).to_be_visible()
    expect(page.locator(".pane .titles")).to_contain_text("Rosa")


@pytest.mark.thorough
def test_refusal_is_a_page_that_leads_back(open_page: Callable[..., Page], provider: IdentityProvider) -> None:
    provider.user = {"sub": "u3", "preferred_username": "<b>nobody</b>", "groups": ["visitors"]}
    page = open_page(PHONE, "dark")
    page.goto("/console/live")
    sign_in(page)
    expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    expect(page.get_by_text("Your account has no role here")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Back to the sign-in").click()
    expect(page.get_by_role("button", name="Sign in with Acme ID")).to_be_visible()
    page.get_by_label("Name").fill("olive")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


# --- passkeys

VIRTUAL = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def on_localhost(chromium: Browser, server: ServerProcess) -> Iterator[Page]:
    """A page with an authenticator. Passkeys need a host name, which an IP address is not."""
    context = chromium.new_context(base_url=server.url.replace("127.0.0.1", "localhost"))
    context.set_default_timeout(40_000)
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": VIRTUAL})
    yield page
    context.close()


@pytest.mark.thorough
def test_operator_adds_a_passkey_signs_in_with_it_and_deletes_it(on_localhost: Page) -> None:
    page = on_localhost
    page.goto("/console/account")
    password_sign_in(page)
    expect(page.get_by_role("heading", name="Passkeys")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Add a passkey…").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("laptop <b>")
    page.get_by_role("button", name="Add a passkey", exact=True).click()
    passkey = page.get_by_role("listitem").filter(has_text="laptop <b>")
    expect(passkey).to_contain_text("never used")
    assert violations(page) == []
    page.get_by_role("button", name="Add a passkey…").click()
    page.get_by_label("Name", exact=True).fill("again")
    page.get_by_role("button", name="Add a passkey", exact=True).click()
    expect(page.get_by_text("This device already has a passkey here.")).to_be_visible()

    sign_out(page)
    password_sign_in(page)  # no longer sufficient
    expect(page.get_by_label("Code")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with Acme ID")).to_have_count(0)
    assert violations(page) == []
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto("/console/account")
    expect(passkey).not_to_contain_text("never")

    confirm(passkey.get_by_role("button", name="Delete"))
    expect(passkey).to_have_count(0)
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("This passkey does not sign in here")).to_be_visible()
    password_sign_in(page)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def password_sign_in(page: Page) -> None:
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Name").fill("olive")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
