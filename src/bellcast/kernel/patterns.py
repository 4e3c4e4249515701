"""Topic patterns: `*` matches any characters, everything else itself."""

from collections.abc import Collection
from itertools import repeat

ROLE_PREFIX = "role."


def matches(pattern: str, topic: str) -> bool:
    """Return whether the whole topic matches the pattern. The search for each part begins where the previous one ended,
    so the time is bounded for any pattern."""
    first, star, rest = pattern.partition("*")
    if not star:
        return pattern == topic
    if not topic.startswith(first):  # the usual end
        return False
    *middle, last = rest.split("*")
    at, end = len(first), len(topic) - len(last)
    if end < at or not topic.endswith(last):
        return False
    for part in middle:
        found = topic.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def any_matches(patterns: Collection[str], topic: str) -> bool:
    """Return whether one of the patterns matches. Most sessions have full topic names without `*`."""
    return topic in patterns or any(map(matches, patterns, repeat(topic)))


def role_topic(role: str) -> str:
    """Return the topic of all recipients with this role."""
    return ROLE_PREFIX + role
