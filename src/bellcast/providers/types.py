"""Providers: their configuration, what they receive, and what they report."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from socket import socket
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import force_setattr

from bellcast.channels.types import MIN_RATE, ExternalChannel, State
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import FieldError
from bellcast.kernel.field_limits import ValueRule, between, lasting, text
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import MAX_RESPONSE, DeliveryError, Http
from bellcast.kernel.validation import FieldErrors, storable

# The keywords of the CTIA (Messaging Principles §5.1.3) that Twilio and Vonage recognize too.
STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
START = frozenset({"START", "UNSTOP", "YES"})

# Key prefix of providers from the settings, which cannot be written.
SETTING_PREFIX = "env-"


class SecretHint(Struct, frozen=True):
    """A secret that can be written and not read: whether it is set, and its last characters if it is too long to be guessed from
    them."""

    set: bool
    hint: str | None


MAX_URL = 4096
# A browser opens six connections to one server; vendors allow hundreds.
MAX_CONCURRENCY = 1000
MAX_RATE = 100_000.0
# Half an hour. A longer timeout could delay a shutdown far too long.
MAX_TIMEOUT = 1800.0
RATE = f"must be at least {MIN_RATE:.3g} (one message per day) and at most {MAX_RATE:g} messages per second"
TIMEOUT = f"must be a duration above 0 and at most {MAX_TIMEOUT:g} s"


def _url(field: str, value: str, _: Limits) -> FieldErrors:
    if len(value) > MAX_URL or not value.isprintable():
        yield FieldError(field, f"must have at most {MAX_URL} printable characters")


class ProviderFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider of a channel. The provider with the lowest `priority` is tried first. `rate` limits messages per
    second on all nodes, `concurrency` concurrent messages in each process, and `timeout` the wait for a response."""

    channel: ExternalChannel
    url: Annotated[str, ValueRule(_url, lambda _: text(MAX_URL))]
    priority: int = 0
    rate: Annotated[float | None, between(MIN_RATE, MAX_RATE, RATE)] = None
    concurrency: Annotated[int, between(1, MAX_CONCURRENCY, f"must be 1 to {MAX_CONCURRENCY}")] = 10
    timeout: Annotated[float | str, lasting(0, MAX_TIMEOUT, TIMEOUT, is_above=True)] = 30.0
    active: bool = True


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
                force_setattr(self, name, storable(text[:MAX_RESPONSE]))


class ServerAddress(Struct, frozen=True):
    """Where a provider connects to, and whether with TLS from the first byte."""

    host: str
    port: int
    has_tls: bool


# Opens a TCP connection to a host and port. Raises Unavailable or OSError.
Connect = Callable[[str, int], Awaitable[socket]]


class Setup(Struct, frozen=True, kw_only=True):
    """Arguments of a provider: its URL, HTTP clients, a guarded `connect` for other protocols, the response timeout
    (seconds), whether the URL may name files of the server, and the URL for its receipts."""

    url: str
    http: Http
    http2: Http
    connect: Connect | None = None
    clock: Clock
    timeout: float
    may_read_files: bool = False
    receipts_url: str | None = None


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
    """A request with a receipt: the public URL it was sent to, headers in lower case, and the fields of its form or JSON."""

    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """A message for a provider. `id` is the same in every attempt, `at` is when it was created; `content` has the form of the
    channel: a `channels.email.Email`, else a dictionary."""

    id: str
    to: str
    at: datetime
    content: Any


class Provider(Protocol):
    """An adapter for one vendor. One object delivers many messages concurrently, to addresses of its kinds."""

    @property
    def kinds(self) -> Sequence[AddressKind]: ...

    @property
    def server(self) -> ServerAddress | None:
        """The server that checks the credentials. None if the addresses name the servers, or a library chooses them."""

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Pass a message to the vendor. Raises DeliveryError. A cancelled call may have delivered it."""

    async def check(self) -> None:
        """Check the credentials without sending, if there are any. Raises DeliveryError."""
        return

    async def close(self) -> None:
        """Close connections, if it has other ones than those of the server's HTTP client."""
        return


@runtime_checkable
class MailServer(Provider, Protocol):
    """An e-mail provider with an address of its own, whose connection may be encrypted after it was opened (STARTTLS), or never."""

    sender: tuple[str, str | None]

    async def is_encrypted(self) -> bool:
        """Connect without a login; return whether with TLS. Raises DeliveryError."""


class ConfiguredProvider(Struct, frozen=True, kw_only=True):
    """A provider with its key; the URL is masked."""

    key: str
    tenant: str
    fields: ProviderFields
    secret: SecretHint


def opt_out(number: str, text: str) -> OptOut | None:
    """Return the meaning of a reply from a number; None for any other text."""
    word = text.strip().upper()
    return OptOut(number, word in START) if number and word in STOP | START else None


# The kinds of addresses that configured providers of a channel serve: the vendor is part of the URL.
KINDS: Mapping[ExternalChannel, Sequence[AddressKind]] = {
    "email": ("email",),
    "sms": ("sms",),
    "push": ("fcm", "apns"),
    "chat": ("telegram",),
}


class UnusableProvider(Struct, frozen=True):
    """In place of a stored provider whose URL this node cannot use, such as one that was encrypted with another key. Its
    messages fail temporarily: another provider, another node or a later attempt sends them."""

    kinds: Sequence[AddressKind]
    problem: str
    server: None = None

    async def send(self, message: OutgoingMessage) -> AcceptedMessage:
        """Refuse the message."""
        raise DeliveryError(f"the provider's URL {self.problem}", is_temporary=True)

    async def check(self) -> None:
        """Do nothing: there are no credentials."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""
