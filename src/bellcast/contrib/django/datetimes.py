"""Points in time. Those of Bellcast have a time zone; with USE_TZ=False, those of the project have none."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone


def with_zone(value: Any) -> Any:
    """Return a datetime with a time zone, by default the project's; any other value unchanged."""
    return timezone.make_aware(value) if isinstance(value, datetime) and timezone.is_naive(value) else value


def of_project(moment: datetime | None) -> Any:
    """Return a datetime with a time zone as the project stores and compares it."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)


def time_text(value: Any) -> str | None:
    """Return a time as the REST API sends it."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")
