"""Requests that a node served recently, and the filter of their list. Pure."""

from typing import Literal, TypeAlias

from msgspec import Struct

from bellcast.console.types.live_feed import network_of
from bellcast.kernel.errors import FieldError

# Which requests are logged.
AccessLog: TypeAlias = Literal["errors", "all", "off"]
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


class RequestFilter(Struct, frozen=True, kw_only=True):
    """Conditions on listed requests; None selects all. `status` is a status (`404`) or a class (`4xx`), `before` an
    id."""

    status: str | None = None
    route: str | None = None
    key: str | None = None
    id: str | None = None
    tenant: str | None = None
    recipient: str | None = None
    is_refused: bool = False  # only refused requests
    tenants: frozenset[str] | None = None
    since: int = 0  # UTC milliseconds
    until: int | None = None

    def matches(self, request: ServedRequest) -> bool:
        """True if the request matches."""
        return (
            (self.status is None or _has_status(request.status, self.status))
            and (self.route is None or self.route in (request.route, f"{request.method} {request.route}", request.path))
            and (self.key is None or self.key in (request.key, request.operator))
            and (self.id is None or self.id == request.id)
            and (self.tenant is None or self.tenant == (request.tenant or ""))
            and (self.recipient is None or self.recipient == request.recipient)
            and (not self.is_refused or request.is_refused)
            and (self.tenants is None or request.tenant in self.tenants)
            and self.since <= request.at
            and (self.until is None or request.at < self.until)
        )


def _has_status(status: int, wanted: str) -> bool:
    return str(status)[0] == wanted[0] if wanted.endswith("xx") else str(status) == wanted
