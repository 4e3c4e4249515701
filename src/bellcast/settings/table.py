"""All settings: their groups with the defaults, and the table of their parsers and descriptions, from which the reference page is
generated."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from bellcast.auth.permissions import AccessConfig
from bellcast.channels.types import ChannelConfig
from bellcast.kernel import setting_values
from bellcast.kernel.brokers.history import DEFAULT_HISTORY
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.kernel.setting_values import NameList, Parser
from bellcast.live.dialects import DIALECTS
from bellcast.live_feed import AccessLog
from bellcast.operators.types import OidcConfig
from bellcast.settings import parsers
from bellcast.settings.parsers import MEMORY, SQLITE, Secret

PREFIX = "BELLCAST_"
FILE = "bellcast.db"  # the SQLite store within the data folder


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


class Setting(Struct, frozen=True):
    """One setting. `place` is the attribute path of its value in Settings."""

    name: str
    place: str
    parse: Parser
    description: str

    @property
    def key(self) -> str:
        """Name of the command line option's parameter."""
        return self.name.lower()

    @property
    def flag(self) -> str:
        """Command line option."""
        return f"--{self.key.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Environment variable."""
        return PREFIX + self.name

    @property
    def expects(self) -> str:
        """Description of valid values."""
        return self.parse.__doc__ or ""

    @property
    def is_list(self) -> bool:
        """True if an empty text is a value (the empty list) instead of absent."""
        return self.parse.__annotations__.get("return") is NameList

    @property
    def is_secret(self) -> bool:
        """True if the value is never displayed."""
        return self.parse in (
            parsers.secret,
            parsers.encryption_key,
            parsers.header_secret,
            parsers.secrets,
            parsers.credentials,
        )


# The description of each setting, after its parser unless that follows from the type of the default value.
Rows: TypeAlias = Mapping[str, str | tuple[Parser, str]]
PARSERS: dict[type[Any], Parser] = {
    bool: setting_values.boolean,
    int: setting_values.non_negative_int,
    float: setting_values.duration,
    tuple: setting_values.names,
}

ROWS: Mapping[str, Rows] = {
    "server": {
        "HOST": "Address to listen on. By default, only this machine can connect.",
        "PORT": (parsers.port, "Port to listen on."),
        "WORKERS": (
            setting_values.positive_int,
            "Server processes. More than one needs PostgreSQL, and Redis, NATS or PostgreSQL as broker.",
        ),
        "DRAIN": "Drain time after SIGTERM. Clients reconnect at times spread over it.",
        "KEEP_ALIVE": (
            setting_values.positive_duration,
            "Idle time after which an HTTP connection is closed. It must exceed that of a load balancer (AWS: 60).",
        ),
        "HEARTBEAT": (
            setting_values.positive_duration,
            "Idle time after which a heartbeat is sent. Many proxies close idle connections after 60 s.",
        ),
        "TRUSTED_PROXIES": (
            parsers.networks,
            "Proxies that are trusted to set X-Forwarded-For and X-Forwarded-Proto. Other clients could forge these headers.",
        ),
        "HANDLERS": (parsers.import_path, "Python handlers of client calls."),
        "HANDLER_URL": (setting_values.url, "A URL that handles client calls, sent as signed POST requests."),
        "WORKFLOWS": (parsers.module, "Python workflows, and functions of their steps."),
        "NO_JOBS": "Do not run durable jobs, expiry and retention in this server. Another server on the same store must run them.",
        "LOG_LEVEL": (parsers.log_level, "Minimum level of log lines."),
        "LOG_FORMAT": (parsers.log_format, "Format of log lines: text for the console, or JSON for a log collector."),
        "ACCESS_LOG": (
            parsers.access_log,
            "Log requests at level info: `all`, including the start and end of each "
            "live connection, or `errors`, only refused and failed requests. Always `all` at level debug.",
        ),
        "LOG_REQUESTS": "An older name: `on` means `BELLCAST_ACCESS_LOG=all`, and overrides that setting.",
        "LANDING": (
            parsers.landing,
            "Serve a page at `/` with the server's state, links and, on the server's machine, a form for a first notification; or redirect "
            "`/` to a URL.",
        ),
        "STATS": "Store statistics for the console and `/v1/stats/series`: one write per minute, at most 9 MB per server.",
        "READY_STRICT": (
            "`/readyz` is a 503 while the broker is unavailable or refuses writes. By default, it reports the broker as `degraded`, "
            "because notifications are still accepted and delivered."
        ),
        "TRACING": (
            "Send OpenTelemetry traces of requests, writes, published events and deliveries (needs `bellcast[otel]`). "
            "`OTEL_EXPORTER_OTLP_ENDPOINT` and the other variables of OpenTelemetry apply."
        ),
        "MCP": "Serve agents at `/mcp`, with API keys of the scope `agent`. Needs `bellcast[mcp]`.",
        "MCP_CALLS_PER_MINUTE": "Maximum calls that an agent's API key may make in a minute, on each node; 0 means no limit.",
        "CONSOLE": "Serve the console at `/console`, and accept the sessions of its operators.",
        "CONSOLE_NETWORKS": (
            parsers.networks,
            "Addresses that may use the console. Default: all. API keys are accepted from everywhere.",
        ),
        "REQUIRE_MFA": "Operators without an authenticator app or a passkey may only set one up. An identity provider must confirm a second factor.",
    },
    "store": {
        "DATA": (parsers.folder, "Folder for the SQLite store and the credentials."),
        "STORE": (parsers.store, "The store. Default: a SQLite file in the data folder."),
        "STORE_CONNECTIONS": (
            parsers.store_connections,
            "Connections of one process to a store in PostgreSQL; unused ones are closed after a minute.",
        ),
        "BROKER": (parsers.broker, "Broker that delivers events between processes. `memory:` serves one process."),
        "DATABASE_URL": (
            parsers.database,
            "Your app's PostgreSQL with the outbox. Default: the store, if that is PostgreSQL.",
        ),
        "RETENTION": "Retention of notifications. 0 means unlimited.",
        "TOMBSTONES": (
            setting_values.positive_duration,
            "Retention of deletion markers. A client that was offline for longer refetches its inbox.",
        ),
        "TOPIC_HISTORY": (
            parsers.topic_history,
            "How long live events are kept for clients that reconnect, "
            "and how many per topic. The first matching pattern applies. Events to a recipient match as `recipient:<key>`.",
        ),
        "NEWCOMERS": "Age of the oldest announcement that a new recipient receives when it first opens its inbox. 0 means none.",
    },
    "project": {
        "PROJECT": (parsers.credentials, "The project's credentials. Default: generated at the first start."),
        "SECOND_SECRET": (
            parsers.secret,
            "Another project secret that is accepted too, while you replace it: first the new one, later the old one. It signs only calls to your app.",
        ),
    },
    "client": {
        "URL": (
            setting_values.url,
            "The server that commands and the Python client connect to. Default: the one that `bellcast serve` last started "
            "with this data folder, else http://127.0.0.1:8787.",
        ),
        "SECRET": (
            parsers.header_secret,
            "The secret for commands and the Python client: the project secret or an API key. Default: the data folder's.",
        ),
    },
    "access": {
        "JWKS_URL": (setting_values.url, "JWKS of another issuer. Its RS256 and ES256 session tokens are accepted."),
        "JWKS_ISSUER": "Required `iss` of these tokens. Set it if the keys sign for several issuers.",
        "JWKS_AUDIENCE": "Required `aud` of these tokens. Set it if the issuer signs for other servers too.",
        "JWT_SECRET": (
            parsers.secret,
            "The secret that signs your app's own tokens (HS256). They are accepted like session tokens.",
        ),
        "JWT_CLAIMS": (parsers.claims, "Maps your JWT claim names to Bellcast's."),
        "SESSION_URL": (setting_values.url, "Your app's URL that returns the recipient of a session cookie."),
        "ORIGINS": (
            parsers.origin_list,
            "Origins of pages that may authenticate with cookies. Once set, tokens are also accepted only "
            "from these and the server's own origin.",
        ),
        "PUBLIC_TOPICS": "Patterns of topics that every client may follow, except the topics of roles.",
        "PRESENCE_TOPICS": "Patterns of topics with presence.",
        "ANONYMOUS": (parsers.allow_deny, "Allow live clients without a token to follow public topics."),
    },
    "oidc": {
        "OIDC_ISSUER": (
            parsers.issuer,
            "The OpenID Connect provider that signs in operators: the issuer in its discovery document. A private address needs "
            "`BELLCAST_HTTP_ALLOW`.",
        ),
        "OIDC_CLIENT_ID": "This server's client id at the provider.",
        "OIDC_CLIENT_SECRET": (
            parsers.secret,
            "The client's secret. Without one, the client is public, with PKCE only.",
        ),
        "OIDC_NAME": "Name of the provider on the sign-in page. Default: the host of the issuer.",
        "OIDC_SCOPES": (parsers.scopes, "Requested scopes. Some providers only include groups with a certain scope."),
        "OIDC_GROUPS_CLAIM": "Claim of the ID token with the groups of the user.",
        "OIDC_SESSION": (
            setting_values.positive_duration,
            "How long a sign-in with the provider lasts. The operator must then sign "
            "in again, without a password as long as the session at the provider lasts.",
        ),
        "OIDC_ROLE_MAP": (
            parsers.role_map,
            "Roles of operators by group; if several match, the most powerful one applies. Users without a role are refused.",
        ),
    },
    **{one.name: one.settings for one in DIALECTS if one.config},
    "channels": {
        "CHANNELS": (parsers.channels, "Channels of a send if neither the send nor its type names any."),
        "EMAIL": (
            parsers.secrets,
            "SMTP servers in failover order: `smtp://user:password@host:587?from=bells@example.com`, or with TLS from the start "
            "`smtps://user:password@host:465?from=bells@example.com`. With `smtp://`, STARTTLS is used if offered, and required with a "
            "password, unless `?tls=off`. Without a server, e-mails are only stored.",
        ),
        "SMS": (
            parsers.secrets,
            "SMS providers in failover order: `twilio://SID:TOKEN@default?from=%2B12025550123` or "
            "`vonage://KEY:SECRET@default?from=Shop`. Without a provider, text messages are only stored.",
        ),
        "PUSH": (
            parsers.secrets,
            "Push services of apps: `fcm://default?credentials=FILE`, `apns://TEAM:KEY@default?key=FILE&topic=com.example.app`. "
            "Browsers need none.",
        ),
        "CHAT": (
            parsers.secrets,
            "Chat providers: `telegram://TOKEN@default`, or `apprise+` and a URL of Apprise (`bellcast[apprise]`), in which `{to}` is the "
            "recipient's chat id. Webhooks of Slack, Discord and Teams need none.",
        ),
        "HTTP_ALLOW": (
            parsers.hosts,
            "Hosts, addresses and networks to which URLs from the REST API and "
            "of recipients may lead although they are not public, also over plain HTTP.",
        ),
        "ENCRYPTION_KEY": (
            parsers.encryption_key,
            "The secret that encrypts providers' URLs and all other secrets in the store, and identifies this server "
            "to browsers' push services; or a list id:key,id:key, of which the first key encrypts and all decrypt. It must be equal on all nodes. "
            "Default: a generated key in encryption.json in the data folder, or the secret of BELLCAST_PROJECT; browsers' push services "
            "then know the server by the project secret.",
        ),
        "SIMULATE": (parsers.channels, "Channels that only store their messages, even with a provider."),
        "RETRIES": (
            parsers.durations,
            "Delays before further attempts after temporary failures of every provider; a longer Retry-After is respected.",
        ),
        "APP_URL": (setting_values.url, "Your app's URL, the base of relative links in messages."),
        "PUBLIC_URL": (
            setting_values.url,
            "This server's public URL, used in unsubscribe links and for providers' receipts. Default: the "
            "address it listens on.",
        ),
        "RUN_RETENTION": "Retention of messages and runs that have ended. 0 means unlimited.",
        "LOCALE": "Language of messages to recipients and tenants without one.",
        "LOCALES": "Languages that templates must have to be published, such as en,de. Empty: any.",
        "BRAND": (
            parsers.brand,
            "Brand of the default tenant's e-mails and pages: name, logo_url, color, background, text_color, radius (0 to 40), font (system, "
            "arial, verdana, trebuchet, georgia or courier), footer and address. Others have it in their setting `brand`.",
        ),
        "TIMEZONE": (parsers.timezone, "Time zone of recipients and tenants without one."),
    },
    "limits": {
        "LIMIT_KEY": "Characters of a recipient's, tenant's or idempotency key. E-mail addresses and UUIDs fit.",
        "LIMIT_TOPIC": "Characters of a topic's name, prefix included.",
        "LIMIT_TITLE": "Characters of a title, an action's text or a name.",
        "LIMIT_BODY": "Characters of a body. Link to longer texts with the action.",
        "LIMIT_TYPE": "Characters of a type.",
        "LIMIT_GROUP": "Characters of a group.",
        "LIMIT_URL": "Characters of a link. Browsers and proxies support this length.",
        "LIMIT_TAGS": "Tags of one notification.",
        "LIMIT_TAG": "Characters of one tag.",
        "LIMIT_DATA": "Bytes of a notification's data as compact JSON.",
        "LIMIT_EVENT_NAME": "Characters of a live event's name.",
        "LIMIT_EVENT_DATA": "Bytes of a live event's data as compact JSON. Live events are signals, not file transfers.",
        "LIMIT_TO": "Recipients named in one send. For more, use topics, tenants or bulk requests.",
        "LIMIT_REQUEST": "Bytes of a request's body.",
        "LIMIT_BULK": "Bytes of a bulk request's body.",
        "LIMIT_BULK_ITEMS": "Notifications in one bulk request.",
        "LIMIT_FRAME": "Bytes of one message from a live client.",
        "LIMIT_FRAMES_PER_SECOND": (
            "Messages per second from one live connection. Small fragments count too, and of pings and pongs at most 20 are accepted. The connections of "
            "a recipient together have the same number; further messages wait up to 5 s."
        ),
        "LIMIT_TOPICS_PER_CONNECTION": "Topics followed by one connection.",
        "LIMIT_UNSENT": "Unsent bytes of a slow reader, after which its connection is closed. The client resumes at its position.",
        "LIMIT_CONNECTIONS_PER_RECIPIENT": "Live connections of one recipient on all nodes. Further ones are rejected with a retry after one minute; several nodes may admit a few more at the same moment.",
        "LIMIT_CONNECTIONS_PER_ADDRESS": "Live connections of one IP address. 0 means unlimited, since offices and proxies share an address.",
        "LIMIT_CONNECTIONS": "Live connections of one process. 0 derives it from the system's limit on open files.",
        "LIMIT_HISTORY": "Bytes of a tenant's stored live events; the oldest are dropped first. 0 keeps none.",
        "LIMIT_REPLAY": "Changes replayed to a resuming client. Beyond them, the client refetches its inbox.",
        "LIMIT_IDS": "Notifications named in one action.",
        "LIMIT_SENDS_PER_SECOND": "Notifications per second of one tenant, on all nodes. The tenant's own settings take precedence.",
        "LIMIT_SENDS_PER_DAY": (
            "Notifications per day (UTC) of one tenant, on all nodes. A node knows the sends of the others after up to 5 s, in which they can "
            "exceed it. The tenant's own settings take precedence."
        ),
        "LIMIT_REQUESTS_PER_SECOND": (
            "REST requests per second from one IP address, on all nodes; `BELLCAST_LIMIT_CONNECTIONS_PER_ADDRESS` limits live connections. "
            "0 means unlimited; a reverse proxy can limit them too."
        ),
    },
}
# Attribute paths that differ from group and name.
PLACES = {
    "STORE": "store.url",
    "PROJECT": "project",
    "SECOND_SECRET": "second_secret",
    "CHANNELS": "channels.default",
}
DEFAULTS = Settings()


def _setting(group: str, name: str, row: str | tuple[Parser, str]) -> Setting:
    # The name in a group, such as `title` of LIMIT_TITLE, is that of the field.
    place = PLACES.get(name, f"{group}.{name.lower().removeprefix(group.removesuffix('s') + '_')}")
    if isinstance(row, str):
        row = PARSERS.get(type(DEFAULTS.value_at(place)), setting_values.text), row
    return Setting(name, place, *row)


GROUPS = {group: [_setting(group, name, row) for name, row in rows.items()] for group, rows in ROWS.items()}
TABLE = [setting for settings in GROUPS.values() for setting in settings]
