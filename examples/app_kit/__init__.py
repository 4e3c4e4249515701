"""The shared parts of the Starlette apps: a SQLite file with the outbox, users with passwords, sessions, the command line."""

from .accounts import Accounts, Session
from .database import Database, Outbox
from .person import Person
from .rate_limit import RateLimit
from .reminders import Reminder, Reminders
from .request_body import MAX_ID, MOST_DIGITS, read_body
from .sign_in import NotSignedIn, Visit, mount_with_sessions, signed_in_person, visit_of

__all__ = [
    "MAX_ID",
    "MOST_DIGITS",
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
    "read_body",
    "signed_in_person",
    "visit_of",
]
