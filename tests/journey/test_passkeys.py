"""Passkeys of operators: creation, sign-in, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fido2.utils import websafe_encode

from bellcast.operators import passkeys
from bellcast.operators.sign_in import ADDRESS_FAILURES
from bellcast.operators.store import Operators
from tests.authenticator import USER_PRESENT, Authenticator
from tests.journey import rest as rests
from tests.journey.operators import PASSWORD, browser, set_up, signed_in, user_agents
from tests.journey.rest import Rest, fields, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

ORIGIN = "https://bell.test"


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rests.opened(tmp_path, console={"requires_mfa": True}) as rest:
        yield rest


async def begin_creation(operator: httpx.AsyncClient) -> dict[str, Any]:
    response = await operator.post("/v1/me/passkey-options")
    assert response.status_code == 200, response.text
    begun: dict[str, Any] = response.json()
    return begun


async def store(
    operator: httpx.AsyncClient, begun: dict[str, Any], credential: Any, name: str = "key"
) -> httpx.Response:
    body = {"name": name, "ceremony": begun["ceremony"], "credential": credential}
    return await operator.post("/v1/me/passkeys", json=body)


async def add(operator: httpx.AsyncClient, name: str = "key") -> Authenticator:
    authenticator, begun = Authenticator(), await begin_creation(operator)
    response = await store(operator, begun, authenticator.create(begun["options"], ORIGIN), name)
    assert response.status_code == 201, response.text
    return authenticator


async def begin_sign_in(client: httpx.AsyncClient) -> dict[str, Any]:
    begun: dict[str, Any] = (await client.post("/v1/session/passkey-options")).json()
    return begun


async def finish(client: httpx.AsyncClient, begun: dict[str, Any], credential: Any) -> httpx.Response:
    return await client.post("/v1/session/passkey", json={"ceremony": begun["ceremony"], "credential": credential})


async def sign_in(
    client: httpx.AsyncClient, authenticator: Authenticator, origin: str = ORIGIN, **changes: Any
) -> httpx.Response:
    begun = await begin_sign_in(client)
    return await finish(client, begun, authenticator.get(begun["options"], origin, **changes))


async def test_passkey_signs_in_without_name_and_password(rest: Rest) -> None:
    owner = await set_up(rest)
    begun = await begin_creation(owner)
    assert begun["options"]["rp"] == {"name": "Bellcast", "id": "bell.test"}
    assert begun["options"]["authenticatorSelection"]["userVerification"] == "required"
    authenticator = await add(owner, "laptop")
    planted = owner.cookies["__Host-bellcast"]
    owner.headers["user-agent"] = "With a passkey"
    response = await sign_in(owner, authenticator)
    assert (response.status_code, response.json()["name"], response.json()["has_mfa"]) == (200, "owner", True)
    assert await user_agents(owner) == ["With a passkey"]
    assert owner.cookies["__Host-bellcast"] != planted
    (listed,) = (await owner.get("/v1/me/passkeys")).json()["passkeys"]
    assert (listed["name"], listed["used_at"] is not None) == ("laptop", True)
    entries = (await rest.app.get("/v1/audit")).json()["entries"]
    assert [(one["actor"], one["target"]) for one in entries[:2]] == [
        ("owner", "/v1/session/passkey"),
        ("owner", "/v1/me/passkeys"),
    ]
    assert entries[1]["changes"] == [{"field": "passkey", "from": None, "to": "laptop"}]


async def test_password_alone_does_not_sign_in_beside_a_passkey(rest: Rest) -> None:
    owner = await set_up(rest)
    await add(owner)
    body = {"name": "owner", "password": PASSWORD}
    assert refused(await browser(rest).post("/v1/session", json=body), 401, "mfa_required")
    codes = (await owner.post("/v1/me/mfa/recovery-codes")).json()["codes"]
    assert (await browser(rest).post("/v1/session", json=body | {"code": codes[0]})).status_code == 200
    assert refused(await browser(rest).post("/v1/session", json=body | {"code": codes[0]}), 401, "unauthenticated")


async def test_passkey_satisfies_the_required_second_factor(strict: Rest) -> None:
    owner = await set_up(strict)
    assert refused(await owner.get("/v1/stats"), 403, "mfa_enrolment_required")
    authenticator = await add(owner)
    assert (await owner.get("/v1/stats")).status_code == 200
    client = browser(strict)
    assert (await sign_in(client, authenticator)).json()["must_enrol"] is False
    assert (await client.get("/v1/stats")).status_code == 200


async def test_deleted_passkey_does_not_sign_in(rest: Rest) -> None:
    owner = await set_up(rest)
    authenticator = await add(owner)
    (listed,) = (await owner.get("/v1/me/passkeys")).json()["passkeys"]
    other = await signed_in(rest, "bob", "owner")
    assert refused(await other.delete(f"/v1/me/passkeys/{listed['id']}"), 404, "not_found")
    assert (await owner.delete(f"/v1/me/passkeys/{listed['id']}")).status_code == 204
    assert refused(await sign_in(browser(rest), authenticator), 401, "unauthenticated")
    assert (await owner.get("/v1/me")).json()["has_mfa"] is False


async def test_removed_authenticator_app_leaves_the_passkeys(rest: Rest) -> None:
    owner = await set_up(rest)
    authenticator = await add(owner)
    assert (await owner.delete("/v1/me/mfa")).status_code == 204
    assert (await sign_in(browser(rest), authenticator)).status_code == 200


@pytest.mark.parametrize("how", ["reset", "delete"])
async def test_owner_ends_the_passkeys_of_an_operator(rest: Rest, how: str) -> None:
    authenticator = await add(await signed_in(rest, "bob", "viewer"))
    (bob,) = (await rest.app.get("/v1/operators")).json()["operators"]
    path = f"/v1/operators/{bob['id']}" + ("/mfa" if how == "reset" else "")
    assert (await rest.app.delete(path)).status_code == 204
    assert refused(await sign_in(browser(rest), authenticator), 401, "unauthenticated")


# --- sign-ins that are refused


@pytest.mark.parametrize(
    ("origin", "changes"),
    [
        ("https://evil.example", {}),
        ("https://sub.bell.test", {}),
        ("http://bell.test", {}),
        ("https://bell.test:8443", {}),
        (ORIGIN, {"rp": "evil.example"}),
        (ORIGIN, {"type": "webauthn.create"}),
        (ORIGIN, {"signature": b"0"}),
        (ORIGIN, {"user": websafe_encode(b"another operator")}),
    ],
)
async def test_signature_for_another_page_or_purpose_is_refused(
    rest: Rest, origin: str, changes: dict[str, Any]
) -> None:
    authenticator = await add(await set_up(rest))
    client = browser(rest)
    assert refused(await sign_in(client, authenticator, origin, **changes), 401, "unauthenticated")
    assert not client.cookies
    (entry,) = (await rest.app.get("/v1/audit?limit=1")).json()["entries"]
    assert (entry["actor"], entry["outcome"]) == ("unknown passkey", "unauthenticated")


async def test_sign_in_without_verification_of_the_user_is_refused(rest: Rest) -> None:
    authenticator = await add(await set_up(rest))
    authenticator.flags = USER_PRESENT
    assert refused(await sign_in(browser(rest), authenticator), 401, "unauthenticated")


async def test_signature_signs_in_once(rest: Rest) -> None:
    authenticator = await add(await set_up(rest))
    begun = await begin_sign_in(browser(rest))
    credential = authenticator.get(begun["options"], ORIGIN)
    assert (await finish(browser(rest), begun, credential)).status_code == 200
    assert refused(await finish(browser(rest), begun, credential), 401, "unauthenticated")


async def test_signature_of_another_challenge_is_refused(rest: Rest) -> None:
    authenticator = await add(await set_up(rest))
    one, two = await begin_sign_in(browser(rest)), await begin_sign_in(browser(rest))
    credential = authenticator.get(one["options"], ORIGIN)
    assert refused(await finish(browser(rest), two, credential), 401, "unauthenticated")


async def test_ceremony_ends_after_five_minutes(rest: Rest) -> None:
    owner = await set_up(rest)
    authenticator = await add(owner)
    creation, signing = await begin_creation(owner), await begin_sign_in(browser(rest))
    credential = authenticator.get(signing["options"], ORIGIN)
    rest.clock.advance(passkeys.CEREMONY_MS / 1000)
    assert refused(await finish(browser(rest), signing, credential), 401, "unauthenticated")
    response = await store(owner, creation, Authenticator().create(creation["options"], ORIGIN))
    assert fields(response).keys() == {"ceremony"}


async def test_ceremony_of_a_creation_is_invalid_for_a_sign_in(rest: Rest) -> None:
    owner = await set_up(rest)
    authenticator, begun = await add(owner), await begin_creation(owner)
    options = {"challenge": begun["options"]["challenge"], "rpId": "bell.test"}
    assert refused(await finish(browser(rest), begun, authenticator.get(options, ORIGIN)), 401, "unauthenticated")


async def test_copy_of_an_authenticator_is_noticed(rest: Rest) -> None:
    authenticator = await add(await set_up(rest))
    authenticator.counter = 5
    assert (await sign_in(browser(rest), authenticator)).status_code == 200
    response = await sign_in(browser(rest), authenticator)
    assert refused(response, 401, "unauthenticated")
    assert "copied" in response.json()["detail"]
    authenticator.counter = 6
    assert (await sign_in(browser(rest), authenticator)).status_code == 200


GARBAGE: list[Any] = [
    {},
    {"id": "a", "rawId": "b"},
    {"id": 1, "rawId": 1, "response": None},
    {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}},
    {
        "id": "AA",
        "rawId": "AA",
        "response": dict.fromkeys(
            ("clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject"), "AAAA"
        ),
    },
    {"id": "AA", "rawId": "AA", "response": {"clientDataJSON": "e30", "attestationObject": "n" * 4_000}},
]


@pytest.mark.parametrize("credential", GARBAGE)
async def test_garbage_is_refused(rest: Rest, credential: Any) -> None:
    owner = await set_up(rest)
    assert refused(await finish(browser(rest), await begin_sign_in(browser(rest)), credential), 401, "unauthenticated")
    assert fields(await store(owner, await begin_creation(owner), credential)).keys() == {"credential"}


async def test_failed_sign_ins_of_an_address_are_limited(rest: Rest) -> None:
    owner = await set_up(rest)
    authenticator = await add(owner)
    for _ in range(ADDRESS_FAILURES):
        assert refused(await sign_in(browser(rest), authenticator, signature=b"0"), 401, "unauthenticated")
    assert refused(await sign_in(browser(rest), authenticator), 429, "too_many")
    assert (await sign_in(owner, authenticator)).status_code == 200  # a known device, at the same address
    for _ in range(ADDRESS_FAILURES):
        assert refused(await sign_in(owner, authenticator, signature=b"0"), 401, "unauthenticated")
    assert refused(await sign_in(owner, authenticator), 429, "too_many")
    rest.clock.advance(15 * 60)
    assert (await sign_in(browser(rest), authenticator)).status_code == 200


async def test_sign_ins_with_unknown_passkeys_write_nothing(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that anyone can send from any number of addresses: no cookie, a forged Origin."""
    authenticator, stranger = await add(await set_up(rest)), Authenticator()
    before = (await rest.app.get("/v1/audit")).json()
    for name in ("add_failure", "use_sign_in"):
        monkeypatch.setattr(Operators, name, None)
    body = {"ceremony": "x", "credential": authenticator.get({"challenge": "x", "rpId": "bell.test"}, ORIGIN)}
    for _ in range(ADDRESS_FAILURES + 1):
        assert refused(await browser(rest).post("/v1/session/passkey", json=body), 401, "unauthenticated")
        assert refused(await sign_in(browser(rest), stranger), 401, "unauthenticated")
    assert (await rest.app.get("/v1/audit")).json() == before


@pytest.mark.parametrize("path", ["/v1/session/passkey-options", "/v1/session/passkey"])
async def test_page_of_another_site_cannot_sign_in(rest: Rest, path: str) -> None:
    body = {"json": {"ceremony": "x", "credential": {}}} if path.endswith("passkey") else {}
    response = await browser(rest).post(path, headers={"origin": "https://evil.example"}, **body)
    assert refused(response, 403, "forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "[::1]:8787"])
async def test_address_without_a_host_name_has_no_passkeys(rest: Rest, host: str) -> None:
    response = await browser(rest, f"https://{host}").post("/v1/session/passkey-options")
    assert refused(response, 403, "forbidden")
    assert "host name" in response.json()["detail"]


# --- creations that are refused


async def test_passkey_is_for_the_operator_that_began(rest: Rest) -> None:
    owner, bob = await set_up(rest), await signed_in(rest, "bob", "viewer")
    begun = await begin_creation(owner)
    response = await store(bob, begun, Authenticator().create(begun["options"], ORIGIN))
    assert fields(response).keys() == {"ceremony"}


async def test_creation_makes_one_passkey(rest: Rest) -> None:
    owner = await set_up(rest)
    begun = await begin_creation(owner)
    assert (await store(owner, begun, Authenticator().create(begun["options"], ORIGIN))).status_code == 201
    again = await store(owner, begun, Authenticator().create(begun["options"], ORIGIN))
    assert fields(again) == {"ceremony": "was already used: start again"}


async def test_known_credential_is_refused(rest: Rest) -> None:
    owner, bob = await set_up(rest), await signed_in(rest, "bob", "viewer")
    authenticator, begun = await add(owner), await begin_creation(bob)
    response = await store(bob, begun, authenticator.create(begun["options"], ORIGIN))
    assert refused(response, 409, "conflict")


async def test_creation_for_another_page_or_without_verification_is_refused(rest: Rest) -> None:
    owner, authenticator = await set_up(rest), Authenticator()
    begun = await begin_creation(owner)
    for origin, rp in (("https://evil.example", "bell.test"), (ORIGIN, "evil.example")):
        response = await store(owner, begun, authenticator.create(begun["options"], origin, rp=rp))
        assert fields(response).keys() == {"credential"}
    authenticator.flags = USER_PRESENT
    response = await store(owner, begun, authenticator.create(begun["options"], ORIGIN))
    assert fields(response).keys() == {"credential"}


async def test_operator_has_at_most_ten_passkeys(rest: Rest) -> None:
    owner = await set_up(rest)
    for number in range(passkeys.MAX_PASSKEYS):
        await add(owner, str(number))
    begun = await begin_creation(owner)
    assert len(begun["options"]["excludeCredentials"]) == passkeys.MAX_PASSKEYS
    response = await store(owner, begun, Authenticator().create(begun["options"], ORIGIN))
    assert refused(response, 409, "conflict")


async def test_changes_of_passkeys_need_a_recent_password(rest: Rest) -> None:
    owner = await set_up(rest)
    rest.clock.advance(10 * 60)
    assert refused(await owner.post("/v1/me/passkey-options"), 403, "password_required")
    assert refused(await owner.delete("/v1/me/passkeys/x"), 403, "password_required")
    assert (await owner.get("/v1/me/passkeys")).json() == {"passkeys": []}
