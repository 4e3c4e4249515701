"""The second factor of operators: enrolment, sign-in, replay, guesses, recovery, reset; and reentering passwords."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from structlog.testing import capture_logs

from bellcast.auth import keys
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.identities import Project
from bellcast.operators import factors
from tests.journey import rest as rests
from tests.journey.operators import PASSWORD, browser, set_up, signed_in, user_agents
from tests.journey.rest import Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

# seconds
MINUTE = 60
PERIOD = 30


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rests.opened(tmp_path, console={"requires_mfa": True}) as rest:
        yield rest


@pytest.fixture
async def internal(tmp_path: Path) -> AsyncIterator[Rest]:
    config = {"networks": ("10.0.0.0/8", "fd00::/8")}
    async with rests.opened(tmp_path, console=config) as rest:
        yield rest


async def enrol(rest: Rest, operator: httpx.AsyncClient) -> tuple[str, list[str]]:
    """Set up an app; return its secret and the recovery codes."""
    secret = (await operator.post("/v1/me/mfa")).json()["secret"]
    response = await operator.put("/v1/me/mfa", json={"code": code(rest, secret)})
    assert response.status_code == 200, response.text
    return secret, response.json()["codes"]


def code(rest: Rest, secret: str) -> str:
    return factors.code_of(secret, rest.clock.now() // factors.PERIOD_MS)


async def sign_in(rest: Rest, **fields: Any) -> httpx.Response:
    return await browser(rest).post("/v1/session", json={"name": "owner", "password": PASSWORD} | fields)


async def test_sign_in_needs_the_code_after_enrolment(rest: Rest) -> None:
    owner = await set_up(rest)
    assert (await owner.get("/v1/me")).json()["has_mfa"] is False
    secret, _ = await enrol(rest, owner)
    assert (await owner.get("/v1/me")).json()["has_mfa"] is True
    rest.clock.advance(PERIOD)
    assert refused(await sign_in(rest), 401, "mfa_required")
    assert refused(await sign_in(rest, code="000000"), 401, "unauthenticated")
    assert refused(await sign_in(rest, password="wrong", code=code(rest, secret)), 401, "unauthenticated")
    owner.headers["user-agent"] = "With a code"
    body = {"name": "owner", "password": PASSWORD, "code": code(rest, secret)}
    assert (await owner.post("/v1/session", json=body)).status_code == 200
    assert await user_agents(owner) == ["With a code"]


async def test_secret_of_another_project_secret_is_logged_and_recovery_codes_sign_in(rest: Rest) -> None:
    owner = await set_up(rest)
    secret, (recovery, *_) = await enrol(rest, owner)
    id, other = (await owner.get("/v1/me")).json()["id"], Encryption(b"another project secret")
    operators = rest.store.operators
    await operators.begin_mfa(id, pending := other.encrypt(secret, "operators/x"))
    assert await operators.confirm_mfa(id, pending, 0, [keys.digest(factors.normalize(recovery))])
    rest.clock.advance(PERIOD)
    with capture_logs() as logs:
        assert refused(await sign_in(rest, code=code(rest, secret)), 401, "unauthenticated")
    assert [one["operator"] for one in logs if one["event"] == "mfa_secret_unreadable"] == [id]
    assert refused(await sign_in(rest), 401, "mfa_required")
    assert (await sign_in(rest, code=recovery)).status_code == 200


async def test_code_is_accepted_once(rest: Rest) -> None:
    owner = await set_up(rest)
    secret, _ = await enrol(rest, owner)
    assert refused(
        await sign_in(rest, code=code(rest, secret)), 401, "unauthenticated"
    )  # the code that confirmed the enrolment
    rest.clock.advance(PERIOD)
    older = code(rest, secret)
    rest.clock.advance(PERIOD)
    assert (await sign_in(rest, code=code(rest, secret))).status_code == 200
    assert refused(await sign_in(rest, code=code(rest, secret)), 401, "unauthenticated")
    assert refused(await sign_in(rest, code=older), 401, "unauthenticated")


async def test_guessed_codes_share_the_limit_of_passwords(rest: Rest) -> None:
    owner = await set_up(rest)
    secret, recovery = await enrol(rest, owner)
    rest.clock.advance(PERIOD)
    for guess in range(5):
        assert refused(await sign_in(rest, code=f"00000{guess}"), 401, "unauthenticated")
        assert refused(await sign_in(rest), 401 if guess < 4 else 429, "mfa_required" if guess < 4 else "too_many")
    for right in (code(rest, secret), recovery[0]):
        assert refused(await sign_in(rest, code=right), 429, "too_many")
    rest.clock.advance(PERIOD)
    assert (await sign_in(rest, code=code(rest, secret))).status_code == 200


async def test_recovery_code_is_accepted_once_and_ends_with_new_ones(rest: Rest) -> None:
    owner = await set_up(rest)
    _, (first, second, *_) = await enrol(rest, owner)
    assert (await sign_in(rest, code=first.upper().replace("-", " "))).status_code == 200
    assert refused(await sign_in(rest, code=first), 401, "unauthenticated")
    (new, *_) = (await owner.post("/v1/me/mfa/recovery-codes")).json()["codes"]
    assert refused(await sign_in(rest, code=second), 401, "unauthenticated")
    assert (await sign_in(rest, code=new)).status_code == 200


async def test_recovery_code_signs_in_after_the_project_secret_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rests.opened(tmp_path) as before:
        owner = await set_up(before)
        secret, (recovery, *_) = await enrol(before, owner)
        pending = (await owner.post("/v1/me/mfa")).json()["secret"]
    monkeypatch.setattr(rests, "PROJECT", Project("42", "public-key", "another secret, of forty characters too"))
    async with rests.opened(tmp_path) as rest:
        rest.clock.advance(PERIOD)
        assert refused(await sign_in(rest, code=code(rest, secret)), 401, "unauthenticated")
        owner = browser(rest)
        body = {"name": "owner", "password": PASSWORD, "code": recovery}
        assert (await owner.post("/v1/session", json=body)).status_code == 200
        assert refused(await owner.put("/v1/me/mfa", json={"code": code(rest, pending)}), 409, "conflict")
        await enrol(rest, owner)


async def test_unconfirmed_app_changes_nothing(rest: Rest) -> None:
    owner = await set_up(rest)
    assert refused(await owner.put("/v1/me/mfa", json={"code": "123456"}), 409, "conflict")
    assert refused(await owner.post("/v1/me/mfa/recovery-codes"), 409, "conflict")
    secret = (await owner.post("/v1/me/mfa")).json()["secret"]
    assert refused(await owner.put("/v1/me/mfa", json={"code": "000000"}), 422, "invalid")
    assert (await sign_in(rest)).status_code == 200
    other = (await owner.post("/v1/me/mfa")).json()["secret"]
    assert refused(await owner.put("/v1/me/mfa", json={"code": code(rest, secret)}), 422, "invalid")
    assert (await owner.put("/v1/me/mfa", json={"code": code(rest, other)})).status_code == 200


async def test_second_factor_is_removed_by_its_operator_and_by_an_owner(rest: Rest) -> None:
    owner = await set_up(rest)
    helper = await signed_in(rest, "helper", "support")
    for reset in ("/v1/me/mfa", f"/v1/operators/{(await helper.get('/v1/me')).json()['id']}/mfa"):
        await enrol(rest, helper)
        assert refused(await sign_in(rest, name="helper"), 401, "mfa_required")
        remover = helper if reset == "/v1/me/mfa" else owner
        assert (await remover.delete(reset)).status_code == 204
        assert (await sign_in(rest, name="helper")).status_code == 200
    assert refused(
        await helper.delete(f"/v1/operators/{(await owner.get('/v1/me')).json()['id']}/mfa"), 403, "forbidden"
    )


async def test_secret_is_neither_stored_in_clear_nor_shown_again(rest: Rest) -> None:
    owner = await set_up(rest)
    secret, recovery = await enrol(rest, owner)
    shown = [(await owner.get(path)).text for path in ("/v1/me", "/v1/operators", "/v1/audit")]
    files = [file.read_bytes() for file in rest.file.parent.glob("bellcast.sqlite3*")]
    assert all(word not in text for text in shown for word in (secret, *recovery))
    assert all(word.encode() not in content for content in files for word in (secret, factors.normalize(recovery[0])))


async def test_password_that_was_typed_as_the_name_is_not_stored(rest: Rest) -> None:
    await set_up(rest)
    assert refused(await sign_in(rest, name="a password in the wrong field"), 401, "unauthenticated")
    files = [file.read_bytes() for file in rest.file.parent.glob("bellcast.sqlite3*")]
    assert files
    assert all(b"a password in the wrong field" not in content for content in files)


async def test_operator_without_a_second_factor_may_only_set_one_up(strict: Rest) -> None:
    owner = await set_up(strict)
    assert (await owner.get("/v1/me")).json()["must_enrol"] is True
    for path in ("/v1/stats", "/v1/operators", "/v1/recipients"):
        assert refused(await owner.get(path), 403, "mfa_enrolment_required")
    await enrol(strict, owner)
    assert (await owner.get("/v1/me")).json()["must_enrol"] is False
    assert (await owner.get("/v1/operators")).status_code == 200
    assert (await strict.app.get("/v1/operators")).status_code == 200


SENSITIVE = [
    ("POST", "/v1/keys", {"name": "k", "scopes": ["send"]}),
    ("DELETE", "/v1/keys/x", None),
    ("POST", "/v1/operators", {"name": "x", "role": "viewer", "password": PASSWORD}),
    ("PATCH", "/v1/operators/x", {"role": "viewer"}),
    ("DELETE", "/v1/operators/x", None),
    ("DELETE", "/v1/operators/x/mfa", None),
    ("POST", "/v1/tokens", {"recipient": "alice"}),
    ("DELETE", "/v1/recipients/alice", None),
    ("DELETE", "/v1/tenants/acme", None),
    ("POST", "/v1/me/mfa", None),
    ("PUT", "/v1/me/mfa", {"code": "123456"}),
    ("DELETE", "/v1/me/mfa", None),
    ("POST", "/v1/me/mfa/recovery-codes", None),
]


async def test_sensitive_operations_need_a_password_typed_in_ten_minutes(rest: Rest) -> None:
    owner = await set_up(rest)
    rest.clock.advance(10 * MINUTE)
    for method, path, body in SENSITIVE:
        assert refused(await owner.request(method, path, json=body), 403, "password_required"), path
    assert (await owner.get("/v1/keys")).status_code == 200
    wrong = {"password": "not the password"}
    assert refused(await owner.put("/v1/session/verification", json=wrong), 401, "unauthenticated")
    assert refused(await owner.request(*SENSITIVE[0][:2], json=SENSITIVE[0][2]), 403, "password_required")
    assert (await owner.put("/v1/session/verification", json={"password": PASSWORD})).status_code == 204
    for method, path, body in SENSITIVE:
        response = await owner.request(method, path, json=body)
        assert "password_required" not in response.text, path
    rest.clock.advance(10 * MINUTE)
    assert refused(await owner.request(*SENSITIVE[0][:2], json=SENSITIVE[0][2]), 403, "password_required")


async def test_console_is_refused_from_other_networks(internal: Rest) -> None:
    for path in ("/console", "/console/console.js"):
        assert refused(await internal.anonymous.get(path), 403, "forbidden")
    body = {"name": "owner", "password": PASSWORD}
    assert refused(await browser(internal).post("/v1/session", json=body), 403, "forbidden")
    created = (await internal.app.post("/v1/setup-codes")).json()["code"]
    near = httpx.AsyncClient(
        transport=httpx.ASGITransport(
            cast(httpx.ASGITransport, internal.client._transport).app, client=("10.1.2.3", 1)
        ),
        base_url="https://bell.test",
        headers={"origin": "https://bell.test", "sec-fetch-site": "same-origin"},
    )
    assert (await near.get("/console")).status_code == 200
    assert (await near.post("/v1/setup", json=body | {"code": created})).status_code == 201
    assert (await near.get("/v1/me")).status_code == 200
    stolen = browser(internal)
    stolen.cookies.update(dict(near.cookies))
    assert refused(await stolen.get("/v1/keys", headers={"cookie": cookie_of(near)}), 403, "forbidden")
    assert (await internal.app.get("/v1/keys")).status_code == 200


def cookie_of(client: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())
