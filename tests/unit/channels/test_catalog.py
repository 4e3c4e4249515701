"""The cache of the objects that sends refer to."""

from types import SimpleNamespace
from typing import Any

import msgspec

from bellcast.channels.catalog import Catalog
from bellcast.channels.types import ChannelConfig
from tests import fake_stores
from tests.clock import FakeClock
from tests.contexts import NO_FEED


async def test_read_that_a_change_overtakes_is_not_kept() -> None:
    clock, titles = FakeClock(), ["before", "after"]

    async def get(*_: str) -> Any:
        body = msgspec.json.encode({"inbox": {"title": titles[0]}})
        if titles[0] == "before":  # saved by this process while the template is read
            titles.pop(0)
            catalog.forget()
        return SimpleNamespace(body=body)

    store: Any = fake_stores.db(SimpleNamespace(documents=SimpleNamespace(get=get)))
    catalog = Catalog(store, clock, ChannelConfig(), NO_FEED)
    await catalog.template("", "welcome")
    template: Any = await catalog.template("", "welcome")
    assert template.inbox.title == "after"
