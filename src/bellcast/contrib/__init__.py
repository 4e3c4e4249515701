"""For apps in Python: the outbox from where they keep their transactions. Each needs its framework, none the server."""
