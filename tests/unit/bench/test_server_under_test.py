"""Bellcast requests of the load generator."""

import sys
import time
from urllib.parse import parse_qs, parse_qsl, urlsplit

import jwt
import msgspec
import pytest
from benchmarks.processes import Process
from benchmarks.server_under_test import APP, KEY, SECRET, BenchServer, booking

from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Project
from bellcast.live.pusher import signatures as pusher_signatures


@pytest.fixture
def server(tmp_path):
    with Process("nothing", [sys.executable, "-c", "pass"], tmp_path / "log") as process:
        yield BenchServer(process, ("127.0.0.1", 1), tmp_path)


def test_token_is_signed_with_the_project_secret_and_expires(server):
    token = server.token("alice", ["bench"])
    claims = jwt.decode(token, SECRET, ["HS256"], options={"require": ["exp", "sub"]})
    assert jwt.get_unverified_header(token)["kid"] == KEY
    assert (claims["sub"], claims["topics"]) == ("alice", ["bench"])


@pytest.mark.parametrize(("kind", "path"), [("websocket", "/v1/ws"), ("sse", "/v1/stream")])
def test_handshake_carries_token_topics_and_position(server, kind, path):
    url = urlsplit(server.greeting(kind, "a.b.c", "bench", "1+2=3&").split(b" ")[1].decode())
    assert url.path == path
    assert parse_qs(url.query) == {"token": ["a.b.c"], "topics": ["bench"], "position": ["1+2=3&"]}


def test_trigger_is_signed_like_pushers_sdks(server):
    request = server.trigger(b'{"name":"note"}')
    head, _, body = request.partition(b"\r\n\r\n")
    url = urlsplit(head.split(b" ")[1].decode())
    now = int(time.time() * 1000)
    pusher_signatures.check_request(Project(APP, KEY, SECRET), "POST", url.path, parse_qsl(url.query), body, now)
    with pytest.raises(Unauthenticated):
        pusher_signatures.check_request(
            Project(APP, KEY, SECRET), "POST", url.path, parse_qsl(url.query), body + b" ", now
        )


def test_bulk_lines_contain_one_notification_each(server):
    request = server.bulk_lines([booking("alice", 1), booking("bob", 2)])
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"Content-Type: application/x-ndjson" in head
    assert [msgspec.json.decode(line)["to"] for line in body.split(b"\n")] == ["alice", "bob"]
