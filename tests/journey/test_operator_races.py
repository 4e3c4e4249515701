"""State that changes while a password is hashed: what was checked before is checked again before the write."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bellcast.operators.store import Operators
from bellcast.operators.types import Operator
from tests.journey.conftest import hashed
from tests.journey.operators import PASSWORD, browser, keyed, set_up, signed_in
from tests.journey.rest import Rest, refused

pytestmark = pytest.mark.usefixtures("cheap_hashes")

NEW = "another correct horse"
Meanwhile = Callable[[], Awaitable[Any]]


async def during_hashing(
    monkeypatch: pytest.MonkeyPatch, request: Awaitable[httpx.Response], meanwhile: Meanwhile
) -> httpx.Response:
    """Respond to the request, whose new password is hashed until `meanwhile` is done."""
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    done = asyncio.run_coroutine_threadsafe

    async def act() -> None:
        begun.set()
        await meanwhile()

    def hash_slowly(password: str) -> str:
        if password == NEW and not begun.is_set():
            done(act(), loop).result(20)
        return hashed(password)

    monkeypatch.setattr("bellcast.operators.factors.hash_password", hash_slowly)
    response = await request
    assert begun.is_set()
    return response


async def id_of(rest: Rest, name: str) -> str:
    return next(str(one.id) for one in await rest.store.operators.all() if one.name == name)


async def test_key_cannot_set_the_password_of_a_viewer_who_becomes_an_owner(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_in(rest, "vera", "viewer")
    key, vera = await keyed(rest, "admin", "read", "observe"), await id_of(rest, "vera")

    async def promote() -> None:
        assert await rest.store.operators.change(vera, "owner", None)

    change = key.patch(f"/v1/operators/{vera}", json={"password": NEW})
    response = await during_hashing(monkeypatch, change, promote)
    assert refused(response, 403, "forbidden")
    assert (await rest.store.operators.find("vera") or ("", ""))[1] == hashed(PASSWORD)


@pytest.mark.parametrize("path", ["", "/sessions", "/mfa"])
async def test_key_cannot_lock_out_a_viewer_who_becomes_an_owner(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    await set_up(rest)
    await signed_in(rest, "vera", "viewer")
    key, vera = await keyed(rest, "admin", "read", "observe"), await id_of(rest, "vera")
    read, sessions = Operators.get, await rest.store.operators.count_sessions(0)

    async def promoted_after_the_read(self: Operators, id: str) -> Operator | None:
        found = await read(self, id)
        assert await rest.store.operators.change(id, "owner", None)
        return found

    monkeypatch.setattr(Operators, "get", promoted_after_the_read)
    assert refused(await key.delete(f"/v1/operators/{vera}{path}"), 409, "conflict")
    assert [one.name for one in await rest.store.operators.all()] == ["owner", "vera"]
    assert await rest.store.operators.count_sessions(0) == sessions


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_owner_who_is_demoted_meanwhile_changes_no_operator(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    await set_up(rest)
    second = await signed_in(rest, "second", "owner")
    await signed_in(rest, "vera", "viewer")
    demoted, vera = await id_of(rest, "second"), await id_of(rest, "vera")

    async def demote() -> None:
        assert await rest.store.operators.change(demoted, "viewer", None)

    body = {"role": "owner", "password": NEW}
    change = (
        second.post("/v1/operators", json=body | {"name": "mallory"})
        if method == "POST"
        else second.patch(f"/v1/operators/{vera}", json=body)
    )
    assert refused(await during_hashing(monkeypatch, change, demote), 403, "forbidden")
    assert {one.name: one.role for one in await rest.store.operators.all()} == {
        "owner": "owner",
        "second": "viewer",
        "vera": "viewer",
    }


async def test_own_password_does_not_replace_one_that_an_owner_set_meanwhile(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_up(rest)
    vera = await signed_in(rest, "vera", "viewer")
    id = await id_of(rest, "vera")

    async def reset() -> None:
        assert await rest.store.operators.change(id, None, "reset by the owner")

    change = vera.put("/v1/me/password", json={"current": PASSWORD, "password": NEW})
    assert refused(await during_hashing(monkeypatch, change, reset), 401, "unauthenticated")
    assert (await rest.store.operators.find("vera") or ("", ""))[1] == "reset by the owner"


async def test_sign_in_with_a_password_that_is_replaced_meanwhile_starts_no_session(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_in(rest, "vera", "viewer")
    id, loop = await id_of(rest, "vera"), asyncio.get_running_loop()

    def matches(password: str, stored: str) -> bool:
        change = rest.store.operators.change(id, None, "reset by the owner")
        assert asyncio.run_coroutine_threadsafe(change, loop).result(20)
        return hashed(password) == stored

    monkeypatch.setattr("bellcast.operators.factors.matches_password", matches)
    response = await browser(rest).post("/v1/session", json={"name": "vera", "password": PASSWORD})
    assert refused(response, 401, "unauthenticated")
    assert await rest.store.operators.count_sessions(0) == {}


async def test_setup_codes_are_guessed_at_most_ten_times_concurrently(rest: Rest) -> None:
    guess = {"code": "guess", "name": "eve", "password": PASSWORD}
    responses = await asyncio.gather(*(browser(rest).post("/v1/setup", json=guess) for _ in range(15)))
    assert sorted(one.status_code for one in responses) == [403] * 10 + [429] * 5
