"""Operators, their sessions and failed sign-ins, on every engine."""

import asyncio

import msgspec
import pytest

from bellcast.auth import keys
from bellcast.kernel.errors import Conflict
from bellcast.operators.types import Operator, Passkey, Role
from tests.store import Store

NOW = 1_700_000_000_000
HOUR = 3_600_000


def operator(id: str, role: Role = "owner", name: str | None = None) -> Operator:
    return Operator(id=id, name=name or id, role=role, created_at=NOW)


async def test_setup_code_creates_one_owner_and_is_used_up(store: Store) -> None:
    assert await store.operators.add_setup_code(b"a", NOW + 1, NOW - 1)
    assert await store.operators.add_setup_code(b"b", NOW + 1, NOW - 1)
    assert not await store.operators.has_owner()
    assert await store.operators.use_setup_code(b"a", operator("alice"), "hash", NOW)
    assert await store.operators.has_owner()
    assert not await store.operators.use_setup_code(b"a", operator("mallory"), "hash", NOW)
    assert not await store.operators.use_setup_code(b"b", operator("mallory"), "hash", NOW)
    assert not await store.operators.add_setup_code(b"c", NOW + 1, NOW - 1)
    assert [one.name for one in await store.operators.all()] == ["alice"]


async def test_setup_code_stays_if_the_name_is_taken(store: Store) -> None:
    await store.operators.create(operator("1", "viewer", "alice"), "x")
    await store.operators.add_setup_code(b"a", NOW + 1, NOW - 1)
    with pytest.raises(Conflict):
        await store.operators.use_setup_code(b"a", operator("2", name="alice"), "hash", NOW)
    assert await store.operators.use_setup_code(b"a", operator("3", name="bob"), "hash", NOW)
    assert sorted(one.name for one in await store.operators.all()) == ["alice", "bob"]


async def test_setup_code_is_refused_when_wrong_or_expired(store: Store) -> None:
    await store.operators.add_setup_code(b"a", NOW, NOW - 1)
    assert not await store.operators.use_setup_code(b"a", operator("alice"), "hash", NOW)
    assert not await store.operators.use_setup_code(b"x", operator("alice"), "hash", NOW - 1)
    assert not await store.operators.has_owner()


async def test_only_one_of_concurrent_setups_succeeds(store: Store) -> None:
    codes = [b"a", b"b", b"c"]
    for code in codes:
        await store.operators.add_setup_code(code, NOW + 1, NOW - 1)
    made = await asyncio.gather(
        *(store.operators.use_setup_code(code, operator(code.decode()), "hash", NOW) for code in codes)
    )
    assert made.count(True) == 1
    assert len(await store.operators.all()) == 1


async def test_name_of_an_operator_is_unique(store: Store) -> None:
    assert await store.operators.create(operator("1", name="alice"), "one")
    assert not await store.operators.create(operator("2", name="alice"), "two")
    assert await store.operators.find("alice") == (operator("1", name="alice"), "one")
    assert await store.operators.find("bob") is None


async def test_last_owner_stays(store: Store) -> None:
    await store.operators.create(operator("1"), "x")
    await store.operators.create(operator("2", "developer"), "x")
    assert await store.operators.change("1", "viewer", None) is False
    assert await store.operators.delete("1") is False
    assert await store.operators.change("3", "viewer", None) is None
    assert await store.operators.delete("3") is None
    assert await store.operators.change("2", "owner", None) is True
    assert await store.operators.delete("1") is True
    assert await store.operators.delete("2") is False


async def test_change_of_role_and_password_is_complete_or_nothing(store: Store) -> None:
    await store.operators.create(operator("1"), "x")
    await store.operators.start_session(b"a", "1", NOW, NOW)
    assert await store.operators.change("1", "viewer", "y") is False
    assert (await store.operators.find("1")) == (msgspec.structs.replace(operator("1"), seen_at=NOW), "x")
    assert await store.operators.session(b"a") is not None
    assert await store.operators.get("2") is None


async def test_concurrent_demotions_leave_an_owner(store: Store) -> None:
    await store.operators.create(operator("1"), "x")
    await store.operators.create(operator("2"), "x")
    await asyncio.gather(store.operators.change("1", "viewer", None), store.operators.change("2", "viewer", None))
    assert await store.operators.has_owner()


async def test_sessions_end_one_by_one_and_with_a_new_password(store: Store) -> None:
    await store.operators.create(operator("1"), "x")
    for digest in (b"a", b"b", b"c"):
        await store.operators.start_session(digest, "1", NOW, NOW, user_agent="Firefox" if digest == b"a" else None)
    session = await store.operators.session(b"a")
    assert session is not None
    assert (session.operator.name, session.operator.seen_at, session.created_at) == ("1", NOW, NOW)
    listed = await store.operators.sessions_of(operator("1"), 0, 0, b"", 10)
    assert {one.digest: one.user_agent for one in listed} == {b"a": "Firefox", b"b": None, b"c": None}
    await store.operators.touch_session(b"a", NOW + 5)
    touched = await store.operators.session(b"a")
    assert touched is not None
    assert (touched.seen_at, touched.verified_at) == (NOW + 5, NOW)
    await store.operators.verify_session(b"a", NOW + 7)
    verified = await store.operators.session(b"a")
    assert verified is not None
    assert verified.verified_at == NOW + 7
    await store.operators.end_session(b"a")
    assert await store.operators.session(b"a") is None
    assert await store.operators.session(b"b") is not None
    assert await store.operators.change("1", None, "y")
    assert await store.operators.session(b"b") is None
    assert await store.operators.change("2", None, "y") is None


async def test_sessions_in_use_are_counted_and_ended_by_operator(store: Store) -> None:
    for id, sessions in (("1", 2), ("2", 1), ("3", 0)):
        await store.operators.create(operator(id), "x")
        for number in range(sessions):
            await store.operators.start_session(f"{id}{number}".encode(), id, NOW, NOW)
    await store.operators.touch_session(b"10", NOW + 5)
    assert await store.operators.count_sessions(NOW - 1) == {"1": 2, "2": 1}
    assert await store.operators.count_sessions(NOW) == {"1": 1}
    await store.operators.end_sessions("1")
    assert await store.operators.count_sessions(NOW - 1) == {"2": 1}


async def test_sessions_of_an_operator_are_listed_by_their_last_use(store: Store) -> None:
    for id in ("1", "2"):
        await store.operators.create(operator(id), "x")
    for number in range(3):
        await store.operators.start_session(f"1{number}".encode(), "1", NOW + number, NOW)
    await store.operators.start_session(b"20", "2", NOW, NOW)
    await store.operators.touch_session(b"11", NOW + 9)
    found = await store.operators.sessions_of(operator("1"), 0, NOW, b"", 10)
    assert [(one.digest, one.created_at, one.seen_at) for one in found] == [
        (b"11", NOW + 1, NOW + 9),
        (b"12", NOW + 2, NOW + 2),
    ]
    for created_since, first, limit, digests in (
        (0, b"", 1, [b"11"]),
        (0, b"12", 1, [b"12"]),
        (0, b"12", 2, [b"12", b"11"]),
        (NOW + 1, b"", 1, [b"12"]),
        (0, b"20", 10, [b"11", b"12"]),
    ):
        found = await store.operators.sessions_of(operator("1"), created_since, NOW, first, limit)
        assert [one.digest for one in found] == digests


async def test_session_is_ended_by_its_operator_only(store: Store) -> None:
    for id in ("1", "2"):
        await store.operators.create(operator(id), "x")
    await store.operators.start_session(b"a", "1", NOW, NOW + 1, user_agent="Firefox")
    assert await store.operators.end_session_of(operator("2"), b"a") is None
    ended = await store.operators.end_session_of(operator("1"), b"a")
    assert ended is not None
    assert (ended.digest, ended.created_at, ended.seen_at, ended.verified_at) == (b"a", NOW, NOW, NOW + 1)
    assert ended.user_agent == "Firefox"
    assert await store.operators.end_session_of(operator("1"), b"a") is None


async def test_session_of_a_deleted_operator_ends(store: Store) -> None:
    await store.operators.create(operator("1"), "x")
    await store.operators.create(operator("2"), "x")
    await store.operators.start_session(b"a", "1", NOW, NOW)
    await store.operators.delete("1")
    assert await store.operators.session(b"a") is None


async def test_second_factor_is_confirmed_used_once_and_ended(store: Store) -> None:
    await store.operators.create(operator("1"), "x")
    await store.operators.begin_mfa("1", "old")
    await store.operators.begin_mfa("1", "new")
    assert not await store.operators.confirm_mfa("1", "old", 5, [b"a"])
    assert await store.operators.get("1") == operator("1")
    assert await store.operators.confirm_mfa("1", "new", 5, [b"a", b"b"])
    assert await store.operators.mfa_secrets("1") == ("new", None)
    assert await store.operators.get("1") == msgspec.structs.replace(operator("1"), has_app=True)
    assert not await store.operators.use_mfa_step("1", 5)
    used = await asyncio.gather(*(store.operators.use_mfa_step("1", 6) for _ in range(3)))
    assert used.count(True) == 1
    assert await store.operators.use_recovery_code("1", b"a")
    assert not await store.operators.use_recovery_code("1", b"a")
    assert not await store.operators.use_recovery_code("2", b"b")
    await store.operators.replace_recovery_codes("1", [b"c"])
    assert not await store.operators.use_recovery_code("1", b"b")
    assert await store.operators.end_mfa("1", with_passkeys=False)
    assert not await store.operators.end_mfa("2", with_passkeys=False)
    assert not await store.operators.use_recovery_code("1", b"c")
    assert await store.operators.mfa_secrets("1") == (None, None)


async def test_failures_are_counted_by_subject_and_time(store: Store) -> None:
    await store.operators.add_failure(["account:a", "address:1"], NOW)
    await store.operators.add_failure(["account:b", "address:1"], NOW + 5)
    assert await store.operators.failures("address:1", NOW + 5, 6) == (2, NOW + 5)
    assert await store.operators.failures("address:1", NOW + 5, 5) == (1, NOW + 5)
    assert await store.operators.failures("address:1", NOW - 10, 5) == (0, 0)  # the clock was set back
    assert await store.operators.failures("account:c", NOW, NOW) == (0, 0)
    await store.operators.clear_failures("account:a")
    assert await store.operators.failures("account:a", NOW, NOW) == (0, 0)


async def test_failure_is_removed_alone(store: Store) -> None:
    first, _ = await store.operators.add_failure(["address:1", "account:a"], NOW)
    await store.operators.add_failure(["address:1"], NOW)
    await store.operators.remove_failure(first)
    assert await store.operators.failures("address:1", NOW, NOW) == (1, NOW)
    assert await store.operators.failures("account:a", NOW, NOW) == (1, NOW)


@pytest.mark.parametrize("limit", [1, 100])
async def test_sweep_deletes_what_is_old(store: Store, limit: int) -> None:
    await store.operators.create(operator("1"), "x")
    for at in (NOW, NOW + HOUR):
        await store.operators.start_session(str(at).encode(), "1", at, at)
        await store.operators.add_failure(["account:a"], at)
    times = {"sessions_before": NOW + 1, "failures_before": NOW + 1}
    assert await store.operators.sweep(**times, limit=limit) == 1
    assert await store.operators.session(str(NOW).encode()) is None
    assert await store.operators.session(str(NOW + HOUR).encode()) is not None
    assert await store.operators.failures("account:a", NOW, NOW) == (1, NOW + HOUR)


async def test_tenants_of_operators_and_keys_are_kept_and_an_owner_has_all(store: Store) -> None:
    await store.operators.create(msgspec.structs.replace(operator("1", "viewer"), tenants=("acme",)), "x")
    found = await store.operators.get("1")
    assert found is not None
    assert found.tenants == ("acme",)
    assert await store.operators.change("1", None, None, ("globex", "acme"))
    assert [one.tenants for one in await store.operators.all()] == [("globex", "acme")]
    assert await store.operators.change("1", "owner", None)
    assert await store.operators.change("1", None, None, ("acme",))
    assert [one.tenants for one in await store.operators.all()] == [None]
    await store.operators.create(operator("2"), "x")
    assert await store.operators.change("1", "viewer", None)  # restricted to the same tenants as before
    assert [one.tenants for one in await store.operators.all()] == [("globex", "acme"), None]
    for tenants in (None, ("acme",)):
        key, _, digest = keys.make("k", ["send"], NOW, tenants)
        await store.keys.create(key, digest)
        assert await store.keys.find(key.id) == (key, digest)


async def test_operator_of_an_identity_provider_is_found_by_its_subject(store: Store) -> None:
    external = msgspec.structs.replace(operator("1", name="alice"), subject="https://id.example u1")
    assert await store.operators.create(external, "hash")
    assert await store.operators.of_subject("https://id.example u1") == external
    assert await store.operators.of_subject("https://id.example u2") is None
    assert await store.operators.find("alice") == (external, "hash")
    await store.operators.start_session(b"a", "1", NOW, NOW - HOUR)
    session = await store.operators.session(b"a")
    assert session is not None
    assert (session.operator.subject, session.verified_at) == (external.subject, NOW - HOUR)
    for taken in (msgspec.structs.replace(external, id="2", name="bob"), operator("3", name="alice")):
        assert not await store.operators.create(taken, "hash")
    assert await store.operators.create(operator("4", name="carol"), "hash")  # many have no subject
    assert await store.operators.create(operator("5", name="dave"), "hash")


async def test_sign_in_of_an_identity_provider_is_used_once_until_it_expires(store: Store) -> None:
    uses = await asyncio.gather(*(store.operators.use_sign_in(b"a", NOW + 10, NOW) for _ in range(3)))
    assert sorted(uses) == [False, False, True]
    assert await store.operators.use_sign_in(b"b", NOW + 20, NOW)
    assert not await store.operators.use_sign_in(b"a", NOW + 10, NOW + 9)
    assert await store.operators.use_sign_in(b"a", NOW + 30, NOW + 10)  # forgotten: the cookie has expired too
    assert not await store.operators.use_sign_in(b"b", NOW + 20, NOW + 10)


def passkey(id: str, operator: str = "1", credential: bytes = b"c") -> Passkey:
    return Passkey(
        id=id, operator=operator, credential=credential, public_key=b"key", name="laptop", counter=0, created_at=NOW
    )


async def test_passkeys_are_found_by_operator_and_by_credential(store: Store) -> None:
    operators = store.operators
    await operators.create(operator("1"), "hash")
    added = await asyncio.gather(*(operators.add_passkey(passkey(id), 2) for id in ("a", "b")))
    assert sorted(map(bool, added)) == [False, True]  # one per credential
    assert await operators.add_passkey(passkey("c", credential=b"d"), 2)
    assert await operators.add_passkey(passkey("d", credential=b"e"), 2) is None
    first, second = await operators.passkeys("1")
    assert await operators.passkey_of(b"d") == second == passkey("c", credential=b"d")
    assert await operators.passkey_of(b"e") is None
    found = await operators.get("1")
    assert found is not None
    assert (found.passkeys, found.has_app, found.has_mfa) == (2, False, True)
    assert not await operators.delete_passkey("2", first.id)
    assert await operators.delete_passkey("1", first.id)
    assert await operators.passkeys("1") == [second]


async def test_passkey_is_used_with_a_growing_counter_or_with_none(store: Store) -> None:
    operators = store.operators
    await operators.create(operator("1"), "hash")
    await operators.add_passkey(passkey("a"), 2)
    uses = [await operators.use_passkey("a", counter, NOW + 1) for counter in (0, 0, 5, 5, 4, 0, 6)]
    assert uses == [True, True, True, False, False, False, True]
    (used,) = await operators.passkeys("1")
    assert (used.counter, used.used_at) == (6, NOW + 1)
    assert not await operators.use_passkey("unknown", 7, NOW)


async def test_reset_of_the_second_factor_and_deletion_end_passkeys(store: Store) -> None:
    operators = store.operators
    for id in ("1", "2"):
        await operators.create(operator(id), "hash")
        await operators.add_passkey(passkey(f"p{id}", id, id.encode()), 2)
    assert await operators.end_mfa("1", with_passkeys=False)
    assert len(await operators.passkeys("1")) == 1
    assert await operators.end_mfa("1", with_passkeys=True)
    assert await operators.delete("2")
    assert await operators.passkeys("1") == await operators.passkeys("2") == []


async def test_deleted_operator_gets_no_passkey_and_no_recovery_codes(store: Store) -> None:
    operators = store.operators
    await operators.create(operator("1", "viewer"), "hash")
    assert await operators.delete("1")
    assert not await operators.add_passkey(passkey("late"), 2)
    await operators.replace_recovery_codes("1", [b"late"])
    assert await operators.passkeys("1") == []
    assert not await operators.use_recovery_code("1", b"late")


async def test_operator_changes_only_from_the_role_and_password_that_were_checked(store: Store) -> None:
    operators = store.operators
    await operators.create(operator("1", "viewer"), "x")
    await operators.start_session(b"a", "1", NOW, NOW)
    with pytest.raises(Conflict):
        await operators.change("1", None, "y", role_before="developer")
    with pytest.raises(Conflict):
        await operators.change("1", "owner", "y", password_before="z")
    assert await operators.session(b"a") is not None
    for refused in (
        operators.delete("1", role_before="developer"),
        operators.end_sessions("1", role_before="developer"),
        operators.end_mfa("1", with_passkeys=True, role_before="developer"),
    ):
        with pytest.raises(Conflict):
            await refused
    assert await operators.session(b"a") is not None
    assert await operators.change("1", "developer", "y", role_before="viewer", password_before="x")
    assert [(one.role, (await operators.find("1") or ("", ""))[1]) for one in await operators.all()] == [
        ("developer", "y")
    ]


async def test_session_starts_only_for_the_password_that_was_checked(store: Store) -> None:
    operators = store.operators
    await operators.create(operator("1"), "x")
    assert not await operators.start_session(b"a", "1", NOW, NOW, "old")
    assert not await operators.start_session(b"b", "2", NOW, NOW)
    assert await operators.count_sessions(0) == {}
    assert await operators.start_session(b"c", "1", NOW, NOW, "x")
    assert await operators.count_sessions(0) == {"1": 1}


async def test_operators_are_created_up_to_a_limit(store: Store) -> None:
    operators = store.operators
    created = await asyncio.gather(*(operators.create(operator(str(number)), "x", 3) for number in range(5)))
    assert sorted(created, key=str) == [None, None, True, True, True]
    assert await operators.create(operator("0"), "x", 9) is False


async def test_email_is_confirmed_once_and_only_if_no_other_was_entered(store: Store) -> None:
    await store.operators.create(operator("a"), "hash")
    await store.operators.begin_email("a", "first")
    await store.operators.begin_email("a", "second")
    assert await store.operators.pending_email("a") == "second"
    assert not await store.operators.confirm_email("a", "first", "first@example.com")
    confirmed = [await store.operators.confirm_email("a", "second", "ann@example.com") for _ in range(2)]
    assert confirmed == [True, False]
    found = await store.operators.get("a")
    assert found is not None
    assert found.email == "ann@example.com"
    assert await store.operators.pending_email("a") is None
    await store.operators.end_email("a")
    assert (await store.operators.get("a")) == operator("a")
