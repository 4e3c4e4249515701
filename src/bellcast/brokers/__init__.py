"""Brokers: deliver events to every process whose connections follow them."""
