"""Channels outside the inbox: from a notification to a message that a provider can deliver."""
