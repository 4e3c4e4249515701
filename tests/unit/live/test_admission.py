"""Connections that wait for the app's `connect` handler count before they are admitted."""

import asyncio
from typing import Any

import pytest

from bellcast.auth.permissions import AccessConfig
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.errors import TooMany, Unavailable
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live import admission
from bellcast.live.admission import Admission
from bellcast.live.hub import Hub
from bellcast.live.hub.callbacks import HubCallbacks
from bellcast.live.hub.presence import PresenceTracker
from bellcast.live.types import LiveConfig
from tests.clock import FakeClock
from tests.unit.live.fakes import connect, new_hub


class Engines:
    """The part of Context that a refused connection uses."""

    clock = FakeClock()


def admission_with(**limits: int) -> Admission:
    engines: Any = Engines()
    authenticator: Any = None  # only an inbox needs it
    hub = Hub(PresenceTracker(tuple), MemoryBroker(), engines.clock, engines.clock, HubCallbacks())
    return Admission(
        engines, hub, LiveConfig(limits=Limits(**limits), heartbeat=25, access=AccessConfig()), authenticator
    )


def test_waiting_connections_count_into_the_process_limit() -> None:
    limited = admission_with(connections=1)
    with limited.waiting_for_app("10.0.0.1"), pytest.raises(Unavailable), limited.waiting_for_app("10.0.0.2"):
        pass
    with limited.waiting_for_app("10.0.0.2"):
        pass


def test_waiting_connections_count_into_the_limit_of_their_address() -> None:
    limited = admission_with(connections_per_address=1)
    with limited.waiting_for_app("10.0.0.1"), limited.waiting_for_app("10.0.0.2"):
        with pytest.raises(TooMany), limited.waiting_for_app("10.0.0.1"):
            pass
        with pytest.raises(TooMany):
            limited.check_address("10.0.0.1")
    limited.check_address("10.0.0.1")


def test_sessions_without_a_namespace_count_once_into_the_limit_of_their_address() -> None:
    door = admission_with(connections_per_address=2)
    with door.waiting_for_app("10.0.0.1"):
        door.check_address("10.0.0.1", unjoined=1)  # the one that waits for the app
        with pytest.raises(TooMany):
            door.check_address("10.0.0.1", unjoined=2)


def test_waiting_connections_are_limited_where_no_limit_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_WAITING_FOR_APP", 2)
    monkeypatch.setattr(admission, "MAX_WAITING_FOR_APP_PER_ADDRESS", 1)
    limited = admission_with()
    with limited.waiting_for_app("10.0.0.1"):
        with pytest.raises(TooMany), limited.waiting_for_app("10.0.0.1"):
            pass
        with limited.waiting_for_app("10.0.0.2"), pytest.raises(Unavailable), limited.waiting_for_app("10.0.0.3"):
            pass


def test_connection_that_fails_while_it_waits_is_no_longer_counted() -> None:
    limited = admission_with(connections=1)
    for _ in range(2):
        with pytest.raises(ConnectionError), limited.waiting_for_app("10.0.0.1"):
            raise ConnectionError


async def test_recipient_that_connects_all_the_time_waits_for_its_turn_and_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def open_inbox(*_: Any) -> None:
        """The store is not part of this test."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(Admission, "_open_inbox", open_inbox)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1.0)
    monkeypatch.setattr(admission, "ADMISSIONS_PER_SECOND", 2)
    monkeypatch.setattr(admission, "MAX_TURN_SECONDS", 1.0)
    for limits in ({"connections_per_recipient": 8}, {"connections_per_recipient": 0}):  # half of 8, and unlimited
        many = admission_with(**limits)
        for _ in range(4):
            await many.admit(connect(new_hub()))
    assert waits == []
    door = admission_with(connections_per_recipient=5)
    for _ in range(4):
        await door.admit(connect(new_hub()))
    assert waits == [0.5, 1.0]
    with pytest.raises(TooMany):
        await door.admit(connect(new_hub()))
    anonymous = connect(new_hub(), principal=Principal())
    with pytest.raises(TooMany):  # Pusher: connected, then signed in
        await door.sign_in(anonymous, connect(new_hub()).principal)
    assert anonymous.principal.recipient is None
    await door.admit(connect(new_hub(), principal=Principal(recipient="bob")))
    assert waits == [0.5, 1.0]
