"""A cache for results of unhashable objects."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class IdentityCache(Generic[K, V]):
    """Caches results of `make` for the last `size` objects, by identity: equal objects have separate results."""

    def __init__(self, make: Callable[[K], V], size: int) -> None:
        self._make = make
        self._size = size
        self._values: dict[int, tuple[K, V]] = {}  # keeps a reference to the object, so that no other one gets its id

    def get(self, key: K) -> V:
        found = self._values.get(id(key))
        if found is None:
            if len(self._values) >= self._size:
                self._values.clear()
            found = self._values[id(key)] = (key, self._make(key))
        return found[1]
