"""Bulk requests with many recipients: memory and the event loop are shared with all other clients."""

import asyncio
import json
import tracemalloc

import pytest

from bellcast.inbox import imports, sending
from bellcast.inbox.http import bulk
from bellcast.inbox.types.sends import SendResult
from bellcast.kernel import concurrency
from bellcast.kernel.errors import Unavailable
from bellcast.webhooks.types import WebhookSink

NAMES = [f"name-{n}" for n in range(1_000)]


def items(number, **fields):
    return [{"to": NAMES, "title": str(n), **fields} for n in range(number)]


async def results(rest, body, path="/v1/notifications/bulk"):
    response = await rest.app.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()["results"]


@pytest.fixture
def committed(rest, monkeypatch):
    """The recipients of each call of the store, which are in memory together."""
    calls = []
    for name in ("add", "add_imported"):
        add = getattr(rest.store.sends, name)

        def count(requests, add=add):
            calls.append(sum(len(request.recipients) for request in requests))
            return add(requests)

        monkeypatch.setattr(type(rest.store.sends), name, staticmethod(count))
    return calls


@pytest.mark.parametrize("path", ["/v1/notifications/bulk", "/v1/import"])
async def test_bulk_request_is_committed_in_parts(rest, committed, monkeypatch, path):
    monkeypatch.setattr(bulk, "PART_RECIPIENTS", 1_500)
    received = await results(rest, [*items(3), {"to": "alice"}], path)
    assert [call for call in committed if call] == [2_000, 1_000]
    assert [len(result["ids"]) for result in received[:3]] == [1_000] * 3
    assert received[3]["error"]["errors"] == [{"field": "3.title", "message": "is required"}]
    page = (await rest.recipient("name-7").get("/v1/inbox")).json()["notifications"]
    assert [one["id"] for one in page] == [result["ids"][7] for result in reversed(received[:3])]


async def test_part_ends_at_its_bytes(rest, committed, monkeypatch):
    monkeypatch.setattr(bulk, "PART_BYTES", 1_000)
    await results(rest, [{"to": "alice", "title": "x" * 400} for _ in range(6)])
    assert [call for call in committed if call] == [3, 3]


@pytest.mark.thorough
async def test_memory_does_not_grow_with_the_recipients(rest):
    body = json.dumps(items(120))
    await results(rest, [], "/v1/notifications/bulk?dry_run=true")
    tracemalloc.start()
    try:
        response = await rest.app.post("/v1/notifications/bulk?dry_run=true", content=body)
        assert [result["recipients"] for result in response.json()["results"]] == [1_000] * 120
        # The names alone take 60 bytes each, 12 MB.
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("path", "module", "step"),
    [("/v1/notifications/bulk", sending, "_prepare"), ("/v1/import", imports, "_request")],
)
async def test_other_tasks_run_between_items_with_many_recipients(rest, monkeypatch, path, module, step):
    for name in ("PART_SECONDS", "SMALL_PART_SECONDS"):  # however fast this machine is
        monkeypatch.setattr(concurrency, name, 0)
    turn, turns = 0, {}

    def watch(owner, name):
        watched, turns[name] = getattr(owner, name), []

        def call(*args, **options):
            turns[name].append(turn)
            return watched(*args, **options)

        monkeypatch.setattr(owner, name, call)

    async def count():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    for owner, name in ((bulk, "_read"), (module, step), (bulk, "_result")):
        watch(owner, name)
    counting = asyncio.create_task(count())
    await results(rest, items(6), path)
    counting.cancel()
    assert {name: len(set(each)) for name, each in turns.items()} == {"_read": 6, step: 6, "_result": 6}


PATHS = pytest.mark.parametrize(("path", "name"), [("/v1/notifications/bulk", "add"), ("/v1/import", "add_imported")])
OLD = {"created_at": "2025-03-01T09:30:00Z"}


@PATHS
async def test_part_after_an_unavailable_store_is_not_written(rest, monkeypatch, path, name):
    monkeypatch.setattr(bulk, "PART_RECIPIENTS", 1_500)
    calls = 0

    async def add(requests):
        nonlocal calls
        calls += 1
        yield [Unavailable() if calls == 1 else SendResult(request.response) for request in requests]

    monkeypatch.setattr(type(rest.store.sends), name, staticmethod(add))
    received = await results(rest, items(5, **(OLD if name == "add_imported" else {})), path)
    assert [result["error"]["code"] for result in received] == ["unavailable"] * 5
    assert calls == 1


@PATHS
async def test_store_that_closes_between_two_parts_leaves_the_results_of_the_first(rest, monkeypatch, path, name):
    monkeypatch.setattr(bulk, "PART_RECIPIENTS", 1_500)
    add, calls = getattr(rest.store.sends, name), 0

    def close(requests):
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Unavailable
        return add(requests)

    monkeypatch.setattr(type(rest.store.sends), name, staticmethod(close))
    received = await results(rest, items(5, **(OLD if name == "add_imported" else {})), path)
    assert [len(result.get("ids", [])) for result in received] == [1_000, 1_000, 0, 0, 0]
    assert [result["error"]["code"] for result in received[2:]] == ["unavailable"] * 3
    assert calls == 2


async def test_unreadable_webhooks_refuse_an_announcement_and_the_items_after_it(rest, monkeypatch):
    async def fail(*_):
        raise Unavailable

    monkeypatch.setattr(WebhookSink, "events", fail)
    body = [{"to": "alice", "title": "1"}, {"to": {"role": "admin"}, "title": "2"}, {"to": "alice", "title": "3"}]
    first, *others = await results(rest, body)
    assert first["id"]
    assert [result["error"]["code"] for result in others] == ["unavailable"] * 2
