"""The supported vendors. A new vendor is one line here, and a folder in `providers`."""

import importlib
from collections.abc import Callable, Mapping

from bellcast.channels.types import ExternalChannel
from bellcast.providers import apprise, smtp, telegram, twilio, vonage
from bellcast.providers.types import Provider, Setup


def _lazy(name: str) -> Callable[[Setup], Provider]:
    """Return a vendor that is imported when it is used: cryptography takes 9 MB, and few servers need it."""
    return lambda setup: importlib.import_module(f"bellcast.providers.{name}").from_url(setup)


# By channel and scheme of the URL.
VENDORS: Mapping[ExternalChannel, Mapping[str, Callable[[Setup], Provider]]] = {
    "email": dict.fromkeys(
        ("smtp", "smtps"), lambda setup: smtp.from_url(setup.url, timeout=setup.timeout, connect=setup.connect)
    ),
    "sms": {"twilio": twilio.from_url, "vonage": vonage.from_url},
    "push": {"fcm": _lazy("fcm"), "apns": _lazy("apns")},
    "chat": {"telegram": telegram.from_url, apprise.SCHEME: apprise.from_url},
}


def create(channel: ExternalChannel, setup: Setup) -> Provider:
    """Create a provider. Raises ValueError with a message that continues "the URL" and does not repeat it."""
    schemes = VENDORS[channel]
    scheme = setup.url.strip().partition("://")[0].lower()
    found = schemes.get(apprise.SCHEME if scheme.startswith(apprise.SCHEME) else scheme)
    if found is None:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return found(setup)
