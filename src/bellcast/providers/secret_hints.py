"""Hints of the secrets in providers' URLs."""

from urllib.parse import parse_qsl, unquote, urlsplit

from bellcast.providers import credentials
from bellcast.providers.types import SecretHint

HIDDEN = SecretHint(set=True, hint="…")
# The last characters of a password or token. Fewer than 20 could be guessed with them.
SHOWN_CHARACTERS, MIN_CHARACTERS = 4, 20
# Options that contain the credentials, or name the file that contains them.
OPTIONS = frozenset(name + suffix for name in ("key", "credentials") for suffix in ("", credentials.INLINE))


def hint_of(url: str) -> SecretHint:
    """Return the hint of the secret in a provider's URL."""
    parts = urlsplit(url.strip())
    if "+" in parts.scheme:  # a URL of Apprise, whose services have secrets in any place
        return HIDDEN
    if any(name in OPTIONS for name, _ in parse_qsl(parts.query)):
        return HIDDEN
    secret = unquote(parts.password or parts.username or "")
    if len(secret) >= MIN_CHARACTERS:
        return SecretHint(set=True, hint=f"…{secret[-SHOWN_CHARACTERS:]}")
    return HIDDEN if secret else SecretHint(set=False, hint=None)
