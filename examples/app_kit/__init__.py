"""The shared parts of the Starlette apps: a SQLite file with the outbox, users with passwords, sessions, the command line."""

from .accounts import Accounts, Session
from .database import Database, Outbox
from .person import Person
from .rate_limit import RateLimit
from .reminders import Reminder, Reminders
from .sign_in import NotSignedIn, Visit, mount_with_sessions, signed_in_person, visit_of

__all__ = [
    "Accounts",
    "Database",
    "NotSignedIn",
    "Outbox",
    "Person",
    "RateLimit",
    "Reminder",
    "Reminders",
    "Session",
    "Visit",
    "mount_with_sessions",
    "signed_in_person",
    "visit_of",
]
