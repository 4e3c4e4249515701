"""Links to a page for changing preferences without signing in: a signed token with an expiry."""

from msgspec import Struct

from bellcast.auth import link_tokens
from bellcast.kernel.identities import Project

PURPOSE = b"bellcast preferences\x00"
PATH = "/preferences"
DEFAULT_TTL_MS = 30 * 86_400_000


class PreferencesGrant(Struct, frozen=True, array_like=True):
    """The recipient whose preferences a link shows, from `issued_at` until `expires_at` (UTC milliseconds)."""

    tenant: str
    recipient: str
    issued_at: int
    expires_at: int


def url(base: str, project: Project, grant: PreferencesGrant) -> str:
    """Return a link to the page of the server at `base`."""
    return f"{base}{PATH}/{link_tokens.sign(project, PURPOSE, grant)}"


def read(project: Project, text: str, now: int) -> PreferencesGrant | None:
    """Read a token; None if it was not signed here or has expired."""
    grant = link_tokens.read(project, PURPOSE, text, PreferencesGrant)
    return grant if grant is not None and grant.expires_at > now else None
