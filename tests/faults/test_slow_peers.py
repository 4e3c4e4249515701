"""Servers of others that accept connections and never respond: each delays only its own calls."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.server.parts import BUILT_IN_SLOTS
from bellcast.workflows.step_calls import HTTP_SLOTS
from tests.push_browser import Browser
from tests.servers import ServerProcess
from tests.smtp_server import smtp_server
from tests.vendor_server import raw_response, vendor_server

MAILS, EVENTS, HANGING_RUNS = 150, 300, 150
# The goals in seconds, measured on two cores without other load. A loaded machine is up to ten times slower; before calls
# had their own slots, each of them took more than a minute.
DELAY_ENDS, ALL_MAILS, ALL_EVENTS, STEP_STARTS = 1.5, 20.0, 10.0, 1.0
SLOWEST = 10
CALL = {"key": "call", "type": "http", "url": "{{ data.url }}", "timeout": "60s"}


@asynccontextmanager
async def hanging_server() -> AsyncIterator[int]:
    """A server that accepts connections and sends nothing; yields its port."""
    end = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await end.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        end.set()


async def post(app: httpx.AsyncClient, path: str, body: Any, status: int) -> Any:
    response = await app.post(path, json=body)
    assert response.status_code == status, response.text
    return response.json()


async def seconds_until(is_true: Callable[[], bool], limit: float) -> float:
    """Wait until something is true; return how long it took."""
    started = time.monotonic()
    while not is_true():
        assert time.monotonic() - started < limit
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def prepare(app: httpx.AsyncClient, hanging_hook: str, hook: str) -> None:
    recipients = [{"key": f"r{number}", "email": f"r{number}@example.com"} for number in range(EVENTS)]
    await post(app, "/v1/recipients/bulk", recipients, 200)
    for url in (hanging_hook, hook):
        await post(app, "/v1/webhooks", {"url": url, "events": ["notification.created"]}, 201)
    delayed = [{"key": "pause", "type": "delay", "for": "1s"}, CALL]
    for key, steps in (("call", [CALL]), ("delayed", delayed)):
        assert (await app.put(f"/v1/workflows/{key}", json={"steps": steps})).status_code == 201
    for tenant in ("acme", "globex", "initech"):
        assert (await app.put(f"/v1/tenants/{tenant}", json={})).status_code == 201


def running_calls(data: Path, kind: str = "run") -> int:
    """Return how many jobs of a kind call a server."""
    with closing(sqlite3.connect(next(data.rglob("bellcast.db")))) as store:
        running = "SELECT count(*) FROM jobs WHERE kind LIKE ? AND lease IS NOT NULL"
        return store.execute(running, (f"{kind}%",)).fetchone()[0]


@pytest.mark.thorough
async def test_servers_that_hang_delay_only_their_own_calls(tmp_path: Path) -> None:
    """One mail server, one webhook and the `http` steps of two tenants hang at the same time."""
    async with (
        hanging_server() as hanging,
        smtp_server() as mailbox,
        vendor_server() as healthy,
    ):

        def count(path: str) -> int:
            return sum(request.path == path for request in healthy.requests)

        email = ",".join(f"smtp://127.0.0.1:{port}?from=shop@example.com" for port in (hanging, mailbox.port))
        with ServerProcess(tmp_path, {"BELLCAST_EMAIL": email, "BELLCAST_HTTP_ALLOW": "127.0.0.1"}) as server:
            async with httpx.AsyncClient(base_url=server.url, headers=server.as_app(), timeout=60) as app:
                hook = f"http://127.0.0.1:{hanging}/hook"
                await prepare(app, hook, f"http://{healthy.host}/hook")
                for tenant in ("acme", "globex"):
                    for number in range(HANGING_RUNS):
                        body = {"to": f"r{number}", "data": {"url": hook}}
                        await post(app, f"/v1/workflows/call/trigger?tenant={tenant}", body, 202)
                mail = {"title": "Hi", "channels": ["email"], "email": {"subject": "Hi", "text": "Hi"}}
                sends = [{"to": f"r{number}", **mail} for number in range(MAILS)]
                await post(app, "/v1/notifications/bulk", sends, 200)
                began = time.monotonic()
                await seconds_until(lambda: running_calls(tmp_path) > 0, 60)

                target = {"to": "r0", "data": {"url": f"http://{healthy.host}/step"}}
                await post(app, "/v1/workflows/call/trigger?tenant=initech", target, 202)
                step = await seconds_until(lambda: count("/step") == 1, SLOWEST * STEP_STARTS)

                delayed = {"to": "r0", "data": {"url": f"http://{healthy.host}/delayed"}}
                await post(app, "/v1/workflows/delayed/trigger", delayed, 202)
                delay = await seconds_until(lambda: count("/delayed") == 1, SLOWEST * DELAY_ENDS)

                inbox = [{"to": f"r{number}", "title": "Hi"} for number in range(EVENTS)]
                await post(app, "/v1/notifications/bulk", inbox, 200)
                events = await seconds_until(lambda: count("/hook") >= EVENTS, SLOWEST * ALL_EVENTS)

                await seconds_until(lambda: len(mailbox.received) >= MAILS, SLOWEST * ALL_MAILS)
                mails = time.monotonic() - began
        print(f"\ndelay {delay:.2f} s, mails {mails:.1f} s, events {events:.1f} s, step {step:.2f} s")
        assert sorted({mail["to"] for mail in mailbox.received}) == sorted({f"r{n}@example.com" for n in range(MAILS)})
        assert len(mailbox.received) == MAILS


async def test_push_service_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """All pushes to browsers have one provider, and the services of several vendors. A push waits 30 s for a response."""
    async with hanging_server() as hanging, vendor_server() as healthy:
        healthy.default = raw_response(201, b"")
        browser, hosts = Browser(), [f"127.0.0.1:{hanging}"] * (BUILT_IN_SLOTS + 8) + [healthy.host]
        keys = [f"r{number}" for number in range(len(hosts))]
        with ServerProcess(tmp_path, {"BELLCAST_HTTP_ALLOW": "127.0.0.1"}) as server:
            async with httpx.AsyncClient(base_url=server.url, headers=server.as_app(), timeout=60) as app:
                await post(app, "/v1/recipients/bulk", [{"key": key} for key in keys], 200)
                for key, host in zip(keys, hosts, strict=True):
                    endpoint = browser.to_json(f"http://{host}/send/{key}")
                    await post(app, f"/v1/recipients/{key}/push-endpoints", endpoint, 201)
                push = {"title": "Hi", "channels": ["push"]}
                await post(app, "/v1/notifications/bulk", [{"to": key, **push} for key in keys[:-1]], 200)
                await seconds_until(lambda: running_calls(tmp_path, "message") >= BUILT_IN_SLOTS, 20)
                await post(app, "/v1/notifications", {"to": keys[-1], **push}, 201)
                await seconds_until(lambda: len(healthy.requests) == 1, 20)


async def test_http_step_that_hangs_delays_no_other_server_of_its_tenant(tmp_path: Path) -> None:
    async with hanging_server() as hanging, vendor_server() as healthy:
        with ServerProcess(tmp_path, {"BELLCAST_HTTP_ALLOW": "127.0.0.1"}) as server:
            async with httpx.AsyncClient(base_url=server.url, headers=server.as_app(), timeout=60) as app:
                assert (await app.put("/v1/workflows/call", json={"steps": [CALL]})).status_code == 201
                for number in range(HTTP_SLOTS + 8):
                    body = {"to": f"r{number}", "data": {"url": f"http://127.0.0.1:{hanging}/step"}}
                    await post(app, "/v1/workflows/call/trigger", body, 202)
                await seconds_until(lambda: running_calls(tmp_path) >= HTTP_SLOTS, 20)
                target = {"to": "last", "data": {"url": f"http://{healthy.host}/step"}}
                await post(app, "/v1/workflows/call/trigger", target, 202)
                await seconds_until(lambda: len(healthy.requests) == 1, 20)
