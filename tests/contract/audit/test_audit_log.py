"""The audit log: its lists, its chain, and the deletion of old entries."""

import asyncio

import msgspec

from bellcast.audit.store import AuditEntry, FieldChange
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange, ListTotal, containing
from tests.contract.app import wanted
from tests.store import Store

NOW = 1_700_000_000_000
HOUR = 3_600_000


def entry(id: str) -> AuditEntry:
    return AuditEntry(
        id=id,
        at=NOW,
        actor="alice",
        tenant="acme",
        changes=(FieldChange("role", None, ["a", 1]),),
        action="POST /v1/keys",
        target="/v1/keys",
        outcome="ok",
        address="127.0.0.1",
        request_id="r1",
    )


def sign(entry: AuditEntry) -> bytes:
    return f"mac of {entry.number} after ".encode() + entry.previous


async def test_audit_is_paged_newest_first(store: Store) -> None:
    for id in ("1", "2", "3"):
        await store.audit.record(entry(id), sign)
    assert [one.id for one in (await store.audit.page(wanted("*", limit=2))).items] == ["3", "2"]
    (first,) = (await store.audit.page(wanted("*", before="2"))).items
    assert first == msgspec.structs.replace(entry("1"), number=1, mac=b"mac of 1 after ")
    assert await store.audit.newest() == (3, b"mac of 3 after mac of 2 after mac of 1 after ")
    assert [one.number for one in await store.audit.after(1, 9)] == [2, 3]


async def test_audit_is_filtered_by_time(store: Store) -> None:
    for hour in range(3):
        milliseconds = f"{NOW + hour * HOUR:012x}"
        await store.audit.record(entry(f"{milliseconds[:8]}-{milliseconds[8:]}-x"), sign)
    found = (await store.audit.page(wanted("*", created=CreatedRange(NOW + HOUR, NOW + 2 * HOUR)))).items
    assert [one.number for one in found] == [2]
    since, until = CreatedRange(NOW + HOUR, ANY_TIME.until), CreatedRange(0, NOW + HOUR)
    totals = [(await store.audit.page(wanted("*", created=one, limit=1))).total for one in (since, until)]
    assert totals == [ListTotal(2, exact=True), ListTotal(1, exact=True)]


async def test_audit_is_filtered_by_actor_outcome_and_text(store: Store) -> None:
    for id, actor, target, outcome in (
        ("1", "ann", "/v1/types/order_paid", "ok"),
        ("2", "bob", "/v1/types/orderXpaid", "password_required"),
        ("3", "bob", "/v1/keys", "forbidden"),
        ("4", "ann", "/v1/keys", "unauthenticated"),
    ):
        one = msgspec.structs.replace(entry(id), actor=actor, target=target, outcome=outcome)
        await store.audit.record(one, sign)

    async def ids(**filters: str) -> list[str]:
        return [one.id for one in (await store.audit.page(wanted("*", **filters))).items]

    assert await ids(actor="ann") == ["4", "1"]
    assert [await ids(outcome=one) for one in ("ok", "refused", "password_required")] == [["1"], ["4", "3"], ["2"]]
    assert await ids(actor="bob", outcome="refused") == ["3"]
    assert [await ids(**containing(text)) for text in ("KEYS", "bob", "r_p", "%")] == [
        ["4", "3"],
        ["3", "2"],
        ["1"],
        [],
    ]


async def test_concurrent_entries_are_one_chain(store: Store) -> None:
    await asyncio.gather(*(store.audit.record(entry(str(number)), sign) for number in range(20)))
    entries = await store.audit.after(0, 99)
    assert [one.number for one in entries] == list(range(1, 21))
    assert [one.previous for one in entries] == [b"", *(one.mac for one in entries[:-1])]


async def test_sweep_keeps_an_older_entry_after_a_newer_one(store: Store) -> None:
    for number, at in enumerate((NOW, NOW + HOUR, NOW)):
        await store.audit.record(msgspec.structs.replace(entry(str(number)), at=at), sign)
    assert [await store.audit.sweep(NOW + 1, limit) for limit in (1, 100)] == [1, 0]
    assert [one.id for one in (await store.audit.page(wanted("*"))).items] == ["2", "1"]


async def test_audit_of_a_tenant_has_its_entries_only(store: Store) -> None:
    for number, tenant in enumerate(["acme", "globex", "acme", None]):
        one = msgspec.structs.replace(entry(f"01a{number}"), tenant=tenant)
        await store.audit.record(one, lambda _: b"mac")
    assert [one.id for one in (await store.audit.page(wanted("acme"))).items] == ["01a2", "01a0"]
    assert (await store.audit.page(wanted("acme", limit=1))).total == ListTotal(2, exact=True)
    assert [one.id for one in (await store.audit.page(wanted("acme", before="01a2"))).items] == ["01a0"]
    assert [one.id for one in (await store.audit.page(wanted("*"))).items] == ["01a3", "01a2", "01a1", "01a0"]
