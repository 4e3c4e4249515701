"""Tenants: their records, settings and limits."""
