"""Leads in SQLite: a customer's request, and the provider it is assigned to."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException

from .identity import CAST

CLOSED = ("won", "lost")
STATUSES = {"new": "New", "assigned": "Assigned", "contacted": "Contacted", "won": "Won", "lost": "Lost"}
LONGEST = 200
FIRST_LEAD = 101
SCHEMA = """
CREATE TABLE IF NOT EXISTS leads (
  id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, service TEXT NOT NULL, city TEXT NOT NULL,
  status TEXT NOT NULL, provider TEXT, made_at TEXT NOT NULL, changes INTEGER NOT NULL DEFAULT 0,
  request_id TEXT UNIQUE  -- sender and id of the form: a form that is sent twice is one lead
);
"""
ADDED = {"leads.contact": "TEXT NOT NULL DEFAULT ''"}
SAMPLES = [
    ("Priya Nair", "priya@example.com", "Leaking tap", "Leeds", "42"),
    ("Tom Baker", "01632 960 144", "Loose tiles", "York", "43"),
    ("Sofia Rossi", "01632 960 145", "New boiler", "Leeds", None),
]


@dataclass
class Lead:
    id: int
    customer: str
    contact: str
    service: str
    city: str
    status: str
    provider: str | None
    made_at: str
    changes: int

    def shown(self) -> dict[str, Any]:
        """Return the JSON form for pages of the admin and of its provider."""
        named = CAST[self.provider].name if self.provider else None
        return {**asdict(self), "provider_name": named}

    def published(self) -> dict[str, Any]:
        """Return the JSON form for events, without the contact: the admins' channel is public."""
        return {name: value for name, value in self.shown().items() if name != "contact"}


class Change(NamedTuple):
    """A changed lead, with the former provider and status."""

    lead: Lead
    old_provider: str | None
    old_status: str

    @property
    def is_assigned(self) -> bool:
        return self.lead.provider != self.old_provider

    @property
    def is_moved(self) -> bool:
        return self.lead.status != self.old_status


class Leads:
    """All leads, in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def seed(self) -> None:
        """Fill a new database."""
        if self._connection.execute("SELECT 1 FROM sqlite_sequence WHERE name = 'leads'").fetchone():
            return
        self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('leads', ?)", [FIRST_LEAD - 1])
        for customer, contact, service, city, provider in SAMPLES:
            self._insert(customer, contact, service, city, provider, None)

    def add(self, fields: dict[str, Any], by: str) -> tuple[Lead, bool]:
        """Add a lead. Return it and whether it is new, since a form that got no response is sent again. `by` is the sender: another
        sender's form may have the same id."""
        customer, service, city = (_text(fields, name) for name in ("customer", "service", "city"))
        contact = _text(fields, "contact") if "contact" in fields else ""
        request_id = f"{by}/{_text(fields, 'requestId')}" if "requestId" in fields else None
        row = self._connection.execute("SELECT * FROM leads WHERE request_id = ?", [request_id]).fetchone()
        if row is not None:
            return _lead(row), False
        return self._insert(customer, contact, service, city, _provider(fields), request_id), True

    def change(self, lead: Lead, fields: dict[str, Any]) -> Change:
        """Assign a provider, remove it, or set the status. A new provider sets the status unless the fields have one."""
        before = (lead.provider, lead.status)
        status = fields.get("status")
        if status is not None and (not isinstance(status, str) or status not in STATUSES):
            raise HTTPException(422, f"status: must be one of {', '.join(STATUSES)}.")
        if "provider" in fields:
            lead.provider = _provider(fields)
            if lead.provider != before[0] and status is None and lead.status in CLOSED:
                raise HTTPException(409, f"This lead is {lead.status}: send the status that it gets with the change.")
            if lead.provider != before[0]:
                lead.status = "assigned" if lead.provider else "new"
        lead.status = status or lead.status
        if (lead.provider, lead.status) != before:
            lead.changes += 1
            self._connection.execute(
                "UPDATE leads SET provider = ?, status = ?, changes = ? WHERE id = ?",
                [lead.provider, lead.status, lead.changes, lead.id],
            )
        return Change(lead, *before)

    def get(self, id: int) -> Lead:
        row = self._connection.execute("SELECT * FROM leads WHERE id = ?", [id]).fetchone()
        if row is None:
            raise HTTPException(404, "Lead not found.")
        return _lead(row)

    def of(self, provider: str | None) -> list[Lead]:
        """Return the leads of a provider, or all leads, newest first."""
        where, params = ("provider = ?", [provider]) if provider else ("1", [])
        return [
            _lead(row)
            for row in self._connection.execute(f"SELECT * FROM leads WHERE {where} ORDER BY id DESC", params)
        ]

    def _insert(
        self, customer: str, contact: str, service: str, city: str, provider: str | None, request_id: str | None
    ) -> Lead:
        status, made_at = "assigned" if provider else "new", datetime.now(UTC).isoformat()
        id = self._connection.execute(
            "INSERT INTO leads (customer, contact, service, city, status, provider, made_at, request_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [customer, contact, service, city, status, provider, made_at, request_id],
        ).lastrowid
        assert id is not None
        return self.get(id)


def _lead(row: Row) -> Lead:
    return Lead(
        row["id"], row["customer"], row["contact"], row["service"], row["city"], row["status"], row["provider"],
        row["made_at"], row["changes"],
    )  # fmt: skip


def _provider(fields: dict[str, Any]) -> str | None:
    provider = fields.get("provider") or None
    if provider is not None and (
        not isinstance(provider, str) or provider not in CAST or CAST[provider].role != "provider"
    ):
        raise HTTPException(422, "provider: unknown provider.")
    return provider


def _text(fields: dict[str, Any], name: str) -> str:
    text = fields.get(name)
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= LONGEST:
        raise HTTPException(422, f"{name}: must have 1 to {LONGEST} characters.")
    return text.strip()
