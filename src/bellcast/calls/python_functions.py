"""The app's Python handlers, by call name."""

import asyncio
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from bellcast.calls.call import CONNECT, DISCONNECT, ROOT, Call, Refused
from bellcast.calls.connect_fallback import admit_by_session
from bellcast.errors import HandlerFailed, NoHandler, SettingsError

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
                raise ValueError(f"A namespace begins with a slash: {namespace!r}.")

    def on(self, name: str) -> Callable[[AnyFunction], AnyFunction]:
        """Register a handler for calls of that name: `async def`, or `def`, which runs in a thread."""
        if name in self._functions:
            raise ValueError(f"{name!r} has a handler already: {self._functions[name]!r}.")

        def register(function: AnyFunction) -> AnyFunction:
            self._functions[name] = function
            return function

        return register

    def has(self, name: str, namespace: str = ROOT) -> bool:
        return name in self._functions

    def has_namespace(self, namespace: str) -> bool:
        return any(
            known == namespace if isinstance(known, str) else known.fullmatch(namespace) is not None
            for known in self._namespaces
        )

    async def dispatch(self, call: Call) -> Any:
        function = self._functions.get(call.name)
        if function is None:
            raise NoHandler(f"No handler answers {call.name!r}.")
        try:
            reply = await _run(function, call)
            msgspec.json.encode(reply)  # a value that no dialect can encode is the handler's error and is reported here
        except Refused:
            raise
        except Exception:
            log.exception("handler failed", call=call.name, connection=call.connection)
            if call.name in (CONNECT, DISCONNECT):
                return admit_by_session(call)
            raise HandlerFailed(f"The handler of {call.name!r} failed; the server's log says why.") from None
        return reply


def load(target: str) -> Handlers:
    """The handlers at `module:name`, found from the working directory too, as an app's own folder is no package path."""
    module, _, name = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise SettingsError(
            f"BELLCAST_HANDLERS: {target} cannot be loaded: {type(error).__name__}: {error}."
        ) from error
    if not isinstance(found, Handlers):
        raise SettingsError(f"BELLCAST_HANDLERS: {target} must be bellcast.Handlers, got {type(found).__name__}.")
    return found


async def _run(function: Function, call: Call) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(call)
    reply = await asyncio.to_thread(function, call)
    return await reply if inspect.isawaitable(reply) else reply
