"""A process's caches of each tenant's providers, webhooks and workflows, on every store."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from bellcast.channels.types import ChannelConfig
from bellcast.documents.types import CACHE_SECONDS, Document
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.slots import Destinations
from bellcast.kernel.outbound.http import HttpClients
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.providers import directory as provider_directory
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.smtp import SMTPProvider
from bellcast.providers.types import Provider, ProviderFields
from bellcast.webhooks.types import no_report
from bellcast.webhooks.webhooks import Webhooks
from bellcast.workflows.workflow_catalog import WorkflowCatalog
from tests.clock import FakeClock
from tests.contexts import NO_FEED
from tests.store import Store

KEY = Encryption(b"key")
TENANTS = [f"t{number}" for number in range(5)]


@pytest.fixture
async def clients() -> AsyncIterator[HttpClients]:
    clients = HttpClients()
    yield clients
    await clients.close()


def directory_of(store: Store, clock: FakeClock, clients: HttpClients) -> ProviderDirectory:
    return ProviderDirectory(store, clock, clock, clients, ChannelConfig(), KEY, TokenBuckets(), Destinations(clock))


def counted_reads(monkeypatch: pytest.MonkeyPatch, store: Store) -> Counter[str]:
    """Return how often the documents of each tenant are read from now on."""
    reads: Counter[str] = Counter()
    page = store.documents.page

    async def counted(kind: str, tenant: str, *rest: Any) -> list[Document]:
        reads[tenant] += 1
        return await page(kind, tenant, *rest)

    monkeypatch.setattr(type(store.documents), "page", staticmethod(counted))
    return reads


async def test_simultaneous_reads_share_a_provider_and_its_limits(
    store: Store, clock: FakeClock, clients: HttpClients
) -> None:
    fields = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
    await directory_of(store, clock, clients).put("acme", "mail", fields)
    directory = directory_of(store, clock, clients)
    reads = await asyncio.gather(*(directory.providers("acme", "email") for _ in range(3)))
    assert len({id(named) for (named,) in reads}) == 1
    await directory.close()


async def test_provider_that_another_process_created_is_found_from_then_on(
    store: Store, clock: FakeClock, clients: HttpClients
) -> None:
    here, there = directory_of(store, clock, clients), directory_of(store, clock, clients)
    for since in (0, clock.now()):  # as MessageDelivery, for a message that is due now
        assert await there.providers("acme", "email", since) == []
    await here.put("", "mail", ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com"))
    assert [one.key for one in await there.providers("acme", "email", clock.now())] == ["mail"]
    await here.close()
    await there.close()


async def test_messages_that_were_due_before_the_providers_were_read_share_them(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, directory = counted_reads(monkeypatch, store), directory_of(store, clock, clients)
    assert await directory.providers("acme", "email") == []
    due_at = clock.now()
    clock.advance(0.01)
    for _ in range(100):
        for since in (0, due_at):
            assert await directory.providers("acme", "email", since) == []
    assert reads == {"acme": 2, "": 2}
    await directory.close()


async def test_messages_without_a_provider_share_a_read_that_begins_after_them(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is running may have missed a provider that another process created since."""
    here, there = directory_of(store, clock, clients), directory_of(store, clock, clients)
    reading = SlowRead(monkeypatch, store.documents, "page")
    before = asyncio.ensure_future(there.providers("", "email", clock.now()))
    await reading.has_begun.wait()
    monkeypatch.undo()
    await here.put("", "mail", ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com"))
    reads = counted_reads(monkeypatch, store)
    messages = [asyncio.ensure_future(there.providers("", "email", clock.now())) for _ in range(100)]
    await asyncio.sleep(0)
    reading.may_end.set()
    assert await before == []
    assert [[named.key for named in found] for found in await asyncio.gather(*messages)] == [["mail"]] * 100
    assert reads == {"": 1}
    await here.close()
    await there.close()


async def test_replaced_and_deleted_providers_are_closed(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Provider] = []

    async def close(provider: SMTPProvider) -> None:
        closed.append(provider)

    monkeypatch.setattr(SMTPProvider, "close", close)
    directory = directory_of(store, clock, clients)
    fields = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
    await directory.put("", "mail", fields)
    await directory.put("", "other", fields)
    first, other = await directory.providers("", "email")
    await directory.put("", "mail", msgspec.structs.replace(fields, priority=1))
    assert await directory.providers("", "email") != [first, other]
    assert closed == [first.provider]
    await directory.delete("", "other")
    (second,) = await directory.providers("", "email")
    assert closed == [first.provider, other.provider]
    await directory.close()
    assert closed == [first.provider, other.provider, second.provider]


async def test_message_waits_for_the_slowest_server_of_replaced_providers_only(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing: list[Provider] = []
    all_are_closing = asyncio.Event()

    async def close(provider: SMTPProvider) -> None:  # as of a server that hangs
        closing.append(provider)
        if len(closing) == 2:
            all_are_closing.set()
        await all_are_closing.wait()

    monkeypatch.setattr(SMTPProvider, "close", close)
    directory = directory_of(store, clock, clients)
    fields = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
    for priority in (0, 1):
        for key in ("mail", "other"):
            await directory.put("", key, msgspec.structs.replace(fields, priority=priority))
        async with asyncio.timeout(5):
            await directory.providers("", "email")
    assert len(closing) == 2
    await directory.close()


async def test_other_messages_do_not_wait_for_the_server_of_a_replaced_provider(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_closing, may_close = asyncio.Event(), asyncio.Event()

    async def close(_: SMTPProvider) -> None:
        is_closing.set()
        await may_close.wait()

    monkeypatch.setattr(SMTPProvider, "close", close)
    directory = directory_of(store, clock, clients)
    fields = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
    await directory.put("", "mail", fields)
    await directory.providers("", "email")
    await directory.put("", "mail", msgspec.structs.replace(fields, priority=1))
    first = asyncio.ensure_future(directory.providers("", "email"))
    await is_closing.wait()
    clock.advance(1.1)  # the cache is over
    async with asyncio.timeout(5):
        assert len(await directory.providers("", "email")) == 1
        assert await directory.providers("", "sms", clock.now()) == []
    may_close.set()
    await first
    await directory.close()


async def test_tenants_without_providers_do_not_fill_memory(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_directory, "MAX_CACHED", 2)
    directory = directory_of(store, clock, clients)
    fields = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
    await directory.put("acme", "mail", fields)
    (before,) = await directory.providers("acme", "email")
    for tenant in TENANTS:
        assert await directory.providers(tenant, "email") == []
    assert len(directory._stored) <= 3
    assert await directory.providers("acme", "email") == [before]
    await directory.close()


async def test_tenants_without_webhooks_do_not_fill_memory(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = Ids()
    sink = Webhooks(store, clock, clock, clients.guarded, KEY, ids.new, JobRunner(store.jobs, clock, ids.new), NO_FEED)
    monkeypatch.setattr(sink._known, "_size", 2)
    await sink.create("acme", "https://example.com/hook", ["*"])
    for tenant in TENANTS:
        assert await sink.report(tenant, ["message.sent"]) is no_report
    assert len(sink._known._cached) <= 2
    assert await sink.report("acme", ["message.sent"]) is not no_report


async def test_workflow_of_a_tenant_that_was_erased_is_read_again(store: Store, clock: FakeClock) -> None:
    """Its versions start at 1 again: another node must not run the erased definition."""
    here, there = WorkflowCatalog(store, clock), WorkflowCatalog(store, clock)

    async def put(time: str) -> None:
        await here.put("acme", "booking", {"steps": [{"key": "later", "type": "delay", "for": time}]})
        current = await here.current("acme", "booking")
        assert current is not None
        assert current.version == 1

    await put("1h")
    assert (await there.definition("acme", "booking", 1)).steps[0].fields["for"] == "1h"
    while (await store.tenants.erase("acme", clock.now(), clock.now(), 100))[0]:
        pass
    await put("2h")
    clock.advance(CACHE_SECONDS)
    assert (await there.definition("acme", "booking", 1)).steps[0].fields["for"] == "2h"


async def test_provider_write_keeps_a_password_that_another_write_sets_at_the_same_time(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, other = directory_of(store, clock, clients), directory_of(store, clock, clients)

    def fields(url: str, priority: int = 0) -> ProviderFields:
        return ProviderFields(channel="email", url=url, priority=priority)

    await directory.put("acme", "mail", fields("smtp://ann:old@mail.example.com?from=a@example.com"))
    read = store.documents.get

    async def read_before_the_other_write(kind: str, tenant: str, key: str) -> Document | None:
        found = await read(kind, tenant, key)
        monkeypatch.undo()
        await other.put("acme", "mail", fields("smtp://ann:new@mail.example.com?from=a@example.com"))
        return found

    monkeypatch.setattr(type(store.documents), "get", staticmethod(read_before_the_other_write))
    await directory.put("acme", "mail", fields("smtp://…@mail.example.com?from=a@example.com", priority=1))
    stored = await store.documents.get(provider_directory.KIND, "acme", "mail")
    assert stored is not None
    written = msgspec.json.decode(stored.body, type=ProviderFields)
    assert written.priority == 1
    assert KEY.decrypt(written.url, "providers/acme/mail").startswith("smtp://ann:new@")


class SlowRead:
    """Reads of documents that end with what they found before a change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, documents: Any, method: str) -> None:
        self._read, self.has_begun, self.may_end = getattr(documents, method), asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(type(documents), method, staticmethod(self._wait))

    async def _wait(self, *args: Any) -> Any:
        found = await self._read(*args)
        self.has_begun.set()
        await self.may_end.wait()
        return found

    async def end_after(self, change: Callable[[], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch) -> None:
        await self.has_begun.wait()
        monkeypatch.undo()
        await change()
        self.may_end.set()


async def test_read_that_began_before_a_change_does_not_hide_it(
    store: Store, clock: FakeClock, clients: HttpClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node that creates a webhook or a provider, or switches a workflow off, uses the change at once."""
    ids = Ids()
    sink = Webhooks(store, clock, clock, clients.guarded, KEY, ids.new, JobRunner(store.jobs, clock, ids.new), NO_FEED)
    reading = SlowRead(monkeypatch, store.documents, "page")
    wanted = asyncio.ensure_future(sink.report("acme", ["message.sent"]))
    await reading.end_after(lambda: sink.create("acme", "https://example.com/hook", ["*"]), monkeypatch)
    await wanted
    assert await sink.report("acme", ["message.sent"]) is not no_report

    directory = directory_of(store, clock, clients)
    fields = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
    reading = SlowRead(monkeypatch, store.documents, "page")
    found = asyncio.ensure_future(directory.providers("acme", "email"))
    await reading.end_after(lambda: directory.put("acme", "mail", fields), monkeypatch)
    await found
    assert len(await directory.providers("acme", "email")) == 1
    await directory.close()

    catalog = WorkflowCatalog(store, clock)
    await catalog.put("", "booking", {"steps": [{"key": "later", "type": "delay", "for": "1h"}]})
    reading = SlowRead(monkeypatch, store.documents, "get")
    current = asyncio.ensure_future(catalog.current("", "booking"))
    await reading.end_after(lambda: catalog.change("", "booking", active=False, version=None), monkeypatch)
    await current
    changed = await catalog.current("", "booking")
    assert changed is not None
    assert not changed.active
