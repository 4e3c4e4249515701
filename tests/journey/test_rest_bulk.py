"""Many notifications in one request."""

import gzip
import json

import pytest

from bellcast.kernel.limits import Limits
from tests.journey import rest as rests
from tests.journey.rest import fields, refused

NDJSON = {"content-type": "application/x-ndjson"}


async def unread(rest, key="alice"):
    return (await rest.recipient(key).get("/v1/inbox/counts")).json()["unread"]


async def test_results_have_the_order_of_the_items(rest):
    items = [
        {"to": "alice", "title": "one"},
        {"to": ["alice", "bob"], "title": "a list has ids"},
        {"to": ["bob"], "title": "a list of one too"},
        {"to": {"all": True}, "title": "an announcement has an id"},
        {"to": "alice"},
        {"to": "alice", "title": "last"},
    ]
    response = await rest.app.post("/v1/notifications/bulk", json=items)
    assert response.status_code == 200
    results = response.json()["results"]
    assert [sorted(result) for result in results] == [["id"], ["ids"], ["ids"], ["id"], ["error"], ["id"]]
    assert [len(results[n]["ids"]) for n in (1, 2)] == [2, 1]
    assert results[4]["error"]["errors"] == [{"field": "4.title", "message": "is required"}]
    assert await unread(rest) == 4


async def test_result_ids_are_those_in_the_inbox(rest):
    items = [{"to": "alice", "title": str(n)} for n in range(600)]
    results = (await rest.app.post("/v1/notifications/bulk", json=items)).json()["results"]
    page = (await rest.recipient("alice").get("/v1/inbox", params={"limit": 100})).json()["notifications"]
    assert [one["id"] for one in page] == [result["id"] for result in reversed(results[-100:])]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/ndjson", "application/jsonl; charset=utf-8"])
async def test_ndjson_has_one_object_per_line(rest, kind):
    lines = b'{"to":"alice","title":"one"}\r\n\n{"to":"alice","title":"two"}\n   \n{"to":"bob","title":"three"}'
    response = await rest.app.post("/v1/notifications/bulk", content=lines, headers={"content-type": kind})
    assert [list(result) for result in response.json()["results"]] == [["id"], ["id"], ["id"]]
    assert await unread(rest) == 2


async def test_broken_line_fails_only_its_item(rest):
    lines = b'{"to":"alice","title":"one"}\n{"to":"ali\n[1]\n\xff\n{"to":"alice","title":"two"}\n'
    results = (await rest.app.post("/v1/notifications/bulk", content=lines, headers=NDJSON)).json()["results"]
    assert [one.get("error", {}).get("status") for one in results] == [None, 400, 422, 400, None]
    assert await unread(rest) == 2


async def test_deeply_nested_item_fails_only_itself(rest):
    deep = b'{"to":"alice","title":"x","data":' + b'{"a":' * 500 + b"1" + b"}" * 501
    for content, headers in ((b"[" + deep + b"]", {}), (deep, NDJSON)):
        headers = {"content-type": "application/json"} | headers
        response = await rest.app.post("/v1/notifications/bulk", content=content, headers=headers)
        assert response.json()["results"][0]["error"]["code"] == "bad_request"


async def test_array_that_is_not_json_is_refused_entirely(rest):
    content = b'[{"to":"alice","title":"one"},'
    response = await rest.app.post(
        "/v1/notifications/bulk", content=content, headers={"content-type": "application/json"}
    )
    assert refused(response, 400, "bad_request")
    assert await unread(rest) == 0


@pytest.mark.parametrize("body", [{"to": "alice", "title": "x"}, "x", False, 7], ids=str)
async def test_body_that_is_not_a_list_is_refused(rest, body):
    assert refused(await rest.app.post("/v1/notifications/bulk", json=body), 422, "invalid")


async def test_empty_bulk_has_no_results(rest):
    assert (await rest.app.post("/v1/notifications/bulk", json=[])).json() == {"results": []}
    assert (await rest.app.post("/v1/notifications/bulk", content=b"", headers=NDJSON)).json() == {"results": []}


async def test_compressed_body_is_refused(rest):
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    for path in ("/v1/notifications/bulk", "/v1/notifications"):
        response = await rest.app.post(path, content=gzip.compress(b"[]"), headers=packed)
        assert refused(response, 415, "unsupported_media_type")
        assert "Content-Encoding" in response.json()["detail"]


async def test_other_media_type_is_refused(rest):
    response = await rest.app.post("/v1/notifications/bulk", content=b"[]", headers={"content-type": "text/csv"})
    assert refused(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content",
    [json.dumps([{"to": "a", "title": "x"}] * 10_001), "[" + "0," * 10_000 + "0]"],
    ids=["drafts", "anything"],
)
async def test_bulk_beyond_ten_thousand_items_is_refused(rest, content):
    headers = {"content-type": "application/json"}
    assert refused(await rest.app.post("/v1/notifications/bulk", content=content, headers=headers), 413, "too_large")
    lines = "0\n" * 10_001
    assert refused(await rest.app.post("/v1/notifications/bulk", content=lines, headers=NDJSON), 413, "too_large")
    assert rest.published == []


async def test_items_of_a_bulk_request_share_the_suggestions(rest):
    items = [{"to": "alice", "title": "x", "bodi": "y"}] * 30
    results = (await rest.app.post("/v1/notifications/bulk", json=items)).json()["results"]
    messages = [result["error"]["errors"][0]["message"] for result in results]
    assert messages[:10] == ['is not a known field; did you mean "body"?'] * 10
    assert messages[10].startswith("is not a known field; expected one of: action_text, action_url, ")
    assert messages[11:] == ["is not a known field"] * 19


async def test_item_of_more_than_a_megabyte_fails_only_itself(rest):
    items = [{"to": "alice", "title": "x"}, {"to": "alice", "title": "x", "data": {"a": "x" * 1_048_576}}]
    results = (await rest.app.post("/v1/notifications/bulk", json=items)).json()["results"]
    assert [result.get("error", {}).get("code") for result in results] == [None, "too_large"]


async def test_bulk_of_ten_thousand_items_is_accepted(rest):
    content = b'{"to":"alice","title":"x"}\n' * 10_000
    results = (await rest.app.post("/v1/notifications/bulk", content=content, headers=NDJSON)).json()["results"]
    assert len({result["id"] for result in results}) == 10_000
    assert await unread(rest) == 10_000


async def test_bulk_beyond_the_byte_limit_is_refused(tmp_path):
    async with rests.opened(tmp_path, limits=Limits(bulk=1_000, request=100)) as rest:
        fits = json.dumps([{"to": "alice", "title": "x" * 400}])
        headers = {"content-type": "application/json"}
        assert (await rest.app.post("/v1/notifications/bulk", content=fits, headers=headers)).status_code == 200
        response = await rest.app.post("/v1/notifications/bulk", content=fits + " " * 600, headers=headers)
        assert refused(response, 413, "too_large")


ITEMS = [{"to": "alice", "title": "one"}, {"to": ["alice", "bob"], "title": "two", "idempotency_key": "mine"}]


class TestIdempotency:
    async def test_item_with_a_key_is_sent_once(self, rest):
        first = (await rest.app.post("/v1/notifications/bulk", json=ITEMS)).json()["results"]
        repeated = (await rest.app.post("/v1/notifications/bulk", json=ITEMS)).json()["results"]
        assert first[1] == repeated[1]
        assert first[0] != repeated[0]
        assert await unread(rest) == 3

    async def test_header_gives_every_item_a_key(self, rest):
        options = {"json": ITEMS, "headers": {"idempotency-key": "x" * 200}}
        first = await rest.app.post("/v1/notifications/bulk", **options)
        repeated = await rest.app.post("/v1/notifications/bulk", **options)
        assert first.content == repeated.content
        assert await unread(rest) == 2

    async def test_invalid_key_in_the_header_is_refused(self, rest):
        response = await rest.app.post("/v1/notifications/bulk", json=[], headers={"idempotency-key": "x" * 201})
        assert fields(response).keys() == {"Idempotency-Key"}


async def test_tenant_of_the_request_applies_to_its_items(rest):
    items = [{"to": "alice", "title": "x"}, {"to": "alice", "title": "x", "tenant": "acme"}]
    items.append({"to": "alice", "title": "x", "tenant": "globex"})
    results = (await rest.app.post("/v1/notifications/bulk?tenant=acme", json=items)).json()["results"]
    assert results[2]["error"]["errors"][0]["field"] == "2.tenant"
    acme = await rest.recipient("alice", tenant="acme").get("/v1/inbox/counts")
    assert acme.json()["unread"] == 2
    assert await unread(rest) == 0


@pytest.mark.parametrize(("bad", "more"), [(10, ""), (25, "; 15 more"), (200, "; at least 90 more")])
async def test_refused_item_lists_ten_errors_and_counts_the_others(rest, bad, more):
    item = {"to": "alice", "title": "x"} | {f"unknown{n}": n for n in range(bad)}
    results = (await rest.app.post("/v1/notifications/bulk", json=[item])).json()["results"]
    error = results[0]["error"]
    assert [one["field"] for one in error["errors"]] == [f"0.unknown{n}" for n in range(10)]
    assert error["detail"].endswith(f"unknown9: is not a known field{more}")
