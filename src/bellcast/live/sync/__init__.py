"""Delivery of missed changes: replay on resume, gaps, and periodic reconciliation with the store."""
