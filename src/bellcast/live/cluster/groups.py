"""The group of a stream: the nodes that follow it at the broker, with their counts and present members. Its messages travel
on the stream itself, so a change reaches only the nodes that it concerns.

A node that begins to follow asks with its own state, and the group's lowest id answers with all of it; later it sends its
changes, a few times a second. A node alone in a group stores and sends nothing. A change of members has the number of the
message before, so a gap is noticed, and asks again. What a broker loses without telling is repaired by repetition."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence, Set
from contextlib import asynccontextmanager, suppress
from enum import IntEnum
from itertools import takewhile
from typing import NamedTuple, Protocol

from msgspec import Struct

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import SEPARATOR, Event, Stream
from bellcast.live.cluster.members import NODE_TIMEOUT_MS, Members
from bellcast.live.types import GroupAnswer, GroupState, GroupUpdate, Member

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class ChangeOrigin(IntEnum):
    """Why a count or presence on all nodes changed."""

    HERE = 0
    ELSEWHERE = 1
    DEATH = 2  # of another node, which can no longer report its own changes


class StateDelta(NamedTuple):
    """Changes of a node on one stream: the difference of its connections, and members with their new numbers of connections."""

    connections: int = 0
    members: Sequence[Member] = ()


class Peer(Struct):
    """A node of a group: `number` is that of its last message, `missed` that of one that could not be applied. `is_new`: it
    has begun to follow at the same time as this node."""

    number: int = 0
    count: int = 0
    heard_at: int = 0
    missed: int = 0
    is_new: bool = False
    members: dict[str, Member] = {}

    def apply(self, state: GroupState) -> StateDelta | None:
        """Apply a state that is not older. Returns what changed, None if a message has been lost before it."""
        if state.number < self.number or (state.number == self.number and state.previous is None and self.number):
            return StateDelta()
        if state.previous is not None and state.previous != self.number:
            return None
        self.number = state.number
        change, self.count = state.count - self.count, state.count
        self.is_new = state.is_new
        listed = {member.recipient: member for member in state.members}
        if state.previous is None:
            listed = {key: _absent(key) for key in self.members if key not in listed} | listed
        changed = [member for key, member in listed.items() if self.members.get(key) != member]
        for member in changed:
            if member.connections:
                self.members[member.recipient] = member
            else:
                self.members.pop(member.recipient, None)
        return StateDelta(change, changed)

    def clear(self) -> StateDelta:
        """Return the end of all that the node has."""
        change, self.count = -self.count, 0
        left, self.members = [_absent(key) for key in self.members], {}
        return StateDelta(change, left)

    def state(self, node: str) -> GroupState:
        """Return all that is known about the node."""
        return GroupState(node, self.number, None, self.count, tuple(self.members.values()), self.is_new)


def _absent(recipient: str) -> Member:
    return Member(recipient=recipient, connections=0)


# Later than every number: of a question that was not sent yet.
NEVER = 2**62
# The node sends the question of a new stream when the broker has subscribed to it (`mark_suspect`), or after this time,
# because the broker may have been subscribed before.
SUBSCRIBE_MS = 100
# Timeout of an answer. The first question goes to the node with the lowest id, the second and third to all nodes; without an
# answer, this node is the only one of the group.
ANSWER_MS = 250
MAX_ASKS = 3
# Questions per batch: after a lost connection, 20,000 streams take 5 s.
MAX_BATCH_ASKS = 200
# A state is sent again once after FIRST_REPEAT_MS, and then every REPEAT_MS. A node that sent nothing for SILENT_MS may be gone:
# the others send the question again.
FIRST_REPEAT_MS = 3_000
REPEAT_MS = 60_000
SILENT_MS = 150_000
REPETITIONS_MS = 1_000  # interval of checks
# Up to this many members are sent with each change; of more, the changed ones.
MAX_FULL_MEMBERS = 20


class LocalState(Protocol):
    """The state of this node, and the consumer of the others' changes: the hub."""

    def count_here(self, stream: Stream) -> int: ...

    def streams_here(self) -> Set[Stream]: ...

    def members_here(self, stream: Stream, recipients: Set[str] | None = None) -> list[Member]:
        """Return the members with their connections here: all that are present, or the given ones, present or not."""
        ...

    def apply_peer(self, stream: Stream, node: str, delta: StateDelta, cause: ChangeOrigin) -> None: ...


class StreamGroup(Struct):
    """The other nodes of a group, and the state of this node's question."""

    peers: dict[str, Peer] = {}
    number: int = 0  # of this node's last message
    asks: int = 0
    first_question: int = 0  # number and time of the first message of the question
    questioned_at: int = 0
    due: int | None = None  # of the next question; None once the others are known
    known: asyncio.Event | None = None


class Groups:
    """The groups of the streams that this node follows. Only groups with other nodes, or with an open question, are stored."""

    def __init__(self, broker: Broker, clock: Clock, members: Members, local: LocalState) -> None:
        self.known: list[Callable[[Stream], None]] = []  # called when the others of a followed stream become known
        self._broker = broker
        self._clock = clock
        self._members = members
        self._local = local
        self._groups: dict[Stream, StreamGroup] = {}
        self._observed: Counter[Stream] = Counter()  # followed without connections
        self._asking: dict[Stream, StreamGroup] = {}  # in the order of their questions
        # Times of the last messages of this node to groups with other nodes, or to those that it has left, the oldest first: not
        # repeated yet, and repeated.
        self._changed_at: dict[Stream, int] = {}
        self._repeated_at: dict[Stream, int] = {}
        # Last messages of nodes that have left: an answer of another node may be older.
        self._peers_left: dict[tuple[Stream, str], tuple[int, int]] = {}
        self._changed: dict[Stream, set[str]] = {}  # recipients whose presence changed
        self._outgoing: list[Event] = []
        self._number = 0
        self._checked_at = clock.now()
        self._wake = members.wake
        members.parts.append(self._messages)
        members.dropped.append(self._on_dropped)
        members.rejoined.append(self._on_rejoined)

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
        return stream not in self._asking

    async def wait_known(self, streams: Iterable[Stream], asks: int = 2) -> None:
        """Wait until the other nodes of followed streams are known, but only for the answer to some questions."""
        waiting: list[asyncio.Event] = []
        for group in filter(None, map(self._asking.get, streams)):
            group.known = group.known or asyncio.Event()
            waiting.append(group.known)
        if waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(asks * ANSWER_MS / 1000):
                    for known in waiting:
                        await known.wait()

    # --- interest

    def follow(self, stream: Stream) -> None:
        """Follow a stream for its first connection here."""
        self._broker.follow(stream)
        if stream not in self._observed:
            self._ask(stream, SUBSCRIBE_MS)

    def unfollow(self, stream: Stream) -> None:
        """Release the `follow` of a stream, after its last connection here."""
        self._broker.unfollow(stream)
        if stream not in self._observed:
            self._leave(stream)

    def observe(self, stream: Stream) -> None:
        """Follow a stream without a connection. Counted."""
        self._broker.follow(stream)
        self._observed[stream] += 1
        if self._observed[stream] == 1 and not self._local.count_here(stream):
            self._ask(stream, SUBSCRIBE_MS)

    def end_observing(self, stream: Stream) -> None:
        self._broker.unfollow(stream)
        self._observed[stream] -= 1
        if not self._observed[stream]:
            del self._observed[stream]
            if not self._local.count_here(stream):
                self._leave(stream)

    @asynccontextmanager
    async def observing(self, streams: Collection[Stream], asks: int = 2) -> AsyncIterator[None]:
        """Know the counts and members of streams on all nodes within the context, if they answer in time."""
        for stream in streams:
            self.observe(stream)
        try:
            await self.wait_known(streams, asks)
            yield
        finally:
            for stream in streams:
                self.end_observing(stream)

    @property
    def _is_alone(self) -> bool:
        return self._members.is_settled and not self._members.others

    def _is_followed(self, stream: Stream) -> bool:
        return stream in self._observed or self._local.count_here(stream) > 0

    def _leave(self, stream: Stream) -> None:
        group = self._groups.pop(stream, None)
        self._asking.pop(stream, None)
        self._changed.pop(stream, None)
        self._forget_repetition(stream)
        if not self._is_alone:  # a question may reach other nodes late, when this one has found that it is alone
            self._outgoing.append(self._update(stream, group or StreamGroup(), has_left=True))
            self._wake()
        if group is None:  # it was alone
            self._forget_repetition(stream)
            return
        if group.known is not None:
            group.known.set()
        for node, peer in group.peers.items():
            if peer.members:  # only members: this node no longer counts the stream
                self._local.apply_peer(stream, node, StateDelta(0, peer.clear().members), ChangeOrigin.ELSEWHERE)

    # --- local changes

    def changed(self, stream: Stream, recipient: str | None = None) -> None:
        """Send the count of a stream, and the presence of a recipient on it, if another node has this node's state, or has
        been asked with it."""
        group = self._groups.get(stream)
        if group is not None and (group.asks or group.peers):
            self._changed.setdefault(stream, set()).update(() if recipient is None else (recipient,))
            self._wake()

    def mark_suspect(self, streams: Collection[Stream]) -> None:
        """Ask about streams that may have missed messages: newly followed ones, or all after a lost connection."""
        for stream in streams:
            if SEPARATOR in stream and self._is_followed(stream):
                self._ask(stream)

    def _ask(self, stream: Stream, delay: int = 0) -> None:
        """Ask from the beginning, unless there is no other node."""
        if self._is_alone:
            return
        group = self._groups.setdefault(stream, StreamGroup())
        group.asks, group.due = 0, self._clock.now() + delay
        group.first_question = NEVER
        self._asking.pop(stream, None)
        self._asking[stream] = group
        self._wake()

    # --- sending

    async def _repeat(self, now: int) -> None:
        """Repeat states, and ask about silent nodes."""
        for place in [place for place, (_, at) in self._peers_left.items() if now - at > NODE_TIMEOUT_MS]:
            del self._peers_left[place]
        for stream in _due(self._changed_at, now - FIRST_REPEAT_MS) + _due(self._repeated_at, now - REPEAT_MS):
            group, is_followed = self._groups.get(stream), self._is_followed(stream)
            if group is None or not is_followed:
                if not is_followed:
                    self._outgoing.append(self._update(stream, StreamGroup(), has_left=True))
                self._forget_repetition(stream)
                continue
            is_silent = any(now - peer.heard_at > SILENT_MS for peer in group.peers.values())
            if is_silent and await self._members.is_reachable():
                self._ask(stream)
            # Without members: a node that does not know the number asks.
            if group.number:
                self._outgoing.append(GroupUpdate(stream, self._state(stream, group, (), group.number)))
            else:
                self._outgoing.append(self._update(stream, group))
            self._forget_repetition(stream)
            self._repeated_at[stream] = now

    def _forget_repetition(self, stream: Stream) -> None:
        self._changed_at.pop(stream, None)
        self._repeated_at.pop(stream, None)

    def _repeat_soon(self, stream: Stream) -> None:
        """Repeat this node's state: it has changed, or another node has come and may not know it."""
        self._forget_repetition(stream)
        self._changed_at[stream] = self._clock.now()

    async def _messages(self) -> list[Event]:
        """Return questions, answers, changes and repetitions."""
        now = self._clock.now()
        if now - self._checked_at >= REPETITIONS_MS:
            self._checked_at = now
            await self._repeat(now)
        if self._asking:
            self._wake()
        messages, self._outgoing = self._outgoing, []
        changed, self._changed = self._changed, {}
        messages += [
            self._update(stream, self._groups[stream], recipients)
            for stream, recipients in changed.items()
            if stream in self._groups
        ]
        if self._members.is_settled:
            messages += self._questions(now)
        return messages

    def _questions(self, now: int) -> list[Event]:
        questions: list[Event] = []
        for stream, group in list(self._asking.items()):
            if len(questions) == MAX_BATCH_ASKS:
                break
            is_due = group.due is not None and group.due <= now
            if not self._members.others or (is_due and group.asks == MAX_ASKS):
                self._settle(stream, group)
                continue
            if not is_due:
                continue
            group.asks += 1
            questions.append(self._update(stream, group, asks=min(group.asks, 2)))
            if group.first_question == NEVER:
                group.first_question, group.questioned_at = group.number, now
            group.due = now + ANSWER_MS
            self._asking[stream] = self._asking.pop(stream)
        return questions

    def _settle(self, stream: Stream, group: StreamGroup) -> None:
        """The others are known: those heard since the question."""
        del self._asking[stream]
        group.due = None
        for node in [node for node, peer in group.peers.items() if peer.heard_at < group.questioned_at]:
            self._remove(stream, group, node, ChangeOrigin.ELSEWHERE)
        self._end_if_alone(stream, group)
        if group.known is not None:
            group.known.set()
        for known in self.known:
            known(stream)
        for peer in group.peers.values():
            peer.is_new = False
        if any(peer.missed > peer.number for peer in group.peers.values()):
            self._ask(stream)

    def _update(
        self,
        stream: Stream,
        group: StreamGroup,
        recipients: Set[str] | None = None,
        asks: int = 0,
        *,
        has_left: bool = False,
    ) -> GroupUpdate:
        """Return the next message of this node. It has all members, unless they are many and some have changed."""
        members = [] if has_left else self._local.members_here(stream)
        previous: int | None = None
        if recipients is not None and group.number and len(members) > MAX_FULL_MEMBERS:
            members, previous = self._local.members_here(stream, recipients), group.number
        self._number += 1
        group.number = self._number
        self._repeat_soon(stream)
        known = {
            id: peer.number for id, peer in group.peers.items() if asks == 1 or peer.heard_at >= group.questioned_at
        }
        return GroupUpdate(stream, self._state(stream, group, members, previous), asks, known if asks else {}, has_left)

    def _state(self, stream: Stream, group: StreamGroup, members: Iterable[Member], previous: int | None) -> GroupState:
        count, is_new = self._local.count_here(stream), group.due is not None
        return GroupState(self._members.id, group.number, previous, count, tuple(members), is_new)

    # --- receiving

    def receive(self, event: GroupUpdate | GroupAnswer) -> None:
        stream = Stream(event.on)
        if not self._is_followed(stream):
            return
        if isinstance(event, GroupAnswer):
            group = self._groups.setdefault(stream, StreamGroup())
            if event.number >= group.first_question:  # not to an earlier question; a late answer is better than none
                for state in event.states:
                    self._apply(stream, group, state)
                if event.is_whole and stream in self._asking:
                    self._settle(stream, group)
            self._end_if_alone(stream, group)
            return
        node = event.state.node
        if node == self._members.id:
            return
        group = self._groups.setdefault(stream, StreamGroup())
        if event.has_left:
            self._peers_left[stream, node] = event.state.number, self._clock.now()
            self._remove(stream, group, node, ChangeOrigin.ELSEWHERE)
            return
        self._apply(stream, group, event.state)
        if event.asks == 1 and all(self._members.id < other for other in group.peers if other != node):
            # A node that does not know the others itself has only its own state to tell
            self._answer(stream, group, event.state, is_whole=stream not in self._asking)
        elif event.asks and event.known.get(self._members.id, 0 if event.asks == 2 else group.number) != group.number:
            self._answer(stream, group, event.state, is_whole=False)

    def _answer(self, stream: Stream, group: StreamGroup, question: GroupState, *, is_whole: bool) -> None:
        if not group.number:
            self._number += 1
            group.number = self._number
        states = [self._state(stream, group, self._local.members_here(stream), None)]
        if is_whole:
            states += [peer.state(id) for id, peer in group.peers.items() if id != question.node]
        self._outgoing.append(GroupAnswer(question.node, question.number, stream, tuple(states), is_whole))
        self._wake()

    def _apply(self, stream: Stream, group: StreamGroup, state: GroupState) -> None:
        node = state.node
        if node == self._members.id or state.number <= self._peers_left.get((stream, node), (0, 0))[0]:
            return
        if node not in self._members.others:  # else the answer of a third node would keep a dead one alive
            self._members.note(node)
        if node not in group.peers:
            group.peers[node] = Peer()
            self._repeat_soon(stream)
        peer = group.peers[node]
        peer.heard_at = self._clock.now()
        delta = peer.apply(state)
        if delta is None:
            peer.missed = state.number
            if stream not in self._asking:
                self._ask(stream)
        elif delta.connections or delta.members:
            self._local.apply_peer(stream, node, delta, ChangeOrigin.ELSEWHERE)

    def _remove(self, stream: Stream, group: StreamGroup, node: str, cause: ChangeOrigin) -> None:
        peer = group.peers.pop(node, None)
        if peer is not None:
            delta = peer.clear()
            if delta.connections or delta.members:
                self._local.apply_peer(stream, node, delta, cause)
        self._end_if_alone(stream, group)

    def _end_if_alone(self, stream: Stream, group: StreamGroup) -> None:
        if not group.peers and stream not in self._asking:
            self._groups.pop(stream, None)
            self._forget_repetition(stream)
            self._changed.pop(stream, None)

    # --- members

    def _on_dropped(self, node: str) -> None:
        for stream, group in [item for item in self._groups.items() if node in item[1].peers]:
            self._remove(stream, group, node, ChangeOrigin.DEATH)

    def _on_rejoined(self) -> None:
        """Send the states of this node, which the others may not have, and ask for theirs."""
        for stream in self._local.streams_here() | self._observed.keys():
            if stream not in self._asking:
                self._ask(stream)


def _due(times: dict[Stream, int], until: int) -> list[Stream]:
    """Return the streams with times up to `until`; the oldest is the first of all."""
    return list(takewhile(lambda stream: times[stream] <= until, times))
