"""The live feed's events of many sends in one request."""

import pytest

from bellcast.console.watchers import LiveFeed
from bellcast.inbox import sending
from bellcast.inbox.types import Draft
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.ids import Ids
from bellcast.kernel.limits import Limits
from bellcast.live_feed import KEPT_EVENTS, filter_of
from tests.contexts import idle_context
from tests.contract.app import App
from tests.store import Store

SENDS = filter_of(["send"], None)
NUMBER = KEPT_EVENTS + 50


@pytest.mark.parametrize("is_watched", [False, True])
async def test_bulk_request_is_counted_whole_and_its_last_sends_are_kept(
    store: Store, app: App, is_watched: bool
) -> None:
    feed = LiveFeed()
    engines = idle_context(store, MemoryBroker(), app.clock, Ids().new, feed=feed)
    await engines.broker.open()
    if is_watched:
        feed.watch(SENDS)
    drafts = [
        Draft(to="alice", title="Hello", type=f"t{number}", tenant="acme" if number % 5 else "globex")
        for number in range(NUMBER)
    ]
    await sending.BulkSend(engines, Limits()).send(drafts)
    assert feed.emitted == {"send": NUMBER}
    assert {tenant: point.sends for tenant, point in feed.tenants.busiest().items()} == {"acme": 200, "globex": 50}
    kept = feed.recent(SENDS, NUMBER)
    assert [event.fields["type"] for event in kept] == [draft.type for draft in drafts[-KEPT_EVENTS:]]
