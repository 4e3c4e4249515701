"""Validation of addresses. Bellcast does not verify that an address belongs to the recipient; the app must."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from bellcast.channels.types import ExternalChannel
from bellcast.kernel import ip_addresses
from bellcast.preferences.decision import AddressProblem
from bellcast.preferences.types import Channel
from bellcast.recipients.types import ChatAddresses, Profile

# Number of cached checks of e-mail addresses: the address of a message is checked three times within milliseconds.
CACHED_ADDRESSES = 1_000
# RFC 5321 §4.5.3.1: 64 octets before the @, 255 after it, 254 in a path without its brackets.
MAX_LOCAL = 64
MAX_EMAIL = 254
# Maximum characters of any address. Push services' URLs have a few hundred, FCM's tokens less than 300.
MAX_ADDRESS = 2048
# The dot-atom of RFC 5322 with the letters of RFC 6531; quoted local parts are not used in practice.
LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")
# ITU-T E.164: a plus sign, a country code and at most 15 digits.
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
# Telegram's Bot API accepts the number of a chat, or the name of a public channel.
TELEGRAM_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31}")
# The hosts of each vendor's webhooks. Webhook URLs come from the app's users and must not lead elsewhere.
CHAT_HOSTS: Mapping[str, tuple[str, ...]] = {
    "slack": ("hooks.slack.com", "hooks.slack-gov.com"),
    "discord": ("discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"),
    "teams": (".webhook.office.com", ".logic.azure.com", ".api.powerplatform.com"),
}


@lru_cache(CACHED_ADDRESSES)
def is_email(address: str) -> bool:
    """True for an addr-spec with a domain name, including international ones (RFC 6531)."""
    local, at, domain = address.rpartition("@")
    if not at or len(address.encode()) > MAX_EMAIL or len(local.encode()) > MAX_LOCAL:
        return False
    if LOCAL_PART.fullmatch(local) is None or not address.isprintable():
        return False
    labels = domain.split(".")
    if not all(LABEL.fullmatch(label) and "_" not in label for label in labels) or labels[-1].isdigit():
        return False
    return ip_addresses.is_server(domain)


def is_phone(number: str) -> bool:
    """True for a number in the format of E.164, such as +436601234567."""
    return PHONE.fullmatch(number) is not None


def format_problem(channel: ExternalChannel, address: str) -> str | None:
    """Return why an e-mail address or a phone number cannot be used, or None. The other channels' addresses are checked
    by their vendors."""
    if channel == "email":
        return None if is_email(address) else "must be an e-mail address"
    if channel == "sms":
        return None if is_phone(address) else "must be a number such as +436601234567"
    return None


def chat_vendor(url: str) -> str | None:
    """Return the vendor of a chat webhook's URL, or None."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        is_plain = parts.scheme == "https" and parts.port in (None, 443) and parts.username is None
    except ValueError:
        return None
    if not is_plain or not url.isascii() or not url.isprintable() or " " in url:
        return None
    for vendor, hosts in CHAT_HOSTS.items():
        if any(host.endswith(known) if known.startswith(".") else host == known for known in hosts):
            return vendor
    return None


def _all_of(profile: Profile, channel: Channel) -> Sequence[str]:
    """Return the recipient's addresses in a channel. Each receives a message."""
    if channel == "email":
        return [profile.email] if profile.email else []
    if channel == "sms":
        return [profile.phone] if profile.phone else []
    if channel == "push":
        return profile.push
    return [str(address) for _, address in _chat(profile.chat)] if channel == "chat" else []


def usable(profile: Profile, channel: Channel) -> Sequence[str]:
    """Return the addresses that can be used."""
    if channel == "email":
        return [address for address in _all_of(profile, channel) if is_email(address)]
    if channel == "sms":
        return [address for address in _all_of(profile, channel) if is_phone(address)]
    if channel == "chat":
        found = [(kind, str(address)) for kind, address in _chat(profile.chat)]
        return [
            one
            for kind, one in found
            if (TELEGRAM_CHAT.fullmatch(one) is not None if kind == "telegram" else chat_vendor(one) == kind)
        ]
    return _all_of(profile, channel)  # push endpoints are checked when they are registered


def deliverable(profile: Profile, channel: Channel, suppressed: frozenset[tuple[str, str]]) -> Sequence[str]:
    """Return the addresses that can be used and are not suppressed."""
    return [address for address in usable(profile, channel) if (channel, address) not in suppressed]


def problem(profile: Profile, channel: Channel, suppressed: frozenset[tuple[str, str]]) -> AddressProblem | None:
    """Return why a recipient cannot be reached in a channel, or None."""
    if channel == "inbox" or deliverable(profile, channel, suppressed):
        return None
    if not _all_of(profile, channel):
        return "no_address"
    return "suppressed" if usable(profile, channel) else "invalid_address"


def _chat(chat: ChatAddresses) -> list[tuple[str, str | int]]:
    kinds = (("slack", chat.slack), ("discord", chat.discord), ("teams", chat.teams), ("telegram", chat.telegram))
    return [(kind, address) for kind, address in kinds if address not in (None, "")]
