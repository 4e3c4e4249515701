"""What a node would report at the end of its connections is also known to its guardians: the two nodes after it by id. If it
dies, the first of them that is alive reports it. If all three die within ten seconds, it is not reported."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event
from bellcast.live.cluster.members import NODE_TIMEOUT_MS, Members
from bellcast.live.types.events import Holdings, HoldingsRequest

log = structlog.get_logger(__name__)
GUARDIANS = 2
BATCH_SECONDS = 0.05
# A change of the members changes the guardians: it is noticed after this time.
BEAT_SECONDS = 2.0
# About 60 KB.
MAX_MESSAGE_ENTRIES = 1_000
# Characters of an unknown kind in the log.
MAX_LOGGED = 40


class Guarded:
    """The holdings of another node, as of its message `number`."""

    def __init__(self) -> None:
        self.number = 0
        self.items: dict[str, bytes] = {}
        self.dropped_at: int | None = None


class Guardians:
    """Sends this node's holdings to its guardians, and holds those of the nodes that it guards."""

    def __init__(self, broker: Broker, clock: Clock, members: Members) -> None:
        self.enders: dict[str, Callable[[str, bytes], None]] = {}  # report an end by its kind: the key's first part
        self._broker = broker
        self._clock = clock
        self._members = members
        self._own: dict[str, bytes] = {}
        self._changed: set[str] = set()
        self._sent: dict[str, int] = {}  # number of the last message to each guardian
        self._guarded: dict[str, Guarded] = {}
        self._requests: set[str] = set()
        self._has_work = asyncio.Event()
        members.dropped.append(self._on_dropped)
        members.rejoined.append(self.send_again)

    # --- this node's holdings

    def hold(self, kind: str, name: str, payload: bytes = b"") -> None:
        """Let a guardian report the end of this, by `enders[kind]`, if this node dies before `release`."""
        key = f"{kind} {name}"
        if key not in self._own:
            self._own[key] = payload
            self._changed.add(key)
            self._has_work.set()

    def release(self, kind: str, name: str) -> None:
        """This node reports the end itself."""
        key = f"{kind} {name}"
        if self._own.pop(key, None) is not None:
            self._changed.add(key)
            self._has_work.set()

    def send_again(self) -> None:
        """Send all holdings, because messages may be missing."""
        self._sent.clear()
        self._has_work.set()

    async def run(self) -> None:
        """Send changes until cancelled. New guardians are noticed within a beat."""
        while True:
            await self._broker.publish(*self._messages())
            await self._clock.sleep(BATCH_SECONDS)
            if not self._changed and not self._requests:
                self._has_work.clear()
                beat = asyncio.ensure_future(self._clock.sleep(BEAT_SECONDS))
                work = asyncio.ensure_future(self._has_work.wait())
                try:
                    await asyncio.wait((beat, work), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    beat.cancel()
                    work.cancel()

    def _messages(self) -> list[Event]:
        changed, self._changed = self._changed, set()
        requests, self._requests = self._requests, set()
        messages: list[Event] = [HoldingsRequest(self._members.id, node) for node in requests]
        guardians = self._successors(self._members.id)[:GUARDIANS]
        for node in guardians:
            if node in self._sent:
                messages += self._changes(node, {key: self._own.get(key) for key in changed})
            elif self._own:
                messages += self._changes(node, self._own, is_whole=True)
        for node in [node for node in self._sent if node not in guardians]:
            messages += self._changes(node, {}, is_whole=True)
            del self._sent[node]
        return messages

    def _changes(self, node: str, changes: Mapping[str, bytes | None], *, is_whole: bool = False) -> list[Holdings]:
        messages: list[Holdings] = []
        entries = list(changes.items())
        for start in range(0, len(entries) or int(is_whole), MAX_MESSAGE_ENTRIES):
            number = self._sent[node] = self._sent.get(node, 0) + 1
            batch = dict(entries[start : start + MAX_MESSAGE_ENTRIES])
            messages.append(Holdings(self._members.id, node, number, is_whole and start == 0, batch))
        return messages

    def _successors(self, id: str) -> list[str]:
        """Return the live nodes in the order of their ids, after `id`."""
        ids = sorted({self._members.id, *self._members.others} - {id})
        return [one for one in ids if one > id] + [one for one in ids if one < id]

    # --- the holdings of others

    def receive(self, event: Holdings | HoldingsRequest) -> None:
        if event.to != self._members.id:
            return
        if isinstance(event, HoldingsRequest):
            self._sent.pop(event.node, None)
            self._has_work.set()
            return
        self._members.note(event.node)
        guarded = self._guarded.setdefault(event.node, Guarded())
        guarded.dropped_at = None
        if event.is_whole:
            guarded.items = {}
        elif event.number != guarded.number + 1:
            self._requests.add(event.node)
            self._has_work.set()
            return
        guarded.number = event.number
        for key, payload in event.changes.items():
            if payload is None:
                guarded.items.pop(key, None)
            else:
                guarded.items[key] = payload

    def _on_dropped(self, node: str) -> None:
        """Report the ends of dead nodes of which this node is the first live guardian."""
        self._sent.pop(node, None)
        self._has_work.set()
        now = self._clock.now()
        if node in self._guarded:
            self._guarded[node].dropped_at = now
        for id, guarded in list(self._guarded.items()):
            if guarded.dropped_at is None:
                continue
            if now - guarded.dropped_at > NODE_TIMEOUT_MS:  # a guardian that was alive then has reported them
                del self._guarded[id]
            elif self._successors(id)[0] == self._members.id:
                del self._guarded[id]
                for key, payload in guarded.items.items():
                    kind, _, name = key.partition(" ")
                    try:
                        self.enders[kind](name, payload)
                    except Exception:  # a kind of a newer version, during a rolling update, or a malformed message
                        log.exception("end_not_reported", kind=kind[:MAX_LOGGED], node=id)
