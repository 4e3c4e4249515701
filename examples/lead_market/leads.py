"""Leads, in memory: a customer's request, and the provider it is assigned to."""

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
        """Return the JSON form for pages and events."""
        named = CAST[self.provider].name if self.provider else None
        return {**asdict(self), "made_at": self.made_at.isoformat(), "provider_name": named}


class Leads:
    """All leads."""

    def __init__(self) -> None:
        self._numbers = itertools.count(101)
        self._leads: dict[int, Lead] = {}
        self.add({"customer": "Priya Nair", "service": "Leaking tap", "city": "Leeds", "provider": "42"})
        self.add({"customer": "Tom Baker", "service": "Loose tiles", "city": "York", "provider": "43"})
        self.add({"customer": "Sofia Rossi", "service": "New boiler", "city": "Leeds"})

    def add(self, fields: dict[str, Any]) -> Lead:
        customer, service, city = (_text(fields, name) for name in ("customer", "service", "city"))
        lead = Lead(next(self._numbers), customer, service, city)
        self._leads[lead.id] = lead
        self.change(lead, fields)
        lead.changes = 0
        while len(self._leads) > MOST_LEADS:
            del self._leads[next(iter(self._leads))]
        return lead

    def change(self, lead: Lead, fields: dict[str, Any]) -> tuple[bool, bool]:
        """Assign a provider or set the status. Return whether the provider and the status changed."""
        before = (lead.provider, lead.status)
        provider, status = fields.get("provider") or lead.provider, fields.get("status")
        if provider is not None and (provider not in CAST or CAST[provider].role != "provider"):
            raise HTTPException(422, "provider: unknown provider.")
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
            raise HTTPException(404, "Lead not found.")
        return self._leads[id]

    def of(self, provider: str | None) -> list[Lead]:
        """Return the leads of a provider, or all leads, newest first."""
        leads = [lead for lead in self._leads.values() if provider is None or lead.provider == provider]
        return sorted(leads, key=lambda lead: lead.id, reverse=True)


def _text(fields: dict[str, Any], name: str) -> str:
    text = str(fields.get(name) or "").strip()
    if not 1 <= len(text) <= LONGEST:
        raise HTTPException(422, f"{name}: must have 1 to {LONGEST} characters.")
    return text
