"""Brokers: deliver events to every process with connections that follow them."""
