"""Webhooks: events, signed and delivered at least once."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from bellcast.channels.types import State
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs import Job
from bellcast.kernel.jobs.runner import Again, JobRunner, SetAside
from bellcast.kernel.outbound import Response
from bellcast.kernel.outbound.http import HttpClients
from bellcast.server.app import App
from bellcast.webhooks import webhooks
from bellcast.webhooks.webhooks import FAILING_MS, RETRIES_MS, Webhooks
from bellcast.workflows.types import RunStatus
from tests import engines
from tests.clock import FakeClock
from tests.contexts import NO_FEED
from tests.journey import operators
from tests.journey import rest as rests
from tests.journey.channels_app import app, eventually, session_of
from tests.journey.rest import Rest, refused
from tests.store import FreshSqliteEngine, Store
from tests.vendor_server import HANG, Request, VendorServer, raw_response, vendor_server

WEBHOOK = {"url": "https://app.example.com/hook", "events": ["run.failed"]}


async def create(client: httpx.AsyncClient, vendor: VendorServer, *events: str, **params: str) -> dict[str, Any]:
    body = {"url": f"http://{vendor.host}/hooks", "events": list(events)}
    created = await client.post("/v1/webhooks", json=body, params=params)
    assert created.status_code == 201, created.text
    result: dict[str, Any] = created.json()
    return result


def is_signed(request: Request, secret: str) -> bool:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    signature = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return signature in request.headers["webhook-signature"].split(" ")


async def received(vendor: VendorServer, count: int) -> list[Request]:
    async def read() -> list[Request]:
        return vendor.requests

    return await eventually(read, lambda requests: len(requests) >= count)


async def test_events_of_a_notification_are_delivered_signed(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client):
        webhook = await create(client, vendor, "notification.*", "message.simulated", "preferences.changed")
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        draft = {"to": "alice", "title": "Hi", "channels": ["inbox", "email"]}
        id = (await client.post("/v1/notifications", json=draft)).json()["notifications"][0]["id"]
        alice = session_of(server, "alice")
        await client.post("/v1/inbox/read", json={"ids": [id]}, headers=alice)
        await client.put("/v1/preferences", json={"channels": {"sms": False}}, headers=alice)
        requests = await received(vendor, 5)
        bodies = {request.json["type"]: request.json for request in requests}
        assert bodies.keys() == {
            "notification.created",
            "notification.seen",
            "notification.read",
            "message.simulated",
            "preferences.changed",
        }
        assert (bodies["notification.created"]["data"]["id"], bodies["notification.created"]["data"]["title"]) == (
            id,
            "Hi",
        )
        assert bodies["notification.read"]["data"] == {"recipient": "alice", "id": id}
        message = bodies["message.simulated"]["data"]
        assert (message["notification"], message["channel"], message["state"]) == (id, "email", "simulated")
        assert all(is_signed(request, webhook["secret"]) for request in requests)
        assert len({request.headers["webhook-id"] for request in requests}) == 5
        shown = (await client.get(f"/v1/webhooks/{webhook['id']}")).json()
        assert shown == {name: value for name, value in webhook.items() if name != "secret"}
        other = await create(client, vendor, "run.*")
        listed = {one["id"]: one for one in (await client.get("/v1/webhooks")).json()["webhooks"]}
        recent = listed[webhook["id"]].pop("recent_events")
        assert listed[webhook["id"]] == shown
        assert (recent["value"], recent["exact"]) == (5, True)
        assert datetime.fromisoformat(recent["last_at"]) > datetime.fromisoformat(shown["created_at"])
        assert listed[other["id"]]["recent_events"] == {"value": 0, "exact": True, "last_at": None}


async def test_attempts_are_listed_and_an_event_is_resent_with_its_id(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (server, client):
        webhook = await create(client, vendor, "preferences.changed")
        path = f"/v1/webhooks/{webhook['id']}"

        async def attempts() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await client.get(f"{path}/attempts")).json()["attempts"]
            return found

        async def is_active() -> bool:
            return bool((await client.get(path)).json()["active"])

        assert await attempts() == []
        vendor.default = raw_response(410, {})
        await client.put("/v1/preferences", json={"channels": {"sms": False}}, headers=session_of(server, "alice"))
        await eventually(is_active, lambda active: not active)  # after the attempt is listed
        (refused,) = await attempts()
        (first,) = vendor.requests
        event = first.headers["webhook-id"]
        assert (refused["event"], refused["type"], refused["number"]) == (event, "preferences.changed", 1)
        assert (refused["status"], refused["error"], refused["next_at"]) == (410, "HTTP 410", None)
        paused = await client.post(f"{path}/resend", json={"event": event})
        assert (paused.status_code, paused.json()["code"]) == (409, "conflict")
        await client.patch(path, json={"active": True})
        vendor.default = raw_response(204, {})
        assert (await client.post(f"{path}/resend", json={"event": event}, params={"dry_run": True})).status_code == 200
        resent = await client.post(f"{path}/resend", json={"event": event})
        assert (resent.status_code, resent.json()) == (202, {"event": event})
        accepted, *others = await eventually(attempts, lambda found: len(found) == 2)
        assert (others, accepted["status"], accepted["error"]) == ([refused], 204, None)
        first, second = await received(vendor, 2)
        assert (second.headers["webhook-id"], second.body) == (event, first.body)
        assert is_signed(second, webhook["secret"])
        entries = (await client.get("/v1/audit")).json()["entries"]
        (changes,) = (one["changes"] for one in entries if one["action"].endswith("/resend") and one["outcome"] == "ok")
        assert changes == [{"field": "event", "from": None, "to": event}]
        await client.patch(path, json={"events": ["run.*"]})
        other = await client.post(f"{path}/resend", json={"event": event})
        assert (other.status_code, "does not subscribe to preferences.changed" in other.json()["detail"]) == (409, True)
        for target, id in ((f"{path}/resend", "unknown"), ("/v1/webhooks/other/resend", event)):
            assert (await client.post(target, json={"event": id})).status_code == 404
        assert (await client.post(f"{path}/resend", json={"event": event}, params={"tenant": "b"})).status_code == 404
        assert (await client.get("/v1/webhooks/other/attempts")).status_code == 404


@pytest.mark.thorough
@pytest.mark.parametrize("event", ["a\x00b", "x" * 101])
async def test_no_event_with_an_impossible_id_is_resent_on_postgresql(tmp_path: Path, event: str) -> None:
    async with rests.opened(tmp_path, engine=engines.FreshPostgresEngine) as rest:
        webhook = await rest.app.post("/v1/webhooks", json=WEBHOOK)
        resent = await rest.app.post(f"/v1/webhooks/{webhook.json()['id']}/resend", json={"event": event})
        assert refused(resent, 422, "invalid")


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("support", 403), ("developer", 404)])
async def test_only_operators_who_build_resend_an_event(rest: Rest, cheap_hashes: None, role: str, status: int) -> None:
    webhook = await rest.app.post("/v1/webhooks", json=WEBHOOK)
    operator = await operators.signed_in(rest, "otto", role)
    resent = await operator.post(f"/v1/webhooks/{webhook.json()['id']}/resend", json={"event": "unknown"})
    assert resent.status_code == status, resent.text


async def test_cancelled_run_and_its_messages_are_reported(tmp_path: Path) -> None:
    steps = [
        {"key": "mail", "type": "email", "subject": "Hi", "text": "Hi"},
        {"key": "pause", "type": "delay", "for": "1d"},
    ]
    now = datetime.now(UTC)
    quiet = {"quiet_hours": {"start": f"{now - timedelta(hours=6):%H:%M}", "end": f"{now + timedelta(hours=6):%H:%M}"}}
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        await create(client, vendor, "run.*", "message.cancelled")
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        await client.put("/v1/recipients/alice/preferences", json=quiet)
        await client.put("/v1/workflows/booking", json={"steps": steps})
        run = (await client.post("/v1/workflows/booking/trigger", json={"to": "alice"})).json()["run"]
        await received(vendor, 2)
        assert (await client.delete(f"/v1/runs/{run}")).status_code == 204
        bodies = {request.json["type"]: request.json["data"] for request in await received(vendor, 4)}
        assert bodies.keys() == {"run.running", "run.waiting", "run.cancelled", "message.cancelled"}
        assert {body["id"] for type, body in bodies.items() if type.startswith("run.")} == {run}
        assert (bodies["message.cancelled"]["run"], bodies["message.cancelled"]["state"]) == (run, "cancelled")


async def test_recalled_notification_reports_its_messages(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        await create(client, vendor, "message.cancelled")
        await client.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        channels = ["inbox", {"channel": "email", "after": "1h"}]
        sent = await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "channels": channels})
        id = sent.json()["notifications"][0]["id"]
        assert (await client.delete(f"/v1/notifications/{id}")).status_code == 204
        (request,) = await received(vendor, 1)
        assert (request.json["data"]["notification"], request.json["data"]["reason"]) == (id, "recalled")


async def test_end_of_a_run_is_reported_with_what_it_sent(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        await create(client, vendor, "run.*", "notification.created")  # and run.running
        steps = [{"key": "bell", "type": "inbox", "title": "Hi"}]
        assert (await client.put("/v1/workflows/welcome", json={"steps": steps})).status_code == 201
        triggered = await client.post("/v1/workflows/welcome/trigger", json={"to": "alice"})
        (run,) = triggered.json()["runs"]
        bodies = {request.json["type"]: request.json["data"] for request in await received(vendor, 3)}
        assert bodies["run.completed"]["id"] == run["id"]
        assert (bodies["run.completed"]["workflow"], bodies["run.completed"]["recipient"]) == ("welcome", "alice")
        assert bodies["notification.created"]["title"] == "Hi"


async def test_rotation_signs_with_both_secrets_and_replay_keeps_the_id(tmp_path: Path) -> None:
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        webhook = await create(client, vendor, "notification.created")
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi"})
        (first,) = await received(vendor, 1)
        since = {"since": first.json["timestamp"]}
        planned = [
            await client.post(f"/v1/webhooks/{webhook['id']}/rotate?dry_run=true"),
            await client.post(f"/v1/webhooks/{webhook['id']}/replay?dry_run=true", json=since),
        ]
        assert [(one.status_code, one.json()) for one in planned] == [(200, {"secret": ""}), (200, {"replayed": 1})]
        assert (await client.post("/v1/webhooks/none/rotate?dry_run=true")).status_code == 404
        rotated = await client.post(f"/v1/webhooks/{webhook['id']}/rotate")
        replayed = await client.post(f"/v1/webhooks/{webhook['id']}/replay", json=since)
        assert (replayed.status_code, replayed.json()) == (202, {"replayed": 1})
        _, second = await received(vendor, 2)  # and none of the dry run
        assert second.headers["webhook-id"] == first.headers["webhook-id"]
        assert second.body == first.body
        assert is_signed(second, webhook["secret"])
        assert is_signed(second, rotated.json()["secret"])
        assert not is_signed(first, rotated.json()["secret"])


async def test_webhook_gets_the_events_of_its_tenant_and_a_star_of_all(tmp_path: Path) -> None:
    async with (
        vendor_server() as acme,
        vendor_server() as everyone,
        app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client),
    ):
        await create(client, acme, "*", tenant="acme")
        await create(client, everyone, "*", tenant="*")
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "tenant": "globex"})
        await client.post("/v1/notifications", json={"to": "alice", "title": "Hi", "tenant": "acme"})
        await received(everyone, 2)
        assert {request.json["tenant"] for request in everyone.requests} == {"globex", "acme"}
        assert [request.json["tenant"] for request in await received(acme, 1)] == ["acme"]
        await client.post("/v1/notifications", json={"to": {"all": True}, "title": "Hi", "tenant": "acme"})
        announced = (await received(acme, 2))[1].json["data"]
        assert (announced["recipient"], announced["title"]) == (None, "Hi")
        assert (await client.get("/v1/webhooks?tenant=globex")).json()["webhooks"] == []
        await create(client, everyone, "message.sent")
        everywhere = (await client.get("/v1/webhooks?tenant=*")).json()["webhooks"]
        assert [one["tenant"] for one in everywhere] == [None, "*", "acme"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "https://10.0.0.1/x", "events": ["*"]}, "url"),
        ({"url": "http://example.com/x", "events": ["*"]}, "url"),
        ({"url": "https://example.com/x", "events": []}, "events"),
        ({"url": "https://example.com/x", "events": ["message.unknown"]}, "events.0"),
        ({"url": "https://example.com/x", "events": ["*"], "secret": "x"}, "secret"),
    ],
)
async def test_unusable_webhook_is_refused(tmp_path: Path, body: dict[str, Any], field: str) -> None:
    async with app(tmp_path) as (_, client):
        refused = await client.post("/v1/webhooks", json=body)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_unknown_event_of_a_webhook_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        body = {"url": "https://example.com/x", "events": ["notification.creatd", "x"]}
        close, other = [one["message"] for one in (await client.post("/v1/webhooks", json=body)).json()["errors"]]
        assert close == 'is not a known type; did you mean "notification.created"?'
        assert other.startswith("is not a known type; expected one of: *, message.*, message.bounced, ")


async def test_events_of_a_server_that_dies_after_the_commit_are_delivered_by_the_next(tmp_path: Path) -> None:
    """The crash point is directly after the commit: publishing to the broker never finishes."""
    async with vendor_server() as vendor:
        async with app(tmp_path, HTTP_ALLOW="127.0.0.1", NO_JOBS="true") as (server, client):
            await create(client, vendor, "notification.*", "preferences.changed")
            ids, button = [], {"key": "ok", "label": "OK", "url": "https://app.example/ok"}
            for number in range(3):
                draft = {"to": "alice", "title": str(number), "actions": [button]}
                sent = await client.post("/v1/notifications", json=draft)
                ids.append(sent.json()["notifications"][0]["id"])
            alice = session_of(server, "alice")
            committed = CommittedEvents(server)
            requests = [
                client.post("/v1/inbox/seen", json={"all": True}, headers=alice),
                client.post("/v1/inbox/read", json={"ids": ids[:1]}, headers=alice),
                client.patch(f"/v1/inbox/{ids[1]}", json={"read": True}, headers=alice),
                client.post(f"/v1/inbox/{ids[2]}/actions/ok", headers=alice),
                client.put("/v1/preferences", json={"channels": {"sms": False}}, headers=alice),
                client.post("/v1/notifications", json={"to": {"all": True}, "title": "Hi"}),
            ]
            for request in requests:
                await committed.stopped_in(request)
        assert vendor.requests == []
        async with app(tmp_path, HTTP_ALLOW="127.0.0.1"):
            expected = {
                ("notification.seen", None),
                ("notification.read", ids[0]),
                ("notification.read", ids[1]),
                ("notification.acted", ids[2]),
            }

            async def read() -> set[tuple[str, Any]]:
                return {(one.json["type"], one.json["data"].get("id")) for one in vendor.requests}

            delivered = await eventually(read, lambda found: len(found) >= len(expected) + 5)
            assert expected <= delivered
            assert {type for type, _ in delivered} == {
                *("notification.created", "notification.seen", "notification.read", "notification.acted"),
                "preferences.changed",
            }


class CommittedEvents:
    """A broker that never finishes for one request: the request stops after its commit."""

    def __init__(self, server: App) -> None:
        self._broker = server.engines.broker
        self._publish = self._broker.publish
        self._stopped = asyncio.Event()

    async def stop(self, *events: Any) -> None:
        if events:
            self._stopped.set()
            await asyncio.Event().wait()

    async def stopped_in(self, request: Coroutine[Any, Any, httpx.Response]) -> None:
        """Cancel a request once it has reached the broker."""
        self._stopped.clear()
        self._broker.publish = self.stop
        task = asyncio.create_task(request)
        await asyncio.wait_for(self._stopped.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        self._broker.publish = self._publish


class Deliveries:
    """One webhook and its deliveries, with a fake clock."""

    def __init__(self, store: Store, clock: FakeClock, clients: HttpClients) -> None:
        ids = Ids()
        self.clock = clock
        self.webhooks = Webhooks(
            store,
            clock,
            clock,
            clients.guarded,
            Encryption(b"key"),
            ids.new,
            JobRunner(store.jobs, clock, ids.new),
            NO_FEED,
        )
        self.store = store
        self.id = ""

    async def job(self) -> Job:
        events = await self.webhooks.events("", "notification.created", [{"id": "1"}])
        await self.store.webhook_events.add(events, self.clock.now())
        (event,) = (await self.store.webhook_events.page(None, "", 10))[-1:]
        payload = json.dumps(["", self.id, event.id]).encode()
        return Job(id="1", kind=webhooks.DELIVERY_JOB_KIND, payload=payload, run_at=0, created_at=0, attempts=1)

    async def deliver(self, job: Job) -> Again | None:
        """Make one attempt."""
        outcome = await (await self.webhooks.deliver(job)).work()
        assert outcome is None or isinstance(outcome, Again)
        return outcome


@asynccontextmanager
async def deliveries(folder: Path, vendor: VendorServer) -> AsyncIterator[Deliveries]:
    clock, clients = FakeClock(), HttpClients(["127.0.0.1"])
    store = Store(FreshSqliteEngine(folder / "bellcast.sqlite3", clock))
    await store.open()
    try:
        one = Deliveries(store, clock, clients)
        one.id, _, _ = await one.webhooks.create("", f"http://{vendor.host}/hooks", ["*"])
        yield one
    finally:
        await clients.close()
        await store.close()


async def test_failed_delivery_is_retried_with_the_documented_delays(tmp_path: Path) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        vendor.default = raw_response(500, {})
        job = await one.job()
        delays = []
        for _ in RETRIES_MS:
            again = await one.deliver(job)
            assert again is not None
            assert again.payload is not None
            delays.append(again.at - one.clock.now())
            (last, *_) = await one.webhooks.last_attempts("", one.id)
            assert (last.status, last.number, last.next_at) == (500, len(delays), again.at)
            job = replace(job, payload=again.payload, attempts=job.attempts + 1)
        assert delays == [*RETRIES_MS]
        with pytest.raises(SetAside, match="HTTP 500"):
            await one.deliver(job)
        assert [delay // 1000 for delay in RETRIES_MS] == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
        found = await one.webhooks.get("", one.id)
        assert found is not None
        assert (found.active, found.last_error) == (True, "HTTP 500")
        (last, *_) = await one.webhooks.last_attempts("", one.id)
        assert (last.number, last.next_at) == (len(RETRIES_MS) + 1, None)


async def test_lease_without_a_request_is_no_attempt(tmp_path: Path) -> None:
    """Processes that end before the response, and a store that is unavailable, leave all retries."""
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        vendor.default = raw_response(503, {})
        again = await one.deliver(replace(await one.job(), attempts=len(RETRIES_MS) + 1))
        assert again is not None
        assert again.at == one.clock.now() + RETRIES_MS[0]


async def test_retried_dead_delivery_begins_again(tmp_path: Path) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        vendor.default = raw_response(503, {})
        job = await one.job()
        dead = msgspec.json.encode([*msgspec.json.decode(job.payload), len(RETRIES_MS)])
        again = await one.deliver(replace(job, payload=dead, attempts=1))
        assert again is not None
        assert again.at == one.clock.now() + RETRIES_MS[0]


class ChangingEndpoint:
    """An endpoint that fails, and whose webhook is changed while it responds."""

    def __init__(self, change: Callable[[], Awaitable[Any]], status: int = 500) -> None:
        self._change = change
        self._status = status

    async def request(self, method: str, url: str, **options: Any) -> Response:
        await self._change()
        return Response(self._status, {}, b"")


@pytest.mark.parametrize("change", ["delete", "rotate", "switch off"])
async def test_failing_delivery_keeps_a_change_made_meanwhile(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        # Another process: it has neither the cache nor a lock of the one that delivers.
        other = Deliveries(one.store, one.clock, HttpClients()).webhooks
        changes: dict[str, Callable[[], Awaitable[Any]]] = {
            "delete": lambda: other.delete("", one.id, lambda _: None),
            "rotate": lambda: other.rotate("", one.id),
            "switch off": lambda: other.change("", one.id, lambda _: {"active": False}),
        }
        changed: list[Any] = []

        async def apply() -> None:
            await changes[change]()
            changed.append(await other.get("", one.id))

        monkeypatch.setattr(one.webhooks, "_http", ChangingEndpoint(apply))
        await one.deliver(await one.job())
        assert await one.webhooks.get("", one.id) == changed[0]


async def test_success_ends_the_failures_of_a_webhook_whose_other_delivery_fails_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a single failure could switch it off five days later."""
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        vendor.default = raw_response(500, {})
        job = await one.job()
        await one.deliver(job)

        async def fail() -> None:
            vendor.default = raw_response(503, {})
            with monkeypatch.context() as real:
                real.setattr(one.webhooks, "_http", http)
                await one.deliver(job)

        http = one.webhooks._http
        monkeypatch.setattr(one.webhooks, "_http", ChangingEndpoint(fail, 200))
        assert await one.deliver(job) is None
        found = await one.webhooks.get("", one.id)
        assert found is not None
        assert (found.failing_since, found.last_error, found.active) == (None, None, True)


async def test_change_of_a_webhook_is_repeated_on_its_newest_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        documents, conflicts = one.store.documents, ["rotate"]
        change_document = documents.change

        async def change(*args: Any) -> bool:
            if conflicts:
                conflicts.clear()
                await one.webhooks.rotate("", one.id)
            return await change_document(*args)

        before = await one.webhooks.get("", one.id)
        monkeypatch.setattr(type(documents), "change", staticmethod(change))
        await one.webhooks.change("", one.id, lambda _: {"active": False})
        found = await one.webhooks.get("", one.id)
        assert before is not None
        assert found is not None
        assert (found.active, found.previous) == (False, before.secret)


async def test_webhook_that_was_changed_since_it_was_read_is_not_changed_with_if_match(rest: Rest) -> None:
    made = await rest.app.post("/v1/webhooks", json={"url": "https://app.example.com/a", "events": ["*"]})
    path = f"/v1/webhooks/{made.json()['id']}"
    tag = (await rest.app.get(path)).headers["etag"]
    first = await rest.app.patch(path, json={"events": ["message.*"]}, headers={"if-match": tag})
    assert (first.status_code, first.json()["events"]) == (200, ["message.*"])
    late = await rest.app.patch(path, json={"url": "https://app.example.com/b"}, headers={"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await rest.app.get(path)).json() == first.json()
    current = (await rest.app.get(path)).headers["etag"]
    assert current == first.headers["etag"]
    again = await rest.app.patch(path, json={"active": False}, headers={"if-match": current})
    assert (again.status_code, again.json()["active"]) == (200, False)
    late = await rest.app.patch(path, json={"active": True}, headers={"if-match": current})
    assert late.status_code == 412
    assert (await rest.app.patch(f"{path}0", json={}, headers={"if-match": "*"})).status_code == 404


async def test_webhook_that_was_changed_since_it_was_read_is_not_deleted_with_if_match(rest: Rest) -> None:
    made = await rest.app.post("/v1/webhooks", json={"url": "https://app.example.com/a", "events": ["*"]})
    path = f"/v1/webhooks/{made.json()['id']}"
    tag = (await rest.app.get(path)).headers["etag"]
    changed = await rest.app.patch(path, json={"active": False})
    late = await rest.app.delete(path, headers={"if-match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await rest.app.get(path)).json() == changed.json()
    assert (await rest.app.delete(path, headers={"if-match": changed.headers["etag"]})).status_code == 204
    assert (await rest.app.delete(path, headers={"if-match": "*"})).status_code == 404


def test_every_state_of_a_run_and_of_a_message_is_a_type() -> None:
    states = [f"run.{state}" for state in get_args(RunStatus)] + [f"message.{state}" for state in get_args(State)]
    assert set(states) - set(webhooks.TYPES) == {"message.sending"}


async def test_webhook_that_only_fails_for_five_days_is_disabled(tmp_path: Path) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        vendor.responses += [raw_response(500, {}), raw_response(200, {}), raw_response(500, {})]
        vendor.default = raw_response(500, {})
        job = await one.job()
        await one.deliver(job)
        one.clock.advance(FAILING_MS / 1000)
        assert await one.deliver(job) is None  # a success begins the five days again
        await one.deliver(job)
        one.clock.advance(FAILING_MS / 1000 - 1)
        assert await one.deliver(job) is not None
        one.clock.advance(1)
        with pytest.raises(SetAside):
            await one.deliver(job)
        found = await one.webhooks.get("", one.id)
        assert found is not None
        assert not found.active
        requests = len(vendor.requests)
        with pytest.raises(SetAside, match="HTTP 500"):  # deliveries that waited for the webhook failed too
            await one.deliver(job)
        assert len(vendor.requests) == requests


async def test_webhook_that_was_disabled_manually_leaves_no_failures(tmp_path: Path) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        job = await one.job()
        await one.webhooks.change("", one.id, lambda _: {"active": False})
        assert await one.deliver(job) is None
        assert vendor.requests == []


async def test_webhook_that_is_activated_again_begins_without_failures(rest: Rest) -> None:
    made = await rest.app.post("/v1/webhooks", json={"url": "https://app.example.com/a", "events": ["*"]})
    documents, id = rest.store.documents, made.json()["id"]
    stored = await documents.get("webhooks", "", id)
    assert stored is not None
    failed = {**msgspec.json.decode(stored.body), "failing_since": 1, "last_error": "HTTP 500", "active": False}
    await documents.put("webhooks", "", id, msgspec.json.encode(failed), 2)
    for active, error in ((False, "HTTP 500"), (True, None)):
        changed = await rest.app.patch(f"/v1/webhooks/{id}", json={"active": active})
        assert (changed.json()["last_error"], changed.json()["failing_since"] is None) == (error, active)


async def test_gone_endpoint_switches_the_webhook_off_and_a_hanging_one_is_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vendor_server() as vendor, deliveries(tmp_path, vendor) as one:
        vendor.default = HANG
        job = await one.job()
        with monkeypatch.context() as impatient:
            impatient.setattr(webhooks, "TIMEOUT_SECONDS", 1.0)
            assert await one.deliver(job) is not None
        vendor.responses += [raw_response(302, b"", location="http://127.0.0.1/"), raw_response(410, {})]
        assert await one.deliver(job) is not None  # a redirect is not a success, and is not followed
        with pytest.raises(SetAside, match="HTTP 410"):
            await one.deliver(job)
        found = await one.webhooks.get("", one.id)
        assert found is not None
        assert not found.active


async def test_webhook_beyond_the_maximum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would receive no events."""
    monkeypatch.setattr("bellcast.documents.store.MAX_OF_KIND", 2)
    async with vendor_server() as vendor, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        first, _ = [await create(client, vendor, "run.*") for _ in range(2)]
        body = {"url": f"http://{vendor.host}/hooks", "events": ["run.*"]}
        for dry_run in ("false", "true"):
            refused = await client.post("/v1/webhooks", json=body, params={"dry_run": dry_run})
            assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        await create(client, vendor, "run.*", tenant="acme")
        await client.delete(f"/v1/webhooks/{first['id']}")
        await create(client, vendor, "run.*")
