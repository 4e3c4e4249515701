"""A name server that never responds does not delay the end of the server."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.servers import ServerProcess

# The time until Docker Compose kills a server. A lookup takes much longer: see `options` in the fixture.
GRACE_SECONDS = 20
NAME_SERVER = "127.53.0.1"
MOUNT = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
DRAFTS = {
    "mail": {"to": "alice", "title": "Hi", "channels": ["email"], "email": {"subject": "Hi", "text": "Hi"}},
    "webhook": {"to": "alice", "title": "Hi"},
}


@pytest.fixture
def questions() -> Iterator[socket.socket]:
    """The socket of the name server, which receives questions."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listening:
        listening.bind((NAME_SERVER, 53))  # needs root, like the other faults of this folder
        listening.settimeout(60)
        yield listening


@pytest.fixture
def prefix(tmp_path: Path) -> list[str]:
    """The command that starts a server with its own list of name servers."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {NAME_SERVER}\noptions timeout:30 attempts:5\n")
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", MOUNT, str(resolv)]


PEERS = {
    "redis": {"BELLCAST_BROKER": "redis://redis.silent.test:6379"},
    "nats": {"BELLCAST_BROKER": "nats://nats.silent.test"},
    "outbox": {"BELLCAST_DATABASE_URL": "postgresql://outbox.silent.test/app"},
}


def stop_at_a_question(server: ServerProcess, questions: socket.socket, name: str) -> None:
    """Stop a server that waits for the address of a name."""
    while name.encode() not in questions.recv(512):
        pass
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < GRACE_SECONDS


@pytest.mark.thorough
@pytest.mark.parametrize("target", ["mail", pytest.param("webhook", marks=pytest.mark.thorough)])
def test_lookup_without_a_response_does_not_delay_the_end_of_the_server(
    tmp_path: Path, questions: socket.socket, prefix: list[str], target: str
) -> None:
    server = ServerProcess(tmp_path / "data", {"BELLCAST_EMAIL": "smtp://mail.silent.test?from=shop@example.com"})
    server.prefix = prefix
    with server, httpx.Client(base_url=server.url, headers=server.as_app(), timeout=60) as app:
        assert app.put("/v1/recipients/alice", json={"email": "alice@example.com"}).is_success
        if target == "webhook":
            hook = {"url": "https://webhook.silent.test/", "events": ["notification.created"]}
            assert app.post("/v1/webhooks", json=hook).status_code == 201
        assert app.post("/v1/notifications", json=DRAFTS[target]).is_success
        stop_at_a_question(server, questions, target)


@pytest.mark.thorough
@pytest.mark.parametrize("peer", PEERS)
def test_lookup_of_a_broker_or_an_outbox_does_not_delay_the_end_of_the_server(
    tmp_path: Path, questions: socket.socket, prefix: list[str], peer: str
) -> None:
    server = ServerProcess(tmp_path / "data", PEERS[peer])
    server.prefix = prefix
    with server:
        stop_at_a_question(server, questions, peer)
