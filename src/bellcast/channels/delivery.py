"""Deliver messages: check whether they are still needed, pass them to providers, record the outcomes, and report these for
webhooks, the live feed and the metrics."""

import asyncio
import traceback
from bisect import bisect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.channels import releases
from bellcast.channels.addresses import chat_vendor
from bellcast.channels.catalog import Catalog
from bellcast.channels.email import Email
from bellcast.channels.push import PushTarget
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import (
    NO_CONTENT,
    OPEN_STATES,
    RETRIES,
    Attempt,
    AttemptOutcome,
    ExternalChannel,
    MessageUpdate,
    NewMessage,
    ProviderRate,
    StoredMessage,
    with_outcome,
)
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import DestinationCall, PageOutcome
from bellcast.kernel.jobs.slots import Destination, server_of
from bellcast.kernel.outbound import DeliveryError, next_delay
from bellcast.live_feed import Feed, FeedEvent
from bellcast.providers.types import AcceptedMessage, AddressKind, OutgoingMessage, Provider, UnusableProvider
from bellcast.recipients.store import PushEndpoints
from bellcast.webhooks.types import WebhookSink

log = structlog.get_logger(__name__)

# How long a message waits for the previous one to its address. Of a flood to one address, the others leave together then.
ORDER_SECONDS = 5.0
# How long a message waits for a node that can use its provider: for a day, in which an operator can add a missing key.
UNUSABLE_SECONDS = 86_400
# Reasons of messages that were being sent when their notification was recalled, or their run cancelled.
WITHDRAWN = ("recalled", "cancelled")
NOT_RENDERED = "has no content, because its template could not be rendered: send the notification again"


async def with_report(webhooks: WebhookSink, update: MessageUpdate) -> MessageUpdate:
    """Add what creates the webhook events for the end of a message and of the messages that it combines. Another round of
    attempts is not an end, unless a digest is withdrawn then."""
    message = update.message
    is_open = message.state in OPEN_STATES
    if is_open and message.digest != message.id:
        return update
    type = "message.cancelled" if is_open else f"message.{message.state}"
    return msgspec.structs.replace(update, report=await webhooks.report(message.tenant, [type]))


class MessageReports(Struct, eq=False):
    """Reports messages of this process. `ended` counts them by channel and final state, `attempts` by channel, provider and
    outcome. `accepted` counts inbox rows and announcements."""

    clock: Clock
    feed: Feed
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)

    def report(self, messages: Iterable[NewMessage]) -> None:
        """Report the committed states of messages."""
        now = self.clock.now()
        for message in messages:
            provider = message.provider if isinstance(message, StoredMessage) else None
            fields = {"id": message.id, "channel": message.channel, "state": message.state, "reason": message.reason}
            self.feed.emit(
                FeedEvent(
                    kind="attempt",
                    at=now,
                    text=f"{message.channel} to {message.recipient}: {message.state}",
                    tenant=message.tenant,
                    recipient=message.recipient,
                    fields=fields | {"provider": provider, "notification": message.notification},
                )
            )
            if message.state not in OPEN_STATES:
                self.ended[message.channel, message.state] += 1


class NamedProvider(Struct, frozen=True):
    """A provider with its key, which attempts record, and the slots of its calls. Metrics are public, so those of tenants
    share one `metric_label`."""

    key: str
    provider: Provider
    destination: Destination
    rate: ProviderRate | None = None
    metric_label: str | None = None  # None: the key

    def is_usable(self, address: str) -> bool:
        """True unless calls for the address fail at once, or wait for a server that has not responded for long."""
        destination, server = self.destination_of(address)
        return not destination.is_skipped(server) and destination.seconds_until_stuck() > 0

    def destination_of(self, address: str) -> tuple[Destination, str]:
        """Return where calls for an address lead, and the server that the address names; empty if the provider has one server."""
        server = server_of(address) if self.provider.server is None else ""
        return self.destination.of_server(server), server


# The providers of a tenant's channel in failover order, read at a time or later. If no provider serves the address, the message
# is simulated.
FindProviders = Callable[[str, ExternalChannel, int], Awaitable[Sequence[NamedProvider]]]


class MessageDelivery(Struct, eq=False):
    """Delivers messages of every channel."""

    db: Engine
    clock: Clock
    catalog: Catalog
    find_providers: FindProviders
    webhooks: WebhookSink
    reports: MessageReports
    retry_delays: Callable[[], Sequence[float]] = lambda: RETRIES
    _newest: WeakValueDictionary[Any, asyncio.Task[Any] | None] = field(default_factory=WeakValueDictionary)

    async def run_page(self, jobs: Sequence[Job]) -> list[PageOutcome]:
        """Make one round of attempts for the messages of the jobs, each separately. Messages without an attempt share a
        commit. Safe to repeat: an ended message does not change, and an interrupted attempt is repeated with the same
        id."""
        ids = [job.payload.decode() for job in jobs]
        outcomes: dict[str, PageOutcome] = {}
        updates: list[MessageUpdate] = []
        for message in await Messages(self.db).begin(ids, self.clock.now()):
            outcome = await self._examine(message)
            if isinstance(outcome, MessageUpdate):
                updates.append(outcome)
            else:
                outcomes[message.id] = outcome
        await self._finish(updates)
        ended = {update.message.id for update in updates if update.message.state not in OPEN_STATES}
        waiting = [id for id in ids if id not in outcomes and id not in ended]
        found = await Messages(self.db).find(waiting) if waiting else []
        outcomes |= {message.id: _next_run(message) for message in found}
        return [outcomes.get(id) for id in ids]

    async def _finish(self, updates: Sequence[MessageUpdate]) -> None:
        if not updates:
            return
        reported = [await with_report(self.webhooks, update) for update in updates]
        written = await Messages(self.db).finish(reported, self.clock.now())
        self.reports.report(update.message for update in written)

    async def _examine(self, message: StoredMessage) -> MessageUpdate | DestinationCall:
        """Return the update that ends or holds a message without an attempt, or the call that makes the attempt."""
        if message.content == NO_CONTENT:
            return MessageUpdate(message=with_outcome(message, state="failed", reason=NOT_RENDERED))
        now = self.clock.now()
        ended = outdated(message, now)
        if ended is not None:
            return ended
        if releases.is_held(message):
            decided = await releases.decide(self.db, self.catalog, message, now)
        else:
            decided = await releases.recheck(self.db, message, now) if message.attempts else message
        if isinstance(decided, MessageUpdate):
            return decided
        message = decided
        target = await target_of(self.db, message)
        if target is None:
            return MessageUpdate(message=with_outcome(message, state="cancelled", reason="no_address"))
        kind, to = target
        for since in (0, message.due_at):  # another process may have created one after this one had read them
            found = await self.find_providers(message.tenant, message.channel, since)
            if providers := [named for named in found if kind in named.provider.kinds]:
                break
        else:
            return MessageUpdate(message=with_outcome(message, state="simulated", reason=None))
        first = next((one for one in providers if one.is_usable(message.address)), providers[0])
        destination, _ = first.destination_of(message.address)
        line = f"{kind} {destination.server}".strip()
        return DestinationCall(destination, line, partial(self._deliver, message, to, providers))

    async def _deliver(self, message: StoredMessage, to: str, providers: Sequence[NamedProvider]) -> int | None:
        """Try each provider once, in order, and record the outcome. Return when the next round is due, or None. The tenant's previous
        message to the address leaves before, so that a reminder does not overtake a confirmation; urgent ones wait for urgent ones only."""
        line = (message.tenant, message.address, message.priority == "urgent")
        previous, self._newest[line] = self._newest.get(line), asyncio.current_task()
        if previous is not None:
            await asyncio.wait([previous], timeout=ORDER_SECONDS)
        sent = outgoing(message, to)
        update: MessageUpdate | None = None
        last: DeliveryError | None = None
        is_refused = False  # by a provider that this node can use
        retry_after: float | None = None
        usable_at = 0  # when one of those above their rate may be used
        for number, named in enumerate(providers, 1):
            due_at = 0 if named.rate is None or named.destination.is_skipped() else named.rate.due_at(self.clock.now())
            if due_at > self.clock.now():
                usable_at = min(usable_at or due_at, due_at)
                if last is None:  # no failover: other providers are for failures, and may cost more
                    break
                continue
            try:
                has_next = any(one.is_usable(message.address) for one in providers[number:])
                destination, server = named.destination_of(message.address)
                async with destination.call(server, has_alternative=has_next):
                    accepted = await named.provider.send(sent)
            except Exception as failure:  # noqa: BLE001  else each attempt of the job would send the message again
                error = delivery_error(named.key, failure)
                log.warning(
                    "message_attempt_failed",
                    message=message.id,
                    provider=named.key,
                    code=error.code,
                    response=error.response,
                    temporary=error.is_temporary,
                )
                attempt = self._attempt(message, named, "temporary" if error.is_temporary else "permanent", error)
                is_unusable = isinstance(named.provider, UnusableProvider)
                recent = [(one.provider, one.response) for one in message.attempts[-len(providers) :]]
                is_repeated = is_unusable and (attempt.provider, attempt.response) in recent
                message = with_outcome(message, None if is_repeated else attempt, provider=named.key)
                if not error.is_temporary:
                    state = "bounced" if error.is_bounce else "failed"
                    # A push endpoint is deleted instead.
                    suppress = "bounce" if error.is_bounce and message.channel != "push" else None
                    ended = with_outcome(message, state=state, reason=error.response)
                    update = MessageUpdate(message=ended, suppress=suppress)
                    break
                is_refused |= not is_unusable
                last, retry_after = error, max(retry_after or 0.0, error.retry_after or 0.0)
            else:
                attempt = self._attempt(message, named, "accepted", accepted)
                changes: dict[str, Any] = {"state": "sent", "reason": None, "provider": named.key}
                update = MessageUpdate(message=with_outcome(message, attempt, reference=accepted.reference, **changes))
                break
        update = update or self._postponed(message, last, retry_after, usable_at, is_refused=is_refused)
        if message.channel == "push" and update.message.state == "bounced":
            await PushEndpoints(self.db).delete_gone(message.tenant, message.address)
        await self._finish([update])
        if update.message.state not in OPEN_STATES:
            return None
        found = await Messages(self.db).find([update.message.id])
        return _next_run(found[0]) if found else None

    def _attempt(
        self,
        message: StoredMessage,
        named: NamedProvider,
        outcome: AttemptOutcome,
        result: AcceptedMessage | DeliveryError,
    ) -> Attempt:
        """Count an attempt, and return it with the provider's response."""
        self.reports.attempts[message.channel, named.metric_label or named.key, outcome] += 1
        return Attempt(
            at=times.to_rfc3339(self.clock.now()),
            provider=named.key,
            outcome=outcome,
            code=result.code,
            response=result.response,
        )

    def _postponed(
        self,
        message: StoredMessage,
        error: DeliveryError | None,
        retry_after: float | None,
        usable_at: int,
        *,
        is_refused: bool,
    ) -> MessageUpdate:
        """End a round in which every provider failed or is over its rate. The next one is not due before one of the latter
        may be used again (0: none). A round that no provider refused does not count, because another node may send the message."""
        if error is None and usable_at:
            return MessageUpdate(message=with_outcome(message, state="queued", reason="rate", due_at=usable_at))
        reason = None if error is None else error.response
        rounds = message.rounds + is_refused
        if is_refused:
            delay = next_delay(rounds, self.retry_delays(), retry_after)
        else:  # by providers that this node cannot use
            waited = (self.clock.now() - times.milliseconds(message.attempts[-1].at)) / 1000
            round = 1 + bisect(RETRIES[:-1], waited)
            delay = None if waited >= UNUSABLE_SECONDS else next_delay(round, RETRIES, None)
        if delay is None:
            return MessageUpdate(message=with_outcome(message, state="failed", reason=reason))
        due_at = max(self.clock.now() + int(delay * 1000), usable_at)
        changes: dict[str, Any] = {"state": "queued", "reason": reason, "due_at": due_at}
        return MessageUpdate(message=with_outcome(message, rounds=rounds, **changes))


def delivery_error(provider: str, error: Exception) -> DeliveryError:
    """Return the error of an attempt that raised. An unexpected one is logged without its text, which can contain a response
    or a URL with credentials."""
    if isinstance(error, DeliveryError):
        return error
    if isinstance(error, Unavailable):  # skipped
        return DeliveryError(error.detail, is_temporary=True)
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("provider_failed", provider=provider, error=type(error).__name__, traceback=frames)
    return DeliveryError(f"the provider failed: {type(error).__name__}", is_temporary=True)


def _next_run(message: StoredMessage) -> int | None:
    """Return when the job of an open message runs again. The job of a digest delivers its messages; until then, they
    can only expire."""
    if message.state not in OPEN_STATES or message.digest not in (None, message.id):
        return None
    if message.waits_for_digest:
        return message.expires_at if message.expires_at and message.expires_at < message.due_at else None
    if message.attempts or message.expires_at is None:
        return message.due_at
    return min(message.due_at, message.expires_at)


def outdated(message: StoredMessage, now: int) -> MessageUpdate | None:
    """Return the final update of a message that has expired, was withdrawn while it waited for its provider, or whose inbox item was
    seen; else None."""
    if message.reason in WITHDRAWN:
        return MessageUpdate(message=with_outcome(message, state="cancelled", reason=message.reason))
    if message.expires_at is not None and message.expires_at <= now:
        return MessageUpdate(message=with_outcome(message, state="expired", reason="expired"))
    is_read, is_seen = message.read_at is not None, message.seen_at is not None
    if (message.unless in ("read", "seen") and is_read) or (message.unless == "seen" and is_seen):
        return MessageUpdate(message=with_outcome(message, state="cancelled", reason=message.unless))
    return None


def outgoing(message: StoredMessage, to: str) -> OutgoingMessage:
    """Return a message as the channel's providers take it, for an address in their form."""
    content: Any = msgspec.json.decode(message.content, type=Email if message.channel == "email" else dict[str, Any])
    if message.channel == "push":  # a click opens the inbox item of this id
        content["id"] = message.notification or message.id
    return OutgoingMessage(id=message.id, to=to, at=times.to_rfc3339(message.created_at), content=content)


async def target_of(db: Engine, message: StoredMessage) -> tuple[AddressKind, str] | None:
    """Return the kind of a message's address, and its form for the provider; None if its push endpoint was deleted or moved to
    another recipient."""
    if message.channel == "email" or message.channel == "sms":
        return message.channel, message.address
    if message.channel == "chat":
        return "telegram" if chat_vendor(message.address) is None else "webhook", message.address
    for endpoint in await PushEndpoints(db).page(message.tenant, message.recipient):
        if endpoint.address != message.address:
            continue
        if endpoint.kind != "web":
            return endpoint.kind, endpoint.address
        keys = PushTarget(endpoint.address, endpoint.p256dh or "", endpoint.auth or "")
        return "web", msgspec.json.encode(keys).decode()
    return None
