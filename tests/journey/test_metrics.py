"""Each metric of `/metrics` has the number of what happened: rows, writes, delays, attempts, webhooks and closes."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect

from bellcast import build
from tests.journey.channels_app import eventually
from tests.servers import ServerProcess
from tests.smtp_server import Mailbox, smtp_server
from tests.vendor_server import raw_response, vendor_server

Samples = dict[tuple[str, ...], float]


class Server:
    """A server process with a client of the app, and a mail server."""

    def __init__(self, process: ServerProcess, app: httpx.AsyncClient, mailbox: Mailbox) -> None:
        self.process = process
        self.app = app
        self.mailbox = mailbox

    async def metrics(self) -> Samples:
        """Return the samples by name and values of their labels."""
        text = (await self.app.get("/metrics")).text
        return {
            (sample.name.removeprefix("bellcast_"), *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def send(self, **draft: Any) -> Any:
        response = await self.app.post("/v1/notifications", json={"title": "Hi", **draft})
        assert response.status_code in (200, 201), response.text
        return response.json()

    @asynccontextmanager
    async def live(
        self, recipient: str, *topics: str, is_allowed: bool = True, token: str | None = None
    ) -> AsyncIterator[ClientConnection]:
        """Open a live connection, and wait until it is ready. Its token allows the topics, or else the recipient is
        subscribed to them."""
        token = token or self.process.token(recipient, topics=list(topics) if is_allowed else [])
        url = f"{self.process.url.replace('http', 'ws')}/v1/ws?token={token}&topics={','.join(topics)}"
        async with connect(url) as socket:
            assert json.loads(await socket.recv())["type"] == "ready"
            yield socket


@asynccontextmanager
async def server(folder: Path, **settings: str) -> AsyncIterator[Server]:
    async with smtp_server() as mailbox:
        environ = {f"BELLCAST_{name}": value for name, value in settings.items()}
        environ["BELLCAST_EMAIL"] = f"smtp://127.0.0.1:{mailbox.port}?from=bells@example.com"
        with ServerProcess(folder, environ) as process:
            async with httpx.AsyncClient(base_url=process.url, headers=process.as_app(), timeout=60) as app:
                yield Server(process, app, mailbox)


async def test_accepted_rows_are_counted_not_requests(tmp_path: Path) -> None:
    async with server(tmp_path) as bell:
        await bell.send(to="alice")
        await bell.send(to=["alice", "bob", "alice"])
        for _ in range(2):
            await bell.send(to=["carol", "dora", "emil"], idempotency_key="once")
        bulk = [{"to": f"r{number}", "title": "Hi"} for number in range(20)]
        assert (await bell.app.post("/v1/notifications/bulk", json=[*bulk, {"to": "no title"}])).status_code == 200
        await bell.send(to={"topic": "news"})
        await bell.send(to={"topic": "news"}, idempotency_key="announcement")
        await bell.send(to={"topic": "news"}, idempotency_key="announcement")
        await bell.app.post("/v1/events", json={"topics": ["a", "b"], "name": "moved"})
        found = await bell.metrics()
        rows = sqlite3.connect(tmp_path / "bellcast.db").execute("SELECT count(*) FROM notifications").fetchone()[0]
        counted = [found["accepted_total", kind] for kind in ("notification", "announcement", "event")]
        assert counted == [rows, 2, 2] == [1 + 2 + 3 + 20, 2, 2]


async def test_writes_and_delays_count_what_live_connections_received(tmp_path: Path) -> None:
    async with server(tmp_path) as bell, bell.live("alice", "room") as one:
        async with bell.live("alice") as two, bell.live("bob", "room") as three:
            id = (await bell.send(to="alice"))["notifications"][0]["id"]
            await bell.send(to="offline")
            for socket in (one, two):
                assert json.loads(await socket.recv())["type"] == "notification"
            await bell.app.post("/v1/events", json={"topic": "room", "name": "moved"})
            for socket in (one, three):
                assert json.loads(await socket.recv())["type"] == "event"
            old = {"to": "alice", "title": "Old", "created_at": "2020-01-01T00:00:00Z"}
            assert (await bell.app.post("/v1/import", json=[old])).status_code == 200
            alice = bell.process.as_recipient("alice")
            read = await bell.app.patch(f"/v1/inbox/{id}", json={"read": True}, headers=alice)
            assert read.status_code == 200, read.text
            found = await eventually(bell.metrics, lambda one: one.get(("written_total", "change"), 0) >= 2)
            written = {key[1]: value for key, value in found.items() if key[0] == "written_total"}
            assert (written["notification"], written["event"]) == (2, 2)
            # One event was written, to two connections, within a minute of its acceptance.
            assert (found["delivery_seconds_count",], found["delivery_seconds_bucket", "60.0"]) == (1, 1)
            assert 0 <= found["delivery_seconds_sum",] < 60
            assert (found["event_seconds_count",], found["event_seconds_bucket", "60.0"]) == (1, 1)
            assert 0 <= found["event_seconds_sum",] < 60
            assert found["connections", "native", "websocket"] == 3
        closed = ("closed_connections_total", "closed by the client")
        found = await eventually(bell.metrics, lambda one: one.get(closed) == 2)
        assert found["connections", "native", "websocket"] == 1


async def test_what_live_connections_missed_is_counted(tmp_path: Path) -> None:
    async with server(tmp_path, HANDLERS="tests.faults.fast_reconciler:handlers") as bell:
        for recipient in ("alice", "bob"):
            await bell.send(to=recipient)
        assert (await bell.app.put("/v1/topics/room/subscriptions/alice")).status_code in (200, 201)
        async with bell.live("alice", "room", is_allowed=False), bell.live("bob"), bell.live("carol"):
            # As if the events of these changes were lost
            with sqlite3.connect(tmp_path / "bellcast.db", timeout=60) as store:
                store.execute("DELETE FROM subscriptions")
                store.execute("UPDATE recipients SET revision = revision + 1 WHERE key = 'alice'")
                store.execute("UPDATE recipients SET revoked_before = 4102444800000 WHERE key = 'bob'")
            expected = {
                ("reconciled_total", "change"): 1,
                ("reconciled_total", "revocation"): 1,
                ("reconciled_total", "unsubscription"): 1,
            }
            found = await eventually(bell.metrics, lambda one: expected.items() <= one.items())
            checks = found["reconciler_checks_total", "ok"]
            found = await eventually(bell.metrics, lambda one: one["reconciler_checks_total", "ok"] > checks + 1)
            assert {key: value for key, value in found.items() if key[0] == "reconciled_total"} == expected


async def test_connection_is_closed_after_the_key_that_made_its_token_is_revoked(tmp_path: Path) -> None:
    async with server(tmp_path, HANDLERS="tests.faults.fast_reconciler:handlers") as bell:
        made = (await bell.app.post("/v1/keys", json={"name": "k", "scopes": ["manage"]})).json()
        headers = {"authorization": f"Bearer {made['key']}"}
        token = (await bell.app.post("/v1/tokens", json={"recipient": "alice"}, headers=headers)).json()["token"]
        async with bell.live("alice", token=token) as ended, bell.live("alice") as other:
            assert (await bell.app.delete(f"/v1/keys/{made['id']}")).status_code == 204
            close = json.loads(await ended.recv())
            assert (close["code"], close["reason"], close["reconnect"]) == (4402, "expired", True)
            await bell.send(to="alice")
            assert json.loads(await other.recv())["type"] == "notification"
            # No event was lost.
            assert (await bell.metrics()).get(("reconciled_total", "revocation"), 0) == 0


async def test_attempts_are_counted_by_provider_and_outcome(tmp_path: Path) -> None:
    async with server(tmp_path, RETRIES="0.1s,0.1s") as bell:
        bell.mailbox.replies["RCPT"] = ["451 later", "421 later", "250 OK", "550 never"]
        for key in ("alice", "bob"):
            await bell.app.put(f"/v1/recipients/{key}", json={"email": f"{key}@example.com"})
        await bell.send(to="alice", channels=["email"])
        await eventually(bell.metrics, lambda one: one.get(("messages_total", "email", "sent")) == 1)
        await bell.send(to="bob", channels=["email"])
        found = await eventually(bell.metrics, lambda one: one.get(("messages_total", "email", "bounced")) == 1)
        attempts = {key[2]: value for key, value in found.items() if key[:2] == ("attempts_total", "email")}
        assert attempts == {"temporary": 2, "accepted": 1, "permanent": 1}
        assert ("attempts_total", "email", "temporary", "env-email-1") in found
        # Neither send had the inbox as a channel.
        assert found.get(("accepted_total", "notification"), 0) == 0


async def test_keys_of_tenants_providers_are_not_in_the_public_metrics(tmp_path: Path) -> None:
    async with server(tmp_path, HTTP_ALLOW="127.0.0.1") as bell:
        url = f"smtp://127.0.0.1:{bell.mailbox.port}?from=a@b.example"
        for tenant, key in (("acme", "acme-mail"), ("globex", "acme-two")):
            body = {"channel": "email", "url": url}
            assert (await bell.app.put(f"/v1/providers/{key}?tenant={tenant}", json=body)).status_code == 201
            await bell.app.put(f"/v1/recipients/alice?tenant={tenant}", json={"email": "alice@example.com"})
            await bell.send(to="alice", tenant=tenant, channels=["email"])
        sent = ("attempts_total", "email", "of tenants", "accepted")
        found = await eventually(bell.metrics, lambda one: set(sent) <= {part for key in one for part in key})
        assert "acme" not in str(found)


async def test_webhook_attempts_are_counted_by_outcome(tmp_path: Path) -> None:
    async with vendor_server() as good, vendor_server() as bad, server(tmp_path, HTTP_ALLOW="127.0.0.1") as bell:
        bad.default = raw_response(500, {})
        for vendor in (good, bad):
            webhook = {"url": f"http://{vendor.host}/hooks", "events": ["notification.created"]}
            assert (await bell.app.post("/v1/webhooks", json=webhook)).status_code == 201
        await bell.send(to=["alice", "bob", "carol"])
        await eventually(
            bell.metrics,
            lambda one: (
                one.get(("webhook_attempts_total", "accepted")) == 3
                and one.get(("webhook_attempts_total", "failed"), 0) == len(bad.requests) >= 3  # retries follow
            ),
        )


async def test_state_of_the_server_is_exported(tmp_path: Path) -> None:
    async with server(tmp_path) as bell:
        found = await bell.metrics()
        assert (found["store_up",], found["broker_up",], found["queue_age_seconds",]) == (1, 1, 0)
        assert found["build_info", "", build.version()] == 1
        assert found["process_resident_memory_bytes",] > 10_000_000
        assert found["process_open_fds",] < found["process_max_fds",]
