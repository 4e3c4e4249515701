"""Sending any number of notifications, slice by slice."""

import msgspec
import pytest

from bellcast.client import BulkInterrupted, Unavailable, notifications


def items(count, **more):
    return ({"to": f"r{number}", "title": "Hello", **more} for number in range(count))


def lines(request):
    return [msgspec.json.decode(line) for line in request.content.splitlines()]


def played(plan):
    """Carry the plan out against a server that takes everything; the requests it made and its result."""
    requests = []
    answer = None
    while True:
        try:
            request = plan.send(answer)
        except StopIteration as end:
            return requests, end.value
        requests.append(request)
        results = [{"id": line["to"]} for line in lines(request)]
        answer = msgspec.convert({"results": results}, notifications.BulkResults)


def test_the_results_come_in_the_order_of_the_items():
    requests, results = played(notifications.bulk(items(25_000)))
    assert [len(lines(request)) for request in requests] == [10_000, 10_000, 5_000]
    assert [result.id for result in results] == [f"r{number}" for number in range(25_000)]


def test_a_slice_is_never_more_bytes_than_the_server_takes():
    requests, results = played(notifications.bulk(items(4_000, body="x" * 10_000)))
    assert len(results) == 4_000
    assert max(len(request.content) for request in requests) <= notifications.SLICE_BYTES


def test_nothing_to_send_asks_nothing():
    assert played(notifications.bulk([])) == ([], [])


def test_every_slice_gets_a_key_and_items_keep_theirs():
    [one, two], _ = played(notifications.bulk([*items(10_000), *items(1, idempotency_key="mine")]))
    assert one.headers["Idempotency-Key"] != two.headers["Idempotency-Key"]
    assert [line.get("idempotency_key") for line in lines(two)] == ["mine"]
    assert one.repeatable


def test_items_are_taken_as_they_are_needed():
    plan = notifications.bulk(items(10**12))
    assert len(lines(next(plan))) == 10_000


def test_an_interrupted_bulk_tells_what_was_done():
    plan = notifications.bulk(items(20_000))
    request = next(plan)
    plan.send(msgspec.convert({"results": [{"id": "x"}] * len(lines(request))}, notifications.BulkResults))
    with pytest.raises(BulkInterrupted, match="stopped after 10000 items: gone") as stopped:
        plan.throw(Unavailable("gone"))
    assert len(stopped.value.results) == 10_000
