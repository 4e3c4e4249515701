"""Which positions of Pusher devices are saved: those that pongs confirm, once the store has them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.kernel.errors import Unavailable
from bellcast.live.connection import Phase
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.pusher import protocol
from bellcast.live.pusher.signed_in_users import PusherUsers, SignedInUser
from bellcast.recipients.store import DevicePosition
from tests import fake_stores
from tests.clock import FakeClock
from tests.unit.live import fakes


class Devices:
    """Saved revisions; raises if unavailable."""

    def __init__(self) -> None:
        self.is_away = False
        self.saved: list[int] = []

    async def acknowledge(self, positions: list[DevicePosition], now: int) -> None:
        if self.is_away:
            raise Unavailable
        self.saved += [position.revision for position in positions]


class Browser:
    """A signed-in connection, whose pongs the test sends."""

    def __init__(self, encoding: protocol.PusherDialect) -> None:
        hub, self.devices = fakes.new_hub(), Devices()
        engines = SimpleNamespace(db=fake_stores.db(SimpleNamespace(devices=self.devices)), clock=FakeClock())
        live: Any = SimpleNamespace(hub=hub, settings={"pusher": None}, engines=engines)
        self.users = PusherUsers(live, cast(Any, None))
        hub.callbacks = HubCallbacks(disconnected=self.users.disconnected)
        self.connection = fakes.connect(hub, dialect=encoding)
        self.users._signed_in[self.connection] = SignedInUser(protocol.User(id="alice"), b"", 1)

    async def change(self, revision: int) -> None:
        """Send a change, and let the next round of pings pass."""
        self.connection.revision = revision
        await self.users.save_acknowledged()

    async def pong(self, data: bytes | None) -> None:
        self.users.on_pong(self.connection, data)
        await self.users.save_acknowledged()


async def test_pong_without_a_number_confirms_only_what_preceded_its_ping() -> None:
    browser = Browser(protocol.WITHOUT_PINGS)
    await browser.change(5)
    await browser.change(7)
    await browser.pong(None)
    assert browser.devices.saved == [5]
    await browser.pong(None)
    assert browser.devices.saved == [5, 7]
    assert len(browser.connection.fake.written) == 2


async def test_pong_with_a_number_confirms_its_ping_even_if_an_earlier_one_was_not_answered() -> None:
    browser = Browser(protocol.WEBSOCKET)
    await browser.change(5)
    await browser.change(7)
    await browser.pong(b"5")
    await browser.pong(b"")
    assert browser.devices.saved == []
    await browser.pong(b"7")
    assert browser.devices.saved == [7]


async def test_position_that_could_not_be_saved_is_saved_in_a_later_round() -> None:
    browser = Browser(protocol.WITHOUT_PINGS)
    await browser.change(9)
    browser.devices.is_away = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await browser.pong(None)
    browser.devices.is_away = False
    for _ in range(2):
        await browser.users.save_acknowledged()
    assert browser.devices.saved == [9]


async def test_ping_that_closes_a_slow_reader_leaves_the_others_of_the_round() -> None:
    browser = Browser(protocol.WEBSOCKET)
    hub = browser.connection.owner
    connections = [browser.connection, *(fakes.connect(hub, id, dialect=protocol.WEBSOCKET) for id in ("2", "3"))]
    for connection in connections:
        connection.revision = 5
        browser.users._signed_in[connection] = SignedInUser(protocol.User(id="alice"), b"", 1)
    slow = connections[1].fake
    slow.is_buffering, slow.high = True, 1
    await browser.users.save_acknowledged()
    assert [len(one.fake.written) > 0 for one in connections] == [True] * 3
    assert [one.phase is Phase.CLOSED for one in connections] == [False, True, False]
