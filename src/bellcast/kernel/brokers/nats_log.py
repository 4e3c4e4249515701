"""The log of live events on NATS: a JetStream stream per tenant, which publishes each event that it has stored.

Its subjects contain its epoch, which messages thereby carry: what a node publishes that has not noticed a new log reaches no
stream. An id is the epoch and the stream's sequence. A stream is named after its tenant and after what keeps it, so that only
one of several concurrent creations succeeds: JetStream checks names atomically, and overlapping subjects not."""

import asyncio
import hashlib
import re
import secrets
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.kernel.brokers import LogFull, LogRead, LogUnsupported, NewEntry, ReadKind, StoredEntry, TopicLog
from bellcast.kernel.brokers import nats_wire as wire
from bellcast.kernel.brokers.history import EPOCH_BITS, EventId, KeepRules
from bellcast.kernel.brokers.nats import COMMAND_TIMEOUT, LEADERLESS, NatsTransport
from bellcast.kernel.brokers.nats_wire import Message
from bellcast.kernel.concurrency import shared
from bellcast.kernel.errors import TooLarge, Unavailable
from bellcast.kernel.events import Stream

log = structlog.get_logger(__name__)

OLDEST_VERSION = (2, 11)  # the first with batched reads
# An empty message every ten minutes keeps a stream's first sequence back, so that a busy topic costs a quiet one nothing;
# it stays for an hour longer than events.
ANCHOR_MS = 600_000
ANCHOR_AGE_MS = 3_600_000
# A stream without events for a day is deleted: each takes a Raft group in a cluster.
IDLE_SECONDS = 86_400
# Maximum messages and bytes per batch, and concurrent reads: a server closes the connection of a client with 64 MB of
# unread messages.
BATCH_MESSAGES, BATCH_BYTES, MAX_BATCHES = 1_000, 1_048_576, 32
# After a refusal, a tenant's stream is not requested again for this time (milliseconds).
FULL_MS = 60_000
# A clock that goes back by more than this was wrong before.
STEP_MS = 10_000
# Seconds between attempts while a stream has no leader, or while the replica that answers is behind the leader.
RETRY_SECONDS = 0.02
# A server that shuts down answers as if JetStream was off, before it closes the connections.
OFF_SECONDS = 1.0
# Requests to JetStream within the time of a command.
ATTEMPTS = 5
# Attempts to find a stream that another process creates.
LOOKUPS = 100
# How long the broker is reported as degraded after a stream had no leader. Only the next kept event would find the new one, and
# a node that is not ready receives none.
LEADERLESS_SECONDS = 10.0
NO_RESPONDERS = 503
AT = b"Bellcast-At"
# Of an entry: `max_payload` counts them too.
MAX_HEADER_BYTES = 100
# Error codes of JetStream (server/errors.json).
NOT_FOUND, EXISTS, NO_MESSAGE = 10059, 10058, 10037
FULL = {10023, 10026, 10028, 10047}  # storage, streams, and the limits of the account
UNSUPPORTED = {10039, 10076, 10074}  # JetStream is off, or refuses three replicas on one server


class TenantStream(Struct):
    """A tenant's stream, as this process knows it. `subject` is the beginning of its subjects. `since` is the Unix time of
    its creation; 0 if it has replaced another."""

    name: str
    subject: str
    epoch: int
    limits: dict[str, int]  # as in its configuration
    since: int
    last: int = 0  # the newest sequence that this process has seen
    anchor: int = 0  # the number of the ten minutes of the last anchor


class StreamGone(Exception):
    """The stream does not exist, or another has replaced it."""


class NatsLog(TopicLog):
    """A log on the servers of a transport. A server that restarts begins new logs, because it may have lost the last two
    minutes; a cluster keeps three copies."""

    # They share the connection. One to a stream without a leader waits for five seconds.
    max_appends = 256

    def __init__(self, transport: NatsTransport, limit_bytes: Callable[[], int], rules: KeepRules) -> None:
        self._transport = transport
        transport.has_log = True
        self._limit_bytes = limit_bytes
        self._rules = rules
        self._streams: dict[str, TenantStream] = {}
        self._lookups: dict[str, asyncio.Task[TenantStream | None]] = {}
        self._full: dict[str, int] = {}  # when a stream was refused, by tenant
        self._batches = asyncio.Semaphore(MAX_BATCHES)
        self._now = 0

    # --- TopicLog

    async def append(self, tenant: str, entries: Sequence[NewEntry], now: int) -> Sequence[EventId | Exception]:
        largest = self._transport.max_payload
        ids: dict[int, EventId | Exception] = {
            number: TooLarge(f"NATS accepts at most {largest:,} bytes (`max_payload`).")
            for number, entry in enumerate(entries)
            if len(entry.payload) > largest - MAX_HEADER_BYTES
        }
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                while len(ids) < len(entries):
                    stream = await self._find(tenant) or await self._create(tenant, now)
                    left = [number for number in range(len(entries)) if number not in ids]
                    at = (AT, b"%d" % now)
                    messages = [(entries[number].stream, entries[number].payload, at) for number in left]
                    for number, sequence in zip(left, await self._store(tenant, stream, messages, now), strict=True):
                        if sequence is not None:
                            ids[number] = EventId(stream.epoch, sequence)
                    if len(ids) < len(entries):
                        await self._forget(tenant)
        except TimeoutError:
            self._transport.leaderless_until = asyncio.get_running_loop().time() + LEADERLESS_SECONDS
            raise Unavailable(LEADERLESS) from None
        self._transport.leaderless_until = 0.0
        return [ids[number] for number in range(len(entries))]

    async def read(
        self, kind: ReadKind, tenant: str, streams: Sequence[Stream], after: EventId | None, limit: int, now: int
    ) -> LogRead:
        # What has expired stays so, unless the clock was wrong.
        self._now = now if now < self._now - STEP_MS else max(self._now, now)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                while True:
                    stream = await self._find(tenant)
                    if stream is None:
                        # The epoch 0 and the Unix time, by which a later read knows that the first log has begun after it.
                        end = EventId(0, self._now // 1000)
                        is_known = (
                            after is not None and not after.epoch and 0 <= end.offset - after.offset < IDLE_SECONDS
                        )
                        return LogRead(end, [], [] if is_known else list(streams))
                    with suppress(StreamGone):
                        return await self._read(kind, tenant, stream, streams, after, limit)
                    await self._forget(tenant)
        except TimeoutError:
            raise Unavailable(LEADERLESS) from None

    async def clear(self, tenant: str, stream: Stream | None, now: int) -> None:
        found = await self._find(tenant)
        while found is not None:
            if stream is None:
                await self._replace(tenant, found)
                return
            with suppress(StreamGone):
                # A recipient without events leaves no message with its key in the log. The leader answers: a replica may be behind.
                info = await self._api("STREAM.INFO", found.name, subjects_filter=_subject(found, stream))
                if not info["state"].get("subjects"):
                    return
                if (await self._store(tenant, found, [(stream, b"", (b"Nats-Rollup", b"sub"))], now))[0] is not None:
                    return
            await self._forget(tenant)
            found = await self._find(tenant)

    async def sweep(self, tenant: str, now: int) -> bool:
        """Delete the stream if it has no event of the last day. JetStream removes expired events."""
        found = await self._find(tenant)
        if found is None:
            return False
        try:
            info = await self._api("STREAM.INFO", found.name)
        except StreamGone:  # another node has deleted it
            self._streams.pop(tenant, None)
            return False
        last = max(info["state"]["last_ts"], info["created"])
        if (datetime.fromisoformat(info["ts"]) - datetime.fromisoformat(last)).total_seconds() < IDLE_SECONDS:
            return True
        await self._delete(tenant, found.name)
        return False

    async def tenants(self) -> Collection[str]:
        tenants: list[str] = []
        total, offset = 1, 0
        while offset < total:
            page = await self._api("STREAM.LIST", subject=self._subject(None), offset=offset)
            streams = page["streams"] or []
            total, offset = page["total"] if streams else 0, offset + len(streams)
            known = [one["config"]["metadata"].get("tenant") for one in streams]  # older builds do not name it
            tenants += [tenant for tenant in known if tenant is not None]
        return tenants

    async def count_logs(self) -> int:
        # The total is in each page, and the one after every stream has no names.
        page = await self._api("STREAM.NAMES", subject=self._subject(None), offset=self._transport.address.streams)
        return int(page["total"])

    def listen(self, on_hole: Callable[[Stream], None]) -> None:
        self._transport.on_hole = on_hole

    def advance(self, streams: Sequence[Stream], end: EventId) -> None:
        self._transport.advance(streams, end)

    def begin(self, streams: Sequence[Stream], end: EventId) -> None:
        self._transport.begin(streams, end)

    async def close(self) -> None:
        for lookup in self._lookups.values():
            lookup.cancel()

    # --- messages

    async def _store(
        self,
        tenant: str,
        stream: TenantStream,
        messages: Sequence[tuple[Stream, bytes, tuple[bytes, bytes]]],
        now: int,
    ) -> list[int | None]:
        """Publish payloads with a header. Return their sequences; None for those that the stream did not receive. Raises
        Unavailable."""
        if stream.anchor != (anchor := now // ANCHOR_MS):
            stream.anchor = anchor
            # The first node of ten minutes stores it. Its reply is of no interest.
            first = (b"Nats-Expected-Last-Subject-Sequence", b"0")
            self._transport.request(f"{stream.subject}.anchor.{anchor}".encode(), b"", [first])
        requests = [
            self._transport.request(_subject(stream, name).encode(), payload, [header])
            for name, payload, header in messages
        ]
        await self._transport.write(b"")
        replies = [await request.reply() for request in requests]
        sequences: list[int | None] = []
        for reply in replies:
            ack = msgspec.json.decode(reply.payload, type=dict[str, Any]) if reply.payload else {}
            code, description = _error(ack)
            if code:
                raise Unavailable(f"NATS stores no event: {description}.")
            sequences.append(ack["seq"] if ack else None)
            stream.last = max(stream.last, sequences[-1] or 0)
        return sequences

    async def _read(
        self,
        kind: ReadKind,
        tenant: str,
        stream: TenantStream,
        streams: Sequence[Stream],
        after: EventId | None,
        limit: int,
    ) -> LogRead:
        """Read a stream. Raises StreamGone."""
        everything = f"{stream.subject}.>"
        if after is not None and not after.epoch and after.offset <= stream.since:
            after = EventId(stream.epoch, 0)
        start = after.offset if after is not None and after.epoch == stream.epoch and kind != "newest" else None
        if self._is_cluster:
            end = await self._leader_end(tenant, stream)
        else:
            # JetStream answers the requests of a connection in order, and after the events that it has published before.
            last = await self._get(stream, last_by_subj=everything)
            end = _sequence(last[0]) if last else await self._bound(stream, "last_seq")
        starts = dict.fromkeys(streams, start)
        if start is not None and kind == "missed":
            # What was published up to `end` has arrived here. What has not is missing, also before the client's id.
            starts = {one: min(start, self._transport.complete_up_to(one, stream.epoch)) for one in streams}
        read = [one for one in streams if not start == starts[one] == end and (kind != "newest" or limit)]
        found = await asyncio.gather(*(self._messages(stream, one, starts[one], end) for one in read))
        begin = 0
        if read and start not in (None, end):  # later: the messages may have expired
            first = [] if self._is_cluster else await self._get(stream, seq=1, next_by_subj=everything)
            begin = _sequence(first[0]) if first else await self._bound(stream, "first_seq")
        stream.last = max(stream.last, end)
        incomplete: list[Stream] = []
        entries: list[StoredEntry] = []
        for one, messages in zip(read, found, strict=True):
            rule = self._rules.for_stream(one)
            most = rule.events or sys.maxsize if rule is not None else 0
            oldest = self._now - (rule.duration_ms if rule is not None else 0)
            is_cut = len(messages) > most or any(
                not message.payload or _time(message) <= oldest for message in messages
            )
            if is_cut or start is None or not begin - 1 <= start <= end:
                incomplete.append(one)
                if kind == "missed":
                    continue
                kept = messages if start is None else await self._messages(stream, one, None, end)
                cleared = max((number for number, message in enumerate(kept, 1) if not message.payload), default=0)
                messages = [message for message in kept[cleared:][-most:] if _time(message) > oldest]
            elif messages and _sequence(messages[0]) <= start:
                # It has not arrived, but later events of other streams have.
                incomplete.append(one)
                messages = [message for message in messages if _sequence(message) > start]
            some = [
                StoredEntry(_sequence(message), _time(message), message.payload)
                for message in messages
                if _sequence(message) <= end
            ]
            entries += some if kind == "missed" else some[-limit:] if kind == "newest" else some[:limit]
        if kind == "missed":
            quiet = [one for one, messages in zip(read, found, strict=True) if not messages]
            self._transport.advance(quiet, EventId(stream.epoch, end))
        entries.sort(key=lambda entry: entry.offset)
        return LogRead(EventId(stream.epoch, end), entries, list(streams) if start is None else incomplete)

    async def _messages(self, stream: TenantStream, name: Stream, start: int | None, end: int) -> list[Message]:
        """Return the messages after a sequence, as many as tell whether they are complete; all without one. Those after `end` may
        be missing. In a cluster, each request may go to another replica, which may be behind: the leader knows whether there
        are later messages. Raises StreamGone."""
        rule = self._rules.for_stream(name)
        most = rule.events + 1 if start is not None and rule is not None and rule.events else sys.maxsize
        subject = _subject(stream, name)
        found: list[Message] = []
        after = start or 0
        while after < end and len(found) < most:
            later = {"seq": after + 1, "next_by_subj": subject}
            batch = min(most - len(found), BATCH_MESSAGES)
            async with self._batches:
                if self._is_cluster and not await self._api("STREAM.MSG.GET", stream.name, **later):
                    break
                some = await self._get(stream, **later, batch=batch, max_bytes=BATCH_BYTES)
            found += some
            after = _sequence(found[-1]) if found else after
            if not self._is_cluster and (not some or (some[-1].header(b"Nats-Num-Pending") or b"0") == b"0"):
                break
            if not some:
                await asyncio.sleep(RETRY_SECONDS)
        return found

    async def _get(self, stream: TenantStream, **body: object) -> list[Message]:
        """Return the messages that a replica of the stream has. Raises StreamGone."""
        request = self._transport.request(f"$JS.API.DIRECT.GET.{stream.name}".encode(), wire.encode_json(body))
        messages: list[Message] = []
        while not (message := await request.reply()).status:
            messages.append(message)
            if "batch" not in body:
                return messages
        if message.status == NO_RESPONDERS:
            raise StreamGone
        return messages

    async def _bound(self, stream: TenantStream, name: str) -> int:
        """Return `first_seq` or `last_seq` of a stream. Raises StreamGone."""
        bound: int = (await self._api("STREAM.INFO", stream.name))["state"][name]
        return bound

    async def _leader_end(self, tenant: str, stream: TenantStream) -> int:
        """Return the newest sequence that the leader has, once every event up to it has been received. Raises StreamGone."""
        end = await self._bound(stream, "last_seq")
        if end < stream.last:  # the cluster has lost acknowledged events
            await self._replace(tenant, stream)
            raise StreamGone
        # The leader refuses a message for another stream, after the events that it has published before.
        subject = f"{stream.subject}.anchor.0".encode()
        request = self._transport.request(subject, b"", [(b"Nats-Expected-Stream", b"none")])
        if (await request.reply()).status:
            raise StreamGone
        return end

    # --- streams

    @property
    def _is_cluster(self) -> bool:
        return bool(self._transport.info.get("cluster"))

    @property
    def _server(self) -> str:
        """What keeps the streams: a run of one server, or a cluster."""
        return str(self._transport.info.get("cluster") or self._transport.info.get("server_id"))

    def _subject(self, tenant: str | None) -> str:
        prefix = self._transport.prefix.decode() + ".log."
        return f"{prefix}>" if tenant is None else f"{prefix}{wire.token(tenant).decode()}.>"

    def _name(self, tenant: str) -> str:
        digest = hashlib.sha256(f"{self._subject(tenant)} {self._server}".encode())
        return f"bellcast-{digest.hexdigest()[:32]}"

    def _limits(self) -> dict[str, int]:
        """Return the limits of a stream, as in its configuration."""
        rules = [rule for rule in self._rules.all() if rule.duration_ms]
        counts = [rule.events for rule in rules]
        most = -1 if None in counts else max([count or 0 for count in counts], default=0) + 1
        age = max([rule.duration_ms for rule in rules], default=0) + ANCHOR_AGE_MS
        return {"max_msgs_per_subject": most, "max_age": age * 1_000_000, "max_bytes": self._limit_bytes()}

    async def _find(self, tenant: str) -> TenantStream | None:
        """Return the tenant's stream. Concurrent calls share a lookup."""
        known = self._streams.get(tenant)
        if known is not None and known.name == self._name(tenant) and known.limits == self._limits():
            return known
        if tenant not in self._lookups:
            self._lookups[tenant] = lookup = shared(self._look_up(tenant))
            lookup.add_done_callback(lambda _: self._lookups.pop(tenant, None))
        return await asyncio.shield(self._lookups[tenant])

    async def _look_up(self, tenant: str) -> TenantStream | None:
        self._streams.pop(tenant, None)
        names, name = (
            (await self._api("STREAM.NAMES", subject=self._subject(tenant)))["streams"] or [],
            self._name(tenant),
        )
        others = [one for one in names if one != name]  # of a server that has restarted
        for other in others:
            await self._delete(tenant, other)
        if name not in names:
            return await self._begin(tenant, 0) if others else None
        try:
            info = await self._api("STREAM.INFO", name)
        except StreamGone:
            return None
        config, limits = info["config"], self._limits()
        subject = config["subjects"][0].removesuffix(".>")
        epoch, since = int(subject.rpartition(".")[2], 16), int(config["metadata"]["since"])
        if config | limits != config:
            await self._api("STREAM.UPDATE", name, **(config | limits))
        stream = TenantStream(name, subject, epoch, limits, since, info["state"]["last_seq"])
        self._streams[tenant] = stream
        return stream

    async def _create(self, tenant: str, now: int) -> TenantStream:
        """Create a tenant's first stream. Raises LogFull."""
        refused_at = self._full.get(tenant)
        if refused_at is not None and 0 <= now - refused_at < FULL_MS:
            raise LogFull
        total = await self.count_logs()
        reason = f"{total} tenants have a history"
        if total < self._transport.address.streams:
            try:
                return await self._begin(tenant, now // 1000)
            except LogFull as failure:
                reason = str(failure)
        self._full[tenant] = now
        log.warning("topic_history_full", tenant=tenant, reason=reason)
        raise LogFull

    async def _begin(self, tenant: str, since: int) -> TenantStream:
        """Create a stream, or return the one that another process has created."""
        name, epoch, limits = self._name(tenant), secrets.randbits(EPOCH_BITS), self._limits()
        subject = self._subject(tenant).replace(">", f"{epoch:x}")
        live = self._subject(tenant).replace(".log.", ".live.", 1)
        config: dict[str, object] = {"name": name, "retention": "limits", "discard": "old", "storage": "file"}
        config |= {"num_replicas": 3 if self._is_cluster else self._transport.address.replicas}
        config |= {"allow_direct": True, "allow_rollup_hdrs": True, **limits}
        config |= {"subjects": [f"{subject}.>"], "republish": {"src": f"{subject}.>", "dest": live}}
        config |= {"metadata": {"server": self._server, "since": str(since), "tenant": tenant}}
        try:
            await self._api("STREAM.CREATE", name, **config)
        except StreamGone:
            for _ in range(LOOKUPS):  # a cluster refuses the name before it lists the stream
                if (found := await self._look_up(tenant)) is not None:
                    return found
                await asyncio.sleep(RETRY_SECONDS)
            raise Unavailable("The stream of a tenant was deleted.") from None
        self._streams[tenant] = stream = TenantStream(name, subject, epoch, limits, since)
        return stream

    async def _replace(self, tenant: str, stream: TenantStream) -> TenantStream:
        """Begin a new log, in which no earlier id is known."""
        await self._delete(tenant, stream.name)
        return await self._begin(tenant, 0)

    async def _delete(self, tenant: str, name: str) -> None:
        self._streams.pop(tenant, None)
        with suppress(StreamGone):
            await self._api("STREAM.DELETE", name)

    async def _forget(self, tenant: str) -> None:
        """Look the stream up before the next use: it is gone, or has no leader."""
        self._streams.pop(tenant, None)
        await asyncio.sleep(RETRY_SECONDS)

    async def _api(self, call: str, stream: str = "", /, **body: object) -> dict[str, Any]:
        """Call JetStream. Its answer about a message that does not exist is empty. Raises Unavailable, LogUnsupported, LogFull,
        or StreamGone if the stream does not exist or another process has created it."""
        version = self._transport.info.get("version", "")  # unknown until the first connection
        if version and tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_VERSION:
            raise LogUnsupported(f"NATS {version} is older than 2.11.")
        description, subject = "", f"$JS.API.{call}.{stream}".rstrip(".").encode()
        for is_last in (False, True):
            reply = await self._ask(subject, wire.encode_json(body) if body else b"")
            answer = msgspec.json.decode(reply.payload, type=dict[str, Any]) if reply.payload else {}
            code, description = _error(answer)
            if answer and not code:
                return answer
            if code in {NOT_FOUND, EXISTS}:
                raise StreamGone
            if code in FULL:
                raise LogFull(description)
            if code == NO_MESSAGE:
                return {}
            if answer and code not in UNSUPPORTED:
                raise Unavailable(f"JetStream cannot be used: {description}.")
            if not is_last:
                await asyncio.sleep(OFF_SECONDS)
        raise LogUnsupported(description or "JetStream is off for this user.")

    async def _ask(self, subject: bytes, payload: bytes) -> Message:
        """Send a request to JetStream until it replies. Without a leader, nothing does, until one is elected after 4 to 9 s.
        Raises Unavailable."""
        for _ in range(ATTEMPTS - 1):
            with suppress(Unavailable):
                return await self._transport.request(subject, payload).reply(COMMAND_TIMEOUT / ATTEMPTS)
        return await self._transport.request(subject, payload).reply(COMMAND_TIMEOUT / ATTEMPTS)


def _subject(stream: TenantStream, name: Stream) -> str:
    """Return the subject on which a stream stores the events of a Bellcast stream."""
    return f"{stream.subject}.{wire.subject_of(name).decode().partition('.')[2]}"


def _sequence(message: Message) -> int:
    return int(message.header(b"Nats-Sequence") or 0)


def _time(message: Message) -> int:
    return int(message.header(AT) or 0)


def _error(answer: dict[str, Any]) -> tuple[int, str]:
    error = answer.get("error") or {}
    return error.get("err_code", error.get("code", 0)), error.get("description", "")
