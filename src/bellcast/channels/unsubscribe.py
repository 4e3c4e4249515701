"""Links that turn off the e-mail of one type without a login: a signed token that does not expire (RFC 8058)."""

from msgspec import Struct

from bellcast.auth import link_tokens
from bellcast.kernel.identities import Project

PURPOSE = b"bellcast unsubscribe\x00"


class Unsubscription(Struct, frozen=True, array_like=True):
    """The recipient and the type of e-mail that a link turns off, and when the link was issued (UTC milliseconds). The
    link of a digest turns off `others` too."""

    tenant: str
    recipient: str
    issued_at: int
    type: str
    others: tuple[str, ...] = ()


def token(project: Project, unsubscription: Unsubscription) -> str:
    """Sign a token."""
    return link_tokens.sign(project, PURPOSE, unsubscription)


def read(project: Project, text: str) -> Unsubscription | None:
    """Read a token; None if it was not signed here."""
    return link_tokens.read(project, PURPOSE, text, Unsubscription)
