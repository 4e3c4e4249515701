"""The Pusher settings of the admin, in the database: the back end and the pages use them."""

from dataclasses import asdict, dataclass, fields, replace
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
"""
# `is_chosen`: the admin has saved other credentials than those of the last start; -1: a version without the column saved them.
ADDED = {
    "pusher_settings.private_admin": "INTEGER NOT NULL DEFAULT 0",
    "pusher_settings.is_chosen": "INTEGER NOT NULL DEFAULT -1",
}
LONGEST = 200


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
    given = PusherSettings(
        True, app_id, key, secret, place.hostname or "", place.port or (443 if tls else 80), tls, False
    )
    row = connection.execute("SELECT is_chosen FROM pusher_settings").fetchone()
    before, chosen = (read(connection), row["is_chosen"]) if row else (given, 0)
    if chosen == 0 or (chosen < 0 and given.credentials == before.credentials):
        switched = replace(given, enabled=before.enabled, private_admin=before.private_admin)
        _write(connection, switched, is_chosen=False)


def read(connection: Connection) -> PusherSettings:
    row = connection.execute("SELECT * FROM pusher_settings").fetchone()
    stored = {name: row[name] for name in (field.name for field in fields(PusherSettings))}
    return PusherSettings(**stored | {name: bool(row[name]) for name in ("enabled", "tls", "private_admin")})


def store(connection: Connection, settings: PusherSettings) -> None:
    row = connection.execute("SELECT is_chosen FROM pusher_settings").fetchone()
    _write(connection, settings, is_chosen=row["is_chosen"] or settings.credentials != read(connection).credentials)


def _write(connection: Connection, settings: PusherSettings, *, is_chosen: bool) -> None:
    columns = {"id": 1, "is_chosen": is_chosen, **asdict(settings)}
    marks = ", ".join("?" * len(columns))
    connection.execute(
        f"INSERT OR REPLACE INTO pusher_settings ({', '.join(columns)}) VALUES ({marks})", [*columns.values()]
    )


def of_form(connection: Connection, form: dict[str, str]) -> PusherSettings:
    """Return the settings of the admin's form. An empty secret is the stored one."""
    app_id, key, host, port = (form.get(name, "").strip() for name in ("app_id", "key", "host", "port"))
    if not all(0 < len(value) <= LONGEST for value in (app_id, key, host)):
        raise HTTPException(422, "App id, key and host are required.")
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise HTTPException(422, "The port must be a number up to 65535.")
    secret = form.get("secret", "").strip() or read(connection).secret
    settings = PusherSettings(
        "enabled" in form, app_id, key, secret, host, int(port), "tls" in form, "private_admin" in form
    )
    try:
        settings.client()
    except (ValueError, TypeError) as error:
        raise HTTPException(422, str(error)) from error
    return settings


def try_connection(settings: PusherSettings) -> str | None:
    """Send a signed request. Return None, or the reason of the failure."""
    try:
        settings.client().channels_info()
    except (PusherError, ValueError, OSError) as error:
        return str(error) or type(error).__name__
    return None
