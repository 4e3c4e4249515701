"""Unsubscribe and preferences links in messages, and the texts of the links and their pages in five languages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bellcast.channels import preferences_link, unsubscribe
from bellcast.channels.config import ChannelConfig
from bellcast.kernel.identities import Project

# Suffix of the names of all variables with links.
VARIABLE_SUFFIX = b"_url"
TEXTS = msgspec.json.decode(Path(__file__).with_name("link_texts.json").read_bytes(), type=dict[str, dict[str, str]])


def links(
    config: ChannelConfig, project: Project, tenant: str, recipient: str, types: Sequence[str], now: int
) -> dict[str, str]:
    """Return the URLs by the names of their variables. Without `types`, there is no unsubscribe link."""
    base = (config.public_url or "").rstrip("/")
    grant = preferences_link.PreferencesGrant(tenant, recipient, now, now + preferences_link.DEFAULT_TTL_MS)
    unsubscribe_url = ""
    if types:
        unsubscription = unsubscribe.Unsubscription(tenant, recipient, now, types[0], tuple(types[1:]))
        unsubscribe_url = f"{base}/u/{unsubscribe.token(project, unsubscription)}"
    return {"unsubscribe_url": unsubscribe_url, "preferences_url": preferences_link.url(base, project, grant)}


def language(locales: Sequence[str]) -> str:
    """Return the first of these locales that has texts; English if none has."""
    return next((name for name in locales if name in TEXTS), "en")


def footer(links: Mapping[str, str], locales: Sequence[str]) -> dict[str, str]:
    """Return the links that the base layout shows, by label in the recipient's language."""
    texts = TEXTS[language(locales)]
    return {texts[name]: url for name in ("unsubscribe", "preferences") if (url := links.get(f"{name}_url"))}
