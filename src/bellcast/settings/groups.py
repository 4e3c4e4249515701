"""Settings by group, with defaults."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from bellcast.auth.permissions import AccessConfig
from bellcast.channels.tenant_settings import ChannelConfig
from bellcast.kernel.brokers.history import DEFAULT_HISTORY
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.live.dialects import DIALECTS
from bellcast.live_feed import AccessLog
from bellcast.operators.types import OidcConfig

MASK = "…"
SQLITE = "sqlite:///"
FILE = "bellcast.db"  # the SQLite store within the data folder
MEMORY = "memory:"
POSTGRES = ("postgresql://", "postgres://")
REDIS = ("redis://", "rediss://", "unix://")
NATS = ("nats://", "tls://")


class Secret(str):
    """A string with a masked repr, so that logs and tracebacks do not contain it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


class ServerSettings(Struct, kw_only=True):
    """Listening address, handlers, shutdown and logging. Durations are seconds. Operators can change some settings
    while the server runs."""

    host: str = "127.0.0.1"
    port: int = 8787
    workers: int = 1
    drain: float = 10.0
    keep_alive: float = 5.0
    heartbeat: float = 25.0
    trusted_proxies: tuple[str, ...] = ()
    handlers: str | None = None
    handler_url: str | None = None
    workflows: str | None = None
    no_jobs: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    access_log: AccessLog = "off"
    log_requests: bool = False
    landing: bool | str = True  # or the URL to redirect to
    stats: bool = True
    tracing: bool = False
    console: bool = True
    mcp: bool = False
    mcp_calls_per_minute: int = 60
    console_networks: tuple[str, ...] = ()
    require_mfa: bool = False
    ready_strict: bool = False

    @property
    def logged_requests(self) -> AccessLog:
        """The requests that are logged: LOG_REQUESTS is an older name of ACCESS_LOG=all, LOG_LEVEL=debug logs all."""
        return "all" if self.log_requests or self.log_level == "debug" else self.access_log


class StoreSettings(Struct, kw_only=True):
    """Store, retention in seconds, and broker. Without a `url` the store is a file in the data folder; `connections` is
    the limit of a process at PostgreSQL, `database_url` the app's database. Operators can change the retention while the server runs."""

    data: Path = Path("bellcast-data")
    url: str | None = None
    broker: str = MEMORY
    connections: int = 10
    database_url: str | None = None
    retention: float = 180 * 86_400.0
    tombstones: float = 30 * 86_400.0
    newcomers: float = 7 * 86_400.0
    topic_history: tuple[str, ...] = DEFAULT_HISTORY

    @property
    def is_file(self) -> bool:
        """True if the store is a SQLite file."""
        return self.url is None or self.url.startswith(SQLITE)

    @property
    def outbox_url(self) -> str | None:
        """The PostgreSQL database with the outbox; None without PostgreSQL."""
        return self.database_url or (None if self.is_file else self.url)

    @property
    def path(self) -> Path:
        """The SQLite file. Raises SettingsError for another store."""
        if not self.is_file:
            raise SettingsError("BELLCAST_STORE: expected a SQLite store; for PostgreSQL, use PostgreSQL's tools.")
        return self.data / FILE if self.url is None else Path(self.url.removeprefix(SQLITE))


class ClientSettings(Struct, frozen=True, kw_only=True):
    """Connection of commands to a running server. The default `url` is the one stored in the data folder."""

    url: str | None = None
    secret: Secret | None = None


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. `project` None means the credentials of the data folder."""

    server: ServerSettings = msgspec.field(default_factory=ServerSettings)
    store: StoreSettings = msgspec.field(default_factory=StoreSettings)
    project: Project | None = None
    second_secret: Secret | None = None
    client: ClientSettings = ClientSettings()
    access: AccessConfig = msgspec.field(default_factory=AccessConfig)
    oidc: OidcConfig = OidcConfig()
    limits: Limits = msgspec.field(default_factory=Limits)
    channels: ChannelConfig = msgspec.field(default_factory=ChannelConfig)
    dialects: Mapping[str, Any] = msgspec.field(
        default_factory=lambda: {one.name: one.config() for one in DIALECTS if one.config}
    )
    # The option, variable or file variable of each setting that has one, by variable.
    sources: Mapping[str, str] = {}

    def group(self, name: str) -> Any:
        """Return a group of settings by its name."""
        return self.dialects[name] if name in self.dialects else getattr(self, name)

    def value_at(self, place: str) -> Any:
        """Return the value at an attribute path."""
        group, *fields = place.split(".")
        return reduce(getattr, fields, self.group(group))
