"""The values a template can use."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

# The variables available to content: those of sends and workflows, and the content in a layout.
CONTENT_ROOTS = frozenset(
    {"data", "recipient", "actor", "tenant", "brand", "notification", "digest", "unsubscribe_url", "preferences_url"}
    | {"content", "event", "run", "steps"}
)


class Variables(Struct, frozen=True, kw_only=True):
    """`values` are the roots by name (`data`, `recipient`, …) as JSON values. Times, numbers and money are written for
    `locale` (as `de-AT`) and `zone` (an IANA name). Renderings are charged to `tenant`."""

    values: Mapping[str, Any]
    locale: str = "en"
    zone: str = "UTC"
    tenant: str = ""
