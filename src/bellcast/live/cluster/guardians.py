"""What a node would report at the end of its connections is also known to its guardians: the two nodes after it by id. If it
dies, the first of them that is alive reports it. If all three die within 8.5 seconds, it is not reported."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event
from bellcast.live.cluster.members import NODE_TIMEOUT_MS, Members
from bellcast.live.types import Holdings, HoldingsRequest

log = structlog.get_logger(__name__)
GUARDIANS = 2
# About 60 KB.
MAX_MESSAGE_ENTRIES = 1_000
MAX_LOGGED = 40  # characters of an unknown kind in the log
# Nodes regarded as dead of which it is known what has been reported, in case they return: 100 bytes for each connection.
MAX_REPORTED_NODES = 4


class Holder(NamedTuple):
    """What to do with the holdings of one kind. A kind is the first part of a key, the other is the name."""

    end: Callable[[str, bytes], None]  # report the end of a dead node's holding, then `release` it
    # Called with a holding that has ended, because this node was regarded as dead.
    reported: Callable[[str], None]


class Guardians:
    """Sends this node's holdings to its guardians, and holds those of the nodes that it guards."""

    def __init__(self, clock: Clock, members: Members) -> None:
        self.holders: dict[str, Holder] = {}  # by kind
        self._clock = clock
        self._members = members
        self._is_used = False  # a process that takes no turns has no guardians
        self._own: dict[str, bytes] = {}
        self._changed: set[str] = set()
        self._sent: dict[str, int] = {}  # number of the last message to each guardian
        self._guarded: dict[str, dict[str, bytes]] = {}
        self._numbers: dict[str, int] = {}  # of the last message of each guarded node
        # Guarded nodes that another guardian reports, if it is alive: when they were dropped, and silent since when.
        self._dropped: dict[str, tuple[int, int]] = {}
        self._reported: dict[str, tuple[str, ...]] = {}  # keys of nodes regarded as dead
        self._outgoing: list[Event] = []
        self._wake = members.wake
        members.parts.append(self._messages)
        members.dropped.append(self._on_dropped)
        members.rejoined.append(self.send_again)

    # --- this node's holdings

    def hold(self, kind: str, name: str, payload: bytes = b"") -> None:
        """Let a guardian report the end of this, by the kind's holder, if this node dies before `release`."""
        if self._is_used:
            self._change(f"{kind} {name}", payload)

    def release(self, kind: str, name: str) -> None:
        """This node reports the end itself."""
        self._change(f"{kind} {name}", None)

    def _change(self, key: str, payload: bytes | None) -> None:
        if self._own.get(key) == payload:
            return
        if payload is None:
            del self._own[key]
        else:
            self._own[key] = payload
        self._changed.add(key)
        self._wake()

    def send_again(self) -> None:
        """Send all holdings, because messages may be missing."""
        self._sent.clear()
        self._wake()

    async def _messages(self) -> list[Event]:
        """Return what has changed, or all for a new guardian."""
        self._is_used = True
        changed, self._changed = self._changed, set()
        messages: list[Event] = []
        guardians = self._successors(self._members.id)[:GUARDIANS]
        for node in guardians:
            if node in self._sent:
                messages += self._changes(node, {key: self._own.get(key) for key in changed})
            elif self._own:
                messages += self._changes(node, self._own, is_whole=True)
        for node in [node for node in self._sent if node not in guardians]:
            messages += self._changes(node, {}, is_whole=True)
            del self._sent[node]
        # Last: guardians know what this node has taken over before it is removed from its node.
        messages, self._outgoing = messages + self._outgoing, []
        return messages

    def _changes(self, node: str, changes: Mapping[str, bytes | None], *, is_whole: bool = False) -> list[Holdings]:
        messages: list[Holdings] = []
        entries = list(changes.items())
        for start in range(0, len(entries) or int(is_whole), MAX_MESSAGE_ENTRIES):
            number = self._sent[node] = self._sent.get(node, 0) + 1
            batch = dict(entries[start : start + MAX_MESSAGE_ENTRIES])
            messages.append(Holdings(node, self._members.id, number, is_whole and start == 0, batch))
        return messages

    def _successors(self, id: str) -> list[str]:
        """Return the live nodes in the order of their ids, after `id`."""
        ids = sorted({self._members.id, *self._members.others} - {id})
        return [one for one in ids if one > id] + [one for one in ids if one < id]

    # --- the holdings of others

    def receive(self, event: Holdings | HoldingsRequest) -> None:
        if event.to != self._members.id:
            return
        self._wake()
        if isinstance(event, HoldingsRequest):
            self._sent.pop(event.node, None)
            return
        node = event.node
        if node == self._members.id:  # a guardian has reported these
            for key in self._own.keys() & event.changes.keys():
                self._change(key, None)
                kind, _, name = key.partition(" ")
                self.holders[kind].reported(name)
            return
        if event.is_whole and not event.changes:  # they have another guardian, or have been reported
            self._forget(node)
            return
        self._members.note(node)
        self._dropped.pop(node, None)
        reported = self._reported.pop(node, ())
        for start in range(0, len(reported), MAX_MESSAGE_ENTRIES):
            ended = dict.fromkeys(reported[start : start + MAX_MESSAGE_ENTRIES])
            self._outgoing.append(Holdings(node, node, 0, is_whole=False, changes=ended))
        if reported:
            for other in self._reported:  # the returned node may have been the first guardian of these
                self._outgoing.append(Holdings(node, other, 0, is_whole=True))
        if event.is_whole:
            self._guarded[node] = {}
        elif node not in self._guarded or event.number != self._numbers[node] + 1:
            self._outgoing.append(HoldingsRequest(node, self._members.id))
            return
        self._numbers[node], items = event.number, self._guarded[node]
        for key, payload in event.changes.items():
            if payload is None:
                items.pop(key, None)
            else:
                items[key] = payload

    def _forget(self, node: str) -> dict[str, bytes]:
        self._numbers.pop(node, None)
        self._dropped.pop(node, None)
        return self._guarded.pop(node, {})

    def _on_dropped(self, node: str, silent_since: int) -> None:
        """Report the ends of dead nodes of which this node is the first live guardian."""
        self._sent.pop(node, None)
        self._wake()
        now = self._clock.now()
        if node in self._guarded:
            self._dropped[node] = now, silent_since
        for id, (dropped_at, since) in list(self._dropped.items()):
            if now - dropped_at > NODE_TIMEOUT_MS:  # a guardian that was alive then has reported them
                self._forget(id)
                continue
            # Not those that have joined since its last sign of life, such as its own replacement: they do not know what it held.
            live = self._successors(id)
            heirs = [one for one in live if self._members.joined_at(one) <= since] or live
            if heirs[0] == self._members.id:
                self._report(id, self._forget(id), heirs[1:GUARDIANS])

    def _report(self, node: str, items: Mapping[str, bytes], others: list[str]) -> None:
        """Report the ends of a dead node. Until that is done they are held, in case this node dies too."""
        self._reported[node] = tuple(items)
        while len(self._reported) > MAX_REPORTED_NODES:
            del self._reported[next(iter(self._reported))]
        for other in others:
            self._outgoing.append(Holdings(other, node, 0, is_whole=True))
        for key, payload in items.items():
            kind, _, name = key.partition(" ")
            if key not in self._own:  # else it goes on here
                self._change(key, payload)
                try:
                    self.holders[kind].end(name, payload)
                except Exception:  # a kind of a newer version, during a rolling update, or a malformed message
                    self.release(kind, name)
                    log.exception("end_not_reported", kind=kind[:MAX_LOGGED], node=node)
