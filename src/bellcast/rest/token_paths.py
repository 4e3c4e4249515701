"""Hides credentials in paths, for logs: a path parameter named `token`, and tokens, keys and secrets wherever they stand."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from bellcast.auth import link_tokens

PARAMETER = "{token}"
HIDDEN = "hidden"
SESSION_TOKEN, API_KEY = r"eyJ[\w-]+\.[\w-]+\.[\w-]+", r"bc_[0-9a-f]+_[0-9a-f]{16,}"
# A path is decoded until it stays the same, at most this often.
MAX_DECODINGS = 5


class TokenPaths:
    """The paths with a token, determined from the templates of all routes, and the secrets of the project."""

    def __init__(self, templates: Iterable[str], secrets: Iterable[str] = ()) -> None:
        self._credential = re.compile("|".join([SESSION_TOKEN, API_KEY, *map(re.escape, secrets)]), re.ASCII)
        paths = list(templates)
        self._without_parameters = frozenset(path for path in paths if "{" not in path)
        before = sorted({template.partition(PARAMETER)[0] for template in paths if PARAMETER in template})
        # Requests with repeated slashes are refused, but logged.
        heads = (re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(head)).replace("/", "/+") for head in before)
        self._with_token = re.compile(f"^({'|'.join(heads) or '(?!)'})[^/]+", re.IGNORECASE)

    def hide(self, path: str) -> str:
        """Replace the credential in a path below the mount. Scanners and proxies write paths in other forms, which match no
        route: in upper case, escaped, escaped again, or below another path."""
        if path in self._without_parameters:
            return path
        text, is_hidden = path, False
        for _ in range(MAX_DECODINGS):
            before = text
            text = self._with_token.sub(rf"\g<1>{HIDDEN}", text)
            # The rest of a path with a token may contain another, as in `/u/../preferences/{token}`.
            text = link_tokens.hide(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")
            text = self._credential.sub(HIDDEN, text)
            is_hidden |= text != before
            decoded = unquote(text)
            if decoded == text:
                break
            text = decoded
        return text if is_hidden else path
