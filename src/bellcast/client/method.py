"""Turn one pure function into a method of both clients.

A builder takes the caller's arguments and returns the plan of requests. As a class attribute, `name = Method(builder)`
is a method: type checkers see the builder's parameters, the blocking client returns the result, and the async client
returns an awaitable.
"""

import functools
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from bellcast.client.http_senders import AsyncSender, SyncSender
from bellcast.client.request import Plan

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", SyncSender, AsyncSender)


class Surface(Generic[S]):
    """A class with `Method` attributes, and the sender that they use."""

    def __init__(self, sender: S) -> None:
        self.sender: S = sender


class Method(Generic[P, T]):
    """A method that builds a request or plan and sends it."""

    def __init__(self, build: Callable[P, Plan[T]]) -> None:
        self.build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "Method[P, T]": ...
    @overload
    def __get__(self, instance: Surface[SyncSender], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, instance: Surface[AsyncSender], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, instance: Surface[Any] | None, owner: type) -> Any:
        if instance is None:
            return self

        @functools.wraps(self.build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            sent = instance.sender.send(self.build(*args, **kwargs))
            if isinstance(sent, CoroutineType):  # Python names it if it is never awaited
                sent.__qualname__ = f"{type(instance).__name__}.{self.build.__name__}"
            return sent

        return method
