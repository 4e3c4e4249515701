"""The live feed: filters, ring buffers, the rate limit, redaction, and bounded memory."""

import gc
import sys
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec import structs

from bellcast import live_feed
from bellcast.calls import Call, Handlers, ObservedCalls
from bellcast.console import watchers
from bellcast.console.http.live_feed import RequestsQuery
from bellcast.console.watchers import EVENTS_PER_SECOND, MAX_PENDING_EVENTS, REFUSALS, REQUESTS, LiveFeed
from bellcast.kernel import times
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.errors import FieldError
from bellcast.kernel.events import LiveEvent
from bellcast.live_feed import (
    KEPT_EVENTS,
    REDACTED,
    FeedEvent,
    ServedRequest,
    SkippedEvents,
    filter_of,
    network_of,
    redact,
    redact_url,
)
from bellcast.server.request_log import (
    MAX_BODY,
    MAX_LISTED,
    MAX_LISTED_ERRORS,
    MAX_LISTED_KEY,
    MAX_REFUSED_BODY,
)
from bellcast.topics import publishing
from tests.clock import FakeClock

EVERYTHING = filter_of([], None)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def feed(clock: FakeClock) -> LiveFeed:
    return LiveFeed(lambda: clock.now() / 1000)


def event(clock: FakeClock, kind: Any = "request", **fields: Any) -> FeedEvent:
    return FeedEvent(kind=kind, at=clock.now(), **{"text": "text", **fields})


async def pending(watcher: Any) -> list[Any]:
    return list(await anext(watcher.batches()))


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"tenant": "acme"}, True),
        ({"tenant": ""}, False),
        ({"recipient": "alice"}, True),
        ({"recipient": "bob"}, False),
        ({"topic": "room"}, True),
        ({"connection": "c2"}, False),
        ({"kinds": ["publish,send"]}, True),
        ({"kinds": ["refused"]}, False),
        ({"text": "DEPLOYED"}, True),
        ({"text": "nothing"}, False),
    ],
)
def test_filter_selects_by_every_field(clock: FakeClock, wanted: dict[str, Any], matches: bool) -> None:
    one = event(
        clock, "publish", tenant="acme", recipient="alice", topic="room", connection="c1", fields={"name": "deployed"}
    )
    wanted = {"kinds": [], "text": None, **wanted}
    assert filter_of(**wanted).matches(one) is matches


def test_text_is_searched_in_content_only_for_callers_that_see_it(clock: FakeClock) -> None:
    one = event(
        clock, "publish", fields={"name": "deployed", "data": {"card": "blue"}, "title": "Blue", "body": "blue"}
    )
    wanted = filter_of([], "blue")
    assert not wanted.matches(one)
    assert structs.replace(wanted, searches_content=True).matches(one)


def test_filter_of_requests_includes_refused_ones(clock: FakeClock) -> None:
    assert filter_of(["request"], None).matches(event(clock, "refused"))
    assert not filter_of(["refused"], None).matches(event(clock, "request"))


def test_recent_events_are_those_of_all_rings_in_order(feed: LiveFeed, clock: FakeClock) -> None:
    for number in range(KEPT_EVENTS + 50):
        clock.advance(0.001)
        feed.emit(event(clock, text=f"request {number}"))
        if number % 100 == 0:
            feed.emit(event(clock, "publish", text=f"publish {number}"))
    assert [one.text for one in feed.recent(EVERYTHING, 3)] == [f"request {number}" for number in (247, 248, 249)]
    assert feed.recent(EVERYTHING, -1) == []  # from another node
    publishes = feed.recent(filter_of(["publish"], None), 200)
    assert [one.text for one in publishes] == ["publish 0", "publish 100", "publish 200"]
    assert len(feed.recent(filter_of(["request"], None), 200)) == KEPT_EVENTS


def test_recent_events_at_one_time_are_of_all_kinds(feed: LiveFeed, clock: FakeClock) -> None:
    """A test clock stands still."""
    for number in range(KEPT_EVENTS):
        feed.emit(event(clock, text=f"request {number}"))
    for number in range(3):
        feed.emit(event(clock, "send", text=f"send {number}"))
    recent = feed.recent(EVERYTHING, KEPT_EVENTS)
    assert [one.text for one in recent if one.kind == "send"] == [f"send {number}" for number in range(3)]
    assert [one.text for one in recent if one.kind == "request"][-1] == f"request {KEPT_EVENTS - 1}"


async def test_events_beyond_the_rate_are_counted_by_kind_in_the_next_second(feed: LiveFeed, clock: FakeClock) -> None:
    watcher = feed.watch(EVERYTHING)
    for number in range(500):
        feed.emit(event(clock, "publish" if number % 5 else "send", text=str(number)))
    batch = await pending(watcher)
    assert len(batch) == EVENTS_PER_SECOND
    clock.advance(1)
    feed.emit(event(clock))
    skipped = next(one for one in await pending(watcher) if isinstance(one, SkippedEvents))
    assert skipped == SkippedEvents(300, {"publish": 240, "send": 60})


async def test_events_beyond_the_rate_are_counted_if_no_other_event_follows(
    feed: LiveFeed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = feed.watch(EVERYTHING)
    batches = watcher.batches()
    monkeypatch.setattr(watchers, "SKIPPED_SECONDS", 0)
    for _ in range(2):
        for _ in range(EVENTS_PER_SECOND + 1):
            feed.emit(event(clock))
        assert len(await anext(batches)) == EVENTS_PER_SECOND
        assert list(await anext(batches)) == []  # in the same second
        clock.advance(1)
        assert list(await anext(batches)) == [SkippedEvents(1, {"request": 1})]


async def test_backlog_of_a_slow_watcher_is_limited_and_the_rest_is_counted(feed: LiveFeed, clock: FakeClock) -> None:
    watcher = feed.watch(EVERYTHING)
    batches = watcher.batches()
    for _ in range(60):
        for number in range(EVENTS_PER_SECOND):
            feed.emit(event(clock, text=str(number)))
        clock.advance(1)
    backlog = list(await anext(batches))
    assert len(backlog) == MAX_PENDING_EVENTS
    clock.advance(1)
    feed.emit(event(clock, "publish"))
    skipped, latest = await anext(batches)
    assert skipped == SkippedEvents(55 * EVENTS_PER_SECOND, {"request": 55 * EVENTS_PER_SECOND})
    assert isinstance(latest, FeedEvent)


async def test_events_that_do_not_pass_are_not_redacted(
    feed: LiveFeed, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of events a second must cost little more with ten watchers than without any."""
    redacted: list[str] = []
    monkeypatch.setattr(live_feed, "redact", lambda value: redacted.append(value) or value)

    def emit(number: int) -> None:
        feed.emit(event(clock, "publish", text=str(number), tenant="acme", fields={"data": str(number)}))

    watchers = [feed.watch(filter_of([], None)) for _ in range(10)]
    other = feed.watch(filter_of([], None, tenant="globex"))
    found = feed.watch(filter_of([], "299"))
    for number in range(500):
        emit(number)
    assert len(redacted) == 500  # the search reads each once, and the others share it
    passed = [await pending(watcher) for watcher in watchers]
    assert all(batch == passed[0] for batch in passed)
    assert len(passed[0]) == EVENTS_PER_SECOND
    assert [one.text for one in await pending(found)] == ["299"]
    found.close()
    clock.advance(1)
    redacted.clear()
    for number in range(300):
        emit(number)
    assert len(redacted) == EVENTS_PER_SECOND
    skipped = [one for watcher in watchers for one in await pending(watcher) if isinstance(one, SkippedEvents)]
    assert skipped == [SkippedEvents(300, {"publish": 300})] * 10
    for watcher in (*watchers, other):
        assert feed.is_watched
        watcher.close()
    assert not feed.is_watched


async def test_secret_is_not_found_by_its_text(feed: LiveFeed, clock: FakeClock) -> None:
    wanted = structs.replace(filter_of([], "hunter2"), searches_content=True)
    watcher = feed.watch(wanted)
    feed.emit(event(clock, "publish", fields={"data": {"password": "hunter2"}}))
    assert feed.recent(wanted, 1) == []
    feed.emit(event(clock, "publish", fields={"data": {"name": "hunter2"}}))
    assert [one.fields for one in await pending(watcher)] == [{"data": {"name": "hunter2"}}]


async def test_closed_feed_ends_its_watches(feed: LiveFeed) -> None:
    watcher = feed.watch(EVERYTHING)
    feed.close()
    assert [batch async for batch in watcher.batches()] == []
    assert not feed.is_watched


async def test_publish_is_one_event_with_its_number_of_connections(feed: LiveFeed, clock: FakeClock) -> None:
    engines: Any = SimpleNamespace(feed=feed, clock=clock, broker=MemoryBroker(), followers=lambda stream: 5000)
    await publishing.deliver(engines, LiveEvent(tenant="acme", name="moved", data={"token": "t"}, topic="map"))
    (quiet,) = feed.recent(EVERYTHING, 10)
    watcher = feed.watch(EVERYTHING)
    assert (quiet.kind, quiet.topic, quiet.fields["delivered"]) == ("publish", "map", 5000)
    assert "data" not in quiet.fields
    await publishing.deliver(engines, LiveEvent(tenant="acme", name="moved", data={"token": "t", "x": 1}, topic="map"))
    (watched,) = await pending(watcher)
    assert watched.fields["data"] == {"token": REDACTED, "x": 1}


def test_secrets_are_redacted_at_any_depth() -> None:
    value = {
        "Password": "a",
        "api_secret": "b",
        "x": [{"otp": 1, "card_number": "4242"}],
        "url": "smtp://user:hunter2@mail.example.com:587",
        "text": "x" * 5000,
    }
    redacted = redact(value)
    assert redacted["Password"] == redacted["api_secret"] == REDACTED
    assert redacted["x"] == [{"otp": REDACTED, "card_number": REDACTED}]
    assert redacted["url"] == f"smtp://{REDACTED}@mail.example.com:587"
    assert len(redacted["text"]) == 4096
    assert redact("/v1/stream?token=eyJ&topics=a") == f"/v1/stream?token={REDACTED}&topics=a"


def test_redaction_leaves_nothing_to_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        redact({"text": "x", "many": [{"secret": "y"}]})
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_reason_of_a_provider_is_content() -> None:
    fields = {"reason": "550 <alice@example.com>: unknown"}
    bounced = FeedEvent(kind="attempt", at=0, text="email to alice: bounced", fields=fields)
    wanted = filter_of([], "alice@example.com")
    assert not wanted.matches(bounced)
    assert structs.replace(wanted, searches_content=True).matches(bounced)


def test_url_is_redacted_without_its_query() -> None:
    assert redact_url("https://u:p@hooks.example.com/in?key=abc") == f"https://{REDACTED}@hooks.example.com/in"


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://u:p@ss@hooks.example.com/in", f"https://{REDACTED}@hooks.example.com/in"),
        ("https://u:p?ss@hooks.example.com/in", f"https://{REDACTED}/in"),
        ("https://u:p#ss@hooks.example.com/in", f"https://{REDACTED}/in"),
        ("https://u:p?@ss#@hooks.example.com/in", f"https://{REDACTED}/in"),
        ("https://hooks.example.com?token=ab@cdef&x=1", f"https://{REDACTED}"),
    ],
)
def test_url_is_redacted_with_an_unencoded_character_in_its_secret(url: str, redacted: str) -> None:
    other = "and https://example.com/@alice?by=a@b.example"
    assert redact(f"calls {url} {other}") == f"calls {redacted} {other}"


@pytest.mark.parametrize(
    "value",
    [
        [[]] * 300_000,
        {str(number): {} for number in range(100_000)},
        {"x" * 900_000: 1},
        ["x" * 4_000] * 250,
        [b"x" * 900_000],
        [[[["x"] * 1_000] * 1_000] * 1_000] * 1_000,
    ],
    ids=["values", "names", "name", "texts", "bytes", "nested"],
)
async def test_watched_call_with_large_data_is_kept_in_part(clock: FakeClock, feed: LiveFeed, value: Any) -> None:
    """The feed keeps 200 calls, which may come from any client."""
    feed.watch(EVERYTHING)
    handlers = Handlers()

    @handlers.on("import")
    async def import_(call: Call) -> None: ...

    call = Call(
        cast(Any, None), "import", ("first", value), recipient=None, connection="1", dialect="socketio", tenant=""
    )
    await ObservedCalls(handlers, feed, clock).dispatch(call)
    (event,) = feed.recent(EVERYTHING, 1)
    assert event.fields["data"][0] == "first"
    assert len(msgspec.json.encode(event.fields)) < 50_000


async def test_call_says_in_words_that_the_app_handled_it(clock: FakeClock, feed: LiveFeed) -> None:
    handlers = Handlers()

    @handlers.on("disconnect")
    async def leave(call: Call) -> None: ...

    call = Call(cast(Any, None), "disconnect", (), recipient=None, connection="1", dialect="native", tenant="")
    await ObservedCalls(handlers, feed, clock).dispatch(call)
    (event,) = feed.recent(EVERYTHING, 1)
    assert (event.text, event.fields["outcome"]) == ("the app handled disconnect", "ok")


def test_omitted_values_are_marked() -> None:
    assert redact([{str(number): 1 for number in range(10_000)}, 2])[0]["…"] == "…"
    assert redact([[0] * 10_000, 2])[-1] == "…"
    assert redact([0] * 500) == [0] * 500


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        (None, None),
        ("unix", None),
    ],
)
def test_address_is_shortened_to_its_network(address: str | None, network: str | None) -> None:
    assert network_of(address) == network


def served(number: int, status: int = 200, **fields: Any) -> ServedRequest:
    values = {"method": "GET", "path": "/v1/x", "route": "/v1/x", "ms": 1.0, **fields}
    return ServedRequest(id=f"r{number:05}", at=number, status=status, **values)


def test_requests_are_listed_newest_first_with_a_cursor(feed: LiveFeed) -> None:
    for number in range(10):
        one = served(number, 404 if number % 2 else 200, key="shop" if number < 5 else None)
        feed.add_request(one)

    def listed(before: tuple[int, str] | None = None, **wanted: Any) -> list[int]:
        return [one.at for one in feed.requests(RequestsQuery(**wanted).selects, before)]

    assert listed()[:4] == [9, 8, 7, 6]
    assert listed((6, "r00006"))[:2] == [5, 4]
    assert listed(status="4xx", key="shop") == [3, 1]
    assert listed(id="r00002") == [2]
    assert listed(start=times.to_rfc3339(2), end=times.to_rfc3339(4)) == [3, 2]
    assert listed(route="POST /v1/x") == []


def test_largest_requests_take_at_most_9_mib(feed: LiveFeed) -> None:
    def largest(number: int, status: int) -> ServedRequest:
        text = {"tenant": "\N{GRINNING FACE}" * MAX_LISTED, "recipient": "\N{GRINNING FACE}" * MAX_LISTED_KEY}
        letters = "x" * (MAX_LISTED - 1)
        sizes: dict[str, Any] = {"path": f"{letters}{number}", "origin": f"{letters}o", "key": "k" * 100}
        if status < 400:
            return served(number, body=bytes(MAX_BODY), **text, **sizes)
        errors = tuple(FieldError(f"{letters}{index}", f"{index}{letters}") for index in range(MAX_LISTED_ERRORS))
        sizes |= {"errors": errors, "detail": f"{letters}d", "body": bytes(MAX_REFUSED_BODY)}
        return served(number, status, **text, **sizes)

    one, refused = largest(1, 200), largest(1, 422)
    assert REQUESTS * size(one) + REFUSALS * size(refused) <= 9 * 2**20


def size(value: Any) -> int:
    if isinstance(value, tuple):
        return sys.getsizeof(value) + sum(map(size, value))
    if isinstance(value, ServedRequest):
        return sys.getsizeof(value) + sum(size(getattr(value, name)) for name in value.__struct_fields__)
    return sys.getsizeof(value)
