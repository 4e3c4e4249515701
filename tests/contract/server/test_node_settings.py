"""The digests by which nodes find others with other settings."""

from pathlib import Path

import msgspec
from tests.clock import FakeClock
from tests.store import Store

from bellcast.kernel.identities import Project
from bellcast.server.nodes import KIND, NodeDigests, NodeSettings
from bellcast.settings.credentials import EncryptionKeys
from bellcast.settings.table import Settings, StoreSettings


async def test_digests_stay_current_after_the_clock_was_set_back(
    store: Store, clock: FakeClock, tmp_path: Path
) -> None:
    """Otherwise the other nodes would take this one for stopped, and report that it uses another database."""
    settings = Settings(store=StoreSettings(data=tmp_path, url="postgresql://db/app"))
    keys = EncryptionKeys("key", (), ("1",), "key")
    node = NodeSettings(store.documents, clock, settings, Project("p", "key", "secret"), keys)
    await node.refresh()
    for seconds in (-3 * 3600, 1, 60):
        clock.advance(seconds)
        await node.refresh()
    (written,) = await store.documents.page(KIND, "", "", 10)
    assert msgspec.json.decode(written.body, type=NodeDigests).at == clock.now()
