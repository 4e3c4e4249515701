"""Announcements to a recipient with devices at two nodes: each device receives each row once, regardless of what the nodes know
about each other."""

import asyncio
import random
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.inbox.types.inboxes import AnnouncementChanged
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.events import Event, inbox_stream
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live import resume
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.reconciler import Reconciler
from bellcast.live.types import GroupState, GroupUpdate
from tests.contract.app import App
from tests.unit.live.fakes import FakeConnection, connect

KEYS = ("alice", "bob")


class LinkedBroker(MemoryBroker):
    """A broker that also delivers to the other node, later."""

    other: MemoryBroker

    async def publish(self, *events: Event) -> None:
        await super().publish(*events)
        for event in events:
            asyncio.get_running_loop().call_soon(self.other.deliver, event)


class Node:
    """One process: its hub, and a device of each recipient."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.tasks: set[asyncio.Task[None]] = set()
        self.broker = LinkedBroker()
        engines = SimpleNamespace(db=app.store, broker=self.broker, clock=app.clock)
        callbacks = HubCallbacks(
            fill_gap=lambda connection: self._spawn(resume.catch_up(app.store, connection, Limits())),
            receive=self._receive,
        )
        self.hub = Hub(PresenceTracker(tuple), self.broker, app.clock, app.clock, callbacks)
        self.reconciler = Reconciler(cast(Any, engines), self.hub, self._spawn)
        self.broker.listen(self.hub.dispatch)
        self.devices: dict[str, FakeConnection] = {}

    def _receive(self, event: Event) -> None:
        if isinstance(event, AnnouncementChanged):
            self.reconciler.materialize(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, key: str, tenant: str = "") -> None:
        inbox = (await self.app.open(key, tenant)).inbox
        device = connect(self.hub, key, Principal(recipient=key, tenant=tenant))
        device.inbox, device.epoch, device.revision = inbox.number, inbox.state.epoch, inbox.state.revision
        self.devices[key] = device

    async def end_tasks(self) -> None:
        while self.tasks:
            await asyncio.gather(*self.tasks)
            await asyncio.sleep(0)

    async def announce(self) -> None:
        await self.app.announce()
        await self.broker.publish(AnnouncementChanged(""))

    async def send(self, key: str) -> None:
        sent = await self.app.add(self.app.send_request(key))
        await self.broker.publish(*sent.events)


@pytest.mark.parametrize("is_known", [True, False], ids=["known to each other", "unknown to each other"])
@pytest.mark.parametrize("seed", range(5))
async def test_devices_at_two_nodes_receive_each_row_once(app: App, is_known: bool, seed: int) -> None:
    rng = random.Random(seed)
    nodes = (Node(app), Node(app))
    for node, other in (nodes, nodes[::-1]):
        node.broker.other = other.broker
        for key in KEYS:
            await node.connect(key)
        for key in KEYS if is_known else ():
            node.hub.groups.receive(GroupUpdate(inbox_stream("", key), GroupState("other", 1, None, 1)))
    for _ in range(6):
        work = [rng.choice(nodes).announce() for _ in range(rng.randint(1, 2))]
        work += [rng.choice(nodes).send(rng.choice(KEYS)) for _ in range(rng.randint(0, 3))]
        rng.shuffle(work)
        await asyncio.gather(*work)
    await asyncio.sleep(0)  # the last published event
    while tasks := [task for node in nodes for task in node.tasks]:
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
    for key in KEYS:
        state = (await app.inbox(key)).state
        ids = sorted(row.id for row in await app.page(key))
        for node in nodes:
            frames = node.devices[key].fake.frames
            assert sorted(frame["notification"]["id"] for frame in frames) == ids
            assert [frame["type"] for frame in frames] == ["notification"] * len(ids)
            last = frames[-1]
            assert (last["position"], last["unread"]) == (state.position, state.unread)
