"""Refused namespaces of Socket.IO in the live feed."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.console.watchers import LiveFeed
from bellcast.kernel.identities import Principal
from bellcast.kernel.limits import Limits
from bellcast.live.socketio import SocketIOConfig
from bellcast.live.socketio.engine_session import MAX_NAMESPACES, EngineSession
from bellcast.live.socketio.namespaces import MAX_REFUSED_EVENTS, Namespaces
from bellcast.live.socketio.protocol import PacketReader
from bellcast.live_feed import FeedEvent, FeedFilter
from bellcast.server.request_log import RequestLog
from tests.clock import FakeClock


class Refusals:
    """A session whose log is that of a server."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.feed = LiveFeed()
        log = RequestLog(clock, self.feed, lambda: "off")
        request = SimpleNamespace(path="/socket.io/", origin="https://shop.example", address=None)
        sessions = SimpleNamespace(
            callbacks=log,
            config=SocketIOConfig(),
            full={},
            count_unjoined=lambda *_: None,
            discard=lambda session: session.set_joined(),
        )
        self.session = EngineSession(cast(Any, sessions), cast(Any, request), PacketReader(100))
        self.session.unjoined_as = "websocket"
        live: Any = SimpleNamespace(
            app=SimpleNamespace(has_namespace=lambda _: False),
            settings={"socketio": SocketIOConfig()},
            spawn=None,
        )
        self._namespaces = Namespaces(live, cast(Any, SimpleNamespace(limits=Limits())), cast(Any, None))

    def connect(self, namespace: str, auth: str = "") -> None:
        self._namespaces.receive(self.session, f"0{namespace},{auth}")

    @property
    def events(self) -> list[FeedEvent]:
        return self.feed.recent(FeedFilter(kinds=frozenset({"refused"})), 200)


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


def test_refused_namespace_is_an_event_without_the_query(refusals: Refusals) -> None:
    refusals.connect("/admin?token=secret", '{"token":"secret"}')
    (event,) = refusals.events
    assert event.text == "connection to /admin refused: Invalid namespace"
    assert event.fields == {
        "protocol": "socketio",
        "transport": "websocket",
        "namespace": "/admin",
        "reason": "Invalid namespace",
        "path": "/socket.io/",
        "origin": "https://shop.example",
    }
    assert "secret" not in str(event)


def test_refusals_of_one_session_are_few_events(refusals: Refusals) -> None:
    for number in range(MAX_REFUSED_EVENTS + 5):
        refusals.connect(f"/{number}")
    assert len(refusals.events) == MAX_REFUSED_EVENTS


async def test_session_that_has_left_its_namespaces_may_be_refused_again(refusals: Refusals) -> None:
    for number in range(MAX_NAMESPACES - 1):
        refusals.connect(f"/{number}")
    refusals.session.set_joined()
    refusals.session.remove("/")
    refusals.connect("/again")
    refusals.connect("/and again")
    assert not refusals.session.is_closed
    for number in range(MAX_NAMESPACES):
        refusals.connect(f"/{number}")
    assert refusals.session.is_closed


def test_refusal_of_a_recipient_is_an_event_of_its_tenant(refusals: Refusals) -> None:
    principal = Principal(tenant="acme", recipient="alice")
    refusals.session.sessions.callbacks.namespace_refused(refusals.session, "/", "too_many", principal, is_fed=True)
    (event,) = refusals.events
    assert (event.tenant, event.recipient) == ("acme", "alice")
