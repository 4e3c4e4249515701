"""Lookups of user-supplied names: bounded, and separate from those of the operator's names."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound import connection_steps
from bellcast.kernel.outbound import guard as guards
from bellcast.kernel.outbound.guard import AddressGuard
from bellcast.kernel.outbound.http import HttpClient, HttpClients
from bellcast.server import checks
from bellcast.settings import load

LOOPBACK = ["127.0.0.0/8", "::1"]
# The local lookups of these tests take a few milliseconds.
SECONDS = 10


class NameServer:
    """Resolves no name below slow.test until it is released."""

    def __init__(self) -> None:
        self.questions: list[str] = []
        self.released = threading.Event()
        self._getaddrinfo = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
        if not str(host).endswith(".slow.test") or flags & socket.AI_NUMERICHOST:
            return self._getaddrinfo(host, port, family, type, proto, flags)
        self.questions.append(host)
        self.released.wait(60)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    yield server
    server.released.set()


async def time_out(client: HttpClient, *hosts: str) -> None:
    """Send a request to each host; all of them wait for their lookup until they time out."""
    requests = [client.request("POST", f"https://{host}/", headers={}, timeout=0.2) for host in hosts]
    for outcome in await asyncio.gather(*requests, return_exceptions=True):
        assert "did not respond within" in str(outcome)


async def test_slow_names_of_users_delay_no_other_name(name_server: NameServer) -> None:
    guard = AddressGuard(LOOPBACK)
    client = HttpClient(guard)
    await time_out(client, *(f"{number}.slow.test" for number in range(40)))
    async with asyncio.timeout(SECONDS):
        assert await asyncio.get_running_loop().getaddrinfo(
            "localhost", 80
        )  # like the names of the store or an SMTP server
        assert await guard.addresses("localhost")
    await client.close()


async def test_lookups_beyond_the_limit_are_refused_immediately(
    name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "MAX_LOOKUPS", 3)
    guard = AddressGuard(LOOPBACK)
    client = HttpClient(guard)
    await time_out(client, "1.slow.test", "2.slow.test", "3.slow.test")
    with pytest.raises(Unavailable, match="host names"):
        await guard.addresses("localhost")
    assert await guard.addresses("127.1") == ["127.0.0.1"]  # needs no name server
    name_server.released.set()
    async with asyncio.timeout(SECONDS):
        with pytest.raises(socket.gaierror):
            await guard.addresses("3.slow.test")
    assert await guard.addresses("localhost")
    await client.close()


async def test_requests_to_a_name_share_its_lookup(name_server: NameServer) -> None:
    client = HttpClient(AddressGuard())
    for _ in range(3):
        await time_out(client, *["1.slow.test"] * 10)
    assert name_server.questions == ["1.slow.test"]
    await client.close()


async def test_slow_names_of_users_refuse_no_sign_in_by_the_identity_provider(
    name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "MAX_LOOKUPS", 1)
    clients = HttpClients(LOOPBACK)
    await time_out(clients.guarded, "1.slow.test")
    with pytest.raises(Unavailable, match="cannot be reached"):  # the name is resolved, but nothing listens there
        await clients.identity_provider.request("GET", "https://localhost:1/", headers={})
    await clients.close()


async def test_slow_name_of_a_mail_server_does_not_delay_the_end_of_its_check(
    name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "MAIL_SECONDS", 0.2)
    settings = load({}, {"BELLCAST_EMAIL": "smtp://mail.slow.test"})
    async with asyncio.timeout(SECONDS):
        (finding,) = await asyncio.to_thread(list, checks.check_mail_settings(settings))
    assert finding.state == "problem"


async def test_step_of_a_connection_test_does_not_use_the_resolver_of_the_event_loop(
    name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
    with pytest.raises(ConnectionRefusedError):  # nothing listens there
        await connection_steps.connect("localhost", 1, None, None)


PROCESS = """
import asyncio, socket, threading
from bellcast.kernel.outbound.guard import AddressGuard
ask = socket.getaddrinfo
def look_up(host, *args, flags=0, **options):
    if flags & socket.AI_NUMERICHOST:
        return ask(host, *args, flags=flags, **options)
    threading.Event().wait()
socket.getaddrinfo = look_up
async def main():
    try:
        await asyncio.wait_for(AddressGuard().addresses("1.slow.test"), 0.1)
    except TimeoutError:
        print("timed out")
asyncio.run(main())
"""


def test_lookup_without_an_answer_does_not_delay_the_end_of_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("timed out\n", "")


@pytest.mark.parametrize("host", ["mail..example.com", f"{'a' * 64}.example.com"])
async def test_name_that_no_server_can_have_is_an_error_of_the_address(host: str) -> None:
    guard = AddressGuard()
    with pytest.raises(OSError, match="is not a host name"):
        await guard.addresses(host)
