"""Requests for dead jobs."""

from typing import Any

from bellcast.client import arguments
from bellcast.client.arguments import Text
from bellcast.client.request import HttpRequest, nothing, path, query, reads


def page(
    *, limit: int | None = None, after: str | None = None, tenant: Text | None = None
) -> HttpRequest[dict[str, Any]]:
    """Return a page of dead jobs, as a dict with a list and `next`, the value of `after` for the next page."""
    return HttpRequest("GET", "/v1/jobs", reads(dict[str, Any]), params=query(limit=limit, after=after, tenant=tenant))


def retry(id: Text, *, tenant: Text | None = None, dry_run: bool = False) -> HttpRequest[dict[str, Any]]:
    """Run a dead job again."""
    return HttpRequest("POST", f"{_job(id)}/retry", reads(dict[str, Any]), params=query(tenant=tenant, dry_run=dry_run))


def delete(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a dead job."""
    return HttpRequest("DELETE", _job(id), nothing, params=query(tenant=tenant))


def _job(id: Text) -> str:
    return path("jobs", arguments.name("id", id))
