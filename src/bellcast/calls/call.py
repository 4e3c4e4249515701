"""A call from a client, the operations available to its handler, and the port of backends that handle calls."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from bellcast.kernel.errors import HandlerFailed, Unavailable

CONNECT, DISCONNECT = "connect", "disconnect"
ROOT = "/"

T = TypeVar("T")


class Refused(Exception):
    """Raised by a handler to reject a call. The client receives the message and the data."""

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class CallBackend(Protocol):
    """Handles calls."""

    def has(self, name: str, namespace: str = ROOT) -> bool:
        """True if a handler with that name may exist. If False, connections cause no call."""

    def has_namespace(self, namespace: str) -> bool:
        """True if clients may connect to the namespace."""

    async def dispatch(self, call: "Call") -> Any:
        """Return the reply: None for an empty one, a tuple for several values. Raises Refused, NoHandler or
        HandlerFailed."""


class CallContext(Protocol):
    """Operations of a call on its connection, implemented by each dialect."""

    async def emit(self, name: str, args: tuple[Any, ...]) -> None:
        """Emit to the caller."""

    async def publish(self, topic: str, name: str, data: Any) -> None:
        """Publish to a topic of the caller's tenant. The caller receives the event too if it follows the topic."""

    async def ask(self, name: str, args: tuple[Any, ...], timeout: float) -> Any:  # noqa: ASYNC109 - see Call.ask
        """Emit to the caller and wait for its ack. Raises TimeoutError."""

    async def join(self, topic: str) -> None: ...

    async def leave(self, topic: str) -> None: ...

    async def disconnect(self) -> None:
        """Leave the call's namespace."""

    async def close(self, *, reconnect: bool) -> None:
        """Close the connection."""


class ConnectAccepted(Struct, frozen=True, kw_only=True):
    """The recipient that a `connect` handler accepted."""

    recipient: str
    roles: tuple[str, ...] | None = None
    tenant: str | None = None


class ConnectRequest(Struct, frozen=True):
    """The request that opened a connection, without the credentials that Bellcast checks.

    Names of headers are in lower case; of several equal names, the last one counts.
    """

    query: dict[str, str]
    headers: dict[str, str]
    address: str | None


class Call:
    """A call from a client, and the operations available to its handler. Dialects with namespaces name one; clients of
    some dialects connect without a recipient and sign in later with a separate proof."""

    def __init__(
        self,
        context: CallContext,
        name: str,
        args: Sequence[Any] = (),
        *,
        recipient: str | None,
        connection: str,
        dialect: str,
        tenant: str | None = None,
        roles: Sequence[str] = (),
        namespace: str | None = None,
        signs_in_late: bool = False,
        handshake: ConnectRequest | None = None,
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.recipient = recipient
        self.roles = tuple(roles)
        self.tenant = tenant or None
        self.connection = connection
        self.dialect = dialect
        self.namespace = namespace or ROOT
        self.has_namespaces = namespace is not None
        self.signs_in_late = signs_in_late
        self.handshake = handshake  # of `connect`
        self.accepted: ConnectAccepted | None = None
        self._context = context
        self._loop = asyncio.get_running_loop()

    @property
    def data(self) -> Any:
        """The first argument, or None."""
        return self.args[0] if self.args else None

    async def emit(self, name: str, *args: Any) -> None:
        """Emit to the caller."""
        await self._context.emit(name, args)

    async def publish(self, topic: str, name: str, data: Any = None) -> None:
        """Publish to a topic of the caller's tenant."""
        await self._context.publish(topic, name, data)

    async def ask(self, name: str, *args: Any, timeout: float = 5.0) -> Any:  # noqa: ASYNC109 - dialects enforce it
        """Emit to the caller and return its ack. Raises TimeoutError."""
        return await self._context.ask(name, args, timeout)

    async def join(self, topic: str) -> None:
        """Subscribe the caller to the topic."""
        await self._context.join(topic)

    async def leave(self, topic: str) -> None:
        """Unsubscribe the caller from the topic."""
        await self._context.leave(topic)

    async def disconnect(self) -> None:
        """Disconnect the caller from this namespace; the connection stays open."""
        await self._context.disconnect()

    async def close(self, *, reconnect: bool = True) -> None:
        """Close the connection. `reconnect` states whether the client may reconnect."""
        await self._context.close(reconnect=reconnect)

    def accept(self, recipient: str | int, *, roles: Sequence[str] | None = None, tenant: str | None = None) -> None:
        """In a `connect` handler: authenticate the connection as this recipient."""
        if self.name != CONNECT:
            raise RuntimeError(f"call.accept() is for the {CONNECT!r} handler, not for {self.name!r}.")
        # None would admit the client without an identity.
        if not isinstance(recipient, str | int) or isinstance(recipient, bool) or not str(recipient).strip():
            raise HandlerFailed(f"call.accept() expects the id of a recipient, got {recipient!r}.")
        self.accepted = ConnectAccepted(
            recipient=str(recipient), roles=None if roles is None else tuple(roles), tenant=tenant
        )

    def wait(self, operation: Awaitable[T]) -> T:
        """Wait for an operation in a plain function, which runs in a thread: `call.wait(call.emit("done"))`."""
        return asyncio.run_coroutine_threadsafe(_wait_for(operation), self._loop).result()


async def _wait_for(operation: Awaitable[T]) -> T:
    return await operation


def admit_by_session(call: Call) -> None:
    """Decide a failed `connect` or `disconnect` by the session alone. A connection with a session is accepted with
    the session's permissions, so that inboxes keep working while the app is down. A connection without a session must
    retry, as must one for a namespace of the app."""
    call.accepted = None  # a failed handler may have accepted before it failed
    if call.name != CONNECT:
        return
    is_anonymous = call.recipient is None and not call.signs_in_late
    if is_anonymous or call.namespace != ROOT:
        raise Unavailable(
            "The app did not respond, so this connection cannot be accepted without a session.", retry_after=1
        )
