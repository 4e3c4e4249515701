"""The call backend for a callback URL that may change while the server runs."""

from collections.abc import Callable
from typing import Any

from bellcast.calls.backend import CallBackend, NoBackend
from bellcast.calls.call import ROOT, Call
from bellcast.kernel.configured import Configured


class ConfiguredCallback:
    """A CallBackend that sends each call to the current URL. Without a URL it handles no calls."""

    def __init__(self, url: Callable[[], str | None], make: Callable[[str], CallBackend]) -> None:
        self._callback = Configured(url, make)
        self._none = NoBackend()

    def has(self, name: str, namespace: str = ROOT) -> bool:
        backend = self._callback.current
        return backend is not None and backend.has(name, namespace)

    def has_namespace(self, namespace: str) -> bool:
        return self._present.has_namespace(namespace)

    async def dispatch(self, call: Call) -> Any:
        return await self._present.dispatch(call)

    @property
    def _present(self) -> CallBackend:
        return self._callback.current or self._none
