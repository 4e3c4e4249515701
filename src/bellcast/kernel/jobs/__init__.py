"""Runs durable jobs: slots, leases, retries, and fair shares of tenants."""
