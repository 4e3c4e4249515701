"""The history of live events in memory takes as much memory as its limit counts, also with one event in each topic."""

import tracemalloc

from bellcast.kernel.brokers.history import ENTRY_BYTES, TenantLog, parse_rules
from bellcast.kernel.events import LiveEvent

TOPICS = 2_000


def test_memory_of_many_topics_is_near_the_counted_bytes() -> None:
    events = [LiveEvent(tenant="", name="n", data="x" * 198, topic=f"topic{number}") for number in range(TOPICS)]
    (rule,), log = parse_rules(["*=1h"]), TenantLog(lambda: 2**30)
    tracemalloc.start()
    try:
        for event in events:
            log.append(event.stream, event, rule, 0)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.5 < taken / (TOPICS * (ENTRY_BYTES + 200)) < 1.25


def test_event_expires_by_a_shorter_rule_behind_an_event_of_a_longer_one() -> None:
    """Such as after a change of `BELLCAST_TOPIC_HISTORY`."""
    (hour, second), log = parse_rules(["*=1h", "*=1s"]), TenantLog(lambda: 2**30)
    event = LiveEvent(tenant="", name="n", data=None, topic="room")
    for rule in (hour, second):
        log.append(event.stream, event, rule, 0)
    assert len(log.entries(event.stream, 999)) == 2
    assert len(log.entries(event.stream, 1_000)) == 0


class Unread(int):
    """An end that must not be compared."""

    def __le__(self, other: int) -> bool:
        raise AssertionError("compared")

    __lt__ = __gt__ = __ge__ = __le__


def test_clock_that_goes_back_changes_the_newest_events_only() -> None:
    """A busy topic has thousands of events, and a clock that is adjusted goes back for many of them."""
    (rule,), log = parse_rules(["*=1s"]), TenantLog(lambda: 2**30)
    event = LiveEvent(tenant="", name="n", data=None, topic="room")
    for now in (0, 10, 20, 30):
        log.append(event.stream, event, rule, now)
    entries = log.entries(event.stream, 0)
    entries[1].expires_at = Unread(entries[1].expires_at)
    log.append(event.stream, event, rule, 25)
    assert [one.expires_at for one in log.entries(event.stream, 0)] == [1_000, 1_010, 1_020, 1_025, 1_025]
