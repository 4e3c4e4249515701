"""What the live edge is told by the settings."""

from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from bellcast.auth.access import Access
from bellcast.model.limits import Limits

# Starts work that nobody waits for; the server owns it, logs its failure and ends it at shutdown.
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Rules(Struct, frozen=True, kw_only=True):
    """Durations in seconds."""

    limits: Limits
    heartbeat: float = 25
    access: Access = Access()
