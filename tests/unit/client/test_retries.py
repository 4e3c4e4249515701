"""Which failures are retried, and when."""

import httpx
import pytest

from bellcast.client import (
    FieldError,
    Forbidden,
    NotFound,
    Problem,
    RequestRefused,
    Retries,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    inbox,
    notifications,
    topics,
)
from bellcast.client.request import HttpResponse, LostConnection, exchange

COUNTS = HttpResponse(200, b'{"unread":1,"unseen":0,"position":"1"}')
GONE = HttpResponse(404, b'{"status":404,"code":"not_found"}')
REFUSED_CONNECTION = LostConnection(httpx.ConnectError("connection refused"), delivered=False)
NO_RESPONSE = LostConnection(httpx.ReadTimeout("timed out"), delivered=True)
BUSY = HttpResponse(503, b'{"status":503,"code":"unavailable","detail":"the store is away"}', {"retry-after": "2"})
NO_JITTER = Retries(chance=lambda: 1.0)


def execute(plan, *outcomes, retries=NO_JITTER):
    """Run the plan with these outcomes of its requests; return the pauses and the result."""
    steps, pauses, left = exchange(plan, retries), [], [None, *outcomes]
    while True:
        assert left, "the plan has another request"
        try:
            step = steps.send(left.pop(0))
        except StopIteration as end:
            assert not left, "the plan has no further request"
            return pauses, end.value
        if isinstance(step, float):
            pauses.append(step)
            left.insert(0, None)


def test_response_is_the_result():
    pauses, counts = execute(inbox.counts(), COUNTS)
    assert (pauses, counts.unread) == ([], 1)


@pytest.mark.parametrize(
    "failure",
    [REFUSED_CONNECTION, NO_RESPONSE, BUSY, HttpResponse(429, b"", {"retry-after": "1"}), HttpResponse(502, b"")],
)
def test_temporary_failure_is_retried(failure):
    pauses, counts = execute(inbox.counts(), failure, COUNTS)
    assert len(pauses) == 1
    assert counts.unread == 1


def test_pauses_double_up_to_the_longest():
    retries = Retries(tries=6, first=1.0, longest=10.0, within=60.0, chance=lambda: 1.0)
    pauses, _ = execute(inbox.counts(), *[REFUSED_CONNECTION] * 5, COUNTS, retries=retries)
    assert pauses == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_whole_seconds_of_a_pause_are_waited():
    retries = Retries(first=3, longest=1, chance=lambda: 1)
    assert execute(inbox.counts(), REFUSED_CONNECTION, COUNTS, retries=retries)[0] == [1.0]


def test_jitter_spreads_concurrent_retries():
    pauses, _ = execute(inbox.counts(), REFUSED_CONNECTION, COUNTS, retries=Retries(first=1.0, chance=lambda: 0.25))
    assert pauses == [0.5]


def test_retry_after_sets_the_pause():
    pauses, _ = execute(inbox.counts(), BUSY, COUNTS, retries=Retries(chance=lambda: 0.0))
    assert pauses == [2.0]


def test_long_retry_after_is_raised_to_the_caller():
    with pytest.raises(TooManyRequests) as refused:
        execute(inbox.counts(), HttpResponse(429, b'{"status":429,"code":"too_many"}', {"retry-after": "3600"}))
    assert refused.value.retry_after == 3600


def test_endless_retry_after_is_a_day():
    with pytest.raises(TooManyRequests) as refused:
        execute(inbox.counts(), HttpResponse(429, b"", {"retry-after": "9" * 400}))
    assert refused.value.retry_after == 86_400


@pytest.mark.parametrize("content", [b'{"status":404,"code":"x","detail":"\xff"}', b'{"x":' + b"[" * 200_000])
def test_unreadable_reason_is_a_refusal(content):
    with pytest.raises(NotFound, match="refused without a reason"):
        execute(inbox.counts(), HttpResponse(404, content))


def test_redirect_says_that_the_url_is_wrong():
    with pytest.raises(RequestRefused, match="redirects to another address: check the URL"):
        execute(inbox.counts(), HttpResponse(302, b""))


def test_date_in_retry_after_is_ignored():
    pauses, _ = execute(
        inbox.counts(), HttpResponse(503, b"", {"retry-after": "Wed, 01 Jan 2030 00:00:00 GMT"}), COUNTS
    )
    assert pauses == [0.4]


def test_last_failure_is_raised_with_its_cause():
    with pytest.raises(Unavailable, match="no response: connection refused") as unavailable:
        execute(inbox.counts(), *[REFUSED_CONNECTION] * 3)
    assert unavailable.value.__cause__ is REFUSED_CONNECTION.error


def test_refused_item_of_many_names_each_field_once():
    wrong = [
        FieldError(field="0.title", message="must not be empty"),
        FieldError(field="0.type", message="is too long"),
    ]
    problem = Problem(status=422, code="invalid", detail="title: must not be empty", errors=wrong)
    assert RequestRefused(problem).reason == "title: must not be empty (0.type: is too long)"


def test_unavailable_server_is_reported_with_its_reason():
    with pytest.raises(Unavailable, match="503 the store is away") as unavailable:
        execute(inbox.counts(), *[BUSY] * 3)
    assert unavailable.value.retry_after == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (422, RequestRefused),
        (500, RequestRefused),
        (301, RequestRefused),
    ],
)
def test_refusal_is_raised_without_a_retry(status, kind):
    with pytest.raises(kind) as refused:
        execute(inbox.counts(), HttpResponse(status, b""))
    assert refused.value.status == status


def test_refusal_names_the_field():
    problem = b"""{"type":"/errors/invalid","status":422,"code":"invalid","detail":"The notification is not complete.",
                   "errors":[{"field":"title","message":"is missing"}]}"""
    with pytest.raises(
        RequestRefused, match=r"422 The notification is not complete\. \(title: is missing\)"
    ) as refused:
        execute(notifications.notify("alice", title="Hello"), HttpResponse(422, problem))
    assert (refused.value.code, refused.value.errors[0].field) == ("invalid", "title")


def test_retried_send_keeps_its_idempotency_key():
    steps = exchange(notifications.notify("alice", title="Hello"), NO_JITTER)
    first = next(steps)
    steps.send(NO_RESPONSE)
    assert next(steps).headers["Idempotency-Key"] == first.headers["Idempotency-Key"]


def test_live_event_that_may_have_been_delivered_is_not_retried():
    with pytest.raises(Unavailable):
        execute(topics.publish("lobby", "doorbell"), NO_RESPONSE)


def test_undelivered_live_event_is_retried():
    pauses, _ = execute(topics.publish("lobby", "doorbell"), REFUSED_CONNECTION, BUSY, HttpResponse(202, b""))
    assert len(pauses) == 2


def test_retried_deletion_succeeds_when_the_item_is_gone():
    _, result = execute(inbox.delete("n1"), NO_RESPONSE, GONE)
    assert result is None


def test_deletion_of_a_missing_item_raises_not_found():
    with pytest.raises(NotFound):
        execute(inbox.delete("n1"), REFUSED_CONNECTION, GONE)


def test_failure_is_raised_inside_a_composed_plan():
    def count_or_none():
        try:
            return (yield from inbox.counts())
        except NotFound:
            return "missing"

    assert execute(count_or_none(), GONE) == ([], "missing")


class SteppingClock:
    """A clock that advances by a fixed number of seconds per reading."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


def test_retries_end_within_their_time():
    retries = Retries(tries=99, within=8.0, chance=lambda: 1.0, clock=SteppingClock(2.5))
    with pytest.raises(Unavailable):
        execute(inbox.counts(), NO_RESPONSE, NO_RESPONSE, retries=retries)


def test_request_timeout_is_the_remaining_time():
    steps = exchange(inbox.counts(), Retries(within=8.0, chance=lambda: 0.0, clock=SteppingClock(3.0)))
    assert next(steps).timeout == 5.0
    steps.send(NO_RESPONSE)
    assert next(steps).timeout == 2.0


def test_bulk_request_has_a_longer_timeout():
    steps = exchange(notifications.bulk([{"to": "alice", "title": "Hello"}]), NO_JITTER)
    assert next(steps).timeout == notifications.BULK_TIMEOUT
