"""Operators of the console: setup, sign-in, roles, forged requests and guessed passwords."""

import asyncio
import functools
import shutil
import threading
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from bellcast.auth.keys import SCOPES
from bellcast.auth.permissions import AccessConfig
from bellcast.console.pages import console
from bellcast.operators import factors, sign_in
from bellcast.operators.sign_in import NAME_FAILURES
from bellcast.operators.types import ROLES
from bellcast.server.api_app import HANDLERS
from tests.journey import rest as rests
from tests.journey.operators import OWN, PASSWORD, as_cookie, browser, keyed, set_up, signed_in
from tests.journey.rest import DATA_FOLDER, Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

# seconds
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SAME_SITE = "https://shop.bell.test"
STRANGER = "198.51.100.7"
OFFICE = "203.0.113.9"
RIGHT = {"name": "owner", "password": PASSWORD}
GUESS = {"name": "owner", "password": "guess"}


def at(rest: Rest, address: str) -> httpx.AsyncClient:
    """A browser at an address."""
    transport = httpx.ASGITransport(cast(httpx.ASGITransport, rest.client._transport).app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="https://bell.test", headers=OWN)


async def test_setup_code_makes_the_first_owner_once(rest: Rest) -> None:
    assert (await rest.anonymous.get("/v1/setup")).json() == {"needed": True, "provider": None}
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    body = {"code": code, "name": "owner", "password": PASSWORD}
    owner = browser(rest)
    assert (await owner.post("/v1/setup", json=body)).json()["role"] == "owner"
    assert (await owner.get("/v1/me")).json()["name"] == "owner"
    assert (await rest.anonymous.get("/v1/setup")).json() == {"needed": False, "provider": None}
    assert refused(await browser(rest).post("/v1/setup", json=body | {"name": "eve"}), 403, "forbidden")
    assert refused(await rest.app.post("/v1/setup-codes"), 409, "conflict")


async def test_owners_read_the_data_folder_of_the_server(rest: Rest) -> None:
    owner = await set_up(rest)
    assert (await owner.get("/v1/me")).json()["data_folder"] == DATA_FOLDER
    developer = await signed_in(rest, "dora", "developer")
    assert "data_folder" not in (await developer.get("/v1/me")).json()


async def test_setup_code_stays_valid_if_the_name_is_taken(rest: Rest) -> None:
    viewer = {"name": "alice", "role": "viewer", "password": PASSWORD}
    assert (await rest.app.post("/v1/operators", json=viewer)).status_code == 201
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    body = {"code": code, "name": "alice", "password": PASSWORD}
    assert refused(await browser(rest).post("/v1/setup", json=body), 409, "conflict")
    assert (await browser(rest).post("/v1/setup", json=body | {"name": "owner"})).status_code == 201


async def test_setup_code_expires_after_a_day(rest: Rest) -> None:
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    rest.clock.advance(DAY)
    response = await browser(rest).post("/v1/setup", json={"code": code, "name": "o", "password": PASSWORD})
    assert refused(response, 403, "forbidden")


async def test_setup_codes_cannot_be_guessed_often(rest: Rest) -> None:
    guesser = browser(rest)
    guess = {"code": "guess", "name": "eve", "password": PASSWORD}
    for _ in range(10):
        assert refused(await guesser.post("/v1/setup", json=guess), 403, "forbidden")
    response = await guesser.post("/v1/setup", json=guess)
    assert refused(response, 429, "too_many")
    assert 0 < int(response.headers["retry-after"]) <= 3600
    rest.clock.advance(HOUR)
    assert refused(await guesser.post("/v1/setup", json=guess), 403, "forbidden")


async def test_new_setup_code_works_after_too_many_guesses(rest: Rest) -> None:
    guess = {"code": "guess", "name": "eve", "password": PASSWORD}
    for _ in range(11):
        response = await browser(rest).post("/v1/setup", json=guess)
    assert refused(response, 429, "too_many")
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    response = await browser(rest).post("/v1/setup", json={"code": code, "name": "o", "password": PASSWORD})
    assert response.status_code == 201


async def test_setup_codes_need_the_project_secret(rest: Rest) -> None:
    key = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["send", "read", "manage"]})).json()["key"]
    for headers in ({"authorization": f"Bearer {key}"}, rest.recipient("alice").headers):
        assert refused(await rest.anonymous.post("/v1/setup-codes", headers=headers), 403, "forbidden")
    assert refused(await rest.anonymous.post("/v1/setup-codes"), 401, "unauthenticated")


async def test_cookie_is_bound_to_the_host_and_hidden_from_scripts(rest: Rest) -> None:
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    response = await browser(rest).post("/v1/setup", json={"code": code, "name": "o", "password": PASSWORD})
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-bellcast=")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= set(cookie.split("; "))
    assert "domain" not in cookie.lower()
    assert response.headers["cache-control"] == "no-store"


async def test_password_is_not_accepted_over_plain_http_from_elsewhere(rest: Rest) -> None:
    await set_up(rest)
    body = {"name": "owner", "password": PASSWORD}
    plain = browser(rest, "http://bell.test")
    assert refused(await plain.post("/v1/session", json=body), 403, "forbidden")
    local = browser(rest, "http://127.0.0.1:8787")
    response = await local.post("/v1/session", json=body)
    assert response.headers["set-cookie"].startswith("bellcast-console-8787=")
    assert (await local.get("/v1/me")).json()["name"] == "owner"


FOREIGN = {
    "another site": {"origin": "https://evil.test", "sec-fetch-site": "cross-site"},
    "a page of the same site": {"origin": SAME_SITE, "sec-fetch-site": "same-site"},
    "a browser without fetch metadata": {"origin": "https://evil.test"},
    "a sandboxed frame": {"origin": "null", "sec-fetch-site": "cross-site"},
    "another port": {"origin": "https://bell.test:8443"},
    "plain HTTP": {"origin": "http://bell.test"},
    "only fetch metadata": {"sec-fetch-site": "same-site"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_request_of_a_foreign_page_is_refused(rest: Rest, headers: dict[str, str]) -> None:
    owner = await set_up(rest)
    foreign = httpx.AsyncClient(
        transport=owner._transport, base_url="https://bell.test", cookies=dict(owner.cookies), headers=headers
    )
    body = {"name": "eve", "role": "owner", "password": PASSWORD}
    assert refused(await foreign.post("/v1/operators", json=body), 403, "forbidden")
    assert refused(await foreign.get("/v1/operators"), 403, "forbidden")
    assert refused(await foreign.delete("/v1/session"), 403, "forbidden")
    credentials = {"name": "owner", "password": PASSWORD}
    assert refused(await foreign.post("/v1/session", json=credentials), 403, "forbidden")
    assert [one["name"] for one in (await owner.get("/v1/operators")).json()["operators"]] == ["owner"]


async def test_operators_session_has_no_cors(tmp_path: Path) -> None:
    declared = "https://shop.example"
    async with rests.opened(tmp_path, access=AccessConfig(origins=(declared,))) as rest:
        owner = await set_up(rest)
        cookie = {"cookie": as_cookie(dict(owner.cookies))["cookie"]}

        async def allowed(method: str, path: str, headers: dict[str, str]) -> set[str]:
            response = await rest.client.request(method, f"https://bell.test{path}", headers=headers)
            return {name for name in response.headers if name.startswith("access-control-allow-")}

        console = ("/v1/me", "/v1/session", "/v1/setup", "/v1/operators", "/v1/me/passkeys")
        for origin in ("https://evil.test", declared, "null"):
            for path in (*console, "/v1/notifications", "/v1/feed"):
                assert await allowed("GET", path, cookie | {"origin": origin}) == set()
            for path in console:
                assert await allowed("GET", path, {"origin": origin}) == set()
                preflight = {"origin": origin, "access-control-request-method": "GET"}
                assert "access-control-allow-origin" not in await allowed("OPTIONS", path, preflight)
        # Sessions and tokens of recipients belong to apps, even if an operator is signed in.
        page = cookie | {"origin": declared}
        assert "access-control-allow-origin" in await allowed("GET", "/v1/inbox", page)
        assert "access-control-allow-origin" in await allowed("GET", "/v1/notifications", page | rest.app.headers)


async def test_change_without_an_origin_is_refused(rest: Rest) -> None:
    owner = await set_up(rest)
    headers = {"cookie": as_cookie(dict(owner.cookies))["cookie"]}
    response = await rest.client.post(
        "https://bell.test/v1/keys", json={"name": "k", "scopes": ["send"]}, headers=headers
    )
    assert refused(response, 403, "forbidden")


async def test_account_waits_after_five_failures(rest: Rest) -> None:
    await set_up(rest)
    guesser = browser(rest)
    for number in range(5):
        guess = {"name": "owner", "password": f"guess number {number}"}
        assert refused(await guesser.post("/v1/session", json=guess), 401, "unauthenticated")
    right = {"name": "owner", "password": PASSWORD}
    response = await guesser.post("/v1/session", json=right)
    assert refused(response, 429, "too_many")
    assert response.headers["retry-after"] == "30"
    rest.clock.advance(30)
    assert (await guesser.post("/v1/session", json=right)).status_code == 200
    wrong = {"name": "owner", "password": "wrong again, twice"}
    assert refused(await guesser.post("/v1/session", json=wrong), 401, "unauthenticated")


async def test_address_waits_after_twenty_failures_of_any_names(rest: Rest) -> None:
    await set_up(rest)
    guesser = browser(rest)
    for number in range(20):
        guess = {"name": f"name{number}", "password": "guess"}
        assert refused(await guesser.post("/v1/session", json=guess), 401, "unauthenticated")
    right = {"name": "owner", "password": PASSWORD}
    assert refused(await guesser.post("/v1/session", json=right), 429, "too_many")
    rest.clock.advance(15 * MINUTE)
    assert (await guesser.post("/v1/session", json=right)).status_code == 200


async def test_failures_of_one_mapped_address_do_not_lock_out_another(rest: Rest) -> None:
    """A dual-stack proxy forwards IPv4 addresses as ::ffff:a.b.c.d."""
    await set_up(rest)
    for number in range(20):
        guess = {"name": f"name{number}", "password": "guess"}
        await at(rest, "::ffff:198.51.100.7").post("/v1/session", json=guess)
    for same in ("::ffff:198.51.100.7", "198.51.100.7"):
        assert refused(await at(rest, same).post("/v1/session", json=RIGHT), 429, "too_many")
    assert (await at(rest, "::ffff:203.0.113.9").post("/v1/session", json=RIGHT)).status_code == 200


async def test_stranger_does_not_keep_an_operator_out(rest: Rest) -> None:
    owner = await set_up(rest)
    stranger = at(rest, STRANGER)
    statuses = [(await stranger.post("/v1/session", json=GUESS)).status_code for _ in range(25)]
    assert statuses == [401] * 5 + [429] * 20
    assert (await at(rest, OFFICE).post("/v1/session", json=RIGHT)).status_code == 200
    assert (await owner.put("/v1/session/verification", json={"password": PASSWORD})).status_code == 204


async def test_failures_of_a_clock_that_was_ahead_do_not_keep_an_operator_out(rest: Rest) -> None:
    await set_up(rest)
    for _ in range(5):
        await at(rest, OFFICE).post("/v1/session", json=GUESS)
    assert refused(await at(rest, OFFICE).post("/v1/session", json=RIGHT), 429, "too_many")
    rest.clock.advance(-180 * MINUTE)
    assert (await at(rest, OFFICE).post("/v1/session", json=RIGHT)).status_code == 200


async def test_name_that_contains_a_network_is_counted_for_itself(rest: Rest) -> None:
    await set_up(rest)
    for name in (f"owner {OFFICE}", f"{OFFICE} owner"):
        for _ in range(5):
            await at(rest, STRANGER).post("/v1/session", json=GUESS | {"name": name})
    assert (await at(rest, OFFICE).post("/v1/session", json=RIGHT)).status_code == 200


async def test_known_device_signs_in_although_its_network_and_its_name_are_blocked(rest: Rest) -> None:
    owner = await set_up(rest)
    await rest.app.post("/v1/operators", json={"name": "vera", "role": "viewer", "password": PASSWORD})
    assert (await owner.delete("/v1/session")).status_code == 204
    for number in range(NAME_FAILURES):
        guess = await at(rest, f"10.0.0.{number}").post("/v1/session", json=GUESS)
        assert refused(guess, 401, "unauthenticated")
    for number in range(20):
        await browser(rest).post("/v1/session", json=GUESS | {"name": f"name{number}"})
    assert refused(await at(rest, OFFICE).post("/v1/session", json=RIGHT), 429, "too_many")
    assert refused(await browser(rest).post("/v1/session", json=RIGHT), 429, "too_many")
    # The device is known for one operator only.
    assert refused(await owner.post("/v1/session", json=RIGHT | {"name": "vera"}), 429, "too_many")
    assert (await owner.post("/v1/session", json=RIGHT)).status_code == 200
    rest.clock.advance(15 * MINUTE)
    assert (await at(rest, OFFICE).post("/v1/session", json=RIGHT)).status_code == 200


async def test_known_device_waits_after_its_own_failures(rest: Rest) -> None:
    owner = await set_up(rest)
    for _ in range(5):
        assert refused(await owner.post("/v1/session", json=GUESS), 401, "unauthenticated")
    response = await owner.post("/v1/session", json=RIGHT)
    assert refused(response, 429, "too_many")
    assert response.headers["retry-after"] == "30"
    assert (await browser(rest).post("/v1/session", json=RIGHT)).status_code == 200


async def test_guesses_of_strangers_do_not_delay_known_devices_and_open_sessions(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, known = await set_up(rest), browser(rest)
    assert (await known.post("/v1/session", json=RIGHT)).status_code == 200
    has_begun, may_end, matches = threading.Event(), threading.Event(), factors.matches_password

    def slow_for_guesses(password: str, hashed: str) -> bool:
        if password == "guess":
            has_begun.set()
            may_end.wait(60)
        return matches(password, hashed)

    monkeypatch.setattr(factors, "matches_password", slow_for_guesses)
    monkeypatch.setattr(sign_in, "MAX_WAITING", 1)
    guess = asyncio.ensure_future(at(rest, STRANGER).post("/v1/session", json=GUESS))
    assert await asyncio.to_thread(has_begun.wait, 60)
    assert refused(await at(rest, OFFICE).post("/v1/session", json=RIGHT), 429, "too_many")
    assert (await owner.put("/v1/session/verification", json={"password": PASSWORD})).status_code == 204
    assert (await known.post("/v1/session", json=RIGHT)).status_code == 200
    may_end.set()
    assert refused(await guess, 401, "unauthenticated")


@pytest.mark.parametrize("forged", ["forged", "é", "AAAA" * 20])
async def test_forged_device_is_unknown(rest: Rest, forged: str) -> None:
    await set_up(rest)
    guesser = browser(rest)
    cookie = {"cookie": f"__Host-bellcast-device={forged}".encode()}
    for _ in range(5):
        await guesser.post("/v1/session", json=GUESS, headers=cast(Any, cookie))
    assert refused(await guesser.post("/v1/session", json=RIGHT, headers=cast(Any, cookie)), 429, "too_many")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/session/verification", {}), ("/v1/me/password", {"current": "wrong again, twice"})],
)
async def test_wrong_passwords_in_an_open_session_are_counted_for_it_alone(
    rest: Rest, path: str, body: dict[str, str]
) -> None:
    owner = await set_up(rest)
    second = browser(rest)
    assert (await second.post("/v1/session", json=RIGHT)).status_code == 200
    for _ in range(5):
        wrong = await second.put(path, json={"password": "wrong again, twice"} | body)
        assert refused(wrong, 401, "unauthenticated")
    right = {"password": PASSWORD}
    assert refused(await second.put("/v1/session/verification", json=right), 429, "too_many")
    change = {"current": PASSWORD, "password": "another correct horse"}
    assert refused(await second.put("/v1/me/password", json=change), 429, "too_many")
    assert (await owner.put("/v1/session/verification", json=right)).status_code == 204
    assert (await owner.put("/v1/me/password", json=change)).status_code == 200


async def test_stranger_does_not_stop_the_first_set_up(rest: Rest) -> None:
    code = (await rest.app.post("/v1/setup-codes")).json()["code"]
    guess = {"code": "guess", "name": "eve", "password": PASSWORD}
    statuses = [(await at(rest, STRANGER).post("/v1/setup", json=guess)).status_code for _ in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    owner = {"code": code, "name": "owner", "password": PASSWORD}
    assert (await at(rest, OFFICE).post("/v1/setup", json=owner)).status_code == 201


async def test_unknown_name_is_refused_like_a_wrong_password(rest: Rest) -> None:
    await set_up(rest)
    responses = [
        (await browser(rest).post("/v1/session", json={"name": name, "password": "wrong"})).json()
        for name in ("owner", "nonesuch")
    ]
    assert responses[0] == responses[1]


async def test_first_unknown_name_takes_as_long_as_a_known_one(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    await set_up(rest)
    created: list[str] = []
    hash_password = factors.hash_password

    def counted(password: str) -> str:
        created.append(password)
        return hash_password(password)

    monkeypatch.setattr(factors, "hash_password", counted)
    await browser(rest).post("/v1/session", json={"name": "owner", "password": "wrong"})
    before = len(created)
    await browser(rest).post("/v1/session", json={"name": "nonesuch", "password": "wrong"})
    assert len(created) == before


async def test_role_limits_every_operation(rest: Rest) -> None:
    """Each server operation responds to each role as the table of roles defines, and 403 never has another reason."""
    await set_up(rest)
    browsers = {role: await signed_in(rest, f"the-{role}", role) for role in ROLES}
    for endpoint in HANDLERS:
        declared = endpoint.operation
        if declared.required_scope not in SCOPES:
            continue
        method = endpoint.method
        path = endpoint.template.replace("{", "").replace("}", "")
        for role, client in browsers.items():
            response = await client.request(method, path, params={"nonsense": "x"})
            is_allowed = role in allowed_roles(declared.required_scope, declared.roles)
            assert (response.status_code == 403) is not is_allowed, (method, path, role, response.text)


def allowed_roles(scope: str, roles: tuple[str, ...] | None) -> tuple[str, ...]:
    if roles is not None:
        return roles
    readers = ("owner", "developer", "support")
    by_scope = {"admin": ("owner",), "read": readers, "observe": readers}
    return by_scope.get(scope, ("owner", "developer"))


async def test_developer_cannot_gain_rights_through_a_key(rest: Rest) -> None:
    developer = await signed_in(rest, "dev", "developer")
    assert refused(await developer.post("/v1/keys", json={"name": "k", "scopes": ["manage"]}), 403, "forbidden")
    assert (await developer.post("/v1/keys", json={"name": "k", "scopes": ["send", "read"]})).status_code == 201


async def test_key_manages_operators_up_to_its_own_scopes(rest: Rest) -> None:
    owner = await set_up(rest)
    id = (await owner.get("/v1/me")).json()["id"]
    key = await keyed(rest, "admin", "read", "observe")
    body = {"name": "x", "role": "support", "password": PASSWORD}
    made = (await key.post("/v1/operators", json=body)).json()
    for role in ("owner", "developer"):
        assert refused(await key.post("/v1/operators", json=body | {"name": role, "role": role}), 403, "forbidden")
        assert refused(await key.patch(f"/v1/operators/{made['id']}", json={"role": role}), 403, "forbidden")
    assert refused(await key.patch(f"/v1/operators/{id}", json={"password": "taken over now"}), 403, "forbidden")
    assert refused(await key.delete(f"/v1/operators/{id}"), 403, "forbidden")
    assert (await owner.get("/v1/me")).status_code == 200
    assert (await key.get("/v1/audit")).status_code == 200
    assert (await key.delete(f"/v1/operators/{made['id']}")).status_code == 204
    assert refused(await (await keyed(rest, "manage")).get("/v1/audit"), 403, "forbidden")


async def test_refused_change_of_an_operator_changes_nothing(rest: Rest) -> None:
    owner = await set_up(rest)
    id = (await owner.get("/v1/me")).json()["id"]
    response = await owner.patch(f"/v1/operators/{id}", json={"role": "viewer", "password": "another password"})
    assert refused(response, 409, "conflict")
    assert (await owner.get("/v1/me")).json()["role"] == "owner"
    credentials = {"name": "owner", "password": PASSWORD}
    assert (await browser(rest).post("/v1/session", json=credentials)).status_code == 200


async def test_changed_role_and_password_take_effect_immediately(rest: Rest) -> None:
    owner = await set_up(rest)
    other = await signed_in(rest, "other", "owner")
    id = (await other.get("/v1/me")).json()["id"]
    assert (await owner.patch(f"/v1/operators/{id}", json={"role": "viewer"})).status_code == 204
    assert refused(await other.get("/v1/operators"), 403, "forbidden")
    assert (await owner.patch(f"/v1/operators/{id}", json={"password": "another password"})).status_code == 204
    assert refused(await other.get("/v1/me"), 401, "unauthenticated")


async def test_own_password_changes_with_the_current_one_and_ends_other_sessions(rest: Rest) -> None:
    owner = await set_up(rest)
    second = browser(rest)
    await second.post("/v1/session", json={"name": "owner", "password": PASSWORD})
    wrong = {"current": "not the password", "password": "a new long password"}
    assert refused(await owner.put("/v1/me/password", json=wrong), 401, "unauthenticated")
    right = wrong | {"current": PASSWORD}
    assert (await owner.put("/v1/me/password", json=right)).status_code == 200
    assert (await owner.get("/v1/me")).status_code == 200
    assert refused(await second.get("/v1/me"), 401, "unauthenticated")


async def test_last_owner_stays(rest: Rest) -> None:
    owner = await set_up(rest)
    id = (await owner.get("/v1/me")).json()["id"]
    assert refused(await owner.delete(f"/v1/operators/{id}"), 409, "conflict")
    assert refused(await owner.patch(f"/v1/operators/{id}", json={"role": "viewer"}), 409, "conflict")


@pytest.mark.parametrize("name", ["", "Alice", "<script>alert(1)</script>", "a b", "a\r\nSet-Cookie: x=y", "x" * 101])
async def test_name_of_an_operator_is_plain(rest: Rest, name: str) -> None:
    body = {"name": name, "role": "viewer", "password": PASSWORD}
    assert refused(await rest.app.post("/v1/operators", json=body), 422, "invalid")


async def test_short_password_is_refused(rest: Rest) -> None:
    body = {"name": "bob", "role": "viewer", "password": "elevenchars"}
    assert refused(await rest.app.post("/v1/operators", json=body), 422, "invalid")


async def test_credentials_in_a_header_take_precedence_over_the_cookie(rest: Rest) -> None:
    viewer = await signed_in(rest, "viewer", "viewer")
    assert (await viewer.get("/v1/keys", headers=rest.app.headers)).status_code == 200


async def test_no_response_contains_a_password_or_a_hash(rest: Rest) -> None:
    owner = await set_up(rest)
    for path in ("/v1/operators", "/v1/me", "/v1/audit"):
        text = (await owner.get(path)).text
        assert PASSWORD not in text
        assert "password" not in text.replace("/v1/me/password", "")


async def test_page_cannot_be_framed_and_runs_no_foreign_script(rest: Rest) -> None:
    for path in (
        "/console",
        "/console/",
        "/console/setup",
        "/console/recipients/x%2Fy",
        "/console/recipients/50%",
        "/console/%ff",
    ):
        response = await rest.anonymous.get(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert response.headers["x-frame-options"] == "DENY"
        assert "<script>" not in response.text


@pytest.mark.parametrize(
    "path", ["/console/console.js", "/console/console.css", "/check/page.js", "/bellcast/check.js"]
)
async def test_files_of_the_console_are_compressed_and_revalidated(rest: Rest, path: str) -> None:
    plain = await rest.anonymous.get(path, headers={"accept-encoding": "identity"})
    packed = await rest.anonymous.get(path, headers={"accept-encoding": "gzip, deflate, br"})
    assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (None, "gzip")
    assert packed.content == plain.content  # decompressed by httpx
    assert int(packed.headers["content-length"]) < len(plain.content) / 2
    assert packed.headers["vary"] == "Accept-Encoding"
    tag = packed.headers["etag"]
    again = await rest.anonymous.get(path, headers={"accept-encoding": "gzip", "if-none-match": tag})
    assert (again.status_code, tag == plain.headers["etag"]) == (304, False)


async def test_modules_are_served_and_revalidated(rest: Rest) -> None:
    response = await rest.anonymous.get("/console/console.js")
    assert response.headers["content-type"].startswith("text/javascript")
    again = await rest.anonymous.get("/console/console.js", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
    assert (await rest.anonymous.get("/console/..%2f__init__.py")).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("page", "cache"), [("console", "private"), ("docs", "public"), ("embed", "public")])
async def test_browsers_keep_a_file_of_this_version_only(rest: Rest, page: str, cache: str) -> None:
    async def get(path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        response = await rest.anonymous.request(method, f"/{page}/{path}", headers=headers)
        return response.status_code, response.headers["cache-control"], response.headers.get("etag", "")

    kept = f"{console.version()}/server.js"
    status, caching, tag = await get(kept)
    assert (status, caching) == (200, f"{cache}, max-age=31536000, immutable")
    assert await get(kept, "HEAD") == (200, caching, tag)
    assert await get(kept, **{"if-none-match": tag}) == (304, caching, tag)
    for path in ("server.js", "~0ab/server.js"):
        assert await get(path) == (200, "no-cache", tag)
    for path in ("gone.js", "..%2f__init__.py", "index.html", kept, ""):
        assert (await get(f"{console.version()}/{path}"))[:2] == (404, "no-store")


async def test_upgrade_is_seen_at_the_next_load_of_the_console(
    rest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = console.version()
    folder = shutil.copytree(console.FOLDER, tmp_path / "files")
    with (folder / "drawer.js").open("a") as module:  # loaded later
        module.write("// changed")
    monkeypatch.setattr(console, "FOLDER", folder)
    for name in ("version", "first_modules"):  # the process starts again
        monkeypatch.setattr(console, name, functools.cache(getattr(console, name).__wrapped__))
    after = console.version()
    page = (await rest.anonymous.get("/console")).text
    assert (f"/console/{after}/console.js" in page, before in page) == (True, False)
    for version, caching in ((before, "no-cache"), (after, "private, max-age=31536000, immutable")):
        response = await rest.anonymous.get(f"/console/{version}/drawer.js")
        assert (response.text[-10:], response.headers["cache-control"]) == ("// changed", caching)


async def test_text_of_a_request_adds_no_header_to_a_response(rest: Rest) -> None:
    """Keys, ids and tenants with line breaks appear in file names, Location headers and the request id."""
    owner = await set_up(rest)
    evil = "x%0d%0aset-cookie:%20evil=1"
    for path in (
        f"/v1/recipients/{evil}/export",
        f"/v1/messages/{evil}/eml",
        f"/v1/notifications?tenant={evil}",
        f"/v1/notifications?recipient={evil}",
        f"/console/{evil}",
        f"/errors/{evil}",
    ):
        response = await owner.get(path, headers={"x-request-id": "a b", "accept": "text/csv, */*"})
        assert "evil" not in str(response.headers.get("set-cookie"))
        assert not {name for name, value in response.headers.items() if "\n" in value or "\r" in value}
        assert response.headers.get("x-request-id") != "a b"


async def test_support_acts_on_one_at_a_time(rest: Rest) -> None:
    await set_up(rest)
    support = await signed_in(rest, "sue", "support")
    assert (await support.post("/v1/notifications", json={"to": "alice", "title": "Hello"})).status_code == 201
    for many in (["alice", "bob"], ["alice"], {"all": True}, {"topic": "news"}):
        response = await support.post("/v1/notifications", json={"to": many, "title": "Hello"})
        assert refused(response, 403, "forbidden"), many
    assert refused(await support.post("/v1/notifications/bulk", json=[]), 403, "forbidden")
    (sent,) = (await support.get("/v1/notifications")).json()["notifications"]
    assert sent["recipient"] == "alice"
    one = await support.post("/v1/replays", json={"ids": ["missing"], "dry_run": True})
    assert one.status_code == 200
    for many in ({"ids": ["a", "b"]}, {"filter": {}}):
        assert refused(await support.post("/v1/replays", json=many | {"dry_run": True}), 403, "forbidden")
    for path in ("messages/x/retry", "messages/x/release", "runs/x/retry"):
        assert refused(await support.post(f"/v1/{path}"), 404, "not_found"), path
    assert refused(await support.delete("/v1/connections/x"), 404, "not_found")
