"""What the name of a topic says of it. A topic is a full channel name of the Pusher dialect, so both read it alike."""

PRIVATE, ENCRYPTED, PRESENCE, CACHE = "private-", "private-encrypted-", "presence-", "cache-"
# Addresses one signed-in recipient instead of a topic; `#` stands in no topic's name.
TO_RECIPIENT = "#server-to-user-"


def is_private(topic: str) -> bool:
    """Whether following it needs a signature of the app, or a right."""
    return topic.startswith((PRIVATE, PRESENCE))


def is_presence(topic: str) -> bool:
    """Whether its followers know each other."""
    return topic.startswith(PRESENCE)


def is_encrypted(topic: str) -> bool:
    """Whether only its followers can read what is told on it."""
    return topic.startswith(ENCRYPTED)


def is_cache(topic: str) -> bool:
    """Whether its last event is kept for those who come later."""
    for prefix in (ENCRYPTED, PRIVATE, PRESENCE):
        if topic.startswith(prefix):
            return topic.startswith(CACHE, len(prefix))
    return topic.startswith(CACHE)


def recipient(channel: str) -> str | None:
    """The recipient that `#server-to-user-…` addresses."""
    return channel.removeprefix(TO_RECIPIENT) or None if channel.startswith(TO_RECIPIENT) else None
