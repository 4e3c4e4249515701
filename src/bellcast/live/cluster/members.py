"""Which nodes are alive, and the loop that sends what the parts of the cluster state have for other nodes. Each node sends a
beat every two seconds, which only the keeper receives; the keeper sends the list.

Only the keeper declares a node dead, and not after it was suspended or cut off itself. Without a list for six seconds, the node with
the lowest id becomes the keeper, or one of the next ones if it does not. Of two keepers, the higher id yields to the lower."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog
from msgspec import Struct

from bellcast.kernel.brokers import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import NODES, Event, node_stream
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.types import (
    BEATS,
    MEMBERS,
    NodeBeat,
    NodeClaim,
    NodeLeft,
    NodeList,
    NodeReport,
    RatesUsed,
    RateUsage,
)

log = structlog.get_logger(__name__)

# Interval of batches, which bounds the staleness of the others.
BATCH_MS = 50
# Interval of turns without changes: the resolution of all timeouts.
TURN_SECONDS = 0.5
BEAT_MS = 2_000
# A node sends its beat when the list arrives: the keeper reads those of all nodes at once. Without a list, it is sent this much later.
LATE_MS = 500
# Silence after which a node is dead: with the turn that notices it and the messages, presence is right within 10 s of its end. A node
# that was busy for 6 s lives: its beat is due after 2.5 s at the latest.
NODE_TIMEOUT_MS = 8_500
# Silence after which the keeper is replaced: three lists.
KEEPER_TIMEOUT_MS = 6_000
# A node that starts becomes the keeper if its claim is not answered within this time. It is also the time between two candidates.
CLAIM_MS = 500
# Candidates that wait for each other. The nodes after them do not.
MAX_CANDIDATES = 2
# A new keeper waits this long for the beats of nodes that sent theirs to the previous one. A node that died with it is
# then dead after 8.5 s too.
GRACE_MS = 1_500
# Time between two ticks after which this process was suspended, and knows nothing about the silence of others. Two seconds
# less than the timeout, for what was silent already.
SUSPENDED_MS = 5_000
ID_BYTES = 8

MembersEvent = NodeBeat | NodeClaim | NodeList | NodeLeft


class Node(Struct):
    """Another node. `alive_at` is the time of its last beat, or of the last list with it, `since` the time at which it joined,
    or 0 if it was there before; `report` is known to the keeper only."""

    connections: int = 0
    alive_at: int = 0
    since: int = 0
    report: tuple[int, NodeReport] | None = None


class Members:
    """The nodes of the cluster, and their connections as of the last list. `parts` return the messages of a turn."""

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        connections: Callable[[], int],
        report: Callable[[], NodeReport | None],
        steady: Clock,
    ) -> None:
        self.parts: list[Callable[[], Awaitable[list[Event]]]] = [self._messages]
        self._has_work = asyncio.Event()
        self.wake = self._has_work.set  # gives each part a turn within BATCH_MS
        self.id = secrets.token_hex(ID_BYTES)
        self.others: dict[str, Node] = {}
        self._since = 0  # when this node joined
        self.has_met_others = False  # since the start
        # False until the other nodes are known: after the start, and after a gap in the subscription.
        self.is_settled = True
        self.keeper: str | None = None  # as far as it is known
        # Called with each node that has left or died, and the time since which it may have been silent.
        self.dropped: list[Callable[[str, int], None]] = []
        # Called if the others may not know the state of this node: they regarded it as dead, or it did not know them.
        self.rejoined: list[Callable[[], None]] = []
        self._has_rejoined = False  # since the last turn
        self._broker = broker
        self._clock = steady  # a step of the system time would end live nodes, or hide dead ones
        self._system_clock = clock
        self._connections = connections
        self._report = report
        self._listed: set[str] = set()  # by the current keeper
        self._ticked_at = steady.now()
        self._list_due = 0  # when this node takes over from a silent keeper
        self._sent_at = 0  # 0: now

    @property
    def is_keeper(self) -> bool:
        return self.keeper == self.id

    @property
    def reports(self) -> dict[str, tuple[int, NodeReport]]:
        """The last reports of the live nodes with the times of their arrival; those of this node only if it is not the
        keeper."""
        own, others = self._report(), self.others.items() if self.is_keeper else ()
        reports = {id: node.report for id, node in others if node.report is not None}
        return reports | ({} if own is None else {self.id: (self._system_clock.now(), own)})

    def joined_at(self, id: str) -> int:
        """Return when a live node joined, or 0 if it is not known."""
        return self._since if id == self.id else self.others[id].since

    # --- sending

    async def run(self) -> None:
        """Take turns until cancelled: one within BATCH_MS of a change, and at rest one in TURN_SECONDS."""
        for stream in (NODES, MEMBERS, node_stream(self.id)):
            self._broker.follow(stream)
        self._since = self._clock.now()
        self.rejoin()
        while True:
            self._has_work.clear()
            await self.send()
            sent_at = self._clock.now()
            turn = asyncio.ensure_future(self._clock.sleep(TURN_SECONDS))
            work = asyncio.ensure_future(self._has_work.wait())
            try:
                await asyncio.wait((turn, work), return_when=asyncio.FIRST_COMPLETED)
            finally:
                turn.cancel()
                work.cancel()
            if (wait := sent_at + BATCH_MS - self._clock.now()) > 0:
                await self._clock.sleep(wait / 1000)

    async def send(self) -> None:
        """Take one turn. Publishing never waits for the network."""
        if messages := [message for part in self.parts for message in await part()]:
            await self._broker.publish(*messages)

    def rejoin(self) -> None:
        """Ask which nodes are there, because messages may be missing: at the start, and after a gap in the subscription."""
        self.is_settled = False
        self._restart_timeouts()
        self._list_due = self._clock.now() + CLAIM_MS
        self._send_soon()

    def _send_soon(self) -> None:
        self._sent_at = 0
        self.wake()

    async def _messages(self) -> list[Event]:
        """Return a list, a claim or a beat if one is due. Replaces a silent keeper."""
        if self._has_rejoined:
            self._has_rejoined = False
            for rejoined in self.rejoined:
                rejoined()
        now = self._clock.now()
        was_suspended, self._ticked_at = now - self._ticked_at > SUSPENDED_MS, now
        if was_suspended:
            self._restart_timeouts()
        candidates_before = sum(id < self.id for id in self.others if id != self.keeper)
        if self.is_keeper and self.is_settled:
            await self._drop_silent(now)
        elif now > self._list_due + CLAIM_MS * min(candidates_before, MAX_CANDIDATES):
            self._become_keeper(now)
        late = 0 if self.is_keeper else LATE_MS
        if now - self._sent_at < BEAT_MS + late:
            return []
        self._sent_at = now
        if self.is_keeper:
            connections = {id: node.connections for id, node in self.others.items()}
            return [NodeList(self.id, {self.id: self._connections(), **connections})]
        if not self.is_settled:
            return [NodeClaim(self.id)]
        return [NodeBeat(self.id, self._connections(), self._report())]

    async def _drop_silent(self, now: int) -> None:
        silent = [id for id, node in self.others.items() if now - node.alive_at > NODE_TIMEOUT_MS]
        try:
            if silent:
                await self._broker.ping()
        except BellcastError:  # all are silent to a node that is cut off
            self._restart_timeouts()
            return
        for id in silent:
            log.warning("node_expired", node=id)
            self._drop(id, now - NODE_TIMEOUT_MS)
            self._send_soon()

    def _become_keeper(self, now: int) -> None:
        if not self.is_keeper:
            self._broker.follow(BEATS)
            for id, node in self.others.items():
                node.report = None
                if id != self.keeper:
                    node.alive_at = max(node.alive_at, now - NODE_TIMEOUT_MS + GRACE_MS)
        self.keeper, self.is_settled = self.id, True
        self._send_soon()

    def _restart_timeouts(self) -> None:
        now = self._ticked_at = self._clock.now()
        self._list_due = now + KEEPER_TIMEOUT_MS
        for node in self.others.values():
            node.alive_at = now

    # --- receiving

    def receive(self, event: MembersEvent) -> None:
        if event.node == self.id:
            return
        now = self._clock.now()
        match event:
            case NodeLeft():
                self._drop(event.node, now)
                if event.node == self.keeper:
                    self._list_due = now
            case NodeBeat() if self.is_keeper:
                if self.note(event.node, event.connections):  # it was there, but this node did not know that
                    self._send_soon()
                    self._has_rejoined = True
                if event.report is not None:
                    self.others[event.node].report = self._system_clock.now(), event.report
            case NodeClaim() if self.is_keeper:
                self.others.setdefault(event.node, Node(since=now))  # it will ask for the states itself
                self.note(event.node)
                self._send_soon()
            case NodeClaim() if event.node < self.id and not self.is_settled:
                self._list_due = now + CLAIM_MS
            case NodeList():
                self._receive_list(event, now)

    def _receive_list(self, event: NodeList, now: int) -> None:
        self.note(event.node)
        if self.id not in event.nodes and (self.is_keeper or self.id in self._listed):
            self._listed.discard(self.id)
            self._since = now  # the others have dropped it, and regard it as new
            self._send_soon()
            self._has_rejoined = True
        has_keeper = self.is_keeper or (self.is_settled and now <= self._list_due)
        if has_keeper and self.keeper is not None and event.node > self.keeper:
            if self.is_keeper:
                self._send_soon()
            return
        if self.is_keeper:
            self._broker.unfollow(BEATS)
        if self.keeper != event.node:
            self.keeper, self._listed = event.node, set()
            self._send_soon()  # a beat, so that the keeper knows this node
        self._list_due = now + KEEPER_TIMEOUT_MS
        for id, connections in event.nodes.items():
            if id != self.id:
                self.note(id, connections)
        # A keeper that does not know a node yet must not end it for the others.
        for id in [id for id in self.others if id not in event.nodes]:
            if id in self._listed or now - self.others[id].alive_at > NODE_TIMEOUT_MS:
                self._drop(id, now - NODE_TIMEOUT_MS)
        self._listed = set(event.nodes)
        self.is_settled = True
        if now - self._sent_at > BEAT_MS // 2:
            self._send_soon()

    def note(self, id: str, connections: int | None = None) -> bool:
        """Note a sign of life. True if the node is new."""
        was_alone, is_new = not self.others, id not in self.others
        self.has_met_others = True
        now = self._clock.now()
        node = self.others.setdefault(id, Node(since=now if self.is_settled else 0))
        node.alive_at = now
        if connections is not None:
            node.connections = connections
        if was_alone:
            self._has_rejoined = True
            self.wake()
        return is_new

    def _drop(self, id: str, silent_since: int) -> None:
        self._listed.discard(id)
        if self.others.pop(id, None) is not None:
            for dropped in self.dropped:
                dropped(id, silent_since)


# --- rate limits shared by all nodes

# The others know of usage after at most three times this time: at a rate of 100 per second, each node may once exceed it by
# thirty.
SYNC_INTERVAL_MS = 100


class SharedRates(TokenBuckets):
    """The rates of this node until `share`, then of all nodes. Each node takes from a local bucket without waiting, and several
    times per second sends its usage to the keeper, which sends that of all to all. They deduct the usage of the others. A bucket
    may be negative for a moment; over longer periods the rate holds, except while the keeper is replaced."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._members: Members | None = None
        self._usage: Counter[str] = Counter()
        self._received: dict[str, Counter[str]] = {}  # usage of other nodes that the keeper has not sent yet
        self._sent_at = 0

    def share(self, members: Members) -> None:
        """Exchange usage in the turns of the nodes from now on."""
        self._members = members
        members.parts.append(self._messages)

    def take(self, name: str, rate: float, now: int, number: int = 1) -> float:
        wait = super().take(name, rate, now, number)
        if rate and not wait:
            self._add_usage(name, number)
        return wait

    def deduct(self, name: str, number: int) -> None:
        super().deduct(name, number)
        self._add_usage(name, number)

    def _add_usage(self, name: str, number: int) -> None:
        if self._members is not None:
            self._usage[name] += number
            self._members.wake()

    def receive(self, event: RateUsage | RatesUsed) -> None:
        """Collect the usage of a node, as the keeper, or deduct that of the other nodes."""
        if self._members is None:
            return
        if isinstance(event, RateUsage):
            if event.node != self._members.id:
                self._received.setdefault(event.node, Counter()).update(event.taken)
                self._members.wake()
            return
        for node, taken in event.nodes.items():
            if node != self._members.id:
                for name, number in taken.items():
                    super().deduct(name, number)

    async def _messages(self) -> list[Event]:
        """Return this node's usage for the keeper or, as the keeper, that of all nodes for all."""
        members, now = self._members, self._clock.now()
        if members is None or not (self._usage or self._received):
            return []
        if now - self._sent_at < SYNC_INTERVAL_MS:
            members.wake()
            return []
        self._sent_at = now
        own, self._usage = {name: number for name, number in self._usage.items() if number}, Counter()
        received, self._received = self._received, {}  # also when another node has become the keeper: it is old later
        if members.is_keeper and (received or (own and members.others)):
            return [RatesUsed({members.id: own} | {id: dict(used) for id, used in received.items()})]
        return [RateUsage(members.id, own)] if own and members.others and not members.is_keeper else []
