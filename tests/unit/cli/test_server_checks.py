"""What `bellcast doctor` says about the build of a server."""

from functools import partial

import httpx
import pytest

from bellcast import build
from bellcast.cli import remote, server_checks
from bellcast.client import Credentials
from bellcast.server import health
from bellcast.settings import Settings


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (build.version(), f"is ready, version {build.version()} (7ee7e95)"),
        ("0.0.9+5f0c2a1b", f"runs 0.0.9+5f0c2a1b (7ee7e95), this is {build.version()} (0123abc)"),
    ],
)
def test_server_is_named_by_version_and_commit(monkeypatch, version, text):
    body = {"version": version, "commit": "7ee7e95"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=transport))
    monkeypatch.setattr(build, "commit", lambda: "0123abc")
    found = next(server_checks.check(Settings(), quick=True, progress=lambda _: None))
    assert found.what.endswith(text)


def test_server_has_time_to_say_that_its_store_does_not_respond(monkeypatch):
    def respond(request: httpx.Request) -> httpx.Response:
        if request.extensions["timeout"]["read"] < health.PROBE_SECONDS + 2:
            raise httpx.ReadTimeout("timed out")
        return httpx.Response(503, json={"detail": "no response within 4 s"})

    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(respond)))
    found = next(server_checks.check(Settings(), quick=True, progress=lambda _: None))
    assert "no response within 4 s" in found.what


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": "\xff"}'])
def test_ready_response_of_another_server_is_a_problem(monkeypatch, content):
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=content, headers={"content-type": "application/json"})
    )
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=transport))
    found = next(server_checks.check(Settings(), quick=True, progress=lambda _: None))
    assert (found.check, found.state) == ("server", "problem")


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ([{"check": "nodes", "state": "ok", "what": "one", "advice": "of a later version"}], "one"),
        ([{"check": "nodes", "state": "unknown", "what": "one"}], "not checked: POST /v1/doctor"),
        ({}, "not checked: POST /v1/doctor"),
    ],
)
def test_findings_of_a_later_version_are_read_or_said_to_be_missing(monkeypatch, response, expected):
    monkeypatch.setattr(remote, "credentials", lambda _: Credentials("secret"))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=response))
    with httpx.Client(base_url="http://bell", transport=transport) as http:
        (found,) = server_checks._inside(http, Settings())
    assert (found.check, found.what.startswith(expected)) == ("nodes", True)


def test_stream_that_is_refused_for_now_is_a_problem_with_the_reason():
    frame = b'event: close\ndata: {"reason": "unavailable", "reconnect": true, "after": 1000}\n\n'
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=iter([b"retry: 3000\n\n" + frame])))
    with httpx.Client(base_url="http://bell", transport=transport) as http:
        found, heartbeat = server_checks._sse(http, "token")
    assert (found.state, heartbeat) == ("problem", 0)
    assert "the close reason unavailable" in found.what
