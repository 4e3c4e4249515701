"""The doctor from inside a server, over REST."""

import asyncio
import threading

import msgspec
import pytest

from bellcast import build
from bellcast.channels.types import ChannelConfig
from bellcast.console.types import FindingItem
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.outbound import Response
from bellcast.live.types import LiveNode, NodeReport
from bellcast.providers.types import Provider
from bellcast.server import checks
from bellcast.server.doctor import Doctor, check_nodes
from bellcast.settings.table import Settings
from tests.journey.operators import set_up, signed_in
from tests.journey.rest import PROJECT, Rest, no_differences, no_objects, refused

JSON = {"accept": "application/json"}


async def test_findings_are_streamed_as_lines_or_returned_as_an_array(rest: Rest) -> None:
    streamed = await rest.app.post("/v1/doctor")
    assert streamed.headers["content-type"] == "application/x-ndjson"
    lines = [msgspec.json.decode(line) for line in streamed.content.splitlines()]
    array = (await rest.app.post("/v1/doctor", headers=JSON)).json()
    assert sorted(one["check"] for one in lines) == sorted(one["check"] for one in array)
    found = {one["check"]: one for one in array}
    assert found["server"] == {"check": "server", "state": "ok", "what": f"ready, version {build.version()}", "fix": ""}
    assert found["queue"]["state"] == "warning"  # this process runs no jobs
    assert found["origins"]["what"] == "any page with a session token"
    assert {"store", "disk", "clock", "open files", "public topics", "proxies", "nodes"} <= found.keys()
    assert all(one["fix"] for one in array if one["state"] != "ok")


async def test_second_run_is_refused_until_the_first_has_ended(rest: Rest, monkeypatch) -> None:
    release, started, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def waiting(_settings):
        loop.call_soon_threadsafe(started.set)
        release.wait(30)
        yield from ()

    monkeypatch.setattr(checks, "check_urls", waiting)
    first = asyncio.ensure_future(rest.app.post("/v1/doctor", headers=JSON))
    await started.wait()
    for headers in ({}, JSON):
        assert refused(await rest.app.post("/v1/doctor", headers=headers), 429, "too_many")
    release.set()
    assert (await first).status_code == 200
    assert (await rest.app.post("/v1/doctor", headers=JSON)).status_code == 200


async def test_checks_that_do_not_end_or_fail_are_findings(rest: Rest, monkeypatch) -> None:
    release, ended, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def waiting(_settings):
        release.wait(30)
        loop.call_soon_threadsafe(ended.set)
        yield from ()

    def failing(*_):
        raise RuntimeError("no such device")
        yield

    monkeypatch.setattr(checks, "check", failing)
    array = (await rest.app.post("/v1/doctor", headers=JSON)).json()
    assert (array[-1]["check"], array[-1]["state"]) == ("doctor", "problem")
    assert "no such device" in array[-1]["what"]
    monkeypatch.setattr(checks, "check_urls", waiting)
    monkeypatch.setattr("bellcast.server.doctor.MAX_SECONDS", 0.05)
    array = (await rest.app.post("/v1/doctor", headers=JSON)).json()
    assert (array[-1]["check"], array[-1]["state"]) == ("doctor", "warning")
    release.set()
    await ended.wait()


@pytest.mark.thorough
async def test_roles_that_may_run_it(rest: Rest) -> None:
    owner = await set_up(rest)
    assert (await owner.post("/v1/doctor", headers=JSON)).status_code == 200
    viewer = await signed_in(rest, "vera", "viewer")
    assert refused(await viewer.post("/v1/doctor"), 403, "forbidden")
    assert (await viewer.get("/v1/nodes")).status_code == 200
    assert refused(await rest.recipient("alice").post("/v1/doctor"), 403, "forbidden")


def node(**changes) -> LiveNode:
    report = NodeReport(**{"version": "1.0", "started_at": 0, "connections": 3, "settings_revision": 7} | changes)
    return LiveNode(id="n", reported_at=0, is_self=False, report=report)


async def no_mail_servers(limit: int) -> tuple[dict[str, Provider], int]:
    return {}, 0


async def test_public_url_must_reach_this_project(rest: Rest) -> None:
    class Proxy:
        def __init__(self, status: int, body: bytes) -> None:
            self.response = Response(status, {}, body)

        async def request(self, method: str, url: str, **_: object) -> Response:
            assert (method, url) == ("GET", "https://bell.test/healthz")
            if self.response.status == 0:
                raise Unavailable("no route")
            return self.response

    health = (await rest.client.get("/healthz")).content
    settings = Settings(channels=ChannelConfig(public_url="https://bell.test/"))
    for status, body, state in (
        (200, health, "ok"),
        (200, b"<html>", "problem"),
        (502, health, "problem"),
        (0, b"", "problem"),
    ):
        examined = Doctor(settings, PROJECT, Proxy(status, body), (), list, no_mail_servers, no_differences, no_objects)
        findings: list[FindingItem] = []
        await examined._check_inside([node()], findings.append)
        assert [one.state for one in findings if one.check == "public URL"] == [state]


async def test_check_of_a_large_store_ends_in_time(rest: Rest, monkeypatch) -> None:
    monkeypatch.setattr(checks, "STORE_STEPS", 1)
    (finding,) = await asyncio.to_thread(lambda: list(checks._store(rest.file, 0)))
    assert (finding.state, finding.fix) == ("warning", "run `bellcast doctor --local` to read all of it")


def test_nodes_are_compared_with_each_other():
    def states(*nodes: LiveNode) -> list[tuple[str, str]]:
        return [(finding.check, finding.state) for finding in check_nodes(nodes)]

    assert states(node(), node()) == [("nodes", "ok"), ("queue", "ok")]
    assert states(node(), node(version="0.9")) == [("nodes", "warning"), ("queue", "ok")]
    assert states(node(), node(commit="7ee7e95")) == [("nodes", "warning"), ("queue", "ok")]
    ours, other = node(commit="7ee7e95", host="web-1"), node(commit="0123abc", host="web-2", pid=7)
    found = next(check_nodes([other, msgspec.structs.replace(ours, is_self=True)]))
    assert found.what == "another build than 1.0 (7ee7e95) runs on 1 of 2 nodes: web-2:7 1.0 (0123abc)"
    assert states(node(), node(settings_revision=6)) == [("nodes", "warning"), ("queue", "ok")]
    assert states(node(queue_age=61_000)) == [("nodes", "ok"), ("queue", "warning")]
    assert states(node(runs_jobs=False)) == [("nodes", "ok"), ("queue", "warning")]
