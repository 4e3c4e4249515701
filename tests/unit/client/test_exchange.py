"""Which failures are tried again, and when."""

import httpx
import pytest

from bellcast.client import (
    Forbidden,
    NotFound,
    RequestRefused,
    Retries,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    inbox,
    notifications,
    topics,
)
from bellcast.client.exchange import Exchange, LostConnection, Wait
from bellcast.client.request import HttpResponse

COUNTS = HttpResponse(200, b'{"unread":1,"unseen":0,"position":"1"}')
GONE = HttpResponse(404, b'{"status":404,"code":"not_found"}')
REFUSED_CONNECTION = LostConnection(httpx.ConnectError("connection refused"), delivered=False)
NO_ANSWER = LostConnection(httpx.ReadTimeout("timed out"), delivered=True)
BUSY = HttpResponse(503, b'{"status":503,"code":"unavailable","detail":"the store is away"}', {"retry-after": "2"})
SURE = Retries(chance=lambda: 1.0)


def carried_out(plan, *outcomes, retries=SURE):
    """The pauses made on the way and the result, when these are the outcomes of its requests."""
    exchange, pauses = Exchange(plan, retries), []
    for outcome in outcomes:
        assert exchange.step, "there was nothing more to ask"
        exchange.record(outcome)
        if isinstance(exchange.step, Wait):
            pauses.append(exchange.step.seconds)
            exchange.record(None)
    assert exchange.step is None, "there is more to ask"
    return pauses, exchange.result


def test_an_answer_is_the_result():
    pauses, counts = carried_out(inbox.counts(), COUNTS)
    assert (pauses, counts.unread) == ([], 1)


@pytest.mark.parametrize(
    "failure",
    [REFUSED_CONNECTION, NO_ANSWER, BUSY, HttpResponse(429, b"", {"retry-after": "1"}), HttpResponse(502, b"")],
)
def test_what_can_pass_is_tried_again(failure):
    pauses, counts = carried_out(inbox.counts(), failure, COUNTS)
    assert len(pauses) == 1
    assert counts.unread == 1


def test_pauses_double_up_to_the_longest():
    retries = Retries(tries=6, first=1.0, longest=10.0, within=60.0, chance=lambda: 1.0)
    pauses, _ = carried_out(inbox.counts(), *[REFUSED_CONNECTION] * 5, COUNTS, retries=retries)
    assert pauses == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_chance_spreads_those_who_failed_together():
    pauses, _ = carried_out(inbox.counts(), REFUSED_CONNECTION, COUNTS, retries=Retries(first=1.0, chance=lambda: 0.25))
    assert pauses == [0.5]


def test_the_server_says_how_long_to_wait():
    pauses, _ = carried_out(inbox.counts(), BUSY, COUNTS, retries=Retries(chance=lambda: 0.0))
    assert pauses == [2.0]


def test_a_wait_too_long_is_left_to_the_caller():
    with pytest.raises(TooManyRequests) as refused:
        carried_out(inbox.counts(), HttpResponse(429, b'{"status":429,"code":"too_many"}', {"retry-after": "3600"}))
    assert refused.value.retry_after == 3600


def test_a_date_in_retry_after_counts_as_not_said():
    pauses, _ = carried_out(
        inbox.counts(), HttpResponse(503, b"", {"retry-after": "Wed, 01 Jan 2030 00:00:00 GMT"}), COUNTS
    )
    assert pauses == [0.4]


def test_after_the_last_try_the_failure_is_told_with_its_cause():
    with pytest.raises(Unavailable, match="no answer: connection refused") as unavailable:
        carried_out(inbox.counts(), *[REFUSED_CONNECTION] * 3)
    assert unavailable.value.__cause__ is REFUSED_CONNECTION.error


def test_a_server_away_until_the_end_says_why():
    with pytest.raises(Unavailable, match="503 the store is away") as unavailable:
        carried_out(inbox.counts(), *[BUSY] * 3)
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
def test_a_refusal_is_told_at_once(status, kind):
    with pytest.raises(kind) as refused:
        carried_out(inbox.counts(), HttpResponse(status, b""))
    assert refused.value.status == status


def test_a_refusal_names_the_field():
    problem = b"""{"type":"/errors/invalid","status":422,"code":"invalid","detail":"The notification is not complete.",
                   "errors":[{"field":"title","message":"is missing"}]}"""
    with pytest.raises(
        RequestRefused, match=r"422 The notification is not complete\. \(title: is missing\)"
    ) as refused:
        carried_out(notifications.notify("alice", title="Hello"), HttpResponse(422, problem))
    assert (refused.value.code, refused.value.errors[0].field) == ("invalid", "title")


def test_a_send_without_an_answer_is_tried_again_with_the_same_key():
    exchange = Exchange(notifications.notify("alice", title="Hello"), SURE)
    first = exchange.step
    exchange.record(NO_ANSWER)
    exchange.record(None)
    assert exchange.step.headers["Idempotency-Key"] == first.headers["Idempotency-Key"]


def test_a_live_event_that_may_have_been_heard_is_not_said_again():
    with pytest.raises(Unavailable):
        carried_out(topics.publish("lobby", "doorbell"), NO_ANSWER)


def test_a_live_event_that_never_left_is_said_again():
    pauses, _ = carried_out(topics.publish("lobby", "doorbell"), REFUSED_CONNECTION, BUSY, HttpResponse(202, b""))
    assert len(pauses) == 2


def test_a_deletion_whose_answer_was_lost_has_succeeded_when_nothing_is_left():
    _, result = carried_out(inbox.delete("n1"), NO_ANSWER, GONE)
    assert result is None


def test_a_deletion_of_nothing_is_not_found():
    with pytest.raises(NotFound):
        carried_out(inbox.delete("n1"), REFUSED_CONNECTION, GONE)


def test_a_longer_plan_hears_of_the_failure():
    def careful():
        try:
            return (yield from inbox.counts())
        except NotFound:
            return "nobody"

    assert carried_out(careful(), GONE) == ([], "nobody")


class Passing:
    """A clock that goes on by so many seconds at every look."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def __call__(self):
        self.now += self.seconds
        return self.now


def test_all_tries_end_within_their_time():
    retries = Retries(tries=99, within=8.0, chance=lambda: 1.0, clock=Passing(2.5))
    with pytest.raises(Unavailable):
        carried_out(inbox.counts(), NO_ANSWER, NO_ANSWER, retries=retries)


def test_a_try_waits_no_longer_than_is_left():
    exchange = Exchange(inbox.counts(), Retries(within=8.0, chance=lambda: 0.0, clock=Passing(3.0)))
    assert exchange.step.timeout == 5.0
    exchange.record(NO_ANSWER)
    exchange.record(None)
    assert exchange.step.timeout == 2.0


def test_a_bulk_request_has_a_longer_time():
    exchange = Exchange(notifications.bulk([{"to": "alice", "title": "Hello"}]), SURE)
    assert exchange.step.timeout == notifications.BULK_TIMEOUT
