"""A call from a client, and the operations available to its handler."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

CONNECT, DISCONNECT = "connect", "disconnect"
ROOT = "/"

T = TypeVar("T")


class Refused(Exception):
    """Raised by a handler to say no: the client is told the message and the data."""

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class CallContext(Protocol):
    """What a call can do to its connection; each dialect does it its way."""

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Emit to the caller."""
        ...

    async def publish(self, topic: str, name: str, data: Any) -> None:
        """Publish to a topic of the caller's tenant. The caller receives the event too if it follows the topic."""
        ...

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - see Call.ask
        """Emit to the caller and wait for its ack. Raises TimeoutError."""
        ...

    async def join(self, topic: str) -> None: ...

    async def leave(self, topic: str) -> None: ...

    async def disconnect(self) -> None:
        """Leave the call's namespace."""
        ...

    async def close(self, *, reconnect: bool) -> None:
        """End the connection."""
        ...


class Accepted(Struct, frozen=True, kw_only=True):
    """The recipient that a `connect` handler accepted."""

    recipient: str
    roles: tuple[str, ...] | None = None
    tenant: str | None = None


class Call:
    """A call from a client, and the operations available to its handler."""

    def __init__(
        self,
        port: CallContext,
        name: str,
        args: Sequence[Any] = (),
        *,
        recipient: str | None,
        connection: str,
        dialect: str,
        tenant: str | None = None,
        roles: Sequence[str] = (),
        namespace: str = ROOT,
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.recipient = recipient
        self.roles = tuple(roles)
        self.tenant = tenant or None
        self.connection = connection
        self.dialect = dialect
        self.namespace = namespace
        self.accepted: Accepted | None = None
        self._port = port
        self._loop = asyncio.get_running_loop()

    @property
    def data(self) -> Any:
        """The first of the args."""
        return self.args[0] if self.args else None

    async def emit(self, name: str, *args: Any) -> None:
        """Emit to the caller."""
        await self._port.emit(name, args)

    async def publish(self, topic: str, name: str, data: Any = None) -> None:
        """Publish to a topic."""
        await self._port.publish(topic, name, data)

    async def ask(self, name: str, *args: Any, timeout: float = 5.0) -> Any:  # noqa: ASYNC109 - dialects keep the time
        """Emit to the caller and return its ack. Raises TimeoutError."""
        return await self._port.ask(name, args, timeout)

    async def join(self, topic: str) -> None:
        """Make the connection follow a topic."""
        await self._port.join(topic)

    async def leave(self, topic: str) -> None:
        """Unsubscribe the caller from the topic."""
        await self._port.leave(topic)

    async def disconnect(self) -> None:
        """Put the caller out of this namespace; the connection stays."""
        await self._port.disconnect()

    async def close(self, *, reconnect: bool = True) -> None:
        """Close the connection. `reconnect` states whether the client may reconnect."""
        await self._port.close(reconnect=reconnect)

    def accept(self, recipient: str, *, roles: Sequence[str] | None = None, tenant: str | None = None) -> None:
        """In a `connect` handler: this connection is that recipient's."""
        if self.name != CONNECT:
            raise RuntimeError(f"call.accept() is for the {CONNECT!r} handler, not for {self.name!r}.")
        self.accepted = Accepted(recipient=recipient, roles=None if roles is None else tuple(roles), tenant=tenant)

    def wait(self, doing: Awaitable[T]) -> T:
        """For plain functions, which run in a thread: `call.wait(call.emit("done"))`."""
        return asyncio.run_coroutine_threadsafe(_awaited(doing), self._loop).result()


async def _awaited(doing: Awaitable[T]) -> T:
    return await doing
