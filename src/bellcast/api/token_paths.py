"""Hides tokens in paths, for logs. A path parameter named `token` is a credential."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

PARAMETER = "{token}"
HIDDEN = "hidden"
# The shortest token of a link has 60 characters; ids have fewer. Paths of the API contain keys of any length instead.
LONG_SEGMENT = re.compile(r"(?<=/)[\w-]{56,}(?=/|$)", re.ASCII)
WITHOUT_TOKENS = ("/v1/", "/console/")


class TokenPaths:
    """The paths with a token, determined from the templates of all routes."""

    def __init__(self, templates: Iterable[str]) -> None:
        before = sorted({template.partition(PARAMETER)[0] for template in templates if PARAMETER in template})
        # Requests with repeated slashes are refused, but logged.
        heads = (re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(head)).replace("/", "/+") for head in before)
        self._with_token = re.compile(f"^({'|'.join(heads) or '(?!)'})[^/]+", re.IGNORECASE)

    def hide(self, path: str) -> str:
        """Replace the token in a path below the mount. Scanners and proxies write paths in other forms, which match no
        route: in upper case, escaped, or escaped again."""
        for text in (path, unquote(path), unquote(unquote(path))):
            found = self._with_token.match(text)
            if found is not None:
                return f"{found[1]}{HIDDEN}{text[found.end() :]}"
        return path if path.startswith(WITHOUT_TOKENS) else LONG_SEGMENT.sub(HIDDEN, path)
