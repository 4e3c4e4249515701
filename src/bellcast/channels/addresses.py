"""Which addresses can be used. Bellcast does not verify that they belong to the recipient; the app does."""

import re

from bellcast.model.identities import Profile
from bellcast.model.preferences import Channel
from bellcast.preferences.decision import AddressProblem

# RFC 5321 §4.5.3.1: 64 octets before the @, 255 after it, 254 in a path without its brackets.
MAX_LOCAL = 64
MAX_EMAIL = 254
# The dot-atom of RFC 5322 with the letters of RFC 6531; quoted local parts are not used in practice.
LOCAL_PART = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")
# ITU-T E.164: a plus sign, a country code and at most 15 digits.
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


def is_email(address: str) -> bool:
    """True for an addr-spec with a domain name; international ones (RFC 6531) too."""
    local, at, domain = address.rpartition("@")
    if not at or len(address.encode()) > MAX_EMAIL or len(local.encode()) > MAX_LOCAL:
        return False
    if LOCAL_PART.fullmatch(local) is None or not address.isprintable():
        return False
    labels = domain.split(".")
    return all(LABEL.fullmatch(label) and "_" not in label for label in labels) and not labels[-1].isdigit()


def is_phone(number: str) -> bool:
    """True for a number in the format of E.164, such as +436601234567."""
    return PHONE.fullmatch(number) is not None


def of(profile: Profile, channel: Channel) -> str | None:
    """The recipient's address in a channel."""
    if channel == "email":
        return profile.email or None
    return profile.phone or None if channel == "sms" else None


def problem(profile: Profile, channel: Channel, suppressed: frozenset[tuple[str, str]]) -> AddressProblem | None:
    """Why a recipient cannot be reached in a channel, or None."""
    if channel == "inbox":
        return None
    address = of(profile, channel)
    if address is None:
        return "no_address"
    if not (is_email(address) if channel == "email" else is_phone(address)):
        return "invalid_address"
    return "suppressed" if (channel, address) in suppressed else None
