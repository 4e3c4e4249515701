"""The history of live events in memory takes as much memory as its limit counts, also with one event in each topic."""

import tracemalloc

from bellcast.kernel.brokers.history import parse_rules
from bellcast.kernel.brokers.memory import ENTRY_BYTES, TenantLog
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
