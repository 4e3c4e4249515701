"""The first write of an object by several nodes: one succeeds."""

import asyncio

from bellcast.audit.store import append
from bellcast.audit.types import AuditEntry
from bellcast.documents.store import Documents
from bellcast.kernel.errors import Conflict
from bellcast.kernel.ids import Ids
from bellcast.settings import Settings
from bellcast.settings.database import GROUPS, DatabaseSettings
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
    assert len((await store.operators.audit(wanted("*"))).items) == 1
