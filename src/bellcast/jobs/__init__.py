"""Runs durable jobs: slots, leases, retries, and fair shares of tenants."""

from bellcast.jobs.runner import RETRY_DEADLINE_MS, JobRunner, PageOutcome, SetAside

__all__ = ["RETRY_DEADLINE_MS", "JobRunner", "PageOutcome", "SetAside"]
