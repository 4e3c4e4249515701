"""Ids are UUIDv7 and sort by creation."""

import uuid

from bellcast.kernel.ids import Ids, is_id


def test_ids_of_one_millisecond_sort_by_creation() -> None:
    ids = Ids()
    created = [ids.new(1_700_000_000_000) for _ in range(10_000)]
    assert created == sorted(created)
    assert len(set(created)) == len(created)


def test_ids_keep_increasing_when_the_clock_goes_back() -> None:
    ids = Ids()
    later, earlier = ids.new(2_000), ids.new(1_000)
    assert earlier > later


def test_id_is_a_version_7_uuid_of_its_millisecond() -> None:
    created = uuid.UUID(Ids().new(1_700_000_000_123))
    assert (created.version, created.variant) == (7, uuid.RFC_4122)
    assert created.int >> 80 == 1_700_000_000_123


def test_malformed_ids_are_recognised() -> None:
    assert is_id(Ids().new(5))
    assert not any(map(is_id, ["", "x", str(uuid.uuid4()).upper(), "0" * 36, "'; DROP TABLE"]))
