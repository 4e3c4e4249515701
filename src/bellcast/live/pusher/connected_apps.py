"""The Pusher app of each connection."""

from collections.abc import Callable, Sequence

from bellcast.kernel.clock import Clock
from bellcast.kernel.identities import Project
from bellcast.live.connection.close_reasons import CloseReason
from bellcast.live.connection.connection import Connection
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.protocol import close_codes
from bellcast.live.pusher.types import PusherApp


class ConnectedApps:
    """Keys and tenants of apps by connection; a connection without an entry belongs to the project's app and costs
    nothing here. A connection ends when its app is deleted or disabled."""

    def __init__(
        self, project: Project, apps: PusherAppDirectory, clock: Clock, end: Callable[[Connection, CloseReason], None]
    ) -> None:
        self._project_key = project.key
        self._apps = apps
        self._clock = clock
        self._end = end
        self.is_used = False  # True once a Pusher client has connected to this process
        self._keys: dict[Connection, tuple[str, str]] = {}
        apps.watch(self._close_disabled)

    def find(self, key: str) -> PusherApp | None:
        return self._apps.by_key(key)

    def add(self, connection: Connection, app: PusherApp) -> None:
        self.is_used = True
        if app.credentials.key != self._project_key:
            self._keys[connection] = app.credentials.key, app.tenant

    def discard(self, connection: Connection) -> None:
        self._keys.pop(connection, None)

    def credentials(self, connection: Connection) -> Sequence[Project]:
        """Return the valid credentials of the connection's app, the newest first."""
        app = self._apps.by_key(self.key(connection))
        return () if app is None else app.valid_credentials(self._clock.now())

    def key(self, connection: Connection) -> str:
        return self._keys[connection][0] if connection in self._keys else self._project_key

    def only_channel(self, connection: Connection) -> str | None:
        """Return the only channel that the connection's app may use; sign-in is then not allowed. None: any channel."""
        app = self._apps.by_key(self.key(connection)) if connection in self._keys else None
        return None if app is None else app.only_channel

    def _close_disabled(self) -> None:
        for connection, (key, tenant) in tuple(self._keys.items()):
            app = self._apps.by_key(key)
            if app is None or app.tenant != tenant:  # deleted, and perhaps created again in another tenant
                self._end(connection, close_codes.NO_SUCH_APP)
            elif not app.enabled:
                self._end(connection, close_codes.APP_DISABLED if app.is_readable else close_codes.APP_UNREADABLE)
