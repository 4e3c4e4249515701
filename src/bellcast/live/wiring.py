"""The interface between the server and a dialect: one `wire` function per dialect, listed in `server/dialects.py`."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from bellcast.auth.authenticator import Authenticator
from bellcast.calls import CallBackend
from bellcast.context import Context
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.identities import Principal, Project
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.outbound.port import Http
from bellcast.live.admission import Admission
from bellcast.live.config import LiveConfig, SocketIOConfig, Spawn
from bellcast.live.connection.connection import Connection
from bellcast.live.hub.hub import Hub
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.pusher.types import PusherApps, PusherConfig


class SessionLog(Protocol):
    """Logs sessions with several connections. The session type belongs to the dialect."""

    def session_opened(self, session: Any) -> None: ...
    def session_closed(self, session: Any) -> None: ...

    def namespace_refused(
        self, session: Any, namespace: str, reason: str, principal: Principal, *, is_fed: bool
    ) -> None:
        """Log a rejected connection to a namespace. With `is_fed`, it is an event of the live feed too."""
        ...


class SiblingProcesses(Protocol):
    """The other processes that serve the same port."""

    def peer_path(self, sid: str) -> Path | None:
        """Return the socket path of the sibling that owns a session; None without an owner."""
        ...


class LiveContext(Struct, frozen=True, kw_only=True):
    """Dependencies that the server provides to every dialect."""

    engines: Context
    hub: Hub
    survey: ConnectionSurvey
    config: LiveConfig
    pusher: PusherConfig
    pusher_apps: PusherApps
    socketio: SocketIOConfig
    project: Project
    authenticator: Authenticator
    admission: Admission
    app: CallBackend
    http: Http
    jobs: JobRunner
    spawn: Spawn
    session_log: SessionLog | None
    siblings: SiblingProcesses | None


class WiredDialect(Struct, frozen=True, kw_only=True):
    """Endpoints and hooks of a dialect. A path that ends in `*` matches all paths with this prefix.

    A plain GET of the `stream_paths` always yields a live connection or an error; other paths need an upgrade for that.
    """

    paths: Mapping[str, ASGIApp]
    stream_paths: frozenset[str] = frozenset()
    loops: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}  # background loops by their names in the log
    disconnected: Callable[[Connection], None] | None = None  # called for the connections of every dialect
    close_sessions: Callable[[], None] | None = None  # closes sessions without a connection, which drain does not close
    close: Callable[[], Awaitable[None]] | None = None  # called last, once the loops have ended


Wire: TypeAlias = Callable[[LiveContext], WiredDialect]
