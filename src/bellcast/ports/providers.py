"""Delivery of messages by outside services."""

from collections.abc import Awaitable, Callable, Mapping
from socket import socket
from typing import Any, Literal, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from bellcast.kernel.validation import storable
from bellcast.model.messages import ExternalChannel, State

# Kinds of addresses: an e-mail address, a number, a browser's subscription, a device token of FCM or APNs, a chat's
# incoming webhook, a Telegram chat.
AddressKind = Literal["email", "sms", "web", "fcm", "apns", "webhook", "telegram"]


class AcceptedMessage(Struct, frozen=True):
    """Result of a delivery. `reference` is the provider's id of the message, by which its receipts refer to it."""

    code: str
    response: str | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        # A result that cannot be stored would leave the message open, and the next attempt would send it again.
        for name in self.__struct_fields__:
            if (text := getattr(self, name)) is not None:
                force_setattr(self, name, storable(text))


# Maximum characters of a vendor's response in an AcceptedMessage or a DeliveryError.
MAX_RESPONSE = 500


class DeliveryError(Exception):
    """The provider did not accept the message.

    After a temporary error, the next provider is tried, and all again later, not before `retry_after` seconds. After a
    permanent error, the message has failed. `is_bounce`: the address is bad, and is then suppressed. `is_timeout`: no response
    came in time."""

    def __init__(
        self,
        response: str,
        *,
        code: str | None = None,
        is_temporary: bool,
        is_bounce: bool = False,
        is_timeout: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.response = storable(response)
        self.code = None if code is None else storable(code)
        super().__init__(self.response)
        self.is_temporary = is_temporary
        self.is_bounce = is_bounce
        self.is_timeout = is_timeout
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.response}" if self.code else self.response


class ServerAddress(Struct, frozen=True):
    """Where a provider connects to, and whether with TLS from the first byte."""

    host: str
    port: int
    has_tls: bool


# Opens a TCP connection to a host and port. Raises Unavailable or OSError.
Connect = Callable[[str, int], Awaitable[socket]]


class Receipt(Struct, frozen=True):
    """A provider's later report on an accepted message: its reference, the state, and a code."""

    reference: str
    state: State
    code: str | None = None


class OptOut(Struct, frozen=True):
    """A reply from a number: STOP, or START (`is_allowed`)."""

    address: str
    is_allowed: bool


class ReceiptRequest(Struct, frozen=True, kw_only=True):
    """A request with a receipt: the public URL it was sent to, headers in lower case, and the fields of its form or query."""

    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    body: bytes


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """A message for a provider. `id` is the same in every attempt; `content` has the form of the channel."""

    id: str
    to: str
    content: Any


class Provider(Protocol):
    """An adapter for one vendor. One object delivers many messages concurrently, to addresses of one kind."""

    @property
    def channel(self) -> ExternalChannel: ...

    @property
    def kind(self) -> AddressKind: ...

    @property
    def server(self) -> ServerAddress | None:
        """The server that checks the credentials. None if the addresses name the servers, or a library chooses them."""
        ...

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Pass a message to the vendor. Raises DeliveryError. A cancelled call may have delivered it."""
        ...

    async def check(self) -> None:
        """Check the credentials without sending. Raises DeliveryError."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
