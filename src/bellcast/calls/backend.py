"""The call backend port, and the default backend."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from bellcast.calls.call import ROOT, Call
from bellcast.kernel.errors import NoHandler


class CallBackend(Protocol):
    """Handles calls."""

    def has(self, name: str, namespace: str = ROOT) -> bool:
        """True if a handler with that name may exist. If False, connections cause no call."""
        ...

    def has_namespace(self, namespace: str) -> bool:
        """True if clients may connect to the namespace."""
        ...

    async def dispatch(self, call: Call) -> Any:
        """Return the reply: None for an empty one, a tuple for several values. Raises Refused, NoHandler or
        HandlerFailed."""
        ...


class NoBackend:
    """The backend of an app without handlers."""

    def has(self, name: str, namespace: str = ROOT) -> bool:
        return False

    def has_namespace(self, namespace: str) -> bool:
        return namespace == ROOT

    async def dispatch(self, call: Call) -> Any:
        raise NoHandler("This server has no handlers: set BELLCAST_HANDLERS or BELLCAST_HANDLER_URL.")


class ConfiguredCallback:
    """A CallBackend that sends each call to the current URL. Without a URL it handles no calls."""

    def __init__(self, url: Callable[[], str | None], make: Callable[[str], CallBackend]) -> None:
        self._url = url
        self._make = lru_cache(1)(make)
        self._none = NoBackend()

    def has(self, name: str, namespace: str = ROOT) -> bool:
        return self._current.has(name, namespace)

    def has_namespace(self, namespace: str) -> bool:
        return self._current.has_namespace(namespace)

    async def dispatch(self, call: Call) -> Any:
        return await self._current.dispatch(call)

    @property
    def _current(self) -> CallBackend:
        url = self._url()
        return self._none if url is None else self._make(url)
