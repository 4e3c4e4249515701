"""Bellcast: one durable inbox behind every live client."""

__version__ = "0.1.0"
