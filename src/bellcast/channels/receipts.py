"""Delivery reports: they update the state of a message and the suppression of its address."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec
from msgspec import Struct

from bellcast.channels.delivery_status import MailReport
from bellcast.channels.store.messages import Messages
from bellcast.channels.suppressions.store import Suppressions
from bellcast.channels.types import ExternalChannel, StoredMessage
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.jobs.runner import Again, JobRunner
from bellcast.kernel.jobs.types import Job
from bellcast.providers.types import ConfiguredProvider, OptOut, Receipt
from bellcast.webhooks.types import WebhookSink

BOUNCE, COMPLAINT, STOP = "bounce", "complaint", "stop"


JOB_KIND = "receipt"
# A vendor may report before the commit that records its reference, or the state `sent`. After this time, the message is
# assumed not to belong to this server.
RETRIES_MS = (1_000, 5_000, 30_000, 120_000)


class EarlyReceipt(Struct, frozen=True, array_like=True):
    """The job payload of a receipt whose message is not known yet, or whose attempt is still in progress. Without a
    provider, it is a mail server's report, and its reference is the message's id. `failures` counts vain attempts."""

    provider: str
    tenant: str
    receipt: Receipt
    failures: int = 0


class Receipts:
    """Applies reports. They may arrive more than once and in any order; a state never moves back.

    A report with a tenant affects only that tenant, because a tenant can forge any report of its own provider. A report
    without a tenant comes from the project's provider, which sends for all tenants except those with their own provider
    of the same key."""

    def __init__(
        self,
        db: Engine,
        find_provider: Callable[[str, str], Awaitable[ConfiguredProvider | None]],
        clock: Clock,
        webhooks: WebhookSink,
        jobs: JobRunner,
    ) -> None:
        self._db = db
        self._find_provider = find_provider
        self._clock = clock
        self._webhooks = webhooks
        self._jobs = jobs
        jobs.register(JOB_KIND, self.run)

    async def take_receipt(self, provider: str, tenant: str, receipt: Receipt) -> None:
        """Apply a receipt. If its message is not known yet, or its attempt is in progress, a job applies it soon."""
        if not await self._apply(EarlyReceipt(provider, tenant, receipt)):
            payload = msgspec.json.encode(EarlyReceipt(provider, tenant, receipt))
            await self._jobs.put_off(JOB_KIND, {f"{JOB_KIND} {uuid4()}": payload}, RETRIES_MS[0], tenant)

    async def run(self, job: Job) -> Again | None:
        """Apply an early receipt. Return when to try again, or None."""
        early = msgspec.json.decode(job.payload, type=EarlyReceipt)
        failures = early.failures + 1
        if await self._apply(early) or failures >= len(RETRIES_MS):
            return None
        payload = msgspec.json.encode(msgspec.structs.replace(early, failures=failures))
        return Again(self._clock.now() + RETRIES_MS[failures], payload)

    async def _apply(self, early: EarlyReceipt) -> bool:
        """Apply a receipt; return whether its message is known and no attempt is due or in progress."""
        messages = await self._find(early.provider, early.tenant, early.receipt.reference)
        settled = [await self._settle(message, early.receipt) for message in messages]
        return bool(messages) and all(settled)

    async def _find(self, provider: str, tenant: str, reference: str) -> list[StoredMessage]:
        """Return the messages of a vendor's reference or, without a provider, the e-mail with this id."""
        if not provider:
            found = await Messages(self._db).find([reference])
            return [one for one in found if one.channel == "email" and tenant in ("", one.tenant)]
        found = await Messages(self._db).of_reference(provider, reference, tenant)
        return [one for one in found if await self._is_about(tenant, provider, one.tenant, one.channel)]

    async def apply_report(self, tenant: str, report: MailReport) -> bool:
        """Apply a mail server's report; return whether its message is known."""
        found = await self._find("", tenant, report.message)
        if not found:
            return False
        if report.state is None:
            await self._suppress(found[0].tenant, found[0], COMPLAINT)
        else:
            await self.take_receipt("", tenant, Receipt(report.message, report.state, report.code))
        return True

    async def apply_opt_out(self, provider: str, tenant: str, opt_out: OptOut) -> None:
        """Suppress a number, or allow it again unless the app suppressed it: in the tenant, or in all tenants for which
        the project's provider has sent to it."""
        tenants = {tenant}
        if tenant == DEFAULT_TENANT:
            tenants.update(await Messages(self._db).tenants_of("sms", provider, opt_out.address))
        for one in tenants:
            if not await self._is_about(tenant, provider, one, "sms"):
                continue
            if opt_out.is_allowed:
                await Suppressions(self._db).lift(one, "sms", opt_out.address)
            else:
                await Suppressions(self._db).add_reported(one, "sms", opt_out.address, STOP, self._clock.now())

    async def _is_about(self, tenant: str, provider: str, sender: str, channel: ExternalChannel) -> bool:
        """Return whether a report with this tenant and provider covers messages of the tenant `sender`."""
        if sender == tenant or tenant != DEFAULT_TENANT:
            return sender == tenant
        found = await self._find_provider(sender, provider)
        return found is None or found.tenant != sender or found.fields.channel != channel or not found.fields.active

    async def _settle(self, message: StoredMessage, receipt: Receipt) -> bool:
        """Write the state of a receipt, which changes only a sent message. Return False if it may still become sent."""
        report = await self._webhooks.report(message.tenant, [f"message.{receipt.state}"])
        now = self._clock.now()
        has_changed = await Messages(self._db).settle(message.id, receipt.state, receipt.code, report, now)
        if has_changed:
            self._jobs.wake()
        if receipt.state == "bounced":
            await self._suppress(message.tenant, message, BOUNCE)
        return has_changed or message.state not in ("queued", "sending")

    async def _suppress(self, tenant: str, message: StoredMessage, reason: str) -> None:
        now = self._clock.now()
        await Suppressions(self._db).add_reported(tenant, message.channel, message.address, reason, now)
