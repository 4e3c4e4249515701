"""Runs durable jobs: slots, leases, retries, and fair shares of tenants."""

from bellcast.jobs.destinations import Destination, Destinations
from bellcast.jobs.runner import RETRY_DEADLINE_MS, Again, DestinationCall, JobRunner, PageOutcome, SetAside

__all__ = [
    "RETRY_DEADLINE_MS",
    "Again",
    "Destination",
    "DestinationCall",
    "Destinations",
    "JobRunner",
    "PageOutcome",
    "SetAside",
]
