"""What objects did, collected in memory and stored in the background: a write every few seconds, however much they do."""

from collections.abc import Iterable
from typing import Generic, Protocol, Self, TypeVar

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError

log = structlog.get_logger(__name__)

# A process that dies loses what was recorded since the last flush, and others see it after the next one.
FLUSH_SECONDS = 5.0
# Maximum objects that a flush writes: 20 writes a second, 1 % of what SQLite can do. The others wait for the next one.
FLUSHED_OBJECTS = 100
# Maximum objects that wait. Beyond, what others do is not recorded.
MAX_WAITING_OBJECTS = 1_000
# Attempts of a write: nodes that record about the same object write it in turn.
MAX_WRITES = 10


class Record(Protocol):
    """What an object did, bounded in size. `plus` adds what it did later."""

    def plus(self, later: Self, /) -> Self: ...


R = TypeVar("R", bound=Record)


class Recorder(Struct, Generic[R], eq=False):
    """Records of the type `type`, which are stored as objects of a kind under the tenant and the key of what they are about."""

    db: Engine
    clock: Clock
    kind: str
    type: type[R]
    _waiting: dict[tuple[str, str], R] = {}

    def add(self, tenant: str, key: str, record: R) -> None:
        """Add to what an object did. Writes nothing yet."""
        known = self._waiting.get((tenant, key))
        if known is not None:
            self._waiting[tenant, key] = known.plus(record)
        elif len(self._waiting) < MAX_WAITING_OBJECTS:
            self._waiting[tenant, key] = record

    async def find(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], R]:
        """Return the records of objects, by tenant and key, with what this process has not stored yet."""
        named = [(self.kind, tenant, key) for tenant, key in places]
        stored = await Documents(self.db).several(named)
        found: dict[tuple[str, str], R] = {}
        for kind, tenant, key in named:
            document, waiting = stored.get((kind, tenant, key)), self._waiting.get((tenant, key))
            if document is not None:
                record = msgspec.json.decode(document.body, type=self.type)
                found[tenant, key] = record if waiting is None else record.plus(waiting)
            elif waiting is not None:
                found[tenant, key] = waiting
        return found

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
        """Store what was recorded first. What cannot be stored is dropped, so that memory is bounded."""
        for place in list(self._waiting)[:FLUSHED_OBJECTS]:
            try:
                await self._store(*place)
            except BellcastError as error:
                log.warning("record_not_stored", kind=self.kind, key=place[1], reason=error.detail)

    async def _store(self, tenant: str, key: str) -> None:
        documents, record = Documents(self.db), self._waiting.pop((tenant, key), None)
        if record is None:  # deleted meanwhile
            return
        for _ in range(MAX_WRITES):
            document = await documents.get(self.kind, tenant, key)
            before = None if document is None else document.body
            total = record if before is None else msgspec.json.decode(before, type=self.type).plus(record)
            if await documents.change(self.kind, tenant, key, before, msgspec.json.encode(total), self.clock.now()):
                return
