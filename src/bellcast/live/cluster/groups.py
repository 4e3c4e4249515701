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
from itertools import count

from msgspec import Struct

from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.events import Event, Stream
from bellcast.live.cluster.members import NODE_TIMEOUT_MS, Members
from bellcast.live.types import GroupAnswer, GroupState, GroupUpdate, Member

PresenceKey = tuple[str, str, str]  # tenant, topic, recipient


class ChangeOrigin(IntEnum):
    """Why a count or presence on all nodes changed."""

    HERE = 0
    ELSEWHERE = 1
    DEATH = 2  # of another node, which can no longer report its own changes


class Peer(Struct):
    """A node of a group: `number` is that of its last message, `missed` that of one that could not be applied. `is_new`: it
    has begun to follow at the same time as this node."""

    number: int = 0
    missed: int = 0
    count: int = 0
    heard_at: int = 0
    is_new: bool = False
    members: dict[str, Member] = {}

    def apply(self, state: GroupState) -> tuple[int, Sequence[Member]] | None:
        """Apply a state that is not older. Returns the difference of the node's connections, and changed members with their new
        numbers of connections; None if a message has been lost before it."""
        if state.number <= self.number:
            return 0, ()
        if state.previous not in (None, self.number):
            return None
        self.number, self.is_new = state.number, state.is_new
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


class StreamGroup(Struct):
    """The other nodes of a group, and the state of this node's question."""

    peers: dict[str, Peer] = {}
    number: int = 0  # of this node's last message
    asks: int = 0
    first_question: int = 0  # number and time of the first message of the question
    questioned_at: int = 0
    due: int = 0  # of the next question
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
        apply_peer: Callable[[Stream, str, int, Sequence[Member], ChangeOrigin], None],
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
        self._asking: dict[Stream, StreamGroup] = {}  # in the order of their questions
        # When to repeat this node's states in groups with other nodes, and that it has left a group.
        self._repeat_at: dict[Stream, int] = {}
        # Last messages of nodes that have left, with their times: an answer of another node may be older.
        self._left: dict[tuple[Stream, str], tuple[int, int]] = {}
        self._changed: dict[Stream, set[str]] = {}  # recipients whose presence changed
        self._outgoing: list[Event] = []
        self._numbers = count(1)
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

    @asynccontextmanager
    async def observing(self, streams: Collection[Stream], asks: int = 2) -> AsyncIterator[None]:
        """Know the counts and members of streams on all nodes within the context, if they answer in time."""
        for stream in streams:
            self.follow(stream)
        try:
            await self.wait_known(streams, asks)
            yield
        finally:
            for stream in streams:
                self.unfollow(stream)

    @property
    def _is_alone(self) -> bool:
        return self._members.is_settled and not self._members.others

    # --- this node

    def follow(self, stream: Stream) -> None:
        """Follow a stream, for its first connection here or without one. Counted."""
        self.followed[stream] = followed = self.followed.get(stream, 0) + 1
        if followed == 1:
            self._broker.follow(stream)
            self._ask(stream, SUBSCRIBE_MS)

    def unfollow(self, stream: Stream) -> None:
        """Release one `follow` of the stream."""
        self.followed[stream] -= 1
        if self.followed[stream]:
            return
        del self.followed[stream]
        self._broker.unfollow(stream)
        group = self._groups.pop(stream, None)
        self._asking.pop(stream, None)
        self._changed.pop(stream, None)
        if not self._is_alone:  # a question may reach other nodes late, when this one has found that it is alone
            self._send(stream, group or StreamGroup(), has_left=True)
            self._wake()
        if group is None:
            return
        if group.known is not None:
            group.known.set()
        for node, peer in group.peers.items():
            left = [Member(key, connections=0) for key in peer.members]
            if left:  # only members: this node no longer counts the stream
                self._apply_peer(stream, node, 0, left, ChangeOrigin.ELSEWHERE)

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
            if stream in self.followed:
                self._ask(stream)

    def _ask(self, stream: Stream, delay: int = 0) -> None:
        """Ask from the beginning, unless there is no other node."""
        if self._is_alone:
            return
        group = self._groups.setdefault(stream, StreamGroup())
        group.asks, group.due = 0, self._clock.now() + delay
        self._asking.pop(stream, None)
        self._asking[stream] = group
        self._wake()

    # --- sending

    async def _messages(self) -> list[Event]:
        """Return questions, answers, changes and repetitions."""
        now = self._clock.now()
        if now - self._checked_at >= REPETITIONS_MS:
            self._checked_at = now
            self._left = {place: left for place, left in self._left.items() if now - left[1] <= NODE_TIMEOUT_MS}
            for stream in [stream for stream, at in self._repeat_at.items() if at <= now]:
                # Repeat a state, and ask about silent nodes, or repeat that this node has left.
                group = self._groups.get(stream)
                if stream not in self.followed:
                    self._send(stream, StreamGroup(), has_left=True)
                    del self._repeat_at[stream]
                elif group is not None:
                    is_silent = any(now - peer.heard_at > SILENT_MS for peer in group.peers.values())
                    if is_silent and await self._members.is_reachable():
                        self._ask(stream)
                    # Of many members none: a node that does not know the number asks.
                    self._send(stream, group, frozenset())
                    self._repeat_at[stream] = now + REPEAT_MS
                else:
                    del self._repeat_at[stream]
        changed, self._changed = self._changed, {}
        for stream, recipients in changed.items():
            if stream in self._groups:
                self._send(stream, self._groups[stream], recipients)
        if self._asking:
            self._wake()
        if self._members.is_settled:
            self._send_questions(now)
        messages, self._outgoing = self._outgoing, []
        return messages

    def _send_questions(self, now: int) -> None:
        sent = 0
        for stream, group in list(self._asking.items()):
            if sent == MAX_BATCH_ASKS:
                break
            is_due = group.due <= now
            if not self._members.others or (is_due and group.asks == MAX_ASKS):
                self._settle(stream, group)
            elif is_due:
                group.asks += 1
                sent += 1
                self._send(stream, group, asks=min(group.asks, 2))
                if group.asks == 1:
                    group.first_question, group.questioned_at = group.number, now
                group.due = now + ANSWER_MS
                self._asking[stream] = self._asking.pop(stream)

    def _settle(self, stream: Stream, group: StreamGroup) -> None:
        """The others are known: those heard since the question."""
        del self._asking[stream]
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

    def _send(
        self,
        stream: Stream,
        group: StreamGroup,
        recipients: Set[str] | None = None,
        *,
        asks: int = 0,
        has_left: bool = False,
    ) -> None:
        """Send the next state of this node. It has all members, unless they are many and some have changed."""
        members = [] if has_left else self._members_here(stream, None)
        previous: int | None = None
        if recipients is not None and group.number and len(members) > MAX_FULL_MEMBERS:
            members, previous = self._members_here(stream, recipients), group.number
        group.number = next(self._numbers)
        self._repeat_at[stream] = self._clock.now() + FIRST_REPEAT_MS
        known = {
            id: peer.number for id, peer in group.peers.items() if asks == 1 or peer.heard_at >= group.questioned_at
        }
        state = self._state(stream, group, members, previous)
        self._outgoing.append(GroupUpdate(stream, state, asks, known if asks else {}, has_left))

    def _answer(self, stream: Stream, group: StreamGroup, question: GroupState, *, is_whole: bool) -> None:
        group.number = group.number or next(self._numbers)
        states = [self._state(stream, group, self._members_here(stream, None), None)]
        if is_whole:
            states += [
                GroupState(id, peer.number, None, peer.count, tuple(peer.members.values()), peer.is_new)
                for id, peer in group.peers.items()
                if id != question.node
            ]
        self._outgoing.append(GroupAnswer(question.node, question.number, stream, tuple(states), is_whole))
        self._wake()

    def _state(self, stream: Stream, group: StreamGroup, members: Iterable[Member], previous: int | None) -> GroupState:
        is_new = stream in self._asking
        return GroupState(self._members.id, group.number, previous, self._count_here(stream), tuple(members), is_new)

    # --- receiving

    def receive(self, event: GroupUpdate | GroupAnswer) -> None:
        stream = Stream(event.on)
        is_own = isinstance(event, GroupUpdate) and event.state.node == self._members.id
        if is_own or stream not in self.followed:
            return
        group = self._groups.setdefault(stream, StreamGroup())
        if isinstance(event, GroupAnswer):
            is_asking = stream in self._asking
            # Not to an earlier question, after which nodes may have left; a late answer is better than none
            if event.number >= group.first_question and (group.asks or not is_asking):
                for state in event.states:
                    self._apply(stream, group, state)
                if event.is_whole and is_asking:
                    self._settle(stream, group)
            self._end_if_alone(stream, group)
        elif event.has_left:
            self._left[stream, event.state.node] = event.state.number, self._clock.now()
            self._remove(stream, group, event.state.node, ChangeOrigin.ELSEWHERE)
        else:
            self._apply(stream, group, event.state)
            if event.asks == 1 and all(self._members.id < other for other in group.peers if other != event.state.node):
                # A node that does not know the others itself has only its own state to tell
                self._answer(stream, group, event.state, is_whole=stream not in self._asking)
            elif event.asks and group.number != event.known.get(
                self._members.id, 0 if event.asks == 2 else group.number
            ):
                self._answer(stream, group, event.state, is_whole=False)

    def _apply(self, stream: Stream, group: StreamGroup, state: GroupState) -> None:
        if state.node == self._members.id or state.number <= self._left.get((stream, state.node), (0, 0))[0]:
            return
        if state.node not in self._members.others:  # else the answer of a third node would keep a dead one alive
            self._members.note(state.node)
        peer = group.peers.get(state.node)
        if peer is None:
            peer = group.peers[state.node] = Peer()
            self._repeat_at[stream] = self._clock.now() + FIRST_REPEAT_MS  # it may not know the state of this node
        peer.heard_at = self._clock.now()
        delta = peer.apply(state)
        if delta is None:
            peer.missed = state.number
            if stream not in self._asking:
                self._ask(stream)
        elif any(delta):
            self._apply_peer(stream, state.node, *delta, ChangeOrigin.ELSEWHERE)

    def _remove(self, stream: Stream, group: StreamGroup, node: str, cause: ChangeOrigin) -> None:
        peer = group.peers.pop(node, None)
        if peer is not None and (peer.count or peer.members):
            left = [Member(key, connections=0) for key in peer.members]
            self._apply_peer(stream, node, -peer.count, left, cause)
        self._end_if_alone(stream, group)

    def _end_if_alone(self, stream: Stream, group: StreamGroup) -> None:
        if not group.peers and stream not in self._asking:
            self._groups.pop(stream, None)
            self._repeat_at.pop(stream, None)
            self._changed.pop(stream, None)

    # --- members

    def _on_dropped(self, node: str) -> None:
        for stream, group in [item for item in self._groups.items() if node in item[1].peers]:
            self._remove(stream, group, node, ChangeOrigin.DEATH)

    def _on_rejoined(self) -> None:
        """Send the states of this node, which the others may not have, and ask for theirs."""
        for stream in self.followed:
            if stream not in self._asking:
                self._ask(stream)
