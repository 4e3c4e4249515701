"""What objects did, collected in memory and stored in the background: a transaction every few seconds, however much they do."""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from typing import Generic, Protocol, Self, TypeVar

import msgspec
import structlog
from msgspec import Struct, field

from bellcast.documents.store import Documents, Owned
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import shared
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.identities import EVERY_TENANT

log = structlog.get_logger(__name__)

# A process that dies loses what was recorded since the last flush, and others see it after the next one.
FLUSH_SECONDS = 5.0
# Objects of a transaction, which blocks other writers for about 10 ms. A flush has as many as it needs, one after the other.
FLUSHED_OBJECTS = 100
# Maximum objects that wait. Beyond, what others do is dropped.
MAX_WAITING_OBJECTS = 1_000


class Record(Protocol):
    """What an object did, bounded in size. `plus` adds what it did later."""

    def plus(self, later: Self, /) -> Self: ...


class Dropped(Struct, frozen=True):
    """When records were dropped last (UTC milliseconds)."""

    last_at: int

    def plus(self, later: "Dropped") -> "Dropped":
        return Dropped(max(self.last_at, later.last_at))


R = TypeVar("R", bound=Record)
# The place of what was dropped. No object has an empty key.
DROPPED: Owned = (EVERY_TENANT, "")


class Recorder(Struct, Generic[R], eq=False):
    """Records of the type `type`, which are stored as objects of a kind, under the tenants and keys of the objects of the kind `about`."""

    db: Engine
    clock: Clock
    kind: str
    about: str
    type: type[R]
    _waiting: dict[Owned, R] = {}
    _storing: asyncio.Lock = field(default_factory=asyncio.Lock)  # while records are neither waiting nor surely stored
    _dropped_at: int = 0  # since the last flush

    def add(self, tenant: str, key: str, record: R) -> None:
        """Add to what an object did. Writes nothing yet."""
        place = (tenant, key)
        if place not in self._waiting and len(self._waiting) >= MAX_WAITING_OBJECTS:
            self._dropped_at = self.clock.now()
        else:
            _add(self._waiting, place, record)

    async def find(self, places: Collection[Owned]) -> tuple[dict[Owned, R], int]:
        """Return the records of objects, by tenant and key, with what this process has not stored yet, and when a process
        dropped records last (UTC milliseconds), 0 for never."""
        async with self._storing:
            stored = await Documents(self.db).bodies(self.kind, [*places, DROPPED])
            unstored = {place: self._waiting[place] for place in places if place in self._waiting}
        dropped = stored.pop(DROPPED, None)
        dropped_at = 0 if dropped is None else msgspec.json.decode(dropped, type=Dropped).last_at
        found = {place: msgspec.json.decode(body, type=self.type) for place, body in stored.items()}
        for place, record in unstored.items():
            _add(found, place, record)
        return found, max(dropped_at, self._dropped_at)

    async def forget(self, tenant: str, key: str) -> None:
        """Delete the record of an object that was deleted."""
        self._waiting.pop((tenant, key), None)
        await Documents(self.db).delete(self.kind, tenant, key)

    async def run(self) -> None:
        """Store what is recorded, until cancelled."""
        while True:
            await self.clock.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Store what was recorded. What cannot be stored waits for the next flush."""
        if last := self._dropped_at:
            log.warning(
                "records_dropped", kind=self.kind, limit=f"{MAX_WAITING_OBJECTS} objects in {FLUSH_SECONDS:.0f} s"
            )
            if not await self._store({DROPPED: Dropped(last)}):
                return
            if self._dropped_at == last:
                self._dropped_at = 0
        places = sorted(self._waiting)
        for begin in range(0, len(places), FLUSHED_OBJECTS):
            async with self._storing:
                some = places[begin : begin + FLUSHED_OBJECTS]
                flushed = {place: self._waiting.pop(place) for place in some if place in self._waiting}
                if not await self._store(flushed):
                    for place, record in self._waiting.items():
                        _add(flushed, place, record)
                    self._waiting = flushed
                    return

    async def _store(self, records: Mapping[Owned, Record]) -> bool:
        """Add to what is stored; return whether it was possible."""

        def total(record: Record, before: bytes | None) -> bytes:
            stored = None if before is None else msgspec.json.decode(before, type=type(record))
            return msgspec.json.encode(record if stored is None else stored.plus(record))

        changes = {place: partial(total, record) for place, record in records.items()}
        try:
            # A stop of the server that interrupts the wait does not interrupt the write.
            await asyncio.shield(shared(Documents(self.db).combine(self.kind, self.about, changes, self.clock.now())))
        except BellcastError as error:
            log.warning("records_not_stored", kind=self.kind, reason=error.detail)
            return False
        return True


def _add(records: dict[Owned, R], place: Owned, record: R) -> None:
    known = records.get(place)
    records[place] = record if known is None else known.plus(record)
