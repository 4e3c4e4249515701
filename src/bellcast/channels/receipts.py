"""Delivery reports: they update the state of a message and the suppression of its address."""

import re
from collections.abc import Awaitable, Callable
from email import message_from_bytes
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import msgspec
from msgspec import Struct

from bellcast.channels.email import MESSAGE
from bellcast.channels.store.messages import Messages
from bellcast.channels.store.suppressions import Suppressions
from bellcast.channels.types import ExternalChannel, State, StoredMessage
from bellcast.kernel import ids
from bellcast.kernel.clock import Clock, request_time
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import Again, JobRunner
from bellcast.providers.types import ConfiguredProvider, OptOut, Receipt
from bellcast.webhooks.types import WebhookSink

if TYPE_CHECKING:  # imported with the first report
    from email.message import Message

# SMTP codes that mean a bad address, as in replies to RCPT.
HARD_CODES = frozenset({"550", "551", "553"})
# Bad destination address (5.1.x); mailbox disabled (5.2.1): RFC 3463 §3.2, §3.3.
HARD_STATUS = re.compile(r"5\.1\.\d{1,3}|5\.2\.1")
DIAGNOSTIC_CODE = re.compile(r"smtp;\s*(\d{3})", re.IGNORECASE)
# The parser's time grows quadratically with a header's parameters (RFC 2231), and each nested part is a level of
# recursion.
CONTENT_TYPE = re.compile(rb"(?:^|[\r\n])content-type:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*", re.IGNORECASE)
MAX_CONTENT_TYPE = 1000
# A report has three parts, and returns one e-mail with its parts.
MAX_PARTS = 32

# The outcome of the message with this id, which a mail server reports: its state, None for a complaint, and a code.
MailReport: TypeAlias = tuple[str, State | None, str | None]


def parse(body: bytes) -> MailReport | None:
    """Parse a report; None for one about a delay, a relay, or another server's e-mail. Raises ValueError if the mail is
    no report. A maliciously crafted mail can take seconds."""
    content_types = [match.end() - match.start() for match in CONTENT_TYPE.finditer(body)]
    if len(content_types) > MAX_PARTS or max(content_types, default=0) > MAX_CONTENT_TYPE:
        raise ValueError(f"has more than {MAX_PARTS} parts, or a Content-Type of more than {MAX_CONTENT_TYPE} bytes")
    try:
        return _report(message_from_bytes(body))
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001  malformed headers raise also IndexError, LookupError, TypeError and RecursionError
        raise ValueError(f"is malformed ({type(error).__name__})") from None


def _report(mail: "Message") -> MailReport | None:
    parts = list(mail.walk())
    kinds = {part.get_content_type() for part in parts}
    id = _message_id(parts)
    if "message/feedback-report" in kinds:
        return None if id is None else (id, None, None)
    report = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    if report is None:
        raise ValueError("is neither a delivery status notification nor a complaint")
    # The first recipient's fields count: Bellcast sends each e-mail to one recipient.
    blocks: Any = report.get_payload()
    found = [one for one in blocks if one.get("Action")] if isinstance(blocks, list) else []
    if id is None or not found:
        return None
    fields, action = found[0], str(found[0]["Action"]).strip().lower()
    status = str(fields.get("Status", "")).split("(")[0].strip()
    if action == "delivered":
        return id, "delivered", status or None
    if action != "failed":
        return None
    diagnostic = DIAGNOSTIC_CODE.search(str(fields.get("Diagnostic-Code", "")))
    is_hard = HARD_STATUS.fullmatch(status) or (diagnostic is not None and diagnostic[1] in HARD_CODES)
    return id, "bounced" if is_hard else "failed", status or None


def _message_id(parts: "list[Message]") -> str | None:
    """Return the id in the returned e-mail or its headers."""
    from email.parser import BytesHeaderParser

    for part in parts[1:]:
        headers = part
        if part.get_content_type() == "text/rfc822-headers":
            content = part.get_payload(decode=True)
            headers = BytesHeaderParser().parsebytes(content if isinstance(content, bytes) else b"")
        for name in (MESSAGE, "Message-ID"):
            local = str(headers.get(name, "")).strip().strip("<>").partition("@")[0]
            if ids.is_id(local):
                return local
    return None


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


class Receipts(Struct, eq=False):
    """Applies reports. They may arrive more than once and in any order; a state never moves back.

    A report with a tenant affects only that tenant, because a tenant can forge any report of its own provider. A report
    without a tenant comes from the project's provider, which sends for all tenants except those with their own provider
    of the same key."""

    db: Engine
    find_provider: Callable[[str, str], Awaitable[ConfiguredProvider | None]]
    clock: Clock
    webhooks: WebhookSink
    jobs: JobRunner

    def __post_init__(self) -> None:
        self.jobs.register(JOB_KIND, self.run)

    async def take_receipt(self, provider: str, tenant: str, receipt: Receipt) -> None:
        """Apply a receipt. If its message is not known yet, or its attempt is in progress, a job applies it soon."""
        if not await self._apply(EarlyReceipt(provider, tenant, receipt)):
            payload = msgspec.json.encode(EarlyReceipt(provider, tenant, receipt))
            await self.jobs.put_off(JOB_KIND, {f"{JOB_KIND} {uuid4()}": payload}, RETRIES_MS[0], tenant)

    async def run(self, job: Job) -> Again | None:
        """Apply an early receipt. Return when to try again, or None."""
        early = msgspec.json.decode(job.payload, type=EarlyReceipt)
        failures = early.failures + 1
        if await self._apply(early) or failures >= len(RETRIES_MS):
            return None
        payload = msgspec.json.encode(msgspec.structs.replace(early, failures=failures))
        return Again(self.clock.now() + RETRIES_MS[failures], payload)

    async def _apply(self, early: EarlyReceipt) -> bool:
        """Apply a receipt; return whether its message is known and no attempt is due or in progress."""
        receipt, now, is_settled = early.receipt, self.clock.now(), True
        messages = await self._find(early.provider, early.tenant, receipt.reference)
        for message in messages:
            # A receipt changes only a sent message.
            report = await self.webhooks.report(message.tenant, [f"message.{receipt.state}"])
            has_changed = await Messages(self.db).settle(message.id, receipt.state, receipt.code, report, now)
            if has_changed:
                self.jobs.wake()
            if receipt.state == "bounced":
                await self._suppress(message, BOUNCE)
            is_settled &= has_changed or message.state not in ("queued", "sending")
        return bool(messages) and is_settled

    async def _find(self, provider: str, tenant: str, reference: str) -> list[StoredMessage]:
        """Return the messages of a vendor's reference or, without a provider, the e-mail with this id."""
        if not provider:
            found = await Messages(self.db).find([reference])
            return [one for one in found if one.channel == "email" and tenant in ("", one.tenant)]
        found = await Messages(self.db).of_reference(provider, reference, tenant)
        return [one for one in found if await self._is_about(tenant, provider, one.tenant, one.channel)]

    async def apply_report(self, tenant: str, report: MailReport) -> bool:
        """Apply a mail server's report; return whether its message is known."""
        id, state, code = report
        found = await self._find("", tenant, id)
        if not found:
            return False
        if state is None:
            await self._suppress(found[0], COMPLAINT)
        else:
            await self.take_receipt("", tenant, Receipt(id, state, code))
        return True

    async def apply_opt_out(self, provider: str, tenant: str, opt_out: OptOut) -> None:
        """Suppress a number, or allow it again unless the app suppressed it: in the tenant, or in all tenants for which
        the project's provider has sent to it."""
        tenants = {tenant}
        if tenant == DEFAULT_TENANT:
            tenants.update(await Messages(self.db).tenants_of("sms", provider, opt_out.address))
        for one in tenants:
            if not await self._is_about(tenant, provider, one, "sms"):
                continue
            if opt_out.is_allowed:
                await Suppressions(self.db).lift(one, "sms", opt_out.address)
            else:
                await Suppressions(self.db).add_reported(one, "sms", opt_out.address, STOP, request_time(self.clock))

    async def _is_about(self, tenant: str, provider: str, sender: str, channel: ExternalChannel) -> bool:
        """Return whether a report with this tenant and provider covers messages of the tenant `sender`."""
        if sender == tenant or tenant != DEFAULT_TENANT:
            return sender == tenant
        found = await self.find_provider(sender, provider)
        return found is None or found.tenant != sender or found.fields.channel != channel or not found.fields.active

    async def _suppress(self, message: StoredMessage, reason: str) -> None:
        now = request_time(self.clock)
        await Suppressions(self.db).add_reported(message.tenant, message.channel, message.address, reason, now)
