"""What later reports change: the state of a message, and the suppression of its address."""

from collections.abc import Callable

from bellcast.channels.delivery_status import MailReport
from bellcast.ports import Clock, Store, Suppression
from bellcast.ports.messages import StoredMessage, as_change, with_outcome
from bellcast.ports.providers import OptOut, Receipt
from bellcast.ports.webhooks import WebhookSink

BOUNCE, COMPLAINT, STOP = "bounce", "complaint", "stop"


class Receipts:
    """Applies reports. Each may arrive more than once, and in any order: a state never moves back."""

    def __init__(self, store: Store, clock: Clock, webhooks: WebhookSink, jobs_added: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._webhooks = webhooks
        self._added = jobs_added

    async def apply_receipt(self, provider: str, tenant: str, receipt: Receipt) -> bool:
        """Apply a vendor's receipt; whether its message is known."""
        message = await self._store.messages.find_reference(provider, receipt.reference)
        if message is None or tenant not in ("", message.tenant):
            return False
        await self._settle(message, receipt)
        return True

    async def apply_report(self, tenant: str, report: MailReport) -> bool:
        """Apply a mail server's report; whether its message is known."""
        found = await self._store.messages.find([report.message])
        if not found or found[0].channel != "email" or tenant not in ("", found[0].tenant):
            return False
        if report.state is None:
            await self._suppress(found[0].tenant, found[0], COMPLAINT)
        else:
            await self._settle(found[0], Receipt(report.message, report.state, report.code))
        return True

    async def apply_opt_out(self, provider: str, tenant: str, opt_out: OptOut) -> None:
        """Suppress a number, or allow it again, in the tenants that this provider has sent to it for."""
        messages = self._store.messages
        for owner in {tenant, *await messages.tenants_of("sms", provider, opt_out.address)}:
            if opt_out.is_allowed:
                await messages.allow(owner, "sms", opt_out.address)
            else:
                await messages.suppress(owner, self._suppression("sms", opt_out.address, STOP))

    async def _settle(self, message: StoredMessage, receipt: Receipt) -> None:
        changed = with_outcome(message, state=receipt.state, reason=receipt.code or message.reason)
        events = await self._webhooks.events(message.tenant, f"message.{receipt.state}", [as_change(changed)])
        now = self._clock.now()
        if await self._store.messages.settle(message.id, receipt.state, receipt.code, events, now) and events:
            self._added()
        if receipt.state == "bounced":
            await self._suppress(message.tenant, message, BOUNCE)

    async def _suppress(self, tenant: str, message: StoredMessage, reason: str) -> None:
        suppression = self._suppression(message.channel, message.address, reason)
        await self._store.messages.suppress(tenant, suppression)

    def _suppression(self, channel: str, address: str, reason: str) -> Suppression:
        return Suppression(channel=channel, address=address, reason=reason, created_at=self._clock.now())  # type: ignore[arg-type]  # a stored channel
