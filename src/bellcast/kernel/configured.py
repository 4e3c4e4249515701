"""Objects that are created from a setting, which may change while the server runs. Pure."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Configured(Generic[K, T]):
    """Creates an object from a setting, and a new one when the setting has changed."""

    def __init__(self, read: Callable[[], K | None], make: Callable[[K], T]) -> None:
        self._read = read
        self._make = make
        self._setting: K | None = None
        self._object: T | None = None

    @property
    def current(self) -> T | None:
        """The object for the current setting; None without a setting."""
        setting = self._read()
        if setting != self._setting:
            self._setting, self._object = setting, None if setting is None else self._make(setting)
        return self._object
