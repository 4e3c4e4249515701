"""Webhooks: channel events, sent to the app's URL in signed batches by durable jobs.

The end of a channel or membership (vacated, removed) is a job delayed by VACATED_DELAY_MS. If the channel or member
returns on any node before then, the job is cancelled, and neither event is sent. The job's row is the only state, so
any node can perform each step."""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog

from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.kernel.events import LiveEvent, topic_stream
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import RETRY_DEADLINE_MS, DestinationCall
from bellcast.kernel.jobs.slots import Destination
from bellcast.live.cluster.groups import KNOWN_MS
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.live.wiring import LiveContext

log = structlog.get_logger(__name__)

SEND, ENDED = "pusher.webhook", "pusher.ended"
# Events within this window are sent in one request.
BATCH_WINDOW_SECONDS = 0.05
MAX_BATCH_EVENTS = 100
# Long enough for a page reload, which then causes no webhook.
VACATED_DELAY_MS = 2_500
# Delay of an end while the state of other nodes is unknown.
POSTPONED_MS = 1_000
TIMEOUT = 5.0
# Concurrent requests.
SLOTS = 64
# Delay between attempts to save events while the store is unavailable.
RETRY_SECONDS = 1.0
# Events buffered while the store is unavailable, about 10 MB. Further events are dropped.
MAX_BUFFERED_EVENTS = 50_000

WebhookEvent = dict[str, Any]
T = TypeVar("T")


class Move(NamedTuple):
    """A channel's first or last subscriber, or a presence member (else ""), joined or left."""

    channel: str
    member: str
    is_begin: bool


class Over(NamedTuple):
    """A vacated channel or a removed member (else ""), due to be sent. Its job waits for `is_saved`."""

    channel: str
    member: str
    is_saved: asyncio.Future[bool]


class PusherWebhooks:
    """Batches events, saves them and retries sending until accepted. Does nothing without a URL, which may change."""

    def __init__(self, live: LiveContext) -> None:
        self._config: PusherConfig = live.settings["pusher"]
        self._live = live
        self._batch: list[WebhookEvent | Move | Over] = []
        self._is_batching = False
        self._saving: asyncio.Future[None] | None = None  # the last batch, or the one in progress
        self._is_closing = False
        self._missed: dict[str, int] = {}  # when the last cache miss of a channel was sent
        self._live.jobs.register(SEND, self._send, retry_deadline=RETRY_DEADLINE_MS)
        self._live.jobs.register(ENDED, self._queue_end, retry_deadline=RETRY_DEADLINE_MS)

    # --- events

    def began(self, channel: str, member: str) -> None:
        """Report that a channel is occupied or, with a `member`, who joined it."""
        self._queue_event(Move(channel, member, is_begin=True))

    def ended(self, channel: str, member: str) -> None:
        """Record that a channel has no subscriber left on a node or, with a `member`, who has no connection there."""
        if not member:
            self._missed.pop(channel, None)
        self._queue_event(Move(channel, member, is_begin=False))

    def client_event(self, event: LiveEvent) -> None:
        events = {
            "name": "client_event",
            "channel": event.topic,
            "event": event.name,
            "data": protocol.text(event.data),
        }
        self._queue_event(
            {**events, "socket_id": event.sender, **({} if event.member is None else {"user_id": event.member})}
        )

    def missed(self, channel: str, since: int) -> None:
        """Record a cache miss since `since` (UTC milliseconds). Several misses are sent once. A miss sent before
        `since` is sent again, because the event published in response may have expired."""
        now = self._live.engines.clock.now()
        # A later miss: the clock was set back.
        if self.is_configured and not since <= self._missed.get(channel, since - 1) <= now:
            self._missed[channel] = now
            self._queue_event({"name": "cache_miss", "channel": channel})

    @property
    def is_configured(self) -> bool:
        return self._config.webhook_url is not None

    def counted(self, channel: str, count: int) -> None:
        self._queue_event({"name": "subscription_count", "channel": channel, "subscription_count": count})

    # --- delivery

    def _queue_event(self, event: WebhookEvent | Move | Over) -> None:
        if not self.is_configured:
            return
        if len(self._batch) >= MAX_BUFFERED_EVENTS:
            return
        self._batch.append(event)
        if len(self._batch) == MAX_BUFFERED_EVENTS:
            log.error("webhooks_dropped", limit=MAX_BUFFERED_EVENTS)
        if not self._is_batching:
            self._is_batching = True
            self._live.spawn(self._send_batch_soon())

    async def _send_batch_soon(self) -> None:
        """Save batches one at a time, to keep events in order."""
        try:
            while self._batch:
                await self._live.engines.clock.sleep(BATCH_WINDOW_SECONDS)
                self._saving = asyncio.ensure_future(self.flush())
                await asyncio.shield(self._saving)  # when the server stops, `close` waits for it
        finally:
            self._is_batching = False
            _report(self._batch, is_saved=False)
            self._batch = [one for one in self._batch if not isinstance(one, Over)]

    async def flush(self) -> None:
        """Save the current batch; retry while the store is unavailable."""
        batch, self._batch = self._batch, []
        is_saved = False
        try:
            await self._save(batch)
            is_saved = True
        finally:
            _report(batch, is_saved=is_saved)

    async def _save(self, batch: Sequence[WebhookEvent | Move | Over]) -> None:
        # Named after the end, so that only one of several nodes reports it
        jobs = {
            one: f"{ENDED} {hashlib.blake2b(_job_payload(one), digest_size=16).hexdigest()}"
            for one in batch
            if isinstance(one, Move | Over)
        }
        moves = [one for one in batch if isinstance(one, Move)]
        last = {jobs[move]: move for move in moves}
        first = {jobs[move]: move for move in reversed(moves)}
        begun = [job for job, move in first.items() if move.is_begin]
        returned = await self._persist(lambda: self._live.jobs.cancel(begun)) if begun else frozenset[str]()
        # A job that has just run cannot be cancelled: its end is in this batch, and is not sent either.
        returned |= {jobs[one] for one in batch if isinstance(one, Over)}.intersection(begun)
        ended = {job: _job_payload(move) for job, move in last.items() if not move.is_begin}
        if ended:
            await self._persist(lambda: self._live.jobs.put_off(ENDED, ended, VACATED_DELAY_MS))
        events: list[WebhookEvent] = []
        for one in batch:
            if not isinstance(one, Move | Over):
                events.append(one)
            elif jobs[one] in returned:
                continue
            elif isinstance(one, Over) and not one.is_saved.done():  # else its job runs again
                # Unless the channel or member is present on some node
                if one.member:
                    is_there = self._live.hub.presence.is_present(DEFAULT_TENANT, one.channel, one.member)
                else:
                    is_there = self._live.hub.subscriptions.total(topic_stream(DEFAULT_TENANT, one.channel)) > 0
                if not is_there:
                    events.append(_webhook_event("member_removed" if one.member else "channel_vacated", one))
            elif isinstance(one, Move) and one.is_begin and one is first[jobs[one]]:
                events.append(_webhook_event("member_added" if one.member else "channel_occupied", one))
        for start in range(0, len(events), MAX_BATCH_EVENTS):
            payload = msgspec.json.encode(events[start : start + MAX_BATCH_EVENTS])
            await self._persist(partial(self._live.jobs.add, SEND, payload))

    async def close(self) -> None:
        """Save the batch in progress and the current one, unless the store is unavailable."""
        self._is_closing = True
        if self._saving is not None:
            await asyncio.wait([self._saving])
        with contextlib.suppress(BellcastError):
            await self.flush()

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await write()
            except BellcastError as failure:
                if self._is_closing:
                    raise
                log.warning("webhooks_save_postponed", reason=failure.detail)
                await self._live.engines.clock.sleep(RETRY_SECONDS)

    async def _queue_end(self, job: Job) -> int | None:
        """Queue a delayed end for the next batch, and wait until it is saved: if this process is killed before, the job runs
        again. Until the batch is saved, a return on another node arrives here. A process that does not know yet who is
        present on other nodes postpones the job."""
        if not self.is_configured:
            return None
        channel, member = msgspec.json.decode(job.payload, type=tuple[str, str])
        stream, groups = topic_stream(DEFAULT_TENANT, channel), self._live.hub.groups
        async with groups.observing([stream], KNOWN_MS):
            now = self._live.engines.clock.now()
            if not groups.is_known(stream) and now < job.created_at + RETRY_DEADLINE_MS:
                return now + POSTPONED_MS
            over = Over(channel, member, asyncio.get_running_loop().create_future())
            if len(self._batch) < MAX_BUFFERED_EVENTS:
                self._queue_event(over)
            else:
                over.is_saved.set_result(False)
            if not await over.is_saved:
                raise Unavailable("The end of a channel or a membership could not be saved.")
        return None

    async def _send(self, job: Job) -> DestinationCall:
        destination = self._live.jobs.destinations.of("pusher webhook", DEFAULT_TENANT, SLOTS)
        return DestinationCall(destination, "", partial(self._post, job, destination))

    async def _post(self, job: Job, destination: Destination) -> None:
        url = self._config.webhook_url
        if url is None:  # it has been removed since
            return
        events = msgspec.json.decode(job.payload)
        body = msgspec.json.encode({"time_ms": job.created_at, "events": events})
        headers = {
            "content-type": "application/json",
            "x-pusher-key": self._live.project.key,
            "x-pusher-signature": signatures.digest(self._live.project, body),
        }
        async with destination.call():
            response = await self._live.http.request("POST", url, headers=headers, body=body, timeout=TIMEOUT)
        if not 200 <= response.status < 300:
            raise Unavailable(f"BELLCAST_PUSHER_WEBHOOK_URL responded with {response.status}.")


def _report(batch: Sequence[WebhookEvent | Move | Over], *, is_saved: bool) -> None:
    """Let the jobs of the ends in a batch end or, if it is not saved, run again."""
    for one in batch:
        if isinstance(one, Over) and not one.is_saved.done():
            one.is_saved.set_result(is_saved)


def _job_payload(end: Move | Over) -> bytes:
    return msgspec.json.encode((end.channel, end.member))


def _webhook_event(name: str, end: Move | Over) -> WebhookEvent:
    events = {"name": name, "channel": end.channel}
    return {**events, "user_id": end.member} if end.member else events
