"""State of the foreign dialects: last events, device positions."""

from bellcast.inbox.types.inboxes import Position
from bellcast.recipients.store import MAX_CONNECTIONS, UNKNOWN_REVISION, DevicePosition
from bellcast.topics.store import LastEvent
from tests.contract.app import App

NONE_CONNECTED: frozenset[str] = frozenset()


def link(
    name: str, revision: int = UNKNOWN_REVISION, *, inbox: int = 1, device: bytes = b"phone", epoch: int = 7
) -> DevicePosition:
    return DevicePosition(inbox, device, name, epoch, revision)


# --- last events


async def test_last_event_of_a_topic_is_kept_until_it_is_too_old(app: App) -> None:
    topics = app.store.topics
    assert await topics.get("", "cache-a", 0) is None
    await topics.save("", "cache-a", LastEvent("one", "1", 1_000))
    await topics.save("", "cache-a", LastEvent("two", '{"a":"ü"}', 2_000))
    await topics.save("acme", "cache-a", LastEvent("theirs", "3", 2_000))
    assert await topics.get("", "cache-a", 2_000) == LastEvent("two", '{"a":"ü"}', 2_000)
    assert await topics.get("", "cache-a", 2_001) is None
    await topics.delete_older(2_001)
    assert await topics.get("", "cache-a", 0) is None


# --- devices


async def test_unknown_device_has_no_position(app: App) -> None:
    assert await app.store.devices.register(link("a"), NONE_CONNECTED, 0) is None
    assert await app.store.devices.register(link("b", device=b"laptop"), NONE_CONNECTED, 0) is None


async def test_returning_device_resumes_from_its_last_acknowledgement(app: App) -> None:
    devices = app.store.devices
    await devices.register(link("a"), NONE_CONNECTED, 0)
    await devices.acknowledge([link("a", 5)], 0)
    assert await devices.register(link("b"), NONE_CONNECTED, 0) == Position(7, 5)
    assert await devices.register(link("c"), NONE_CONNECTED, 0) == Position(7, 5)  # b has acknowledged nothing yet


async def test_device_that_never_acknowledged_is_unknown(app: App) -> None:
    await app.store.devices.register(link("a"), NONE_CONNECTED, 0)
    assert await app.store.devices.register(link("b"), NONE_CONNECTED, 0) is None


async def test_positions_of_connected_links_are_not_reused(app: App) -> None:
    devices = app.store.devices
    await devices.register(link("a"), NONE_CONNECTED, 0)
    await devices.acknowledge([link("a", 5)], 0)
    assert await devices.register(link("b"), frozenset({"a"}), 0) is None


async def test_devices_resume_from_the_lowest_position_in_any_order(app: App) -> None:
    devices = app.store.devices
    await devices.acknowledge([link("a", 5), link("b", 9)], 0)
    assert await devices.register(link("c"), NONE_CONNECTED, 0) == Position(7, 5)
    assert await devices.register(link("d"), frozenset({"c"}), 0) == Position(7, 5)
    assert await devices.register(link("e"), frozenset({"c", "d"}), 0) is None


async def test_old_positions_are_deleted(app: App) -> None:
    devices = app.store.devices
    await devices.acknowledge([link("a", 5)], 1_000)
    await devices.delete_older(1_001)
    assert await devices.register(link("b"), NONE_CONNECTED, 0) is None


async def test_client_that_always_names_another_device_does_not_fill_the_table(app: App) -> None:
    devices = app.store.devices
    for number in range(MAX_CONNECTIONS + 2):
        await devices.register(link(f"{number:03}", number, device=b"%d" % number), NONE_CONNECTED, number)
    await devices.register(link("other", inbox=2), NONE_CONNECTED, 0)
    # The oldest two are forgotten; each of the others still has its position.
    assert await devices.register(link("x", device=b"1"), NONE_CONNECTED, 999) is None
    assert await devices.register(link("y", device=b"3"), NONE_CONNECTED, 999) == Position(7, 3)
