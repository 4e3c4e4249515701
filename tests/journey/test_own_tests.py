"""An operator confirms its e-mail, and sends tests of templates to it."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.journey.operators import OWN, PASSWORD, set_up, signed_in
from tests.journey.rest import Rest, fields, refused
from tests.journey.test_email import app
from tests.smtp_server import smtp_server

pytestmark = pytest.mark.usefixtures("cheap_hashes")

MINUTES = 60
TEMPLATE = {"email": {"subject": "Booked by {{ data.client }}", "html": "<p>For {{ recipient.name }}</p>"}}
TO_ME = {"channel": "email", "to": {"me": True}, "data": {"client": "Ann"}}


async def begin(operator: httpx.AsyncClient, email: str = "olive@example.com") -> str:
    """Return the code for a new address, which no provider can send there."""
    response = await operator.patch("/v1/me", json={"email": email})
    assert response.status_code == 200, response.text
    code: str = response.json()["code"]
    return code


async def confirmed(operator: httpx.AsyncClient, email: str = "olive@example.com") -> None:
    response = await operator.patch("/v1/me", json={"code": await begin(operator, email)})
    assert (response.status_code, response.json()["email"]) == (200, email), response.text


async def attempt(operator: httpx.AsyncClient, code: str) -> int:
    return (await operator.patch("/v1/me", json={"code": code})).status_code


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def send(operator: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await operator.post("/v1/templates/booking/test", json=TO_ME | more)


async def test_email_is_confirmed_by_its_code_for_one_operator(rest: Rest) -> None:
    owner = await set_up(rest)
    other = await signed_in(rest, "dev", "developer")
    code = await begin(owner)
    assert (await owner.get("/v1/me")).json()["email"] is None
    assert await attempt(other, code) == 409
    assert await attempt(owner, wrong(code)) == 422
    assert await attempt(owner, f"{code[:3]} {code[3:]}") == 200
    assert (await owner.get("/v1/me")).json()["email"] == "olive@example.com"
    assert (await other.get("/v1/me")).json()["email"] is None
    assert await attempt(owner, code) == 409
    # Until the new address is confirmed, the old one stays.
    await begin(owner, "new@example.com")
    assert (await owner.get("/v1/me")).json()["email"] == "olive@example.com"
    assert (await owner.patch("/v1/me", json={"email": None})).json()["email"] is None


async def test_code_ends_after_five_attempts_and_ten_minutes(rest: Rest) -> None:
    owner = await set_up(rest)
    code = await begin(owner)
    assert [await attempt(owner, wrong(code)) for _ in range(5)] == [422] * 5
    assert await attempt(owner, code) == 409
    code = await begin(owner)
    rest.clock.advance(10 * MINUTES)
    assert await attempt(owner, code) == 409
    first = await begin(owner)
    second = await begin(owner)
    assert await attempt(owner, first) == (200 if first == second else 422)
    assert await attempt(owner, second) == 200


async def test_code_without_a_provider_is_shown_to_its_operator_only(rest: Rest) -> None:
    owner = await set_up(rest)
    code = await begin(owner)
    assert re.fullmatch(r"\d{6}", code)
    assert "code" not in (await owner.get("/v1/me")).json()
    assert (await rest.app.get("/v1/messages")).json()["messages"] == []
    assert code not in (await rest.app.get("/v1/audit")).text


async def test_codes_are_limited_so_that_nobody_is_flooded(rest: Rest) -> None:
    owner = await set_up(rest)
    for _ in range(5):
        await begin(owner)
    refused(await owner.patch("/v1/me", json={"email": "olive@example.com"}), 429, "too_many")
    rest.clock.advance(10 * MINUTES)
    await begin(owner)


@pytest.mark.parametrize("body", [{"email": "olive"}, {}, {"code": None}, {"email": "x" * 300 + "@example.com"}])
async def test_account_refuses_a_wrong_email(rest: Rest, body: dict[str, Any]) -> None:
    owner = await set_up(rest)
    assert (await owner.patch("/v1/me", json=body)).status_code == 422


async def test_own_test_needs_a_confirmed_email_and_is_marked(rest: Rest) -> None:
    owner = await set_up(rest)
    await rest.app.put("/v1/templates/booking", json=TEMPLATE)
    refused(await send(owner), 409, "conflict")
    await begin(owner)
    refused(await send(owner), 409, "conflict")
    await confirmed(owner)
    assert (await owner.post("/v1/templates/booking/test?dry_run=true", json=TO_ME)).json() == {
        "message": None,
        "simulated": "no_provider",
    }
    sent = await send(owner)
    assert sent.status_code == 202, sent.text
    message = (await rest.app.get(f"/v1/messages/{sent.json()['message']}")).json()
    assert message["to"] == "olive@example.com"
    assert message["content"]["subject"] == "[Test] Booked by Ann"
    assert "For owner" in message["content"]["html"]
    assert message["content"].get("unsubscribe_url") is None


async def test_own_test_sends_a_draft_without_storing_it(rest: Rest) -> None:
    owner = await set_up(rest)
    await confirmed(owner)
    values = {"email": {"subject": "Draft", "blocks": [{"type": "heading", "text": "Hello {{ data.client }}"}]}}
    sent = await send(owner, values=values)
    assert sent.status_code == 202, sent.text
    content = (await rest.app.get(f"/v1/messages/{sent.json()['message']}")).json()["content"]
    assert (content["subject"], "Hello Ann" in content["html"]) == ("[Test] Draft", True)
    assert (await owner.get("/v1/templates/booking")).status_code == 404
    refused(await send(owner, values={"email": {"subject": "{{"}}), 422, "invalid")


async def test_eleventh_own_test_in_ten_minutes_is_refused(rest: Rest) -> None:
    owner = await set_up(rest)
    developer = await signed_in(rest, "dev", "developer")
    await rest.app.put("/v1/templates/booking", json=TEMPLATE)
    await confirmed(owner)
    await confirmed(developer, "dev@example.com")
    for _ in range(10):
        assert (await send(owner)).status_code == 202
        rest.clock.advance(59)
    refused(await send(owner), 429, "too_many")
    assert (await send(developer)).status_code == 202
    rest.clock.advance(10 * MINUTES)
    assert (await send(owner)).status_code == 202


async def test_own_tests_are_for_operators_and_email(rest: Rest) -> None:
    owner = await set_up(rest)
    await rest.app.put("/v1/templates/booking", json=TEMPLATE)
    await confirmed(owner)
    refused(await send(owner, channel="sms"), 422, "invalid")
    refused(await rest.app.post("/v1/templates/booking/test", json=TO_ME), 422, "invalid")
    assert fields(await rest.app.post("/v1/templates/booking/test", json=TO_ME | {"to": {"me": False}})).keys() == {
        "to.me"
    }
    support = await signed_in(rest, "sue", "support")
    refused(await send(support), 403, "forbidden")


async def test_code_is_sent_at_once_and_neither_stored_nor_logged(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        url = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com&tls=off"
        with capture_logs() as logs:
            async with app(tmp_path, EMAIL=url, LOG_REQUESTS="on") as (server, client):
                code = (await client.post("/v1/setup-codes")).json()["code"]
                transport = httpx.ASGITransport(server)  # type: ignore[arg-type]  # a scope is a dict
                async with httpx.AsyncClient(transport=transport, base_url="https://bell.test", headers=OWN) as owner:
                    await owner.post("/v1/setup", json={"code": code, "name": "owner", "password": PASSWORD})
                    response = await owner.patch("/v1/me", json={"email": "olive@example.com"})
                    assert response.status_code == 200, response.text
                    (mail,) = mailbox.received
                    found = re.search(r"\b\d{6}\b", str(mail.get_body(("plain",))))
                    assert found is not None
                    assert (await client.get("/v1/messages")).json()["messages"] == []
                    assert await attempt(owner, found[0]) == 200
                audit = (await client.get("/v1/audit")).text
    assert found[0] not in audit
    assert found[0] not in str(logs)
    assert found[0] not in stored(tmp_path)


def stored(folder: Path) -> str:
    """Return everything that the server has written."""
    return "".join(file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file())
