"""Outbound HTTP requests to other servers."""
