"""Causes of failures: the errors reported by providers, steps and jobs, without the parts that differ between
failures."""

import re
from functools import lru_cache

UNKNOWN = "unknown"
# Maximum characters of a cause. Longer reports usually contain a page of the other server.
MAX_CAUSE = 200
# Maximum characters of a reason that are searched for addresses and ids.
MAX_REASON = 500
# Number of cached reasons: reasons of one cause are often equal.
CACHED_CAUSES = 1_000
# Applied in this order, because an address can be part of a URL. A status such as 550 or 5.1.1 is kept.
VARIABLE_PARTS = (
    (re.compile(r"https?://[^\s\"'<>]+"), "URL"),
    (re.compile(r"<?[^\s<>\"'@:,;]+@[^\s<>\"'@:,;]+>?"), "ADDRESS"),
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b"), "ID"),
    (re.compile(r"\+?\b\d{5,}\b"), "NUMBER"),
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{10,}\b"), "ID"),
)


@lru_cache(CACHED_CAUSES)
def cause_of(reason: str | None) -> str:
    """Return the common cause of similar reasons: addresses, ids and long numbers are replaced by their kind, so that
    the cause names no recipient."""
    text = " ".join((reason or "")[:MAX_REASON].split())
    for pattern, name in VARIABLE_PARTS:
        text = pattern.sub(name, text)
    return text[:MAX_CAUSE].strip() or UNKNOWN
