"""The log of live events on Redis: sorted sets per tenant, changed by one script."""

import secrets
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import msgspec

from bellcast.kernel.brokers.history import EventId, ids_up_to
from bellcast.kernel.brokers.memory import ENTRY_BYTES, EPOCH_BITS, MAX_FLOORS
from bellcast.kernel.brokers.port import KEPT_PREFIX, LogRead, NewEntry, ReadKind, StoredEntry, TopicLog
from bellcast.kernel.brokers.redis import RedisTransport
from bellcast.kernel.call_batcher import CallBatcher
from bellcast.kernel.events import Stream

# A log without events or readers for a week is deleted as a whole; the next one has another epoch.
IDLE_MS = 7 * 24 * 3_600_000
# Maximum expired events per call of a sweep: about 5 ms of Redis time.
SWEEP_EVENTS = 1_000
# Maximum reads per call, and the number of events after which a call ends: about 5 ms of Redis time.
READS_PER_CALL = 100
READ_EVENTS = 2_000
DIGITS = 15
CONSTANTS = f"""local ENTRY_BYTES, SWEEP_EVENTS, READ_EVENTS = {ENTRY_BYTES}, {SWEEP_EVENTS}, {READ_EVENTS}
local KEPT = string.rep('\\0', {len(KEPT_PREFIX)})
"""
SCRIPT = CONSTANTS + resources.files("bellcast.kernel.brokers").joinpath("redis_log.lua").read_text("utf-8")
NO_LIMIT = -1

_encode = msgspec.msgpack.Encoder().encode


class RedisLog(TopicLog):
    """A log on the Redis of a transport, which removes one without events or readers. In a cluster a tenant's log is on one
    shard."""

    def __init__(self, transport: RedisTransport, limit_bytes: Callable[[], int]) -> None:
        self._transport = transport
        transport.has_log = True
        self._limit_bytes = limit_bytes
        self._reads = CallBatcher(self._read_all, READS_PER_CALL)

    async def append(self, tenant: str, entries: Sequence[NewEntry], now: int) -> Sequence[EventId]:
        args: list[Any] = [self._limit_bytes(), self._transport.publish_command]
        for entry in entries:
            channel = self._transport.log_channel(tenant, entry.stream)
            expires = _hex(now + entry.duration_ms)
            args += (entry.stream, entry.payload, expires, entry.max_events, channel)
        epoch, last = await self._run("append", tenant, now, args)
        return ids_up_to(EventId(int(epoch, 16), last), len(entries))

    async def read(
        self, kind: ReadKind, tenant: str, streams: Sequence[Stream], after: EventId | None, limit: int, now: int
    ) -> LogRead:
        """Read streams. Reads that arrive during a call share the next call: in a reconnect storm, hundreds of clients
        resume at the same time, and a call takes 150 µs of CPU time in this process."""
        epoch_text, offset = ("", _hex(0)) if after is None else (f"{after.epoch:x}", _hex(after.offset))
        # Packed into one argument, because the driver takes 12 µs for nine.
        packed = _encode((kind, epoch_text, offset, NO_LIMIT if kind == "missed" else limit, streams))
        return await self._reads.call(tenant, (streams, packed, now))

    async def _read_all(self, tenant: str, reads: Sequence[tuple[Sequence[Stream], bytes, int]]) -> list[LogRead]:
        """Run the first of these reads in one call."""
        epoch, last, results = await self._run("read", tenant, reads[-1][2], [packed for _, packed, _ in reads])
        found: list[LogRead] = []
        for (streams, *_), (incomplete, members_of) in zip(reads, results, strict=False):
            entries: list[StoredEntry] = []
            for stream, members in zip(streams, members_of, strict=True):
                start = len(stream.encode()) + 1
                offset, at, payload = start + DIGITS, start + 2 * DIGITS, start + 3 * DIGITS
                entries += [
                    StoredEntry(int(one[start:offset], 16), int(one[offset:at], 16), one[payload:]) for one in members
                ]
            entries.sort(key=lambda entry: entry.offset)
            end = EventId(int(epoch, 16), last)
            found.append(LogRead(end, entries, [streams[number] for number in incomplete]))
        return found

    async def clear(self, tenant: str, stream: Stream | None, now: int) -> None:
        await self._run("clear", tenant, now, [] if stream is None else [stream])

    async def sweep(self, tenant: str, now: int) -> bool:
        removed, left = SWEEP_EVENTS, 0
        while removed == SWEEP_EVENTS:
            _, _, removed, left = await self._run("sweep", tenant, now, [])
        return left > 0

    async def _run(self, command: str, tenant: str, now: int, args: Sequence[Any]) -> Any:
        new_epoch = f"{secrets.randbits(EPOCH_BITS):x}"
        head = [command, new_epoch, _hex(now), IDLE_MS, MAX_FLOORS]
        keys = [self._transport.log_key(tenant, name) for name in ("meta", "events", "order", "floors")]
        return await self._transport.run_script(SCRIPT, keys, [*head, *args])


def _hex(number: int) -> str:
    return f"{number:0{DIGITS}x}"
