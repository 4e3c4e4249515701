"""Answers for agents: texts of apps, recipients and providers are marked, cleaned and bounded. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import msgspec

from bellcast.console.types.live_feed import redact

# Maximum bytes of a text: enough to recognize a message.
MAX_TEXT = 2_048
# Maximum bytes of an answer. An agent reads all of it.
MAX_ANSWER = 65_536
# Fields whose values the server chooses: ids, states, codes and times. Others contain text of apps, recipients or providers.
OWN_FIELDS = frozenset(
    {
        *("id", "notification", "run", "trigger", "message", "announcement", "request_id", "replay", "connection"),
        *("state", "outcome", "rule", "verdict", "channel", "code", "severity", "kind", "protocol", "transport", "by"),
        *("result", "event", "source", "check", "method", "status", "base", "priority"),
        *("data_check", "decided_by", "metrics", "step_state", "unless"),
    }
)
CURSORS = frozenset({"next", "scanned_until"})
# Positions in lists, which the agent sends back as they are.
CURSOR = re.compile(r"[!-~]{1,500}")
OWN_VALUE = re.compile(r"[A-Za-z0-9_.:+-]{1,64}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Fields with objects of the app, whose names are the app's too.
APP_OBJECTS = frozenset({"data", "actor", "values", "variables", "sample", "merged", "headers", "body", "query"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
SECRET = re.compile(r"password|secret|token|otp|card|authorization|cookie|credential|api_?key", re.IGNORECASE)
# A word, which is an e-mail address if it has the second group. A search for addresses only would begin at each character of a word.
WORD = re.compile(r"([\w.+-])[\w.+-]*+(?:@([\w-])[\w-]*(?:\.[\w-]+)*(\.\w+))?")
PHONE = re.compile(
    r"(?<!\w)(\+\d{1,2}|00\d|0\d{2}(?=[ /-]))[\d ()/-]{4,}(\d{2})(?!\w)|(?<!\w)(\d{2})\d{7,}(\d{2})(?!\w)"
)
# Categories that are not shown: control, format (bidirectional, zero width, tags), surrogates, private, unassigned.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Variation selectors can carry hidden text.
SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def clean(text: str) -> str:
    """Return a text without addresses and characters that are not shown, of at most MAX_TEXT bytes."""
    visible = "".join(
        one for one in SELECTORS.sub("", text[: 2 * MAX_TEXT]) if one == "\n" or unicodedata.category(one) not in HIDDEN
    )
    addressless = WORD.sub(lambda one: f"{one[1]}•••@{one[2]}•••{one[3]}" if one[2] else one[0], visible)
    masked = PHONE.sub(lambda one: f"{one[1] or one[3]}•••{one[2] or one[4]}", addressless)
    return masked.encode()[:MAX_TEXT].decode(errors="ignore")


def mark(text: str) -> dict[str, Any]:
    """Return a text of an app, a recipient or a provider, marked as data that is no instruction."""
    return {"untrusted": True, "text": clean(text)}


def marked(value: Any, field: str = "") -> Any:
    """Return a response of the API with marked texts. Values of secrets are hidden."""
    if isinstance(value, str):
        is_own = (
            (field in CURSORS and CURSOR.fullmatch(value))
            or TIME.fullmatch(value)
            or ID.fullmatch(value)
            or (field in OWN_FIELDS and OWN_VALUE.fullmatch(value))
        )
        return value if is_own else mark(value)
    if isinstance(value, list):
        return [marked(one, field) for one in value]
    if not isinstance(value, Mapping):
        return value
    if field in APP_OBJECTS or not all(NAME.fullmatch(name) for name in value):
        return mark(msgspec.json.encode(redact(value)).decode())
    return {name: "[redacted]" if SECRET.search(name) and one else marked(one, name) for name, one in value.items()}
