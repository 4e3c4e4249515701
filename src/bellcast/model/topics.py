"""Meaning of topic name prefixes. A topic is a full channel name of the Pusher dialect, so both have the same
meaning."""

PRIVATE, ENCRYPTED, PRESENCE, CACHE = "private-", "private-encrypted-", "presence-", "cache-"
# Addresses one signed-in recipient instead of a topic. `#` is not allowed in topic names.
TO_RECIPIENT = "#server-to-user-"


def is_private(topic: str) -> bool:
    """True if following needs a signature of the app or a permission."""
    return topic.startswith((PRIVATE, PRESENCE))


def is_presence(topic: str) -> bool:
    """True if its followers see each other."""
    return topic.startswith(PRESENCE)


def is_encrypted(topic: str) -> bool:
    """True if only its followers can decrypt its events."""
    return topic.startswith(ENCRYPTED)


def is_cache(topic: str) -> bool:
    """True if its last event is cached for later followers."""
    for prefix in (ENCRYPTED, PRIVATE, PRESENCE):
        if topic.startswith(prefix):
            return topic.startswith(CACHE, len(prefix))
    return topic.startswith(CACHE)


def recipient(channel: str) -> str | None:
    """Return the recipient that `#server-to-user-…` addresses."""
    return channel.removeprefix(TO_RECIPIENT) or None if channel.startswith(TO_RECIPIENT) else None
