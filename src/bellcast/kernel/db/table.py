"""Scripts as methods that callers await.

A method with one of these decorators is a script: it yields statements and returns its result. Called on a table, it runs
on the table's engine.
"""

from collections.abc import Callable, Coroutine, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import KeysetList, ListPage, ListQuery
from bellcast.kernel.db.script import LockKey, Script, ScriptCommand


class StoreTable:
    """Scripts on one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine


P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=StoreTable)
Awaited: TypeAlias = Coroutine[Any, Any, T]


def read(script: Callable[Concatenate[S, P], Script[T]]) -> Callable[Concatenate[S, P], Awaited[T]]:
    """Run a script that writes nothing (`Engine.read`)."""

    @wraps(script)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
        return self._engine.read(script, self, *args, **kwargs)

    return run


def read_in_background(script: Callable[Concatenate[S, P], Script[T]]) -> Callable[Concatenate[S, P], Awaited[T]]:
    """Run a long script that writes nothing (`Engine.read_in_background`)."""

    @wraps(script)
    def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
        return self._engine.read_in_background(script, self, *args, **kwargs)

    return run


def on_table(script: Callable[P, Script[T]]) -> Callable[Concatenate[StoreTable, P], Script[T]]:
    """Return a method of a script that other scripts run as well."""

    @wraps(script)
    def run(_: StoreTable, /, *args: P.args, **kwargs: P.kwargs) -> Script[T]:
        return script(*args, **kwargs)

    return run


def pages(listed: KeysetList[T]) -> Callable[[StoreTable, ListQuery], Awaited[ListPage[T]]]:
    """Return a method that reads a page of a list (`Engine.read_in_background`)."""

    def page(self: StoreTable, query: ListQuery) -> Awaited[ListPage[T]]:
        return self._engine.read_in_background(listed.page, query)

    return page


def write(
    *fixed: LockKey, locks: Callable[..., Iterable[LockKey]] | None = None, **options: bool
) -> Callable[[Callable[Concatenate[S, P], Script[T]]], Callable[Concatenate[S, P], Awaited[T]]]:
    """Run a script in a transaction. It takes the fixed locks, or those that `locks` returns for the script's arguments;
    without either it must not change an inbox. The options are those of ScriptCommand."""

    def decorated(script: Callable[Concatenate[S, P], Script[T]]) -> Callable[Concatenate[S, P], Awaited[T]]:
        @wraps(script)
        def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Awaited[T]:
            keys = fixed if locks is None else locks(*args, **kwargs)
            command = ScriptCommand(lambda: script(self, *args, **kwargs), keys, **options)
            return self._engine.write(command)

        return run

    return decorated


# Run a script that changes the inbox whose number is its first argument.
write_to_inbox = write(locks=lambda inbox, *_, **__: (inbox,))
# Run a script that changes the inbox of the recipient of its first two arguments, tenant and key, or creates it.
write_to_recipient = write(locks=lambda tenant, key, *_, **__: ((tenant, key),))
