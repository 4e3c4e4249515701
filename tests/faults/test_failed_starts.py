"""Connections that fail to start because of a bug in the server are closed, not counted, and logged."""

from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.failing_starts import AT_DEVICE, AT_INBOX, AT_TOPICS
from tests.faults.raw_sockets import eventually, live
from tests.servers import ServerProcess
from tests.wire.clients import stream, websocket
from tests.wire.pusher_clients import bare


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environ = {"BELLCAST_HANDLERS": "tests.faults.failing_starts:handlers", "BELLCAST_LOG_FORMAT": "json"}
    with ServerProcess(tmp_path_factory.mktemp("failing") / "data", environ) as server:
        yield server


def logged(server: ServerProcess) -> int:
    """Return the number of failed starts in the log, each with its traceback."""
    lines = server.log.read_text().splitlines()
    return sum("connection_start_failed" in line and "raise MistakeError" in line for line in lines)


@pytest.mark.parametrize("recipient", [AT_INBOX, AT_TOPICS])
def test_websocket_whose_start_fails_is_closed(server: ServerProcess, recipient: str) -> None:
    before = logged(server)
    with websocket(server, recipient, topics="a") as bell:
        assert bell.next() == {"type": "close", "code": 1013, "reason": "unavailable", "reconnect": True, "after": 2000}
        with pytest.raises(ConnectionClosed):
            bell.next()
    assert eventually(lambda: live(server) == 0)
    assert eventually(lambda: logged(server) == before + 1)


@pytest.mark.parametrize("recipient", [AT_INBOX, AT_TOPICS])
def test_event_stream_whose_start_fails_ends_with_a_retry(server: ServerProcess, recipient: str) -> None:
    before = logged(server)
    with stream(server, recipient, topics="a") as bell:
        closed = bell.next()
        assert (bell.status, closed["type"], closed["reason"], closed["reconnect"]) == (
            200,
            "close",
            "unavailable",
            True,
        )
        assert bell.ends()
    assert eventually(lambda: live(server) == 0)
    assert eventually(lambda: logged(server) == before + 1)


@pytest.mark.parametrize("user", [{"id": AT_INBOX}, {"id": "ann", "device": AT_DEVICE}])
def test_pusher_connection_whose_sign_in_fails_is_closed(server: ServerProcess, user: dict[str, Any]) -> None:
    before = logged(server)
    with bare(server) as client:
        client.sign_in(**user)
        assert client.until("pusher:error")["data"]["code"] == 4100
        with pytest.raises(ConnectionClosed):
            client.next()
    assert eventually(lambda: live(server) == 0)
    assert eventually(lambda: logged(server) == before + 1)


def test_pusher_command_that_fails_is_reported_and_the_next_one_works(server: ServerProcess) -> None:
    with bare(server) as client:
        client.sign_in(id=AT_TOPICS)
        client.until("pusher:signin_success")
        client.send_frame("pusher:subscribe", {"channel": "open"})
        assert client.until("pusher:error")["data"]["message"]
        client.frames_until_pong()
