"""Vendors' receipts and replies, including early ones and those of providers with the same key in several tenants, on every store."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from bellcast.channels.receipts import Receipts
from bellcast.channels.types import ChannelConfig, ExternalChannel, MessageUpdate, NewMessage, State
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.slots import Destinations
from bellcast.kernel.outbound.http import HttpClients
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.types import OptOut, ProviderFields, Receipt
from bellcast.webhooks.types import WebhookSink, no_report
from tests.clock import FakeClock
from tests.due_jobs import run_due
from tests.store import Store

NUMBER, KEY = "+431", "texts"
NEVER = 2**52
TEXTS = ProviderFields(channel="sms", url="twilio://AC1:token@default?from=1")
MAIL = ProviderFields(channel="email", url="smtp://mail.example.com?from=a@example.com")
# Tenants with their own provider under the project's key, with none, with one for another channel, and with an inactive one.
TENANTS = {"acme": TEXTS, "globex": None, "initech": MAIL, "umbrella": msgspec.structs.replace(TEXTS, active=False)}


class Texts:
    """Text messages through providers of the project and of tenants that share one key."""

    def __init__(self, store: Store, clock: FakeClock, clients: HttpClients) -> None:
        self.store, self.clock, self.ids = store, clock, Ids()
        encryption = Encryption(b"key")
        self.providers = ProviderDirectory(
            store, clock, clock, clients, ChannelConfig(), encryption, TokenBuckets(), Destinations(clock)
        )
        self.jobs = JobRunner(store.jobs, clock, self.ids.new)
        self.receipts = Receipts(store, self.providers.find, clock, WebhookSink(), self.jobs)

    async def add(self, tenant: str, channel: ExternalChannel = "sms") -> str:
        """Add a queued message; return its id."""
        id = self.ids.new(self.clock.now())
        message = NewMessage(
            id=id,
            tenant=tenant,
            recipient="alice",
            notification=None,
            channel=channel,
            type="general",
            priority="normal",
            address=NUMBER,
            due_at=NEVER,
            created_at=self.clock.now(),
            content=b'{"text":"Hi"}',
        )
        await self.store.messages.add([message])
        return id

    async def add_sent(self, tenant: str, reference: str) -> str:
        """Add a message that a provider accepted with this reference; return its id."""
        id = await self.add(tenant)
        (stored,) = await self.store.messages.find([id])
        accepted = msgspec.structs.replace(stored, state="sent", provider=KEY, reference=reference)
        await self.store.messages.finish([MessageUpdate(message=accepted)], self.clock.now())
        return id

    async def state(self, id: str) -> str:
        (stored,) = await self.store.messages.find([id])
        return stored.state

    async def suppressed(self) -> set[str]:
        """Return the tenants in which the number is suppressed."""
        found = [(one, (await self.store.suppressions.page(ListQuery(tenants=[one]))).items) for one in ("", *TENANTS)]
        return {tenant for tenant, suppressions in found if suppressions}

    async def suppress(self, *tenants: str, reason: str = "stop") -> None:
        for tenant in tenants:
            await self.store.suppressions.put(tenant, "sms", NUMBER, reason, self.clock.now())


@pytest.fixture
async def texts(store: Store, clock: FakeClock) -> AsyncIterator[Texts]:
    clients = HttpClients()
    texts = Texts(store, clock, clients)
    await texts.providers.put("", KEY, TEXTS)
    for tenant, fields in TENANTS.items():
        if fields is not None:
            await texts.providers.put(tenant, KEY, fields)
    yield texts
    await texts.providers.close()
    await clients.close()


async def test_early_receipt_is_applied_once_its_message_is_known(texts: Texts) -> None:
    await texts.receipts.take_receipt(KEY, "", Receipt("SM1", "delivered"))
    await texts.receipts.take_receipt(KEY, "", Receipt("unknown", "delivered"))
    texts.clock.advance(1)
    assert await run_due(texts.jobs) == 2
    id = await texts.add_sent("", "SM1")
    for seconds in (5, 30, 120, 600):
        texts.clock.advance(seconds)
        await run_due(texts.jobs)
    assert await texts.state(id) == "delivered"
    assert [group.kind for group in await texts.store.jobs.due(2**51)] == []


@pytest.mark.parametrize("state", ["delivered", "bounced"])
async def test_report_on_an_email_that_is_being_sent_is_applied_once_it_is_sent(texts: Texts, state: State) -> None:
    id = await texts.add("acme", "email")
    (begun,) = await texts.store.messages.begin([id], NEVER)
    assert not await texts.receipts.apply_report("globex", (id, state, None))
    assert await texts.receipts.apply_report("acme", (id, state, None))
    texts.clock.advance(1)
    await run_due(texts.jobs)
    assert await texts.state(id) == "sending"
    sent = msgspec.structs.replace(begun, state="sent")
    await texts.store.messages.finish([MessageUpdate(message=sent)], texts.clock.now())
    for seconds in (5, 30, 120):
        texts.clock.advance(seconds)
        await run_due(texts.jobs)
    assert await texts.state(id) == state
    assert await texts.receipts.apply_report("acme", (id, state, None))
    assert [group.kind for group in await texts.store.jobs.due(NEVER - 1)] == []


async def test_receipt_of_a_message_that_is_sent_again_waits_for_its_attempt(texts: Texts) -> None:
    id = await texts.add_sent("", "SM1")
    await texts.store.messages.settle(id, "failed", None, no_report, texts.clock.now())
    await texts.store.messages.retry("", [id], texts.clock.now())
    (begun,) = await texts.store.messages.begin([id], texts.clock.now())
    await texts.receipts.take_receipt(KEY, "", Receipt("SM1", "delivered"))
    await texts.store.messages.finish([MessageUpdate(message=msgspec.structs.replace(begun, state="sent"))], 0)
    texts.clock.advance(1)
    await run_due(texts.jobs)
    assert await texts.state(id) == "delivered"


async def test_early_receipt_of_a_tenants_provider_waits_as_the_tenants_job(texts: Texts) -> None:
    for tenant in ("", "acme"):
        await texts.receipts.take_receipt(KEY, tenant, Receipt("unknown", "delivered"))
    assert sorted(group.tenant for group in await texts.store.jobs.due(2**51)) == ["", "acme"]


async def test_reply_to_the_provider_of_a_tenant_changes_no_other_tenant(texts: Texts) -> None:
    for tenant in ("", *TENANTS):
        await texts.add_sent(tenant, f"of {tenant}")
    await texts.suppress("", "acme", "globex")
    await texts.receipts.apply_opt_out(KEY, "acme", OptOut(NUMBER, is_allowed=True))
    assert await texts.suppressed() == {"", "globex"}
    await texts.receipts.apply_opt_out(KEY, "acme", OptOut(NUMBER, is_allowed=False))
    assert await texts.suppressed() == {"", "globex", "acme"}


async def test_reply_to_the_projects_provider_changes_the_tenants_that_it_sends_for(texts: Texts) -> None:
    for tenant in TENANTS:
        await texts.add_sent(tenant, f"of {tenant}")
    await texts.receipts.apply_opt_out(KEY, "", OptOut(NUMBER, is_allowed=False))
    assert await texts.suppressed() == {"", "globex", "initech", "umbrella"}
    await texts.suppress("acme")
    await texts.receipts.apply_opt_out(KEY, "", OptOut(NUMBER, is_allowed=True))
    assert await texts.suppressed() == {"acme"}


@pytest.mark.parametrize(
    ("reason", "is_lifted"), [("stop", True), ("bounce", True), ("complaint", False), ("asked by phone", False)]
)
async def test_start_lifts_only_what_stop_or_a_bounce_suppressed(texts: Texts, reason: str, is_lifted: bool) -> None:
    await texts.suppress("acme", reason=reason)
    await texts.receipts.apply_opt_out(KEY, "acme", OptOut(NUMBER, is_allowed=True))
    assert await texts.suppressed() == (set() if is_lifted else {"acme"})


async def test_stop_and_bounces_keep_the_apps_reason_for_a_suppression(texts: Texts) -> None:
    await texts.suppress("acme", reason="asked by phone")
    await texts.add_sent("acme", "SM1")
    await texts.receipts.take_receipt(KEY, "acme", Receipt("SM1", "bounced"))
    for is_allowed in (False, True):
        await texts.receipts.apply_opt_out(KEY, "acme", OptOut(NUMBER, is_allowed=is_allowed))
    (kept,) = (await texts.store.suppressions.page(ListQuery(tenants=["acme"]))).items
    assert kept.reason == "asked by phone"


async def test_receipt_finds_its_message_beside_the_same_reference_of_another_tenant(texts: Texts) -> None:
    of_acme, of_globex = [await texts.add_sent(tenant, "SM1") for tenant in ("acme", "globex")]
    await texts.receipts.take_receipt(KEY, "", Receipt("SM1", "delivered"))
    assert (await texts.state(of_acme), await texts.state(of_globex)) == ("sent", "delivered")
    of_globex, of_acme = [await texts.add_sent(tenant, "SM2") for tenant in ("globex", "acme")]
    await texts.receipts.take_receipt(KEY, "acme", Receipt("SM2", "bounced"))
    assert (await texts.state(of_acme), await texts.state(of_globex)) == ("bounced", "sent")
    assert await texts.suppressed() == {"acme"}
