"""Whoever answers calls, and the one who stands in where nobody does."""

from typing import Any, Protocol

from bellcast.calls.call import ROOT, Call
from bellcast.errors import NoHandler


class CallBackend(Protocol):
    """Whoever answers calls."""

    def has(self, name: str, namespace: str = ROOT) -> bool:
        """Whether it may have a handler of that name; so that nobody asks for nothing at every connection."""
        ...

    def has_namespace(self, namespace: str) -> bool:
        """Whether clients may enter the namespace."""
        ...

    async def dispatch(self, call: Call) -> Any:
        """The reply: None is an empty one, a tuple several values. Refused, NoHandler or HandlerFailed if there is none."""
        ...


class NoBackend:
    """For an app without handlers."""

    def has(self, name: str, namespace: str = ROOT) -> bool:
        return False

    def has_namespace(self, namespace: str) -> bool:
        return namespace == ROOT

    async def dispatch(self, call: Call) -> Any:
        raise NoHandler("This server has no handlers: set BELLCAST_HANDLERS or BELLCAST_HANDLER_URL.")
