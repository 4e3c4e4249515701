"""Bulk sends are split into requests of bounded size."""

import msgspec
import pytest

from bellcast.client import BulkInterrupted, Unavailable, notifications


def items(count, **more):
    return ({"to": f"r{number}", "title": "Hello", **more} for number in range(count))


def lines(request):
    return [msgspec.json.decode(line) for line in request.content.splitlines()]


def execute(plan):
    """Run the plan against a server that accepts everything; return its requests and results."""
    requests = []
    response = None
    while True:
        try:
            request = plan.send(response)
        except StopIteration as end:
            return requests, end.value
        requests.append(request)
        results = [{"id": line["to"]} for line in lines(request)]
        response = msgspec.convert({"results": results}, notifications.BulkResults)


def test_results_keep_the_order_of_the_items():
    requests, results = execute(notifications.bulk(items(25_000)))
    assert [len(lines(request)) for request in requests] == [10_000, 10_000, 5_000]
    assert [result.id for result in results] == [f"r{number}" for number in range(25_000)]


def test_request_size_is_bounded_in_bytes():
    requests, results = execute(notifications.bulk(items(4_000, body="x" * 10_000)))
    assert len(results) == 4_000
    assert max(len(request.content) for request in requests) <= notifications.SLICE_BYTES


def test_empty_bulk_sends_no_request():
    assert execute(notifications.bulk([])) == ([], [])


def test_every_request_has_an_idempotency_key_and_items_keep_theirs():
    [first, second], _ = execute(notifications.bulk([*items(10_000), *items(1, idempotency_key="mine")]))
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert [line.get("idempotency_key") for line in lines(second)] == ["mine"]
    assert first.repeatable


def test_items_are_consumed_lazily():
    plan = notifications.bulk(items(10**12))
    assert len(lines(next(plan))) == 10_000


def test_item_with_a_name_that_is_no_text_does_not_stop_the_others():
    [request], results = execute(notifications.bulk([{1: "x"}, *items(1)]))
    assert len(lines(request)) == 1
    assert [result.error and result.error.errors[0].field for result in results] == ["1", None]


def test_interrupted_bulk_reports_its_results():
    plan = notifications.bulk(items(20_000))
    request = next(plan)
    plan.send(msgspec.convert({"results": [{"id": "x"}] * len(lines(request))}, notifications.BulkResults))
    with pytest.raises(BulkInterrupted, match="stopped after 10000 items: gone") as stopped:
        plan.throw(Unavailable("gone"))
    assert len(stopped.value.results) == 10_000
