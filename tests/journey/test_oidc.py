"""Sign-in of operators through an identity provider that misbehaves in every relevant way."""

import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import httpx
import pytest

from bellcast.operators import oidc
from bellcast.operators.sign_in import ADDRESS_FAILURES
from bellcast.operators.store import Operators
from bellcast.operators.types import SESSION_SECONDS, OidcConfig
from tests.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, identity_provider
from tests.journey import rest as rests
from tests.journey.operators import PASSWORD, browser, set_up, user_agents
from tests.journey.rest import Rest, refused
from tests.thoroughness import sampled

pytestmark = pytest.mark.usefixtures("cheap_hashes")

ROLE_MAP = ("admins=owner", "staff=viewer", "developers=developer")
COOKIE, PENDING = "__Host-bellcast", "__Host-bellcast-sign-in"


class Clock:
    """The clock of the provider, which is the API's once the API runs."""

    rest: Rest | None = None

    def now(self) -> float:
        assert self.rest is not None
        return self.rest.clock.now() / 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> Iterator[IdentityProvider]:
    with identity_provider(clock.now) as provider:
        yield provider


def config(provider: IdentityProvider, **changes: Any) -> OidcConfig:
    fields = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "role_map": ROLE_MAP}
    return OidcConfig(**fields | changes)


@pytest.fixture
async def rest(tmp_path: Path, clock: Clock, provider: IdentityProvider) -> AsyncIterator[Rest]:
    async with rests.opened(tmp_path, oidc=config(provider)) as rest:
        clock.rest = rest
        yield rest


async def begin(client: httpx.AsyncClient, **body: Any) -> str:
    """Start a sign-in; return the URL at the provider."""
    response = await client.post("/v1/session/oidc", json=body)
    assert response.status_code == 200, response.text
    url: str = response.json()["url"]
    return url


async def visit(url: str) -> str:
    """Sign in at the provider; return the URL to which it redirects the browser."""
    async with httpx.AsyncClient() as outside:
        response = await outside.get(url)
    assert response.status_code == 302, response.text
    return response.headers["location"]


async def come_back(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Follow the redirect of the provider, as a browser does: from another site."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "bell.test")
    headers = {"sec-fetch-site": "cross-site"}
    request = client.build_request("GET", f"{parts.path}?{parts.query}", headers=headers)
    del request.headers["origin"]
    return await client.send(request)


async def sign_in(rest: Rest, client: httpx.AsyncClient | None = None, **body: Any) -> httpx.Response:
    client = client or browser(rest)
    return await come_back(client, await visit(await begin(client, **body)))


def reason(response: httpx.Response, status: int) -> str:
    """Return the text of the page of a refused sign-in, which sets no session."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not any(cookie.startswith(f"{COOKIE}=") for cookie in response.headers.get_list("set-cookie"))
    return response.text.partition('<p class="error">')[2].partition("</p>")[0]


async def audited(rest: Rest) -> list[tuple[str, str]]:
    entries = (await rest.app.get("/v1/audit")).json()["entries"]
    return [(one["actor"], one["outcome"]) for one in entries if one["target"] == "/v1/session/oidc/callback"]


# --- sign-in


async def test_browser_returns_to_a_console_below_a_path_beyond_ascii(rest: Rest) -> None:
    client, root = browser(rest), "/gr%C3%B6%C3%9Fe/%E6%97%A5%E6%9C%AC"
    client._transport = httpx.ASGITransport(client._transport.app, root_path=unquote(root))
    response = await client.post(f"{root}/v1/session/oidc", json={})
    url = response.json()["url"]
    assert parse_qs(urlsplit(url).query)["redirect_uri"] == [f"https://bell.test{root}/v1/session/oidc/callback"]
    response = await come_back(client, await visit(url))
    assert (response.status_code, response.headers["location"]) == (303, f"{root}/console/")


async def test_person_signs_in_with_the_role_of_its_group(rest: Rest, provider: IdentityProvider) -> None:
    client = browser(rest)
    assert (await client.get("/v1/setup")).json() == {"needed": True, "provider": "127.0.0.1"}
    url = await begin(client, return_path="/console/live?kind=send")
    sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert sent["scope"] == "openid profile email"
    assert sent["redirect_uri"] == "https://bell.test/v1/session/oidc/callback"
    assert min(len(sent[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    response = await come_back(client, await visit(url))
    assert (response.status_code, response.headers["location"]) == (303, "/console/live?kind=send")
    session, device, ended = response.headers.get_list("set-cookie")
    assert session.startswith(f"{COOKIE}=")
    assert all(part in session for part in ("; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"))
    assert device.startswith(f"{COOKIE}-device=")
    assert ended.startswith(f"{PENDING}=; ")
    me = (await client.get("/v1/me")).json()
    assert (me["name"], me["role"], me["is_external"]) == ("alice", "viewer", True)
    assert await user_agents(client) == [client.headers["user-agent"]]
    assert await audited(rest) == [("alice", "ok")]


async def test_role_follows_the_groups_at_each_sign_in(rest: Rest, provider: IdentityProvider) -> None:
    await sign_in(rest)
    provider.user["groups"] = ["staff", "developers", "unmapped"]
    client = browser(rest)
    assert (await sign_in(rest, client)).status_code == 303
    assert (await client.get("/v1/me")).json()["role"] == "developer"
    operators = (await rest.app.get("/v1/operators")).json()["operators"]
    assert [(one["name"], one["role"]) for one in operators] == [("alice", "developer")]
    entries = (await rest.app.get("/v1/audit")).json()["entries"]
    assert entries[0]["changes"] == [{"field": "role", "from": "viewer", "to": "developer"}]


async def test_group_may_be_a_text_and_every_user_may_have_a_role(
    tmp_path: Path, clock: Clock, provider: IdentityProvider
) -> None:
    async with rests.opened(tmp_path, oidc=config(provider, role_map=("*=viewer", "admins=owner"))) as rest:
        clock.rest = rest
        provider.user["groups"] = None
        client = browser(rest)
        await sign_in(rest, client)
        assert (await client.get("/v1/me")).json()["role"] == "viewer"
        provider.user["groups"] = "admins"
        await sign_in(rest, client)
        assert (await client.get("/v1/me")).json()["role"] == "owner"


async def test_person_without_a_role_is_refused_and_audited(rest: Rest, provider: IdentityProvider) -> None:
    provider.user["groups"] = ["visitors"]
    assert "no role here" in reason(await sign_in(rest), 403)
    assert (await rest.app.get("/v1/operators")).json()["operators"] == []
    assert await audited(rest) == [("unknown person", "forbidden")]


async def test_person_whose_role_was_removed_is_signed_out(rest: Rest, provider: IdentityProvider) -> None:
    client = browser(rest)
    await sign_in(rest, client)
    provider.user["groups"] = ["visitors"]
    assert "no role here" in reason(await sign_in(rest), 403)
    assert (await client.get("/v1/me")).status_code == 401


async def test_last_owner_is_not_demoted_by_its_groups(rest: Rest, provider: IdentityProvider) -> None:
    provider.user["groups"] = ["admins"]
    await sign_in(rest)
    provider.user["groups"] = ["staff"]
    assert "last owner" in reason(await sign_in(rest), 403)


async def test_first_sign_in_from_two_tabs_at_once_creates_one_operator(
    rest: Rest, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in(rest)
    found, of_subject = [None], Operators.of_subject

    async def read_before_the_other(operators: Operators, subject: str) -> Any:
        return found.pop() if found else await of_subject(operators, subject)

    monkeypatch.setattr(Operators, "of_subject", read_before_the_other)
    assert (await sign_in(rest)).status_code == 303
    assert len((await rest.app.get("/v1/operators")).json()["operators"]) == 1


async def test_name_of_a_local_operator_is_not_taken_over(rest: Rest, provider: IdentityProvider) -> None:
    await set_up(rest, "alice")
    provider.user["groups"] = ["admins"]
    assert "has the name alice" in reason(await sign_in(rest), 409)
    provider.user["sub"] = "u2"
    provider.user["preferred_username"] = None
    provider.user["email"] = "alice@example.com"
    client = browser(rest)
    assert (await sign_in(rest, client)).status_code == 303
    assert (await client.get("/v1/me")).json()["name"] == "alice@example.com"


async def test_name_that_no_operator_can_have_is_refused(rest: Rest, provider: IdentityProvider) -> None:
    provider.user |= {"sub": "<script>", "preferred_username": "a b", "email": {"a": 1}}
    assert "no valid operator name" in reason(await sign_in(rest), 403)


async def test_password_does_not_sign_in_a_person_of_the_provider(rest: Rest, provider: IdentityProvider) -> None:
    await sign_in(rest)
    (operator,) = (await rest.app.get("/v1/operators")).json()["operators"]
    changed = await rest.app.patch(f"/v1/operators/{operator['id']}", json={"password": PASSWORD})
    assert refused(changed, 409, "conflict")
    await rest.store.operators.change(operator["id"], None, f"hash of {PASSWORD}")
    response = await browser(rest).post("/v1/session", json={"name": "alice", "password": PASSWORD})
    assert refused(response, 401, "unauthenticated")


async def test_response_with_an_error_does_not_exchange_its_code(rest: Rest, provider: IdentityProvider) -> None:
    client = browser(rest)
    back = await visit(await begin(client))
    assert "access_denied" in reason(await client.get(f"{back}&error=access_denied"), 401)
    assert provider.requests.count("/token") == 0
    assert reason(await client.get(back), 401)


async def test_session_of_the_provider_ends_after_an_hour(rest: Rest) -> None:
    client = browser(rest)
    await sign_in(rest, client)
    rest.clock.advance(SESSION_SECONDS - 1)
    assert (await client.get("/v1/me")).status_code == 200
    rest.clock.advance(1)
    assert (await client.get("/v1/me")).status_code == 401
    await sign_in(rest, client)
    assert (await client.get("/v1/me")).status_code == 200


# --- attacks on the browser


async def test_sign_in_replaces_the_session_of_the_browser(rest: Rest) -> None:
    owner = await set_up(rest)
    planted = owner.cookies[COOKIE]
    assert (await sign_in(rest, owner)).status_code == 303
    assert owner.cookies[COOKIE] != planted
    stale = browser(rest)
    stale.cookies.set(COOKIE, planted)
    assert refused(await stale.get("/v1/me"), 401, "unauthenticated")


@pytest.mark.parametrize(
    "path",
    [
        *("https://evil.example/", "//evil.example/console/", "/\\evil.example", "/console\\..\\..", "/v1/me"),
        *("/consolex", "/console/\r\nset-cookie: a=b", "javascript:alert(1)", "", "/console/" + "x" * 1_000),
    ],
)
async def test_return_path_leads_only_to_the_console(rest: Rest, path: str) -> None:
    response = await browser(rest).post("/v1/session/oidc", json={"return_path": path})
    assert refused(response, 422, "invalid")


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": ""}]
)
async def test_page_of_another_site_cannot_begin_a_sign_in(
    rest: Rest, provider: IdentityProvider, headers: dict[str, str]
) -> None:
    response = await browser(rest).post("/v1/session/oidc", json={}, headers=headers)
    assert refused(response, 403, "forbidden")
    assert provider.requests == []


async def test_sign_in_needs_https(rest: Rest) -> None:
    response = await browser(rest, "http://bell.test").post("/v1/session/oidc", json={})
    assert refused(response, 403, "forbidden")


@pytest.mark.parametrize("host", ["[", "[::1", "[x]", "a[b]"])
async def test_host_that_is_not_an_address_is_refused(rest: Rest, host: str) -> None:
    response = await rest.client.get("/v1/session/oidc/callback", headers={"host": host})
    assert refused(response, 400, "bad_request")


async def test_sign_in_of_another_browser_is_refused(rest: Rest, provider: IdentityProvider) -> None:
    """Login CSRF: the attacker's code in the victim's browser, which started no sign-in or a different one."""
    attacker, victim = browser(rest), browser(rest)
    url = await visit(await begin(attacker))
    assert "not started in this browser" in reason(await come_back(victim, url), 401)
    await begin(victim)
    assert "not started in this browser" in reason(await come_back(victim, url), 401)
    assert "/token" not in provider.requests
    assert await audited(rest) == []


async def test_return_of_an_older_sign_in_does_not_end_that_of_another_tab(rest: Rest) -> None:
    client = browser(rest)
    older, newer = await visit(await begin(client)), await visit(await begin(client))
    assert "not started in this browser" in reason(await come_back(client, older), 401)
    assert (await come_back(client, newer)).status_code == 303


async def test_sign_in_is_used_once_and_for_ten_minutes(rest: Rest, provider: IdentityProvider) -> None:
    provider.accepts_codes_twice = True
    client = browser(rest)
    url = await visit(await begin(client))
    pending = client.cookies[PENDING]
    assert (await come_back(client, url)).status_code == 303
    assert "not started in this browser" in reason(await come_back(client, url), 401)
    client.cookies.set(PENDING, pending, domain="bell.test", path="/")
    assert "already used" in reason(await come_back(client, url), 401)
    assert provider.requests.count("/token") == 1
    late = await visit(await begin(client))
    rest.clock.advance(oidc.PENDING_MS / 1000)
    assert "longer than 10 minutes" in reason(await come_back(client, late), 401)


async def test_cookie_cannot_be_forged(rest: Rest) -> None:
    client = browser(rest)
    url = await visit(await begin(client))
    client.cookies.clear()
    client.cookies.set(PENDING, json.dumps({"request": ["s", "n", "v", "u"], "return_path": "//evil.example"}))
    reason(await come_back(client, url), 401)


# --- a provider that misbehaves


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "another-client"}, "audience"),
        ({"aud": [CLIENT_ID, "another-client"]}, "authorized party"),
        ({"azp": "another-client"}, "authorized party"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"exp": 1_750_000_000 - 100}, "time (exp)"),
        ({"nbf": 1_750_000_000 + 100}, "time (nbf)"),
        ({"iat": 1_750_000_000 - 3_600}, "time (iat)"),
        ({"iat": 1_750_000_000 + 3_600}, "time (iat)"),
        ({"sub": ""}, "claims"),
        ({"sub": "x" * 256}, "claims"),
        ({"exp": "soon"}, "claims"),
        ({"groups": {"admins": True}}, "claims"),
        ({"groups": [1]}, "claims"),
    ],
)
async def test_wrong_id_token_is_refused(
    rest: Rest, provider: IdentityProvider, claims: dict[str, Any], text: str
) -> None:
    provider.claims = claims
    assert text in reason(await sign_in(rest), 401)
    assert (await rest.app.get("/v1/operators")).json()["operators"] == []
    assert await audited(rest) == [("unknown person", "unauthenticated")]


@pytest.mark.parametrize(
    ("algorithm", "signed_by"), [("none", "published"), ("HS256", "published"), ("RS256", "other")]
)
async def test_unsigned_or_foreign_id_token_is_refused(
    rest: Rest, provider: IdentityProvider, algorithm: str, signed_by: str
) -> None:
    provider.algorithm, provider.signed_by = algorithm, signed_by
    assert "ID token" in reason(await sign_in(rest), 401)


async def test_response_of_another_issuer_is_refused(rest: Rest, provider: IdentityProvider) -> None:
    """Mix-up attack (RFC 9207)."""
    client = browser(rest)
    url = await visit(await begin(client))
    parts = urlsplit(url)
    query = parts.query.replace("127.0.0.1", "evil.example")
    assert query != parts.query
    reason(await come_back(client, parts._replace(query=query).geturl()), 401)
    assert "/token" not in provider.requests


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        *itertools.product(
            ("/.well-known/openid-configuration", "/token"), ("slow", "huge", "garbage", "error", "redirect")
        ),
        *itertools.product(["/keys"], ("huge", "garbage", "error", "redirect")),
    ],
)
async def test_failing_provider_is_a_clear_refusal(
    rest: Rest, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch, path: str, fault: str
) -> None:
    if fault == "slow":  # other responses may take as long on a busy machine
        monkeypatch.setattr(oidc, "RESPONSE_TIMEOUT", 0.3)
    faults: dict[str, Any] = {
        "slow": threading.Event(),
        "huge": (200, b" " * 2_000_000),
        "garbage": (200, b'{"issuer": 1, "keys": 2, "id_token": 3}'),
        "error": (500, b'{"error": "<script>alert(1)</script>"}'),
        "redirect": (302, b""),
    }
    provider.responses[path] = faults[fault]
    client = browser(rest)
    response = await client.post("/v1/session/oidc", json={})
    if path.startswith("/.well-known"):
        assert refused(response, 503, "unavailable")
        await client.post("/v1/session/oidc", json={})
        assert len(provider.requests) == 1  # a failure is not repeated for each sign-in
        return
    page = await come_back(client, await visit(response.json()["url"]))
    text = reason(page, page.status_code)
    assert page.status_code in (401, 503)
    assert "script" not in text
    assert await audited(rest) == ([] if page.status_code == 503 else [("unknown person", "unauthenticated")])


async def test_discovery_document_of_another_issuer_is_refused(
    tmp_path: Path, clock: Clock, provider: IdentityProvider
) -> None:
    async with rests.opened(tmp_path, oidc=config(provider, issuer=provider.issuer + "/")) as rest:
        clock.rest = rest
        response = await browser(rest).post("/v1/session/oidc", json={})
        assert "The issuer in the discovery document differs" in response.json()["detail"]


@pytest.mark.parametrize("url", ["https://[", "javascript:alert(1)"])
async def test_authorization_endpoint_that_is_not_a_url_is_refused(
    rest: Rest, provider: IdentityProvider, url: str
) -> None:
    document = provider.discovery | {"authorization_endpoint": url}
    provider.responses["/.well-known/openid-configuration"] = (200, json.dumps(document).encode())
    response = await browser(rest).post("/v1/session/oidc", json={})
    assert "is not a URL" in response.json()["detail"]


async def test_endpoints_of_the_discovery_document_pass_the_guard(rest: Rest, provider: IdentityProvider) -> None:
    document = provider.discovery | {"token_endpoint": "http://169.254.169.254/latest/meta-data"}
    provider.responses["/.well-known/openid-configuration"] = (200, json.dumps(document).encode())
    assert "private address" in reason(await sign_in(rest), 503)


async def test_refusal_of_the_provider_is_named_without_foreign_text(rest: Rest, provider: IdentityProvider) -> None:
    provider.error = "access_denied"
    assert reason(await sign_in(rest), 401).endswith("access_denied.")
    provider.error = "<img src=x>"
    assert reason(await sign_in(rest), 401).endswith("an error.")


async def test_failed_sign_ins_of_an_address_are_limited_before_the_provider_is_called(
    rest: Rest, provider: IdentityProvider
) -> None:
    known = browser(rest)
    assert (await sign_in(rest, known)).status_code == 303
    provider.claims = {"nonce": "another"}
    for _ in range(ADDRESS_FAILURES):
        reason(await sign_in(rest), 401)
    calls = provider.requests.count("/token")
    provider.claims = {}
    assert "Too many failed attempts" in reason(await sign_in(rest), 429)
    assert provider.requests.count("/token") == calls == ADDRESS_FAILURES + 1
    assert (await sign_in(rest, known)).status_code == 303
    rest.clock.advance(15 * 60)
    assert (await sign_in(rest)).status_code == 303


@pytest.mark.parametrize("status", sampled([503, 429, 200, 500]))
async def test_outage_of_the_provider_does_not_count_as_failed_sign_ins(
    rest: Rest, provider: IdentityProvider, status: int
) -> None:
    provider.responses["/token"] = (status, b"maintenance")
    for _ in range(ADDRESS_FAILURES + 1):
        reason(await sign_in(rest), 503)
    assert await audited(rest) == []  # without a limit, anyone could fill the log
    del provider.responses["/token"]
    assert (await sign_in(rest)).status_code == 303


async def test_outage_of_the_provider_does_not_clear_earlier_failed_sign_ins(
    rest: Rest, provider: IdentityProvider
) -> None:
    provider.claims = {"nonce": "another"}
    for _ in range(ADDRESS_FAILURES - 1):
        reason(await sign_in(rest), 401)
    provider.responses["/token"] = (503, b"maintenance")
    reason(await sign_in(rest), 503)
    del provider.responses["/token"]
    reason(await sign_in(rest), 401)
    reason(await sign_in(rest), 429)


@pytest.mark.parametrize(
    ("wrong", "entries"),
    [
        ({"code": "x" * (oidc.MAX_CODE + 1)}, 0),
        ({"code": "x", "iss": "https://evil.example"}, 0),
        ({"error": "access_denied"}, 0),
        ({"code": "x"}, 1),
    ],
)
async def test_responses_that_the_provider_did_not_send_fill_no_audit(
    rest: Rest, provider: IdentityProvider, wrong: dict[str, str], entries: int
) -> None:
    """The cookie of one started sign-in is used for all, as from many addresses."""
    client = browser(rest)
    state = parse_qs(urlsplit(await begin(client)).query)["state"][0]
    kept = dict(client.cookies)
    for _ in range(ADDRESS_FAILURES + 5):
        client.cookies.update(kept)
        query = urlencode({"state": state, **wrong})
        reason(await come_back(client, f"https://bell.test/v1/session/oidc/callback?{query}"), 401)
    assert len(await audited(rest)) == provider.requests.count("/token") == entries
    assert (await sign_in(rest)).status_code == 303


async def test_sign_ins_that_wait_for_the_provider_are_limited(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "MAX_WAITING", 0)
    assert "try again" in reason(await sign_in(rest), 429)


# --- second factor and repeated verification


async def test_second_factor_is_that_of_the_provider(tmp_path: Path, clock: Clock, provider: IdentityProvider) -> None:
    strict = {"requires_mfa": True}
    async with rests.opened(tmp_path, oidc=config(provider), console=strict) as rest:
        clock.rest = rest
        assert "did not confirm" in reason(await sign_in(rest), 403)
        provider.user["amr"] = ["pwd", "mfa"]
        client = browser(rest)
        assert (await sign_in(rest, client)).status_code == 303
        assert (await client.get("/v1/me")).json()["must_enrol"] is False
        assert (await client.get("/v1/stats")).status_code == 200


async def test_sensitive_request_needs_a_recent_sign_in_at_the_provider(rest: Rest, provider: IdentityProvider) -> None:
    provider.user["groups"] = ["admins"]
    body = {"name": "bob", "role": "viewer", "password": PASSWORD}
    client = browser(rest)
    await sign_in(rest, client)
    assert refused(await client.post("/v1/operators", json=body), 403, "password_required")
    url = await begin(client, reauthenticate=True)
    assert "prompt=login" in url
    assert (await come_back(client, await visit(url))).status_code == 303
    assert (await client.post("/v1/operators", json=body)).status_code == 201
    rest.clock.advance(10 * 60)
    assert refused(await client.delete("/v1/operators/none"), 403, "password_required")


@pytest.mark.parametrize("auth_time", [1_750_000_000 - 3_600, None, 1_750_000_000_000, 1e308, -1e308])
async def test_old_or_future_sign_in_at_the_provider_is_no_verification(
    rest: Rest, provider: IdentityProvider, auth_time: float | None
) -> None:
    provider.user["groups"], provider.claims = ["admins"], {"auth_time": auth_time}
    client = browser(rest)
    assert "signed in again" in reason(await sign_in(rest, client, reauthenticate=True), 401)
    assert (await rest.app.get("/v1/operators")).json()["operators"] == []
    assert (await sign_in(rest, client)).status_code == 303
    assert refused(await client.post("/v1/keys", json={"name": "k", "scopes": ["read"]}), 403, "password_required")


async def test_person_of_the_provider_has_no_second_factor_here(rest: Rest, provider: IdentityProvider) -> None:
    client = browser(rest)
    await sign_in(rest, client, reauthenticate=True)
    assert refused(await client.post("/v1/me/mfa"), 409, "conflict")


async def test_without_a_provider_there_is_no_such_sign_in(tmp_path: Path) -> None:
    async with rests.opened(tmp_path) as rest:
        client = browser(rest)
        assert (await client.get("/v1/setup")).json() == {"needed": True, "provider": None}
        assert refused(await client.post("/v1/session/oidc", json={}), 404, "not_found")
