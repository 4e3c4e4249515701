"""Every setting: its name, how it is read, what it is for and why. The reference page is made of this."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from bellcast.settings import parsers

PREFIX = "BELLCAST_"
Reader = Callable[[str], Any]


class Setting(Struct, frozen=True):
    """One line of the table. `place` is where its value stands in Settings."""

    name: str
    place: str
    read: Reader
    what: str

    @property
    def key(self) -> str:
        """Its name among the command line's options."""
        return self.name.lower()

    @property
    def flag(self) -> str:
        """The option as it is written."""
        return f"--{self.key.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name

    @property
    def expects(self) -> str:
        """What a value must look like."""
        return self.read.__doc__ or ""

    @property
    def is_list(self) -> bool:
        """Whether an empty text is a value: the empty list."""
        return self.read in (parsers.names, parsers.pages, parsers.networks, parsers.aliases)

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown."""
        return self.read in (parsers.secret, parsers.credentials)


SERVER: dict[str, tuple[Reader, str]] = {
    "HOST": (parsers.text, "Address to listen on. Only this machine until said otherwise."),
    "PORT": (parsers.port, "Port to listen on."),
    "WORKERS": (parsers.positive_int, "Server processes. A SQLite store and the memory broker serve one."),
    "DRAIN": (parsers.duration, "How long SIGTERM waits. Clients are told to come back spread over it."),
    "TRUSTED_PROXIES": (
        parsers.networks,
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed. From anyone else they could be forged.",
    ),
    "HANDLERS": (parsers.import_path, "Python handlers that answer what clients call."),
    "HANDLER_URL": (parsers.url, "A URL that answers what clients call, by signed POST."),
    "NO_JOBS": (
        parsers.boolean,
        "Do not run durable jobs, expiry and retention in this server; another server on the same store must.",
    ),
    "LOG_LEVEL": (parsers.log_level, "The least important lines that are logged."),
    "LOG_FORMAT": (parsers.log_format, "Log lines for a person, or JSON for a collector."),
    "LOG_REQUESTS": (
        parsers.boolean,
        "Log each request, and the start and end of each live connection, at level info. Always on at level debug.",
    ),
    "LANDING": (
        parsers.boolean,
        "The page at `/`: whether the server is ready, links, and, opened on the machine itself, a first notification.",
    ),
}

STORE: dict[str, tuple[Reader, str]] = {
    "DATA": (parsers.folder, "Folder of everything that is kept: the SQLite store and the credentials."),
    "STORE": (parsers.store, "The store. By default a SQLite file in the data folder."),
    "BROKER": (parsers.broker, "What carries events between processes. Memory serves one process."),
    "DATABASE_URL": (
        parsers.database,
        "Your app's PostgreSQL, whose outbox is sent from. By default the store's, if that is PostgreSQL.",
    ),
    "RETENTION": (parsers.duration, "How long notifications are kept. 0 keeps them for ever."),
    "TOMBSTONES": (
        parsers.positive_duration,
        "How long a deletion is remembered. A client away for longer fetches its inbox anew.",
    ),
}

PROJECT: dict[str, tuple[Reader, str]] = {
    "PROJECT": (parsers.credentials, "The project's credentials. By default made at the first start."),
}

CLIENT: dict[str, tuple[Reader, str]] = {
    "URL": (
        parsers.url,
        "The server that commands and the Python client talk to. By default the one that `bellcast serve` last started "
        "with this data folder, else http://127.0.0.1:8787.",
    ),
    "SECRET": (parsers.secret, "The secret they use: the project's or an API key. By default the data folder's."),
}

ACCESS: dict[str, tuple[Reader, str]] = {
    "JWKS_URL": (parsers.url, "Keys of another issuer whose RS256 and ES256 session tokens hold here."),
    "JWKS_ISSUER": (parsers.text, "The `iss` its tokens must have. Set it if those keys sign for several issuers."),
    "JWKS_AUDIENCE": (parsers.text, "The `aud` its tokens must have. Set it if it signs for other servers too."),
    "JWT_SECRET": (
        parsers.secret,
        "The secret your app signs tokens of its own with (HS256). They hold here beside session tokens.",
    ),
    "JWT_CLAIMS": (parsers.claims, "What your app's tokens call whom they are for, and what else they say."),
    "SESSION_URL": (parsers.url, "Your app's URL that says whose session a request's cookies are."),
    "ORIGINS": (
        parsers.pages,
        "Origins of pages that may ask with cookies. Once set, tokens too come only from them and this server's own.",
    ),
    "PUBLIC_TOPICS": (parsers.names, "Patterns of topics anyone may follow. A `role.` topic never is public."),
    "PRESENCE_TOPICS": (parsers.names, "Patterns of topics that keep track of who is there."),
    "ANONYMOUS": (parsers.allow_deny, "Whether live clients without a token may follow public topics."),
}

NATIVE: dict[str, tuple[Reader, str]] = {
    "HEARTBEAT": (
        parsers.positive_duration,
        "Silence after which a heartbeat goes out. Proxies cut idle links at 60 s.",
    ),
}

PUSHER: dict[str, tuple[Reader, str]] = {
    "PUSHER_ACTIVITY_TIMEOUT": (
        parsers.positive_duration,
        "Silence after which a Pusher client asks whether the server is there, and the server it.",
    ),
    "PUSHER_CLIENT_EVENTS": (parsers.boolean, "Whether clients may tell each other events on private channels."),
    "PUSHER_CLIENT_EVENTS_PER_SECOND": (
        parsers.non_negative_int,
        "Client events a second from one connection; the default is Pusher's.",
    ),
    "PUSHER_SUBSCRIPTION_COUNT": (
        parsers.boolean,
        "Whether followers of a channel are told how many they are; beyond 100 at most every 5 s.",
    ),
    "PUSHER_WATCHLISTS": (parsers.boolean, "Whether signed-in users may watch who else is online."),
    "PUSHER_WATCHLIST": (parsers.non_negative_int, "Users one user watches; the rest of a longer list is passed over."),
    "PUSHER_AUTHORIZED_WITHIN": (
        parsers.duration,
        "Close connections that have neither signed in nor followed a private channel by then. 0 asks for neither.",
    ),
    "PUSHER_PRESENCE_MEMBERS": (parsers.non_negative_int, "Members of one presence channel. Pusher stops at 100."),
    "PUSHER_CHANNELS_PER_EVENT": (
        parsers.non_negative_int,
        "Channels one event is published to; the default is Pusher's.",
    ),
    "PUSHER_BATCH": (parsers.non_negative_int, "Events in one batch; the default is Pusher's."),
    "PUSHER_CACHE_TTL": (
        parsers.positive_duration,
        "How long the last event of a cache channel is kept; the default is Pusher's.",
    ),
    "PUSHER_WEBHOOK_URL": (parsers.url, "Your app's URL that is told of channels, members and client events, signed."),
    "PUSHER_ALIASES": (
        parsers.aliases,
        "Channels that carry a recipient's inbox changes too, beside the user's own. Laravel's by default.",
    ),
}

SOCKETIO: dict[str, tuple[Reader, str]] = {
    "SOCKETIO_PING_INTERVAL": (
        parsers.positive_duration,
        "How often a Socket.IO client is pinged. Clients keep to it themselves.",
    ),
    "SOCKETIO_PING_TIMEOUT": (parsers.positive_duration, "How long a Socket.IO client may take over its pong."),
    "SOCKETIO_UPGRADE_TIMEOUT": (
        parsers.positive_duration,
        "How long a client may try a WebSocket beside its polling. Proxies that swallow frames leave it undecided.",
    ),
    "SOCKETIO_CONNECT_TIMEOUT": (
        parsers.positive_duration,
        "How long a Socket.IO connection may stay without a namespace.",
    ),
    "SOCKETIO_MAX_PAYLOAD": (
        parsers.non_negative_int,
        "Bytes of one Socket.IO packet or polling body, and of the binary values of one event together.",
    ),
    "SOCKETIO_RECOVERY": (
        parsers.boolean,
        "Whether Socket.IO clients may come back as who they were. It gives events a last argument, their offset.",
    ),
    "SOCKETIO_PATH": (parsers.path, "Where Socket.IO clients connect."),
    "SOCKETIO_CLIENT_FILE": (
        parsers.file,
        "A copy of the Socket.IO client, for pages that load `socket.io.js` from their server.",
    ),
}

LIMITS: dict[str, tuple[Reader, str]] = {
    "LIMIT_KEY": (
        parsers.non_negative_int,
        "Characters of a recipient's, tenant's or idempotency key. E-mail addresses and UUIDs fit.",
    ),
    "LIMIT_TOPIC": (
        parsers.non_negative_int,
        "Characters of a topic's name; the default is Pusher's, prefix included.",
    ),
    "LIMIT_TITLE": (parsers.non_negative_int, "Characters of a title, an action's text or a name."),
    "LIMIT_BODY": (parsers.non_negative_int, "Characters of a body. More belongs behind the action's link."),
    "LIMIT_TYPE": (parsers.non_negative_int, "Characters of a type."),
    "LIMIT_GROUP": (parsers.non_negative_int, "Characters of a group."),
    "LIMIT_URL": (parsers.non_negative_int, "Characters of a link. Browsers and proxies carry this much safely."),
    "LIMIT_TAGS": (parsers.non_negative_int, "Tags of one notification."),
    "LIMIT_TAG": (parsers.non_negative_int, "Characters of one tag."),
    "LIMIT_DATA": (parsers.non_negative_int, "Bytes of a notification's data as compact JSON."),
    "LIMIT_EVENT_NAME": (parsers.non_negative_int, "Characters of a live event's name."),
    "LIMIT_EVENT_DATA": (
        parsers.non_negative_int,
        "Bytes of a live event's data as compact JSON. Live events are signals, not transfers.",
    ),
    "LIMIT_TO": (
        parsers.non_negative_int,
        "Recipients named in one send. For more there are topics, tenants and bulk.",
    ),
    "LIMIT_REQUEST": (parsers.non_negative_int, "Bytes of a request's body."),
    "LIMIT_BULK": (parsers.non_negative_int, "Bytes of a bulk request's body."),
    "LIMIT_BULK_ITEMS": (parsers.non_negative_int, "Notifications in one bulk request."),
    "LIMIT_FRAME": (parsers.non_negative_int, "Bytes of one message from a live client."),
    "LIMIT_FRAMES_PER_SECOND": (parsers.non_negative_int, "Messages a second from one live connection."),
    "LIMIT_TOPICS_PER_CONNECTION": (parsers.non_negative_int, "Topics one connection follows."),
    "LIMIT_UNSENT": (
        parsers.non_negative_int,
        "Bytes waiting for a slow reader before it is let go, to resume by its position.",
    ),
    "LIMIT_CONNECTIONS_PER_RECIPIENT": (
        parsers.non_negative_int,
        "Live connections of one recipient; the next is told to come back after a minute.",
    ),
    "LIMIT_CONNECTIONS_PER_ADDRESS": (
        parsers.non_negative_int,
        "Live connections of one address. An office or a proxy shares one, so none by default.",
    ),
    "LIMIT_CONNECTIONS": (
        parsers.non_negative_int,
        "Live connections of one process. By default the system's limit on open files decides.",
    ),
    "LIMIT_REPLAY": (
        parsers.non_negative_int,
        "Changes replayed to a returning client; beyond them a fresh inbox is cheaper.",
    ),
    "LIMIT_IDS": (parsers.non_negative_int, "Notifications named in one action."),
    "LIMIT_SENDS_PER_SECOND": (
        parsers.non_negative_int,
        "Notifications a second that one tenant may send, on all nodes together. Its own settings go before.",
    ),
    "LIMIT_SENDS_PER_DAY": (
        parsers.non_negative_int,
        "Notifications a day (UTC) that one tenant may send, on all nodes together. Its own settings go before.",
    ),
    "LIMIT_REQUESTS_PER_SECOND": (
        parsers.non_negative_int,
        "Requests a second from one address, to all nodes together. A reverse proxy's matter unless set.",
    ),
}

# Where a value stands, if not in its group under its own name.
PLACES = {"STORE": "store.url", "PROJECT": "project"}


def _rows(group: str, lines: dict[str, tuple[Reader, str]], prefix: str = "") -> list[Setting]:
    return [
        Setting(name, PLACES.get(name, f"{group}.{name.removeprefix(prefix).lower()}"), read, what)
        for name, (read, what) in lines.items()
    ]


GROUPS: dict[str, list[Setting]] = {
    "server": _rows("server", SERVER),
    "store": _rows("store", STORE),
    "project": _rows("project", PROJECT),
    "client": _rows("client", CLIENT),
    "access": _rows("access", ACCESS),
    "native": _rows("native", NATIVE),
    "pusher": _rows("pusher", PUSHER, "PUSHER_"),
    "socketio": _rows("socketio", SOCKETIO, "SOCKETIO_"),
    "limits": _rows("limits", LIMITS, "LIMIT_"),
}
TABLE = [setting for rows in GROUPS.values() for setting in rows]
