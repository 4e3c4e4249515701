"""Messages of a connection that wait for an earlier one."""

from collections import deque
from typing import Any

# Queued messages at which reading from the socket is paused.
MAX_PENDING = 64


class PendingMessages:
    """A queue that is full at MAX_PENDING messages, or above `max_bytes` (0: no limit). Decoded messages may use 20
    times their size."""

    __slots__ = ("_bytes", "_handled_bytes", "_max_bytes", "_messages")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: deque[tuple[Any, int]] = deque()
        self._bytes = 0
        self._handled_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._messages)

    @property
    def is_full(self) -> bool:
        return len(self._messages) >= MAX_PENDING or 0 < self._max_bytes < self._bytes

    @property
    def held_bytes(self) -> int:
        """Return the bytes of the queued messages and of the one that is being handled."""
        return self._bytes + self._handled_bytes

    def append(self, message: Any, size: int) -> None:
        self._messages.append((message, size))
        self._bytes += size

    def begin_next(self) -> Any:
        """Return the first message, which is held until `end_current`."""
        message, size = self._messages.popleft()
        self._bytes -= size
        self._handled_bytes = size
        return message

    def end_current(self) -> None:
        self._handled_bytes = 0

    def clear(self) -> None:
        self._messages.clear()
        self._bytes = 0
