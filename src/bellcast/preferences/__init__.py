"""Preferences of recipients, tenants and the project, and the decision whether and when a channel may be used."""
