"""Unsubscribe and preferences links in messages, and the texts of the links and their pages in five languages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from bellcast.auth import link_tokens
from bellcast.channels.types import ChannelConfig
from bellcast.kernel.identities import Project
from bellcast.recipients.types import RecipientOfLink

UNSUBSCRIBE_PURPOSE = b"bellcast unsubscribe\x00"


class Unsubscription(RecipientOfLink, frozen=True, array_like=True):
    """The type of e-mail that a link turns off. The link of a digest turns off `others` too. It stays valid: mail programs
    use it years later (RFC 8058), and it only turns e-mail off."""

    type: str
    others: tuple[str, ...] = ()


class AskedUnsubscription(Unsubscription, frozen=True, array_like=True):
    """The button of the page that asks. Until `expires_at` (UTC milliseconds), it offers to restore the switches for e-mail of
    types `before` it also if it is pressed twice."""

    expires_at: int = 0
    before: Mapping[str, bool | str | None] = {}


RESUBSCRIBE_PURPOSE = b"bellcast resubscribe\x00"
# For a click by mistake. The link of the e-mail stays valid, and must not turn e-mail on.
RESUBSCRIBE_TTL_MS = 3_600_000


class Resubscription(RecipientOfLink, frozen=True, array_like=True):
    """Takes an unsubscription back until `expires_at` (UTC milliseconds): the switches for e-mail of types `before` it."""

    expires_at: int
    before: dict[str, bool | str | None]


PREFERENCES_PURPOSE = b"bellcast preferences\x00"
PREFERENCES_PATH = "/preferences"
PREFERENCES_TTL_MS = 30 * 86_400_000


class PreferencesGrant(RecipientOfLink, frozen=True, array_like=True):
    """A link that shows the recipient's preferences until `expires_at` (UTC milliseconds)."""

    expires_at: int

    ends_with_sessions: ClassVar[bool] = True


PLACEHOLDER = "hidden-in-previews"
# Suffix of the names of all variables with links.
VARIABLE_SUFFIX = b"_url"
TEXTS = msgspec.json.decode(Path(__file__).with_name("link_texts.json").read_bytes(), type=dict[str, dict[str, str]])


def links(
    config: ChannelConfig, project: Project | None, tenant: str, recipient: str, types: Sequence[str], now: int
) -> dict[str, str]:
    """Return the URLs by the names of their variables. Without `types`, there is no unsubscribe link. Without a project, they
    have a placeholder for the token: a template can write a token in any form, so none is made for its author."""
    base = (config.public_url or "").rstrip("/")
    if project is None:
        unsubscribe = f"{base}/u/{PLACEHOLDER}" if types else ""
        return {"unsubscribe_url": unsubscribe, "preferences_url": f"{base}{PREFERENCES_PATH}/{PLACEHOLDER}"}
    grant = PreferencesGrant(tenant, recipient, now, now + PREFERENCES_TTL_MS)
    unsubscribe_url = ""
    if types:
        unsubscription = Unsubscription(tenant, recipient, now, types[0], tuple(types[1:]))
        unsubscribe_url = f"{base}/u/{link_tokens.sign(project, UNSUBSCRIBE_PURPOSE, unsubscription)}"
    return {"unsubscribe_url": unsubscribe_url, "preferences_url": preferences_url(base, project, grant)}


def language(locales: Sequence[str]) -> str:
    """Return the first of these locales that has texts; English if none has."""
    return next((tag for name in locales if (tag := name.lower()) in TEXTS), "en")


def footer(links: Mapping[str, str], locales: Sequence[str]) -> dict[str, str]:
    """Return the links that the base layout shows, by label in the recipient's language."""
    texts = TEXTS[language(locales)]
    return {texts[name]: url for name in ("unsubscribe", "preferences") if (url := links.get(f"{name}_url"))}


def preferences_url(base: str, project: Project, grant: PreferencesGrant) -> str:
    """Return a link to the page of the server at `base`."""
    return f"{base}{PREFERENCES_PATH}/{link_tokens.sign(project, PREFERENCES_PURPOSE, grant)}"
