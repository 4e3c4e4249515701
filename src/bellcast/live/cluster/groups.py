"""The group of a stream: the nodes that follow it at the broker, with their counts and present members. Its messages travel
on the stream itself, so a change reaches only the nodes that it concerns.

- A change of this node, a few times a second; beyond 20 connections only the changed members, with the number of the state before.
- A question: the state of this node, and the numbers of the states that it knows of the others. A node that has another number
  answers with its state. `GroupStep` says when: as it begins to follow, and some time after its changes, because messages may be lost.

A node alone in a group stores and sends nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence, Set
from contextlib import asynccontextmanager, suppress
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count

from msgspec import Struct

from bellcast.kernel.brokers import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event, Stream
from bellcast.live.cluster.members import Members
from bellcast.live.types import GroupAnswer, GroupState, GroupUpdate
from bellcast.topics.types import Member

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class Peer(Struct):
    """A node of a group: `number` is that of its last state. `is_new`: it has begun to follow at the same time as this node.
    `is_silent`: it has sent nothing since this node's first question."""

    number: int = 0
    count: int = 0
    is_new: bool = False
    is_silent: bool = False
    members: dict[str, Member] = {}

    def apply(self, state: GroupState) -> tuple[int, Sequence[Member]] | None:
        """Apply a newer state. Returns the difference of the node's connections, and changed members with their new numbers of
        connections; None if a message has been lost before it."""
        if state.number >= self.number:
            self.is_new = state.is_new
        if state.number <= self.number:
            return 0, ()
        if state.previous not in (None, self.number):
            return None
        self.number = state.number
        change, self.count = state.count - self.count, state.count
        listed = {member.recipient: member for member in state.members}
        if state.previous is None:
            listed = {key: Member(key, connections=0) for key in self.members if key not in listed} | listed
        changed = [member for key, member in listed.items() if self.members.get(key) != member]
        for member in changed:
            if member.connections:
                self.members[member.recipient] = member
            else:
                self.members.pop(member.recipient, None)
        return change, changed


class GroupStep(IntEnum):
    """What a node does next in a group."""

    ASK = 0  # the node with the lowest id, which answers with the states of all
    ASK_ALL = 1  # because no answer came
    SETTLE = 2  # the others are known, or this node is the only one
    CHECK = 3  # ask those of which this node does not know the last state; or, after it has left, say so again
    LAST_CHECK = 4


# When the broker has subscribed to a new stream (`mark_suspect`), or after this time, because it may have been subscribed before.
SUBSCRIBE_MS = 100
ANSWER_MS = 250
# Until the others are known at the latest, with the turns.
KNOWN_MS = 4 * ANSWER_MS
# The time before each step. A change of this node begins the time of the first check again.
WAITS_MS = (SUBSCRIBE_MS, ANSWER_MS, ANSWER_MS, 3_000, 60_000)
# Steps per batch: after a lost connection, 20,000 streams take 5 s.
MAX_BATCH_STEPS = 200
# Up to this many connections on a node, all its members are sent with each change; of more, the changed ones.
MAX_FULL_MEMBERS = 20


class StreamGroup(Struct):
    """The other nodes of a group. `first_number` is that of this node's first question."""

    number: int  # of this node's last state
    peers: dict[str, Peer] = {}
    left: dict[str, int] = {}  # the numbers of leave messages: the answer of another node may be older
    first_number: int = 0
    known: asyncio.Event | None = None


class Groups:
    """The groups of the streams that this node follows. Only groups with other nodes, or with an open question, are stored.

    `count_here` returns the connections of this node on a stream, `members_here` its members with their connections: all
    that are present, or the given ones, present or not. Changes on other nodes are passed to `apply_peer`."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        members: Members,
        count_here: Callable[[Stream], int],
        members_here: Callable[[Stream, Set[str] | None], list[Member]],
        apply_peer: Callable[[Stream, str, int, Sequence[Member]], None],
    ) -> None:
        self.known: list[Callable[[Stream], None]] = []  # called when the others of a followed stream become known
        self._broker = broker
        self._clock = clock
        self._members = members
        self._count_here = count_here
        self._members_here = members_here
        self._apply_peer = apply_peer
        self.followed: Counter[Stream] = Counter()
        self._groups: dict[Stream, StreamGroup] = {}
        self._steps: dict[Stream, tuple[int, GroupStep]] = {}  # the next one of each stream, with its time
        self._queue: list[tuple[int, Stream]] = []  # a heap of the times, also of replaced steps
        self._changed: dict[Stream, set[str]] = {}  # recipients whose presence changed
        self._outgoing: list[Event] = []
        self._numbers = count(1)
        self._wake = members.wake
        members.parts.append(self._messages)
        members.dropped.append(self._on_dropped)
        members.rejoined.append(lambda: self.mark_suspect(self.followed))

    def __len__(self) -> int:
        return len(self._groups)

    # --- queries

    def count_elsewhere(self, stream: str) -> int:
        """Return the followers on other nodes, as far as they are known: at least if this node follows the stream."""
        group = self._groups.get(Stream(stream))
        return 0 if group is None else sum([peer.count for peer in group.peers.values()])

    def count_before(self, stream: Stream, recipient: str | None = None) -> int:
        """Return the followers on other nodes, or the nodes on which a recipient is present, without those that came at the
        same time and have a higher id."""
        group = self._groups.get(stream)
        peers = {} if group is None else group.peers
        before = [peer for id, peer in peers.items() if not peer.is_new or id < self._members.id]
        return sum(peer.count if recipient is None else recipient in peer.members for peer in before)

    def is_followed_elsewhere(self, stream: Stream) -> bool:
        """True if other nodes follow a stream, or may follow it because they have not answered yet."""
        return stream in self._groups and not self._is_alone

    def is_known(self, stream: Stream) -> bool:
        return self._step(stream) > GroupStep.SETTLE

    async def wait_known(self, streams: Iterable[Stream], timeout_ms: int = 2 * ANSWER_MS) -> None:
        """Wait until the other nodes of followed streams are known, but only for a time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                for stream in streams:
                    if not self.is_known(stream):
                        group = self._groups[stream]
                        group.known = group.known or asyncio.Event()
                        await group.known.wait()

    @asynccontextmanager
    async def observing(self, streams: Collection[Stream], timeout_ms: int = 2 * ANSWER_MS) -> AsyncIterator[None]:
        """Know the counts and members of streams on all nodes within the context, if they answer in time."""
        for stream in streams:
            self.follow(stream)
        try:
            await self.wait_known(streams, timeout_ms)
            yield
        finally:
            for stream in streams:
                self.unfollow(stream)

    def _step(self, stream: Stream) -> GroupStep:
        return self._steps.get(stream, (0, GroupStep.LAST_CHECK))[1]

    @property
    def _is_alone(self) -> bool:
        return self._members.is_settled and not self._members.others

    # --- this node

    def follow(self, stream: Stream) -> None:
        """Follow a stream, for its first connection here or without one. Counted."""
        self.followed[stream] = followed = self.followed.get(stream, 0) + 1
        if followed == 1:
            self._broker.follow(stream)
            self.mark_suspect([stream], SUBSCRIBE_MS)

    def unfollow(self, stream: Stream) -> None:
        """Release one `follow` of the stream."""
        self.followed[stream] -= 1
        if self.followed[stream]:
            return
        del self.followed[stream]
        self._broker.unfollow(stream)
        group = self._groups.pop(stream, None)
        self._steps.pop(stream, None)
        self._changed.pop(stream, None)
        if self._members.has_met_others:  # they may know this node although it regards itself as alone
            self._send_left(stream)
            self._plan(stream, GroupStep.CHECK)
            self._wake()
        if group is None:
            return
        if group.known is not None:
            group.known.set()
        for node, peer in group.peers.items():
            left = [Member(key, connections=0) for key in peer.members]
            if left:  # only members: this node no longer counts the stream
                self._apply_peer(stream, node, 0, left)

    def changed(self, stream: Stream, recipient: str | None = None) -> None:
        """Send the count of a stream, and the presence of a recipient on it, if another node has this node's state, or has
        been asked with it."""
        group = self._groups.get(stream)
        if group is not None and (group.peers or self._step(stream) is not GroupStep.ASK):
            self._changed.setdefault(stream, set()).update(() if recipient is None else (recipient,))
            self._wake()

    def mark_suspect(self, streams: Collection[Stream], delay: int = 0) -> None:
        """Ask from the beginning, unless there is no other node, about streams that may have missed messages: newly followed
        ones, or all after a lost connection."""
        if self._is_alone:
            return
        for stream in streams:
            if stream in self.followed:
                group = self._groups.setdefault(stream, self._group(stream))
                for peer in group.peers.values():
                    peer.is_silent = True
                self._plan(stream, GroupStep.ASK, delay)
                self._wake()

    def _group(self, stream: Stream) -> StreamGroup:
        """Return the stored group or a new one, with a number that no other node knows."""
        return self._groups.get(stream) or StreamGroup(next(self._numbers))

    def _plan(self, stream: Stream, step: GroupStep, delay: int | None = None) -> None:
        due = self._clock.now() + (WAITS_MS[step] if delay is None else delay)
        self._steps[stream] = due, step
        heappush(self._queue, (due, stream))

    # --- sending

    async def _messages(self) -> list[Event]:
        """Return answers, changes and questions."""
        changed, self._changed = self._changed, {}
        for stream, recipients in changed.items():
            if (group := self._groups.get(stream)) is not None:
                previous, group.number = group.number, next(self._numbers)
                self._outgoing.append(GroupUpdate(stream, self._state(stream, group, recipients, previous)))
                if self.is_known(stream):
                    self._plan(stream, GroupStep.CHECK)
        now, taken = self._clock.now(), 0
        while self._members.is_settled and self._queue and self._queue[0][0] <= now and taken < MAX_BATCH_STEPS:
            due, stream = heappop(self._queue)
            planned_at, step = self._steps.get(stream, (0, GroupStep.ASK))
            if planned_at == due:
                self._take_step(stream, step)
                taken += step is not GroupStep.SETTLE
        if self._queue and self._queue[0][0] < self._clock.now() + ANSWER_MS:
            self._wake()
        messages, self._outgoing = self._outgoing, []
        return messages

    def _take_step(self, stream: Stream, step: GroupStep) -> None:
        group = self._group(stream)
        if stream not in self.followed:
            self._send_left(stream)
        elif step < GroupStep.CHECK and (step is GroupStep.SETTLE or not self._members.others):
            self._settle(stream, group)
            return
        elif self._members.others:
            if step is GroupStep.ASK:  # its state may have changed unnoticed, while no other node knew it
                group.number = group.first_number = next(self._numbers)
            self._send_question(stream, group, step)
        if step < GroupStep.SETTLE or (step is GroupStep.CHECK and (group.peers or stream not in self.followed)):
            self._plan(stream, GroupStep(step + 1))
        else:
            del self._steps[stream]

    def _send_question(self, stream: Stream, group: StreamGroup, step: GroupStep) -> None:
        """Send the state, when it is checked of many members none: a node that has another number asks itself."""
        state = self._state(stream, group, frozenset(), group.number if step >= GroupStep.CHECK else None)
        known = {id: peer.number for id, peer in group.peers.items() if not peer.is_silent}
        self._outgoing.append(GroupUpdate(stream, state, 1 if step is GroupStep.ASK else 2, known))

    def _send_left(self, stream: Stream) -> None:
        state = GroupState(self._members.id, next(self._numbers), None, 0)
        self._outgoing.append(GroupUpdate(stream, state, has_left=True))

    def _settle(self, stream: Stream, group: StreamGroup) -> None:
        """The others are known: those that sent their state since the question."""
        self._plan(stream, GroupStep.CHECK)
        for node in [node for node, peer in group.peers.items() if peer.is_silent]:
            self._remove(stream, group, node)
        self._end_if_alone(stream, group)
        if group.known is not None:
            group.known.set()
        for known in self.known:
            known(stream)
        new = [(id, peer) for id, peer in group.peers.items() if peer.is_new]
        if new and not any(peer.count and id < self._members.id for id, peer in new):
            self.changed(stream)  # so that they count this node from now on, whichever id is lower
        for _, peer in new:
            peer.is_new = False

    def _answer(self, stream: Stream, group: StreamGroup, question: GroupUpdate) -> None:
        """Answer with the states of all if this node has the lowest id of the others, or with its own if the node that asks
        does not know it."""
        id, to = self._members.id, question.state.node
        others = {node: peer for node, peer in group.peers.items() if node != to}
        is_first = question.asks == 1 and all(id < node for node in others)
        if not is_first and group.number == question.known.get(id, group.number if question.asks == 1 else 0):
            return
        states = [self._state(stream, group)]
        is_whole = is_first and self.is_known(stream)  # else it does not know the others itself
        if is_whole:
            states += [
                GroupState(node, peer.number, None, peer.count, tuple(peer.members.values()), peer.is_new)
                for node, peer in others.items()
            ]
        self._outgoing.append(GroupAnswer(to, question.state.number, stream, tuple(states), is_whole))
        self._wake()

    def _state(
        self, stream: Stream, group: StreamGroup, recipients: Set[str] = frozenset(), previous: int | None = None
    ) -> GroupState:
        """Return the state of this node: with all members or, since a previous one, of many the given ones."""
        if self._count_here(stream) <= MAX_FULL_MEMBERS:  # to list all of 5,000 takes 5 ms
            previous = None
        members = self._members_here(stream, None if previous is None else recipients)
        is_new = not self.is_known(stream)
        return GroupState(self._members.id, group.number, previous, self._count_here(stream), tuple(members), is_new)

    # --- receiving

    def receive(self, event: GroupUpdate | GroupAnswer) -> None:
        stream = Stream(event.on)
        states = event.states if isinstance(event, GroupAnswer) else (event.state,)
        sender = states[0].node
        if sender == self._members.id or stream not in self.followed:
            return
        group = self._groups.setdefault(stream, self._group(stream))
        if isinstance(event, GroupUpdate) and event.has_left:
            group.left[sender] = event.state.number
            self._remove(stream, group, sender)
            return
        if sender not in self._members.others:
            self._members.note(sender)
        if isinstance(event, GroupAnswer) and not group.peers and self.is_known(stream):
            self._plan(stream, GroupStep.CHECK)  # changes since the question have not been sent
        # Of a late answer only its sender, because others may have left since. Not a dead node, which would live again.
        for state in states[:1] if self.is_known(stream) else states:
            if state.node in self._members.others:
                self._apply(stream, group, state)
        if isinstance(event, GroupUpdate):
            if event.asks:
                self._answer(stream, group, event)
        elif (
            event.is_whole
            and event.number >= group.first_number
            and GroupStep.ASK < self._step(stream) < GroupStep.CHECK
        ):
            self._settle(stream, group)
        self._end_if_alone(stream, group)

    def _apply(self, stream: Stream, group: StreamGroup, state: GroupState) -> None:
        if state.number <= group.left.get(state.node, 0):
            return
        peer = group.peers.setdefault(state.node, Peer())
        peer.is_silent = False
        delta = peer.apply(state)
        if delta is None:
            if self.is_known(stream):
                self._send_question(stream, group, GroupStep.CHECK)
                self._wake()
        elif any(delta):
            self._apply_peer(stream, state.node, *delta)

    def _remove(self, stream: Stream, group: StreamGroup, node: str) -> None:
        peer = group.peers.pop(node, None)
        if peer is not None and (peer.count or peer.members):
            left = [Member(key, connections=0) for key in peer.members]
            self._apply_peer(stream, node, -peer.count, left)
        self._end_if_alone(stream, group)

    def _end_if_alone(self, stream: Stream, group: StreamGroup) -> None:
        if not group.peers and self.is_known(stream):
            self._groups.pop(stream, None)
            self._changed.pop(stream, None)

    # --- members

    def _on_dropped(self, node: str, _silent_since: int) -> None:
        for stream, group in [item for item in self._groups.items() if node in item[1].peers]:
            self._remove(stream, group, node)
