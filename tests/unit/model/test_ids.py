"""Ids are UUIDv7: they sort as they were made."""

import uuid

from bellcast.model.ids import Ids, is_id


def test_ids_made_within_a_millisecond_sort_as_made() -> None:
    ids = Ids()
    made = [ids.new(1_700_000_000_000) for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_never_goes_backwards_with_the_clock() -> None:
    ids = Ids()
    later, earlier = ids.new(2_000), ids.new(1_000)
    assert earlier > later


def test_an_id_is_a_version_7_uuid_of_its_millisecond() -> None:
    made = uuid.UUID(Ids().new(1_700_000_000_123))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123


def test_only_what_has_the_shape_of_an_id_is_looked_up() -> None:
    assert is_id(Ids().new(5))
    assert not any(map(is_id, ["", "x", str(uuid.uuid4()).upper(), "0" * 36, "'; DROP TABLE"]))
