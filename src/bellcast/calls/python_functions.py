"""The app's Python handlers, by call name."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import structlog

from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Call, Refused, admit_by_session
from bellcast.kernel import daemon_threads, import_string
from bellcast.kernel.errors import HandlerFailed, NoHandler

log = structlog.get_logger(__name__)

Function = Callable[[Call], Any]
AnyFunction = TypeVar("AnyFunction", bound=Function)


class Handlers:
    """The app's handlers by call name, for every namespace."""

    def __init__(self, *, namespaces: Iterable[str | re.Pattern[str]] = ()) -> None:
        self._namespaces = (ROOT, *namespaces)
        self._functions: dict[str, Function] = {}
        for namespace in self._namespaces:
            if isinstance(namespace, str) and not namespace.startswith(ROOT):
                raise ValueError(f"A namespace must begin with a slash, got {namespace!r}.")

    def on(self, name: str) -> Callable[[AnyFunction], AnyFunction]:
        """Register a handler for calls of that name: `async def`, or `def`, which runs in a thread."""
        if name in self._functions:
            raise ValueError(f"A handler for {name!r} is already registered: {self._functions[name]!r}.")

        def register(function: AnyFunction) -> AnyFunction:
            self._functions[name] = function
            return function

        return register

    def has(self, name: str, namespace: str = ROOT) -> bool:
        return name in self._functions

    def has_namespace(self, namespace: str) -> bool:
        return any(
            allowed == namespace if isinstance(allowed, str) else allowed.fullmatch(namespace) is not None
            for allowed in self._namespaces
        )

    async def dispatch(self, call: Call) -> Any:
        function = self._functions.get(call.name)
        if function is None:
            raise NoHandler(f"No handler exists for {call.name!r}.")
        try:
            reply = await _run(function, call)
            msgspec.json.encode(reply)  # a value that cannot be encoded is the handler's error
        except Refused:
            raise
        except Exception:
            log.exception("handler_failed", call=call.name, connection=call.connection)
            if call.name in (CONNECT, DISCONNECT):
                return admit_by_session(call)
            raise HandlerFailed(f"The handler of {call.name!r} failed; see the server's log.") from None
        return reply


def load(target: str) -> Handlers:
    """Import the handlers at `module:name`; the module may be in the working directory. Raises SettingsError."""
    return import_string.load("BELLCAST_HANDLERS", target, Handlers)


async def _run(function: Function, call: Call) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(call)
    reply = await daemon_threads.call_function(function, call)
    return await reply if inspect.isawaitable(reply) else reply
