"""The Pusher settings of the admin, in the database: the back end and the pages use them. And the API key of other systems."""

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass, fields
from sqlite3 import Connection
from typing import Any
from urllib.parse import urlsplit

import pusher
from pusher.errors import PusherError
from starlette.exceptions import HTTPException

SCHEMA = """
CREATE TABLE IF NOT EXISTS pusher_settings (
  id INTEGER PRIMARY KEY CHECK (id = 1), enabled INTEGER NOT NULL, app_id TEXT NOT NULL, key TEXT NOT NULL,
  secret TEXT NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, tls INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS api_key (id INTEGER PRIMARY KEY CHECK (id = 1), digest TEXT NOT NULL);
"""
# `is_chosen`: the admin has saved other credentials than those of the last start; -1: a version without the column saved them.
ADDED = {
    "pusher_settings.private_admin": "INTEGER NOT NULL DEFAULT 0",
    "pusher_settings.is_chosen": "INTEGER NOT NULL DEFAULT -1",
}
LONGEST = 200
KEY_BYTES = 24


@dataclass(frozen=True)
class PusherSettings:
    enabled: bool
    app_id: str
    key: str
    secret: str
    host: str
    port: int
    tls: bool
    private_admin: bool  # the admins' channel is `private-admin` instead of the public `admin`

    @property
    def admin_channel(self) -> str:
        return "private-admin" if self.private_admin else "admin"

    @property
    def credentials(self) -> tuple[str | int, ...]:
        return self.app_id, self.key, self.secret, self.host, self.port, self.tls

    def client(self) -> pusher.Pusher:
        """Return the stock client of the Python SDK. Raises ValueError for credentials that the SDK rejects."""
        return pusher.Pusher(self.app_id, self.key, self.secret, host=self.host, port=self.port, ssl=self.tls)

    def for_pages(self) -> dict[str, Any]:
        """Return what Laravel Echo needs: everything but the secret."""
        return {name: value for name, value in asdict(self).items() if name != "secret"}


def seed(connection: Connection, bellcast_url: str, app_id: str, key: str, secret: str) -> None:
    """Store the credentials of the Bellcast project and the place of its server, unless the admin has chosen others."""
    place = urlsplit(bellcast_url)
    tls = place.scheme == "https"
    given = [app_id, key, secret, place.hostname, place.port or (443 if tls else 80), tls]
    connection.execute(
        "UPDATE pusher_settings SET is_chosen = (app_id, key, secret, host, port, tls) <> (?, ?, ?, ?, ?, ?) WHERE is_chosen < 0",
        given,
    )
    connection.execute(
        "INSERT INTO pusher_settings (id, is_chosen, enabled, app_id, key, secret, host, port, tls) "
        "VALUES (1, 0, 1, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET app_id = excluded.app_id, key = excluded.key, secret = excluded.secret, "
        "host = excluded.host, port = excluded.port, tls = excluded.tls WHERE NOT is_chosen",
        given,
    )


def read(connection: Connection) -> PusherSettings:
    row = connection.execute("SELECT * FROM pusher_settings").fetchone()
    stored = {name: row[name] for name in (field.name for field in fields(PusherSettings))}
    return PusherSettings(**stored | {name: bool(row[name]) for name in ("enabled", "tls", "private_admin")})


def of_form(connection: Connection, form: dict[str, str]) -> PusherSettings:
    """Return the settings of the admin's form. An empty secret is the stored one."""
    before = read(connection)
    values = {name: form.get(name, "").strip() for name in ("app_id", "key", "host")}
    if not all(0 < len(value) <= LONGEST for value in values.values()):
        raise HTTPException(422, "App id, key and host are required.")
    if not form.get("port", "").isdecimal() or not 0 < int(form["port"]) < 2**16:
        raise HTTPException(422, "The port must be a number up to 65535.")
    settings = PusherSettings(
        "enabled" in form, values["app_id"], values["key"], form.get("secret", "").strip() or before.secret,
        values["host"], int(form["port"]), "tls" in form, "private_admin" in form,
    )  # fmt: skip
    try:
        settings.client()
    except (ValueError, TypeError) as error:
        raise HTTPException(422, str(error)) from error
    return settings


def store(connection: Connection, settings: PusherSettings) -> None:
    columns, is_other = asdict(settings), settings.credentials != read(connection).credentials
    connection.execute(
        f"UPDATE pusher_settings SET {', '.join(f'{name} = ?' for name in columns)}, is_chosen = is_chosen OR ?",
        [*columns.values(), is_other],
    )


def try_connection(settings: PusherSettings) -> str | None:
    """Send a signed request. Return None, or the reason of the failure."""
    try:
        settings.client().channels_info()
    except (PusherError, ValueError, OSError) as error:
        return str(error) or type(error).__name__
    return None


def new_api_key(connection: Connection) -> str:
    """Replace the API key of other systems, and return it. Only its digest is stored."""
    key = secrets.token_urlsafe(KEY_BYTES)
    connection.execute("INSERT OR REPLACE INTO api_key VALUES (1, ?)", [_digest(key)])
    return key


def is_api_key(connection: Connection, key: str) -> bool:
    stored = connection.execute("SELECT digest FROM api_key").fetchone()
    return stored is not None and hmac.compare_digest(stored["digest"], _digest(key))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
