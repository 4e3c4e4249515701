"""What `bellcast doctor` says about the build of a server."""

from functools import partial

import httpx
import pytest

from bellcast import build
from bellcast.cli import server_checks
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
