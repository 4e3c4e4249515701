"""Causes of failures: what providers, steps and errors reported, without what differs from one failure to the next."""

import re
from functools import lru_cache

UNKNOWN = "unknown"
# Characters of a cause; a longer report repeats a page of the other server.
MAX_CAUSE = 200
# Characters of a reason that are searched for addresses and ids.
MAX_REASON = 500
# Recent reasons: those of one cause are often equal.
CACHED_CAUSES = 1_000
# In this order: an address can be part of a URL. A status such as 550 or 5.1.1 stays.
VARIABLE_PARTS = (
    (re.compile(r"https?://[^\s\"'<>]+"), "URL"),
    (re.compile(r"<?[^\s<>\"'@:,;]+@[^\s<>\"'@:,;]+>?"), "ADDRESS"),
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b"), "ID"),
    (re.compile(r"\+?\b\d{5,}\b"), "NUMBER"),
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{10,}\b"), "ID"),
)


@lru_cache(CACHED_CAUSES)
def cause_of(reason: str | None) -> str:
    """Return the cause that a reported reason has in common with others: addresses, ids and long numbers are replaced by
    their kind, so that it names no recipient."""
    text = " ".join((reason or "")[:MAX_REASON].split())
    for pattern, name in VARIABLE_PARTS:
        text = pattern.sub(name, text)
    return text[:MAX_CAUSE].strip() or UNKNOWN
