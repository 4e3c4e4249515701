"""Hides tokens in paths, for logs. A path parameter named `token` is a credential."""

import re
from collections.abc import Iterable

PARAMETER = "{token}"
HIDDEN = "hidden"


class TokenPaths:
    """The paths with a token, determined from the templates of all routes."""

    def __init__(self, templates: Iterable[str]) -> None:
        before = sorted({template.partition(PARAMETER)[0] for template in templates if PARAMETER in template})
        # Requests with repeated slashes are refused, but logged.
        heads = (re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(head)).replace("/", "/+") for head in before)
        self._with_token = re.compile(f"^({'|'.join(heads) or '(?!)'})[^/]+")

    def hide(self, path: str) -> str:
        """Replace the token in a path below the mount."""
        found = self._with_token.match(path)
        return path if found is None else f"{found[1]}{HIDDEN}{path[found.end() :]}"
