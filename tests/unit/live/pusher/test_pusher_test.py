"""The test of the Pusher app against servers that are not Pusher servers."""

import asyncio
import contextlib
import struct

import pytest

from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import Response
from bellcast.live.pusher.apps import PusherApp
from bellcast.live.pusher.connection_test import PusherTest
from bellcast.live.pusher.plugin import PusherConfig
from tests.clock import FakeClock
from tests.workflows import FakeHttp

APP = PusherApp(credentials=Project("42", "public-key", "the secret of the project, forty characters"))
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def text(payload: bytes) -> bytes:
    """Return a WebSocket upgrade and a text frame."""
    return UPGRADED + struct.pack("!BBH", 0x81, 126, len(payload)) + payload


@pytest.mark.parametrize(
    "response",
    [
        b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n\r\n",
        UPGRADED,
        text(b"[]"),
        text(b"1"),
        text(b"{}"),
        text(b"["),
        text(b"[" * 10_000),
        text(b'{"event": "pusher:connection_established", "data": 1}'),
        text(b'{"event": "pusher:connection_established", "data": "[]"}'),
    ],
    ids=range(10),
)
async def test_server_with_another_response_is_a_failed_step(response: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    http = FakeHttp()
    http.responses.append(Response(200, {}, b"{}"))
    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        report = await PusherTest(APP, PusherConfig(), url, http, FakeClock()).run()
    states = {step.step: step.state for step in report.steps}
    assert report.state == "failed"
    assert (states["signed_call"], states["websocket"], states["subscription"]) == ("ok", "failed", "skipped")
