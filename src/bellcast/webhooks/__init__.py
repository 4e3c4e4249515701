"""Webhooks: URLs of the app to which events are delivered."""
