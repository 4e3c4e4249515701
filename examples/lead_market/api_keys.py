"""The API key with which other systems send leads."""

import hashlib
import hmac
import secrets
from sqlite3 import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS api_key (id INTEGER PRIMARY KEY CHECK (id = 1), digest TEXT NOT NULL);
"""
KEY_BYTES = 24


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
