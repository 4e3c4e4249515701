"""The shared parts of the Starlette apps: a SQLite file with the outbox, users with passwords, sessions, the command line."""

from .accounts import Accounts, Session
from .database import Database, Outbox
from .people import Person
from .sign_in import NotSignedIn, Visit, asking, mount_with_sessions, visit_of

__all__ = [
    "Accounts",
    "Database",
    "NotSignedIn",
    "Outbox",
    "Person",
    "Session",
    "Visit",
    "asking",
    "mount_with_sessions",
    "visit_of",
]
