"""Users with hashed passwords, and their sessions, in the app's database.

The cookie contains a random secret, the table only its digest: a copy of the file contains no valid cookies."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sqlite3 import Row

from bellcast import Bellcast

from .database import Database
from .person import DEMO_PASSWORD, Person

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (key TEXT PRIMARY KEY, password_hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
  digest TEXT PRIMARY KEY, person TEXT NOT NULL, device TEXT NOT NULL, began_at TEXT NOT NULL, ends_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS revocations (person TEXT PRIMARY KEY);
"""
LIFETIME = timedelta(hours=8)
# Cost of scrypt: 16 MiB, about 50 ms.
COST = {"n": 2**14, "r": 8, "p": 1}
# Browser and system names by the first matching word in the user agent.
BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
SYSTEMS = {"Android": "Android", "iPhone": "an iPhone", "iPad": "an iPad", "Mac OS": "a Mac", "Windows": "Windows", "Linux": "Linux"}  # fmt: skip


@dataclass(frozen=True)
class Session:
    """A sign-in. `id` is public; it does not authenticate."""

    id: str
    person: Person
    device: str
    began_at: datetime
    ends_at: datetime
    secret: str | None = None

    @property
    def seconds_left(self) -> int:
        return int((self.ends_at - datetime.now(UTC)).total_seconds())


class Accounts:
    """The users of an app. `tenant` is the app's tenant in Bellcast."""

    def __init__(
        self, database: Database, people: Iterable[Person], tenant: str | None, lifetime: timedelta = LIFETIME
    ) -> None:
        self.tenant = tenant
        self.people = {person.key: person for person in people}
        self._database = database
        self._lifetime = lifetime
        self._create_users()

    def _create_users(self) -> None:
        with self._database.transaction() as connection:
            known = {key for (key,) in connection.execute("SELECT key FROM users")}
            new = [key for key in self.people if key not in known]
            # One hash: the seeded users have the same password, which is public.
            hashed = hash_password(DEMO_PASSWORD) if new else ""
            connection.executemany("INSERT INTO users VALUES (?, ?)", [(key, hashed) for key in new])

    def with_password(self, user_name: str, password: str) -> Person | None:
        """Return the user if the password is correct."""
        row = self._database.row("SELECT password_hash FROM users WHERE key = ?", user_name)
        # An unknown user name takes as long as a wrong password.
        stored = row["password_hash"] if row else hash_password("")
        is_right = check_password(password, stored)
        return self.people.get(user_name) if row and is_right else None

    def begin(self, person: Person, user_agent: str) -> Session:
        secret, now = secrets.token_urlsafe(32), datetime.now(UTC)
        session = Session(_digest(secret), person, _device(user_agent), now, now + self._lifetime, secret)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sessions WHERE ends_at <= ?", [now.isoformat()])
            connection.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
                [session.id, person.key, session.device, now.isoformat(), session.ends_at.isoformat()],
            )
        return session

    def find(self, secret: str) -> Session | None:
        """Return the session of a cookie, unless it has ended."""
        return self.find_id(_digest(secret))

    def find_id(self, id: str) -> Session | None:
        now = datetime.now(UTC).isoformat()
        row = self._database.row("SELECT * FROM sessions WHERE digest = ? AND ends_at > ?", id, now)
        return self._session(row) if row else None

    def of(self, person: Person) -> list[Session]:
        """Return a person's sessions, newest first."""
        now = datetime.now(UTC).isoformat()
        rows = self._database.rows(
            "SELECT * FROM sessions WHERE person = ? AND ends_at > ? ORDER BY began_at DESC", person.key, now
        )
        return [self._session(row) for row in rows]

    def end(self, session: Session) -> None:
        """End a session. `revoke` then closes its live connections."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sessions WHERE digest = ?", [session.id])
            connection.execute("INSERT OR IGNORE INTO revocations VALUES (?)", [session.person.key])

    def configure(self, bell: Bellcast) -> None:
        """Write the users as recipients, so that Bellcast knows them before their first sign-in."""
        for person in self.people.values():
            bell.recipients.put(
                person.key, tenant=self.tenant, name=person.name, email=person.email, roles=[person.role], locale="en"
            )

    def revoke(self, bell: Bellcast) -> None:
        """Close the live connections of signed-out users. Their other devices reconnect with a new token."""
        for (person,) in self._database.rows("SELECT person FROM revocations"):
            bell.revoke(person, tenant=self.tenant)
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM revocations WHERE person = ?", [person])

    def _session(self, row: Row) -> Session:
        began_at, ends_at = (datetime.fromisoformat(row[name]) for name in ("began_at", "ends_at"))
        return Session(row["digest"], self.people[row["person"]], row["device"], began_at, ends_at)


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, **COST).hex()}"


def check_password(password: str, stored: str) -> bool:
    _, salt, digest = stored.split("$")
    hashed = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), **COST)
    return hmac.compare_digest(hashed.hex(), digest)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


def _device(user_agent: str) -> str:
    browser = next((name for word, name in BROWSERS.items() if word in user_agent), "A browser")
    system = next((name for word, name in SYSTEMS.items() if word in user_agent), "a computer")
    return f"{browser} on {system}"
