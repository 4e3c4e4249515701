"""Configuration of the live edge."""

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct, field

from bellcast.auth.permissions import AccessConfig
from bellcast.kernel.limits import Limits

# Starts a background task. The server owns it, logs its failure and cancels it at shutdown.
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class LiveConfig(Struct, frozen=True, kw_only=True):
    """Durations in seconds."""

    limits: Limits
    default_connections: int = 0  # if the limits have none; 0: unlimited
    heartbeat: float = 25
    access: AccessConfig = field(default_factory=AccessConfig)

    @property
    def max_connections(self) -> int:
        """Live connections of this process; 0: unlimited."""
        return self.limits.connections or self.default_connections
