"""UUIDv7 (RFC 9562 §5.7): time-ordered ids that can be generated anywhere."""

import random
import re

# Sorts after every id, because ids are hexadecimal.
NEWEST = "~"

SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME_CHARACTERS = 13  # 48 bits and a hyphen
# RFC 9562 §6.2 method 1: rand_a counts within a millisecond, so ids sort in the order of their creation.
COUNTER_BITS = 12


class Ids:
    """Generates ids that are monotonic within this process."""

    __slots__ = ("_counter", "_last", "_prefix")

    def __init__(self) -> None:
        self._last = 0
        self._counter = 0
        self._prefix = ""

    def new(self, now: int) -> str:
        """Return an id for the UTC millisecond `now`; later calls sort after earlier ones."""
        if now > self._last:
            self._begin(now, random.getrandbits(COUNTER_BITS - 2))
        else:
            self._counter += 1
            if self._counter >> COUNTER_BITS:  # borrowed from the next millisecond rather than repeated
                self._begin(self._last + 1, 0)
        # `hex` takes a third of the time of a format, and every notification has an id.
        rest = hex(2 << 62 | random.getrandbits(62))
        return f"{self._prefix}{hex(7 << 12 | self._counter)[2:]}-{rest[2:6]}-{rest[6:]}"

    def _begin(self, millisecond: int, counter: int) -> None:
        self._last, self._counter, self._prefix = millisecond, counter, f"{uuid7_floor(millisecond)}-"


def derived(at: int, digest: bytes) -> str:
    """Return a deterministic id for a digest of at least 10 bytes and a time (UTC milliseconds)."""
    bits = int.from_bytes(digest[:10])
    number = at << 80 | 7 << 76 | (bits >> 62 & 0xFFF) << 64 | 2 << 62 | bits & (1 << 62) - 1
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def place(id: str, at: int) -> str:
    """Return an id with another time (UTC milliseconds), so that it sorts as if created at that time."""
    return uuid7_floor(at) + id[TIME_CHARACTERS:]


def made_at(id: str) -> int:
    """Return the time in an id, in UTC milliseconds."""
    return int(id[:TIME_CHARACTERS].replace("-", ""), 16)


def is_id(text: str) -> bool:
    """Return whether `text` has the format of an id. Otherwise it cannot be in the store, and the query can be
    skipped."""
    return SHAPE.fullmatch(text) is not None


def uuid7_floor(milliseconds: int) -> str:
    """Return the text that sorts before every id created at that time or later."""
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def id_range(before: str, since: int, until: int) -> dict[str, str]:
    """Return the parameters of a page of ids created from `since` to before `until` (UTC milliseconds), below the id `before`."""
    return {"before": min(before, uuid7_floor(until)), "since": uuid7_floor(since)}
