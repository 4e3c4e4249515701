"""Webhooks: URLs of the app to which events are sent, signed according to Standard Webhooks."""

import base64
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents, ShortCache
from bellcast.documents.types import MAX_OF_KIND, Document
from bellcast.kernel import times
from bellcast.kernel.clock import Clock, request_time
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import MAX_REASON, Unavailable
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.jobs import Job, in_line
from bellcast.kernel.jobs.runner import Again, DestinationCall, JobRunner, SetAside
from bellcast.kernel.jobs.slots import Destination
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.outbound import SECRET_PREFIX, Http, sign, signing_key
from bellcast.live_feed import Feed, FeedEvent, redact_url
from bellcast.webhooks.store import WebhookEvents
from bellcast.webhooks.types import (
    ATTEMPTS,
    MAX_ATTEMPT_ERROR,
    NOT_FAILING,
    Attempts,
    EventReport,
    StoredAttempt,
    Webhook,
    WebhookDelivery,
    WebhookEvent,
    WebhookSink,
    no_report,
)

log = structlog.get_logger(__name__)

KIND = "webhooks"
DELIVERY_JOB_KIND = "webhook"
# The types of events, and what each means.
TYPES = {
    "notification.created": "A notification was put into an inbox.",
    "notification.seen": "The recipient saw a notification in the list.",
    "notification.read": "The recipient read a notification.",
    "notification.acted": "The recipient pressed a button of a notification.",
    "message.held": "A message waits for a digest, a delay or the end of quiet hours.",
    "message.queued": "A message is due now.",
    "message.sent": "The provider accepted a message.",
    "message.delivered": "A receipt confirmed that a message was delivered.",
    "message.simulated": "A message was only stored, because its channel has no provider.",
    "message.bounced": "A message was refused because of its address.",
    "message.failed": "A message failed permanently or after all attempts.",
    "message.suppressed": "A message was not sent, because its address is suppressed.",
    "message.cancelled": "A message was recalled, or was not needed when it was due.",
    "message.expired": "A notification expired before its message was sent.",
    "run.running": "A workflow run continues with its next step.",
    "run.waiting": "A run waits for a time, an event or a digest.",
    "run.paused": "A run was paused with its workflow.",
    "run.completed": "A run reached its end.",
    "run.merged": "A run became part of the digest of another run.",
    "run.throttled": "A run ended at a limit of its workflow.",
    "run.failed": "A run failed at one of its steps.",
    "run.cancelled": "A run was cancelled.",
    "preferences.changed": "A recipient changed their preferences.",
}
# Standard Webhooks recommends 15 to 30 s: an endpoint should queue the event and respond.
TIMEOUT_SECONDS = 15.0
# Concurrent requests to one webhook.
SLOTS = 8
# Delays between attempts: 5 s covers a restart, the last ones an outage of three days.
RETRIES_MS = tuple(1000 * seconds for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
# A webhook without success for this long is switched off.
FAILING_MS = 5 * times.DAY_MS
# How long the old and the new secret both sign after a rotation.
ROTATION_MS = times.DAY_MS
SECRET_BYTES = 32
GONE = 410  # the endpoint will not accept events again
REPLAY_BATCH = 500


class Webhooks(WebhookSink):
    """The sink of the server, the deliveries to webhooks, and the webhooks as objects."""

    def __init__(
        self,
        db: Engine,
        clock: Clock,
        real_clock: Clock,
        http: Http,
        encryption: Encryption,
        new_id: Callable[[int], str],
        jobs: JobRunner,
        feed: Feed,
    ) -> None:
        self._feed = feed
        self._db = db
        self._clock = clock
        self._real_clock = real_clock
        self._http = http
        self._encryption = encryption
        self._new_id = new_id
        self._jobs = jobs
        self._known = ShortCache[str, list[tuple[str, Webhook]]](clock)  # by owner
        self.attempts: Counter[str] = Counter()  # by outcome
        self.recorder = Recorder(db, clock, ATTEMPTS, KIND, Attempts)

    # --- events

    async def report(self, tenant: str, types: Sequence[str]) -> EventReport:
        wanted = {type for type in types if await self._matching(tenant, type)}
        if not wanted:
            return no_report
        now = self._clock.now()

        def report(type: str, change: dict[str, Any]) -> tuple[WebhookEvent, ...]:
            if type not in wanted:
                return ()
            body = {"type": type, "timestamp": times.to_rfc3339(now), "tenant": tenant or None, "data": change}
            event = WebhookEvent(
                id=self._new_id(now),
                tenant=tenant,
                recipient=change.get("recipient"),
                type=type,
                body=msgspec.json.encode(body),
            )
            return (event,)

        return report

    # --- deliveries

    async def dispatch(self, job: Job) -> None:
        """Add a delivery for each webhook that subscribes to the event."""
        event = await WebhookEvents(self._db).find(job.payload.decode())
        if event is not None:
            matching = await self._matching(event.tenant, event.type)
            await self.add_deliveries([(owner, id, event.id) for owner, id in matching])

    async def deliver(self, job: Job) -> DestinationCall:
        """Return the call that sends one event to one webhook."""
        delivery = msgspec.json.decode(job.payload, type=WebhookDelivery)
        destination = self._jobs.destinations.of(f"webhook {delivery.webhook}", delivery.tenant, SLOTS)
        # A retried dead job starts with a lease count of zero, so its failures start at zero too.
        delivery = msgspec.structs.replace(delivery, failures=min(delivery.failures, job.attempts - 1))
        return DestinationCall(destination, delivery.webhook, partial(self._deliver, delivery, destination))

    async def _deliver(self, delivery: WebhookDelivery, destination: Destination) -> Again | None:
        """Send one event to one webhook. Return when the next attempt is due, or None if there is nothing left to
        deliver. Raises SetAside after the last attempt."""
        document = await Documents(self._db).get(KIND, delivery.tenant, delivery.webhook)
        webhook = None if document is None else msgspec.json.decode(document.body, type=Webhook)
        event = await WebhookEvents(self._db).find(delivery.event)
        if document is None or webhook is None or event is None:
            return None
        if not webhook.active:
            if webhook.last_error is None:
                return None
            # Switched off because of failures; the waiting events are part of them.
            raise SetAside(webhook.last_error)
        error, status, ms = await self._attempt(delivery, webhook, event, destination)
        attempt = delivery.failures + 1
        self.attempts["accepted" if error is None else "failed"] += 1
        self._feed.emit(
            FeedEvent(
                kind="webhook",
                at=self._clock.now(),
                text=f"{event.type} to {redact_url(webhook.url)}: {error or 'ok'}",
                tenant=delivery.tenant,
                recipient=event.recipient,
                fields={"webhook": delivery.webhook, "event": event.id, "attempt": attempt, "error": error},
            )
        )
        now = self._clock.now()
        since = now if webhook.failing_since is None else webhook.failing_since
        is_active = status != GONE and now - since < FAILING_MS
        is_last = error is None or not is_active or attempt > len(RETRIES_MS)
        next_at = None if is_last else now + RETRIES_MS[attempt - 1]
        if ms is not None:
            made = StoredAttempt(
                event=event.id,
                type=event.type,
                at=now,
                ms=ms,
                number=attempt,
                status=status,
                error=None if error is None else error[:MAX_ATTEMPT_ERROR],
                next_at=next_at,
            )
            self.recorder.add(delivery.tenant, delivery.webhook, Attempts((made,)))
        if error is None:
            if webhook.failing_since is not None:
                # Also if another delivery has failed in the meantime; not if it was switched off.
                await self.change(delivery.tenant, document.key, lambda one: NOT_FAILING if one.active else {})
            return None
        log.info("webhook_attempt_failed", webhook=delivery.webhook, attempt=attempt, error=error)
        if not is_active or (webhook.failing_since, webhook.last_error) != (since, error):
            failing = msgspec.structs.replace(webhook, failing_since=since, last_error=error, active=is_active)
            await self._replace(delivery.tenant, document, failing)
        if next_at is None:
            raise SetAside(error)
        failed = msgspec.structs.replace(delivery, failures=attempt)
        return Again(next_at, msgspec.json.encode(failed), delivery.webhook)

    async def _attempt(
        self, delivery: WebhookDelivery, webhook: Webhook, event: WebhookEvent, destination: Destination
    ) -> tuple[str | None, int | None, int | None]:
        """Send a request. Return the error, if the event was not accepted, the status, if there is one, and after how many
        milliseconds, None if no request was made."""
        begun = self._real_clock.now()
        try:
            keys, signed_at = [webhook.secret], self._real_clock.now() // 1000
            if webhook.previous is not None and self._clock.now() < webhook.previous_until:
                keys.append(webhook.previous)
            place = _place(delivery.tenant, delivery.webhook)
            decrypted = [signing_key(self._encryption.decrypt(key, place)) for key in keys]
            headers = {"content-type": "application/json", **sign(decrypted, event.id, signed_at, event.body)}
            async with destination.call():
                begun = self._real_clock.now()  # without the wait for a slot
                response = await self._http.request(
                    "POST", webhook.url, headers=headers, body=event.body, timeout=TIMEOUT_SECONDS
                )
        except Unavailable as error:
            return error.detail[:MAX_REASON], None, self._real_clock.now() - begun
        except ValueError as error:  # the secret cannot be decrypted: another node may have its key
            log.error("webhook_unusable", webhook=delivery.webhook, tenant=delivery.tenant, reason=str(error))  # noqa: TRY400  the message is enough
            return f"the webhook's secret {error}", None, None
        refusal = None if 200 <= response.status < 300 else f"HTTP {response.status}"
        return refusal, response.status, self._real_clock.now() - begun

    async def add_deliveries(self, deliveries: Sequence[tuple[str, str, str]]) -> None:
        """Deliver events to webhooks, by the tenant and the id of a webhook and the id of an event."""
        now = self._clock.now()
        jobs = [
            Job(
                id=f"{event}:{webhook}",
                kind=in_line(DELIVERY_JOB_KIND, webhook),
                payload=msgspec.json.encode(WebhookDelivery(tenant, webhook, event)),
                run_at=now,
                created_at=now,
                tenant="" if tenant == EVERY_TENANT else tenant,
            )
            for tenant, webhook, event in deliveries
        ]
        if jobs:
            await Jobs(self._db).add(jobs)
            self._jobs.wake()

    # --- objects

    async def create(self, tenant: str, url: str, events: Sequence[str]) -> tuple[str, Webhook, str]:
        """Return the id, the webhook and its secret, which is not shown again."""
        now = request_time(self._clock)
        id, secret = self._new_id(now), _new_secret()
        encrypted = self._encryption.encrypt(secret, _place(tenant, id))
        webhook = Webhook(url=url, events=tuple(events), secret=encrypted, created_at=now)
        await Documents(self._db).put(KIND, tenant, id, msgspec.json.encode(webhook), now)
        self._known.forget()
        return id, webhook, secret

    async def get(self, tenant: str, id: str) -> Webhook | None:
        """Return a webhook of this tenant."""
        document = await Documents(self._db).get(KIND, tenant, id)
        return None if document is None else msgspec.json.decode(document.body, type=Webhook)

    async def change(
        self, tenant: str, id: str, changes_of: Callable[[Webhook], dict[str, Any]]
    ) -> tuple[Webhook, Webhook] | None:
        """Change fields of the current state of a webhook; return it before and after, or None if it does not exist."""
        while (document := await Documents(self._db).get(KIND, tenant, id)) is not None:
            before = msgspec.json.decode(document.body, type=Webhook)
            after = msgspec.structs.replace(before, **changes_of(before))
            if await self._replace(tenant, document, after):
                return before, after
        return None

    async def rotate(self, tenant: str, id: str) -> str | None:
        """Replace the secret and return the new one; both sign for ROTATION_MS."""
        secret = _new_secret()
        encrypted = self._encryption.encrypt(secret, _place(tenant, id))
        until = self._clock.now() + ROTATION_MS
        rotated = await self.change(
            tenant, id, lambda webhook: {"secret": encrypted, "previous": webhook.secret, "previous_until": until}
        )
        return None if rotated is None else secret

    async def delete(self, tenant: str, id: str, check: Callable[[Webhook], None]) -> Webhook | None:
        """Delete a webhook unless `check` raises for its current state; return it, or None if it does not exist."""
        while (document := await Documents(self._db).get(KIND, tenant, id)) is not None:
            webhook = msgspec.json.decode(document.body, type=Webhook)
            check(webhook)
            if await self._replace(tenant, document, None):
                await self.recorder.forget(tenant, id)
                return webhook
        return None

    async def replay(self, tenant: str, id: str, since: int, *, is_dry_run: bool = False) -> int:
        """Deliver the events since a time again, with the same ids; return their number. A dry run only counts."""
        webhook = await self.get(tenant, id)
        # A text that sorts before all ids of this time, because UUIDv7 begin with their time.
        digits = f"{max(since, 0):012x}"
        after, replayed = f"{digits[:8]}-{digits[8:]}", 0
        while webhook is not None:
            owner = None if tenant == EVERY_TENANT else tenant
            events = await WebhookEvents(self._db).page(owner, after, REPLAY_BATCH)
            wanted = [(tenant, id, event.id) for event in events if webhook.wants(event.type)]
            if not is_dry_run:
                await self.add_deliveries(wanted)
            replayed += len(wanted)
            if len(events) < REPLAY_BATCH:
                break
            after = events[-1].id
        return replayed

    async def last_attempts(self, tenant: str, id: str) -> list[StoredAttempt]:
        """Return the last attempts of a webhook, the newest first. Those of other nodes are known after some seconds."""
        found, _ = await self.recorder.find([(tenant, id)])
        return [*reversed(found.get((tenant, id), Attempts()).last)]

    async def find_event(self, tenant: str, event: str) -> WebhookEvent | None:
        """Return a stored event that a webhook of the tenant may receive."""
        found = await WebhookEvents(self._db).find(event)
        return None if found is None or tenant not in (EVERY_TENANT, found.tenant) else found

    async def _matching(self, tenant: str, type: str) -> list[tuple[str, str]]:
        """Return the owners and ids of the active webhooks that match events of this type and tenant."""
        own, of_all = await self._of(tenant), await self._of(EVERY_TENANT)
        if not own and not of_all:
            return []
        return [
            (owner, id)
            for owner, known in ((tenant, own), (EVERY_TENANT, of_all))
            for id, webhook in known
            if webhook.active and webhook.wants(type)
        ]

    async def _of(self, owner: str) -> list[tuple[str, Webhook]]:
        async def read() -> list[tuple[str, Webhook]]:
            found = await Documents(self._db).page(KIND, owner, "", MAX_OF_KIND)
            return [(one.key, msgspec.json.decode(one.body, type=Webhook)) for one in found]

        return await self._known.get(owner, read)

    async def _replace(self, tenant: str, read: Document, webhook: Webhook | None) -> bool:
        """Write or delete a webhook unless it has changed since it was read; return whether it was written."""
        body = None if webhook is None else msgspec.json.encode(webhook)
        is_written = await Documents(self._db).change(KIND, tenant, read.key, read.body, body, self._clock.now())
        self._known.forget()
        return is_written


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _place(tenant: str, id: str) -> str:
    return f"{KIND}/{tenant}/{id}"
