"""The interface between the server and its dialects: one `DialectPlugin` each, listed in `live/dialects.py`."""

import importlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from bellcast.kernel.setting_values import Parser

if TYPE_CHECKING:  # settings and commands read the plugins without the live edge
    from bellcast.auth.authenticator import Authenticator
    from bellcast.calls import CallBackend
    from bellcast.engines import Engines
    from bellcast.kernel.clock import Clock
    from bellcast.kernel.encryption import Encryption
    from bellcast.kernel.http import ASGIApp
    from bellcast.kernel.identities import Project
    from bellcast.kernel.jobs.runner import JobRunner
    from bellcast.kernel.outbound import Http
    from bellcast.kernel.outbound.http import HttpClients
    from bellcast.live.admission import Admission
    from bellcast.live.connection import Connection
    from bellcast.live.connection.close_reasons import CloseReason
    from bellcast.live.http.asgi import HandshakeRequest
    from bellcast.live.http.socket_handoff import SocketHandoff
    from bellcast.live.hub import Hub
    from bellcast.live.hub.survey import ConnectionSurvey
    from bellcast.live.types import LiveConfig, Spawn


class LiveSession(Protocol):
    """A session that carries several connections. `protocol` is its own, `dialect` that of the connections."""

    protocol: str
    dialect: str
    sid: str
    request: "HandshakeRequest"
    close_reason: "CloseReason | None"

    @property
    def transport_name(self) -> str: ...


class LiveContext(Struct, frozen=True, kw_only=True):
    """Dependencies that the server provides to every dialect."""

    engines: "Engines"
    hub: "Hub"
    survey: "ConnectionSurvey"
    config: "LiveConfig"
    settings: Mapping[str, Any]  # by the name of their dialect
    project: "Project"
    authenticator: "Authenticator"
    admission: "Admission"
    app: "CallBackend"
    http: "Http"
    clients: "HttpClients"
    jobs: "JobRunner"
    real_clock: "Clock"  # the system time, even with a test clock
    encryption: "Encryption"
    public_url: Callable[[], str]
    announce: Callable[[], Awaitable[None]]  # makes the other nodes `reload` their dialects
    spawn: "Spawn"
    siblings: "SocketHandoff | None"


class WiredDialect(Struct, frozen=True, kw_only=True):
    """Endpoints and hooks of a dialect. A path that ends in `*` matches all paths with this prefix.

    A plain GET of the `stream_paths` always yields a live connection or an error; other paths need an upgrade for that.
    """

    paths: "Mapping[str, ASGIApp]"
    stream_paths: frozenset[str] = frozenset()
    services: Mapping[type[Any], Any] = {}  # for the dialect's operations, by their types
    loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}  # background loops by their names in the log
    # Seconds of silence before a ping, and to wait for the pong. None: a heartbeat's interval each.
    silence_limit: Callable[[], tuple[float, float]] | None = None
    # Called for the connections of every dialect; `connected` again when a session is renewed or begins
    connected: "Callable[[Connection], None] | None" = None
    disconnected: "Callable[[Connection], None] | None" = None
    reload: Callable[[], Awaitable[None]] | None = None  # reads what it keeps of the store, at start and after changes
    numbers: Callable[[], Mapping[str, float]] = dict  # for the metrics, by name
    close_sessions: Callable[[], None] | None = None  # closes sessions without a connection, which drain does not close
    close: Callable[[], Awaitable[None]] | None = None  # called last, once the loops have ended


class DialectApi(Struct, frozen=True, kw_only=True):
    """HTTP paths of a dialect besides those of its connections."""

    operations: Sequence[Any] = ()  # of Bellcast's own API
    prefixes: tuple[str, ...] = ()  # of the dialect's own API, which `serve` handles
    serve: "ASGIApp | None" = None


class DialectPlugin(Struct, frozen=True, kw_only=True):
    """What a dialect brings. It stands in the package of its folder, and names modules that are imported when they are
    used."""

    name: str  # also of its protocol and of its settings
    wiring: str  # the module of its `wire`
    http: str | None = None  # the module of its `API`
    title: str = ""  # of its settings in the help
    config: type[Any] | None = None  # its settings with their defaults
    settings: Mapping[str, tuple[Parser, str]] = {}  # parser and description by name
    is_editable: bool = False  # operators change the settings while the server runs
    owner_only: tuple[str, ...] = ()  # of these, the settings that only owners change
    # Why a load balancer before several machines needs sticky sessions.
    sticky_sessions: str | None = None
    encrypted_fields: dict[str, tuple[str, ...]] = {}  # of its documents, by their kind

    def wire(self, live: LiveContext) -> WiredDialect:
        """Wire the dialect."""
        wired: WiredDialect = importlib.import_module(self.wiring).wire(live)
        return wired

    def api(self) -> DialectApi:
        """Return the dialect's API."""
        api: DialectApi = DialectApi() if self.http is None else importlib.import_module(self.http).API
        return api
