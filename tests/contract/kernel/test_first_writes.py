"""The first write of an object by several nodes: one succeeds."""

import asyncio
from collections.abc import Awaitable

import pytest

from bellcast.audit.store import AuditEntry, append
from bellcast.documents.store import Documents, replace
from bellcast.kernel.errors import Conflict, PreconditionFailed
from bellcast.kernel.ids import Ids
from bellcast.settings import Settings
from bellcast.settings.database import GROUPS, DatabaseSettings
from bellcast.tenants.types import Tenant
from bellcast.workflows.types.runs import NewSchedule, TriggerRequest
from tests.clock import FakeClock
from tests.contexts import NO_FEED
from tests.contract.app import wanted
from tests.store import Store


async def test_object_is_created_once(store: Store) -> None:
    documents = store.documents
    writes = [documents.change("kind", "", "k", None, b'{"a":%d}' % number, 1) for number in range(4)]
    assert sorted(await asyncio.gather(*writes)) == [False, False, False, True]
    assert not await documents.change("kind", "", "k", None, b'{"a":9}', 2)
    found = await documents.get("kind", "", "k")
    assert found is not None
    assert (found.updated_at, found.body != b'{"a":9}') == (1, True)


async def test_objects_created_at_the_same_time_do_not_exceed_the_maximum(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.documents.store.MAX_OF_KIND", 3)
    documents = store.documents
    await documents.put("types", "acme", "0", b"{}", 1)
    writes = [documents.change("types", "acme", f"{number}", None, b"{}", 1) for number in range(4)]
    puts = [documents.put("types", "acme", f"put {number}", b"{}", 1) for number in range(4)]
    others = [documents.put("types", "globex", "0", b"{}", 1), documents.put("schedules", "acme", "0", b"{}", 1)]
    results = await asyncio.gather(*writes, *puts, *others, return_exceptions=True)
    assert len([one for one in results if isinstance(one, Conflict)]) == 5
    assert len(await documents.page("types", "acme", "", 10)) == 3
    assert await documents.change("types", "acme", "0", b"{}", b"[]", 2)


async def test_object_is_replaced_once(store: Store) -> None:
    documents = store.documents
    await documents.put("kind", "", "k", b"{}", 1)
    writes = [documents.change("kind", "", "k", b"{}", b'{"a":%d}' % number, 2) for number in range(4)]
    assert sorted(await asyncio.gather(*writes)) == [False, False, False, True]


async def test_object_is_replaced_by_a_push_or_by_a_write(store: Store) -> None:
    documents, name = store.documents, {"kind": "kind", "tenant": "", "key": "k"}
    await documents.put(**name, body=b"{}", now=1)
    pushed = documents.apply({("kind", "", "k"): lambda: replace(name, b"{}", b'{"pushed":1}', 2)})
    written = [documents.change(**name, before=b"{}", after=b'{"a":%d}' % number, now=2) for number in range(2)]
    results = await asyncio.gather(pushed, *written, return_exceptions=True)
    assert len([one for one in results if one is None or one is True]) == 1


async def test_one_write_finds_an_object_a_suppression_or_a_tenant_new(store: Store) -> None:
    async def new(*writes: Awaitable[tuple[object, bool]]) -> list[bool]:
        return sorted([is_new for _, is_new in await asyncio.gather(*writes)])

    once = [False, False, False, True]
    assert await new(*(store.documents.put("kind", "acme", "k", b"{}", 1) for _ in range(4))) == once
    assert await new(*(store.suppressions.put("acme", "email", "a@x.at", "manual", 1) for _ in range(4))) == once
    assert await new(*(store.tenants.put("acme", None, {}, 1) for _ in range(4))) == once


async def test_tenant_is_replaced_once(store: Store) -> None:
    def check(found: Tenant | None) -> None:
        if found is not None:
            raise Conflict("It is another one.")

    writes = [store.tenants.put("acme", f"{number}", {}, 1, check=check) for number in range(4)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert len([one for one in results if isinstance(one, Conflict)]) == 3


async def test_schedule_is_replaced_once(store: Store) -> None:
    def write(body: bytes, replaces: bytes | None) -> TriggerRequest:
        new = NewSchedule("week", body, b"{}", None, replaces=replaces)
        return TriggerRequest(tenant="acme", created_at=1, schedules=(new,))

    await store.runs.start(write(b"{}", None))
    writes = [store.runs.start(write(b'{"a":%d}' % number, b"{}")) for number in range(4)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert len([one for one in results if isinstance(one, PreconditionFailed)]) == 3


async def test_one_of_two_first_changes_of_the_settings_is_refused(store: Store, clock: FakeClock) -> None:
    """The refused change leaves no revision and no entry in the audit log."""

    async def announce(revision: int) -> None:
        pass

    def node() -> DatabaseSettings:
        targets = {name: [Settings().group(name)] for name in GROUPS}
        return DatabaseSettings(Documents(store), clock, NO_FEED, Settings(), targets, announce)

    nodes, ids = [node(), node()], Ids()
    entries = [
        AuditEntry(
            id=ids.new(clock.now()),
            at=clock.now(),
            actor="owner",
            action="PATCH /v1/settings",
            target="/v1/settings",
            outcome="ok",
            address=None,
            request_id="r",
        )
        for _ in nodes
    ]
    results = await asyncio.gather(
        *(
            node.change(
                0,
                {"limit_tags": str(number)},
                (),
                "owner",
                dry_run=False,
                is_owner=True,
                record=lambda _, entry=entries[number]: lambda: append(entry, lambda one: b"mac"),
            )
            for number, node in enumerate(nodes)
        ),
        return_exceptions=True,
    )
    assert [type(one) for one in results].count(Conflict) == 1
    (revision,) = await nodes[0].history(None, 10)
    assert revision in results
    assert len((await store.audit.page(wanted("*"))).items) == 1
