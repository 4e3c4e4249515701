"""Events of the live feed, which shows operators the activity of a server, and the filter of one watcher."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, ip_network
from typing import Any, Literal, Protocol, TypeAlias, get_args

from msgspec import Struct, structs

from bellcast.kernel import ip_addresses
from bellcast.kernel.errors import FieldError

FeedKind = Literal[
    "request",
    "send",
    "publish",
    "connect",
    "disconnect",
    "subscribe",
    "refused",
    "call",
    "run",
    "attempt",
    "webhook",
    "settings",
    "operator",
    "warning",
]
# What is counted without an event: also runs that start, of which the feed has each new state.
CountedKind: TypeAlias = Literal["request", "send", "start"]
FEED_KINDS: tuple[FeedKind, ...] = get_args(FeedKind)
# The kind `request` also selects refused requests.
WIDER: Mapping[str, frozenset[str]] = {"request": frozenset({"request", "refused"})}

# Fields of events that only callers with the scope `read` see. A provider's reason may contain the recipient's address.
CONTENT = frozenset({"title", "body", "data", "reason"})
SECRET_FIELD = re.compile(r"password|secret|token|otp|card|authorization|cookie", re.IGNORECASE)
# The user and the password of a URL, which may have `@`, `?` and `#` that are not encoded, and a session token in its query.
URL_CREDENTIALS = re.compile(r"(?<=://)(?:[^/?#\s]*+[?#][^/@\s]*+@[^/\s]*+|[^/?#\s]+(?=@))|(?<=[?&]token=)[^&\s]+")
REDACTED = "[redacted]"
# 4 KiB are enough to identify a value; the whole value is in the object itself.
MAX_VALUE = 4_096
# Number of cached addresses with their network: parsing one takes 10 µs, as much as the rest of an event.
MAX_NETWORKS = 1_000
# Maximum depth of a request's JSON.
MAX_REDACTED_DEPTH = 20
# Maximum size of an event's JSON: the characters of its texts and names, and VALUE_SIZE for each value. The data of a call may
# have 1 MB, which takes 20 MB once decoded, and many events are kept.
MAX_REDACTED_SIZE = 32_768
VALUE_SIZE = 32
# Replaces the parts that exceed the size. In an object, it is a name too.
OMITTED = "…"


class FeedEvent(Struct, frozen=True, kw_only=True):
    """Something that happened on a node. `at` is UTC milliseconds. `trace` is the id of the request, shared by all its
    events. `fields` depend on the kind. `node` is set in events of other nodes. Content in the fields of kept events may not be
    redacted yet."""

    kind: FeedKind
    at: int
    text: str
    tenant: str = ""
    recipient: str | None = None
    topic: str | None = None
    connection: str | None = None
    trace: str | None = None
    fields: Mapping[str, Any] = {}
    node: str | None = None

    @property
    def redacted(self) -> "FeedEvent":
        """The event with redacted content: of most events it is never read, and redacting takes longer than all else of them."""
        content = {name: redact(value) for name, value in self.fields.items() if name in CONTENT}
        return structs.replace(self, fields={**self.fields, **content}) if content else self


class FeedFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on events; None selects everything. `text` is searched in the content only with `searches_content`,
    since a match would reveal content to callers that may not see it."""

    tenant: str | None = None
    tenants: frozenset[str] | None = None
    recipient: str | None = None
    topic: str | None = None
    connection: str | None = None
    kinds: frozenset[str] | None = None
    text: str | None = None
    searches_content: bool = False

    def concerns(self, event: FeedEvent) -> bool:
        """True if this event matches all conditions but the text."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (self.tenant is None or event.tenant == self.tenant)
            and (self.tenants is None or event.tenant in self.tenants)
            and (self.recipient is None or event.recipient == self.recipient)
            and (self.topic is None or event.topic == self.topic)
            and (self.connection is None or event.connection == self.connection)
        )

    def matches(self, event: FeedEvent) -> bool:
        """True if this event, which is redacted, matches all conditions."""
        if not self.concerns(event):
            return False
        if self.text is None:
            return True
        fields = (value for name, value in event.fields.items() if self.searches_content or name not in CONTENT)
        values = (event.text, event.recipient, event.topic, event.connection, event.trace, *fields)
        return self.text in "\n".join(str(value) for value in values if value is not None).casefold()


def filter_of(kinds: list[str], text: str | None, **others: Any) -> FeedFilter:
    """Return the filter in a request. Kinds may also be separated by commas."""
    names = {name for kind in kinds for name in kind.split(",") if name}
    wanted = frozenset().union(*(WIDER.get(name, {name}) for name in names)) if names else None
    return structs.replace(FeedFilter(kinds=wanted, text=text.casefold() if text else None), **others)


def redact_url(url: str) -> str:
    """Return a URL without its credentials and its query, which may contain secrets of any name."""
    return str(redact(url.partition("?")[0]))


def redact(value: Any) -> Any:
    """Return a JSON value without credentials in URLs and without the values of fields that are named like secrets.
    Long texts are truncated, and what exceeds MAX_REDACTED_SIZE is omitted. Binary values are replaced by their
    size."""
    return _Redaction().redact(value, 0)


class _Redaction(Struct, eq=False):
    """The redaction of one value, with the rest of its size. Not nested functions: calling each other, they would be a cycle, which only
    the garbage collector frees."""

    _left: int = MAX_REDACTED_SIZE

    def redact(self, value: Any, depth: int) -> Any:
        self._left -= VALUE_SIZE
        if depth > MAX_REDACTED_DEPTH:
            return REDACTED
        if isinstance(value, Mapping):
            redacted: dict[str, Any] = {}
            for name, one in value.items():
                if self._left <= 0:
                    return redacted | {OMITTED: OMITTED}
                text = str(name)
                redacted[self._cut(text)] = REDACTED if SECRET_FIELD.search(text) else self.redact(one, depth + 1)
            return redacted
        if isinstance(value, list | tuple):
            items: list[Any] = []
            for one in value:
                if self._left <= 0:
                    return [*items, OMITTED]
                items.append(self.redact(one, depth + 1))
            return items
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        return self._cut(URL_CREDENTIALS.sub(REDACTED, value)) if isinstance(value, str) else value

    def _cut(self, text: str) -> str:
        shortened = cut(text)
        self._left -= len(shortened)
        return shortened


def cut(text: str, length: int = MAX_VALUE) -> str:
    """Truncate a text to at most `length` characters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


@lru_cache(MAX_NETWORKS)
def network_of(address: str | None) -> str | None:
    """Return an IP address without the part that identifies a subscriber: its /24 or /48 network."""
    parsed = ip_addresses.parse(address)
    if parsed is None:
        return None
    length = 24 if isinstance(parsed, IPv4Address) else 48
    return str(ip_network((parsed, length), strict=False))


# Past events of each kind for a new watcher: enough to see the causes of a problem that an operator has just noticed.
KEPT_EVENTS = 200


class SkippedEvents(Struct, frozen=True):
    """Number of events omitted in a second, in total and by kind."""

    count: int
    by: dict[str, int]


AccessLog: TypeAlias = Literal["errors", "all", "off"]  # which requests are logged
REFUSED = 400  # from this status on
# Key of a request's state in its ASGI scope: a dict with `request_id`, to which every layer adds. The request log creates it
# and reads it after the response.
STATE = "bellcast.state"
# Key in this state: true for a WebSocket handshake, which an operation accepts with ASGI's WebSocket messages.
IS_WEBSOCKET = "is_websocket"


def is_refusal(status: int, code: str | None) -> bool:
    """Return whether a response refuses its request. A refused stream has status 200 and a final event, because
    browsers do not retry after other statuses."""
    return status >= REFUSED or code is not None


# Fields of the event of a request, besides those of all events.
REQUEST_FIELDS = [
    "method",
    "path",
    "route",
    "status",
    "ms",
    "code",
    "detail",
    "errors",
    "key",
    "operator",
    "origin",
    "address",
]


class ServedRequest(Struct, frozen=True, kw_only=True):
    """One served request. `at` is UTC milliseconds, `ms` its duration, `client` the IP address, `body` the request's body if
    it is small JSON."""

    id: str
    at: int
    ms: float
    method: str
    path: str
    route: str
    status: int
    code: str | None = None
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()
    tenant: str | None = None
    recipient: str | None = None
    key: str | None = None
    operator: str | None = None
    origin: str | None = None
    client: str | None = None
    body: bytes | None = None

    @property
    def is_refused(self) -> bool:
        return is_refusal(self.status, self.code)

    @property
    def address(self) -> str | None:
        """The network of the client's IP address."""
        return network_of(self.client)

    @property
    def event(self) -> FeedEvent:
        """The event about the request."""
        errors = [{"field": one.field, "message": one.message} for one in self.errors]
        fields = {name: getattr(self, name) for name in REQUEST_FIELDS} | {"errors": errors or None}
        return FeedEvent(
            kind="refused" if self.is_refused else "request",
            at=self.at,
            text=f"{self.method} {self.path} {self.status}",
            tenant=self.tenant or "",
            recipient=self.recipient,
            trace=self.id,
            fields={name: value for name, value in fields.items() if value is not None},
        )


class Feed(Protocol):
    """Accepts events. It is cheap without a watcher: there is one call per request, send or publish, none per
    delivery."""

    @property
    def is_watched(self) -> bool:
        """True while a watcher is connected. Otherwise events need no content."""

    def emit(self, event: FeedEvent) -> None:
        """Keep the event in the ring of its kind, and pass it to matching watchers. Never blocks or raises. The ring keeps
        its values, so they must be small. Its content may be as it was sent: readers get the redacted event."""

    def requests(
        self, matches: Callable[[ServedRequest], bool], before: tuple[int, str] | None = None
    ) -> Sequence[ServedRequest]:
        """Return the recent requests of this node that match, newest first, older than the one with this time and id."""

    def count(self, kind: CountedKind, tenant: str, number: int) -> None:
        """Count events that are not emitted: without a watcher, only the last KEPT_EVENTS of a batch can be read later."""
