"""Topic patterns: `*` matches any characters, everything else itself."""

import functools
import re
from collections.abc import Iterable

ROLE_PREFIX = "role."


@functools.lru_cache(maxsize=4096)  # Patterns come from tokens: many people, few shapes.
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", pattern)), re.DOTALL)


def matches(pattern: str, topic: str) -> bool:
    """Whether the whole topic fits the pattern."""
    return pattern == topic or ("*" in pattern and _compiled(pattern).fullmatch(topic) is not None)


def any_matches(patterns: Iterable[str], topic: str) -> bool:
    """Whether one of the patterns fits."""
    return any(matches(pattern, topic) for pattern in patterns)


def role_topic(role: str) -> str:
    """The topic of everyone with that role."""
    return ROLE_PREFIX + role
