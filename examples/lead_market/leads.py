"""Leads, kept in memory: a person who needs something done, and the provider who is to do it."""

import itertools
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException

from .people import CAST

STATUSES = {"new": "New", "assigned": "Assigned", "contacted": "Contacted", "won": "Won", "lost": "Lost"}
MOST_LEADS = 200
LONGEST = 200


@dataclass
class Lead:
    id: int
    customer: str
    service: str
    city: str
    status: str = "new"
    provider: str | None = None
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    changes: int = 0

    def shown(self) -> dict[str, Any]:
        """As pages and events tell of it."""
        named = CAST[self.provider].name if self.provider else None
        return {**asdict(self), "made_at": self.made_at.isoformat(), "provider_name": named}


class Leads:
    """All of them, newest first."""

    def __init__(self) -> None:
        self._numbers = itertools.count(101)
        self._leads: dict[int, Lead] = {}
        self.add({"customer": "Priya Nair", "service": "Leaking tap", "city": "Leeds", "provider": "42"})
        self.add({"customer": "Tom Baker", "service": "Loose tiles", "city": "York", "provider": "43"})
        self.add({"customer": "Sofia Rossi", "service": "New boiler", "city": "Leeds"})

    def add(self, said: dict[str, Any]) -> Lead:
        customer, service, city = (_words(said, name) for name in ("customer", "service", "city"))
        lead = Lead(next(self._numbers), customer, service, city)
        self._leads[lead.id] = lead
        self.change(lead, said)
        lead.changes = 0
        while len(self._leads) > MOST_LEADS:
            del self._leads[next(iter(self._leads))]
        return lead

    def change(self, lead: Lead, said: dict[str, Any]) -> tuple[bool, bool]:
        """Give it to a provider, or another status; whether each of the two changed."""
        before = (lead.provider, lead.status)
        provider, status = said.get("provider") or lead.provider, said.get("status")
        if provider is not None and (provider not in CAST or CAST[provider].role != "provider"):
            raise HTTPException(422, "provider: nobody has that number.")
        if status is not None and status not in STATUSES:
            raise HTTPException(422, f"status: must be one of {', '.join(STATUSES)}.")
        lead.provider = provider
        if provider != before[0]:
            lead.status = "assigned"
        lead.status = status or lead.status
        lead.changes += 1
        return lead.provider != before[0], lead.status != before[1]

    def get(self, id: int) -> Lead:
        if id not in self._leads:
            raise HTTPException(404, "There is no such lead.")
        return self._leads[id]

    def of(self, provider: str | None) -> list[Lead]:
        """A provider's, or everybody's."""
        leads = [lead for lead in self._leads.values() if provider is None or lead.provider == provider]
        return sorted(leads, key=lambda lead: lead.id, reverse=True)


def _words(said: dict[str, Any], name: str) -> str:
    text = str(said.get(name) or "").strip()
    if not 1 <= len(text) <= LONGEST:
        raise HTTPException(422, f"{name}: must have 1 to {LONGEST} characters.")
    return text
