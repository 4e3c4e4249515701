"""Refused namespaces of Socket.IO in the live feed."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bellcast.console.watchers import LiveFeed
from bellcast.kernel.identities import Principal
from bellcast.live.socketio import SocketIOConfig
from bellcast.live.socketio.engine_session import EngineSession
from bellcast.live.socketio.layer import MAX_NAMESPACES, MAX_REFUSED_EVENTS, SocketIOLayer, SocketIOState
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
        sessions = SimpleNamespace(callbacks=log, full={}, count_unjoined=lambda *_: None, discard=lambda _: None)
        self.session = EngineSession(cast(Any, sessions), cast(Any, request))
        state = self.session.app_state = SocketIOState(PacketReader(100), 100, 45)
        state.connect_timer = cast(Any, SimpleNamespace(cancel=lambda: None))
        app = SimpleNamespace(has_namespace=lambda _: False)
        self.layer = SocketIOLayer(SocketIOConfig(), cast(Any, SimpleNamespace(app=app)), cast(Any, None))

    @property
    def events(self) -> list[FeedEvent]:
        return self.feed.recent(FeedFilter(kinds=frozenset({"refused"})), 200)


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


def test_refused_namespace_is_an_event_without_the_query(refusals: Refusals) -> None:
    refusals.layer.on_message(refusals.session, '0/admin?token=secret,{"token":"secret"}')
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
        refusals.layer.on_message(refusals.session, f"0/{number},")
    assert len(refusals.events) == MAX_REFUSED_EVENTS


async def test_session_that_has_left_its_namespaces_may_be_refused_again(refusals: Refusals) -> None:
    state: SocketIOState = refusals.session.app_state
    for number in range(MAX_NAMESPACES - 1):
        refusals.layer.on_message(refusals.session, f"0/{number},")
    state.cancel_timer()  # a namespace was joined
    state.remove(refusals.session, "/")
    refusals.layer.on_message(refusals.session, "0/again,")
    refusals.layer.on_message(refusals.session, "0/and again,")
    assert not refusals.session.is_closed
    for number in range(MAX_NAMESPACES):
        refusals.layer.on_message(refusals.session, f"0/{number},")
    assert refusals.session.is_closed
    state.cancel_timer()


def test_refusal_of_a_recipient_is_an_event_of_its_tenant(refusals: Refusals) -> None:
    principal = Principal(tenant="acme", recipient="alice")
    refusals.session.sessions.callbacks.namespace_refused(refusals.session, "/", "too_many", principal, is_fed=True)
    (event,) = refusals.events
    assert (event.tenant, event.recipient) == ("acme", "alice")
