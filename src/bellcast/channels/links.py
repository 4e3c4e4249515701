"""Unsubscribe and preferences links in messages."""

from collections.abc import Mapping, Sequence

from bellcast.channels import preferences_link, unsubscribe
from bellcast.channels.config import ChannelConfig
from bellcast.model.identities import Project

# Suffix of the names of all variables with links.
VARIABLE_SUFFIX = b"_url"
# The labels in the footer of an e-mail.
LABELS = {"unsubscribe_url": "Unsubscribe", "preferences_url": "Preferences"}


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


def footer(links: Mapping[str, str]) -> dict[str, str]:
    """Return the links that the base layout shows, by label."""
    return {label: url for name, label in LABELS.items() if (url := links.get(name))}
