"""Connections to NATS: credentials, TLS, a lost server, and what a server refuses."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bellcast.kernel.brokers.nats import NatsTransport
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, LiveEvent, topic_stream
from bellcast.live.types import AnyEvent
from tests import certificates, engines, nats_accounts
from tests.contract.kernel.test_broker import wait_until

ROOM = topic_stream("", "room")
Start = Callable[..., engines.NatsServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a factory of servers with lines of configuration."""
    servers: list[engines.NatsServer] = []

    def server(*config: str) -> engines.NatsServer:
        servers.append(engines.NatsServer(*config, jetstream=False))
        servers[-1].start()
        return servers[-1]

    yield server
    for one in servers:
        one.end()


async def exchange(url: str) -> None:
    """Send a message to oneself. Raises Unavailable."""
    transport, received = NatsTransport(url, "test"), asyncio.Event()
    try:
        await transport.connect(lambda _: received.set())
        await transport.follow([ROOM])
        await transport.send([(ROOM, b"message")])
        await transport.ping(writes=True)
        await asyncio.wait_for(received.wait(), 60)
    finally:
        await transport.close()


@pytest.mark.parametrize(
    ("config", "login", "wrong"),
    [
        ('authorization { user: bell, password: "a/b" }', "bell:a%2Fb@", "bell:other@"),
        ("authorization { token: hush }", "hush@", ""),
    ],
    ids=["password", "token"],
)
async def test_credentials_of_the_url_are_used(start: Start, config: str, login: str, wrong: str) -> None:
    address = f"127.0.0.1:{start(config).port}"
    await exchange(f"nats://{login}{address}")
    with pytest.raises(Unavailable, match="Authorization Violation"):
        await exchange(f"nats://{wrong}{address}")


async def test_creds_file_is_used(start: Start, tmp_path: Path) -> None:
    config, creds = nats_accounts.accounts()
    server, file = start(*config), tmp_path / "bell.creds"
    file.write_text(creds)
    await exchange(f"{server.url}?creds={file}")
    file.write_text(nats_accounts.accounts()[1])
    with pytest.raises(Unavailable, match="Authorization Violation"):
        await exchange(f"{server.url}?creds={file}")
    with pytest.raises(Unavailable, match=r"absent\.creds cannot be used"):
        await exchange(f"{server.url}?creds={tmp_path}/absent.creds")


async def test_tls_is_used_and_a_new_certificate_accepted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = engines.engine_folder("bellcast-tls-")
    pem, _ = certificates.self_signed(folder)
    server = start(f'tls {{ cert_file: "{pem}", key_file: "{pem}" }}')
    url = f"tls://127.0.0.1:{server.port}"
    with pytest.raises(Unavailable, match="certificate"):
        await exchange(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    await exchange(url)
    await exchange(server.url)  # the server requires it

    broker = RemoteBroker(NatsTransport(url, "test"), SystemClock(), AnyEvent)
    await broker.open()
    server.kill()
    await wait_until(lambda: not broker._connected)
    certificates.self_signed(folder)
    server.start()
    await wait_until(lambda: broker._connected)  # it has read the file again
    await broker.close()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Unavailable, match="certificate"):
        await exchange(url)
    shutil.rmtree(folder)


async def test_first_reachable_host_is_used(start: Start) -> None:
    server = start()
    await exchange(f"nats://127.0.0.1:1,127.0.0.1:{server.port}")
    server.kill()
    with pytest.raises(Unavailable, match="NATS cannot be used"):
        await exchange(f"nats://127.0.0.1:1,127.0.0.1:{server.port}")


@pytest.mark.thorough
async def test_other_server_is_refused() -> None:
    with pytest.raises(Unavailable):
        await exchange(f"nats://127.0.0.1:{engines.redis().port}")


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"INFO {bad\r\n", "another server than NATS"),
        (b"INFO []\r\n", "another server than NATS"),
        (b"x" * 3_000_000, "another server than NATS"),
        (b"", "it closed the connection"),
    ],
    ids=["malformed", "list", "endless", "none"],
)
async def test_greeting_of_another_server_is_refused(greeting: bytes, reason: str) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        with pytest.raises(Unavailable, match=f"NATS cannot be used: {reason}. Is it running, and is its URL right"):
            await exchange(f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_missing_permission_is_named(start: Start) -> None:
    server = start("authorization { users: [{user: b, password: b, permissions: {publish: elsewhere}}] }")
    with pytest.raises(Unavailable, match=r'Permissions Violation for Publish to "bellcast\.test\.live'):
        await exchange(server.url.replace("//", "//b:b@"))


async def test_restarted_server_is_used_again(start: Start) -> None:
    server, received = start(), list[Event]()
    broker = RemoteBroker(NatsTransport(server.url, "test"), SystemClock(), AnyEvent)
    other = RemoteBroker(NatsTransport(server.url, "test"), SystemClock(), AnyEvent)
    broker.listen(received.append)
    broker.follow(ROOM)
    await broker.open()
    await other.open()
    server.kill()
    server.start()
    event = LiveEvent("", "n", 1, topic="room")

    async def publish_until_received() -> None:
        while not received:
            await other.publish(event)
            await asyncio.sleep(0.05)

    await asyncio.wait_for(publish_until_received(), 60)
    assert received[0] == event
    await broker.close()
    await other.close()


async def test_server_that_hangs_is_noticed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bellcast.kernel.brokers.nats.COMMAND_TIMEOUT", 0.3)
    server = start()
    broker = RemoteBroker(NatsTransport(server.url, "test"), SystemClock(), AnyEvent)
    await broker.open()
    await wait_until(lambda: broker._connected)  # on a busy machine not within the first 0.3 s
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await wait_until(lambda: not broker._connected)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await wait_until(lambda: broker._connected)
    await broker.close()


async def test_message_beyond_the_limit_of_the_server_ends_no_connection(start: Start) -> None:
    server, received = start("max_payload: 4096"), list[bytes]()
    transport = NatsTransport(server.url, "test")
    await transport.connect(received.append)
    await transport.follow([ROOM])
    await transport.send([(ROOM, b"x" * 5_000), (ROOM, b"small")])
    await transport.fence()
    assert received == [b"small"]
    await transport.close()
