"""Topic patterns: `*` matches any characters, everything else itself."""

from collections.abc import Collection

ROLE_PREFIX = "role."


def matches(pattern: str, topic: str) -> bool:
    """Return whether the whole topic matches the pattern. The search for each part begins where the previous one ended,
    so the time is bounded for any pattern."""
    if "*" not in pattern:
        return pattern == topic
    if pattern == "*":
        return True
    first, *middle, last = pattern.split("*")
    if len(topic) < len(first) + len(last) or not topic.startswith(first) or not topic.endswith(last):
        return False
    at, end = len(first), len(topic) - len(last)
    for part in middle:
        found = topic.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def any_matches(patterns: Collection[str], topic: str) -> bool:
    """Return whether one of the patterns matches. Most sessions have full topic names without `*`."""
    return topic in patterns or any("*" in pattern and matches(pattern, topic) for pattern in patterns)


def role_topic(role: str) -> str:
    """Return the topic of all recipients with this role."""
    return ROLE_PREFIX + role
