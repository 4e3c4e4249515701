"""The supported vendors. A new vendor is one line here, and a folder in `providers`."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from bellcast.channels.types import ExternalChannel
from bellcast.kernel.clock import Clock
from bellcast.kernel.outbound.port import Http
from bellcast.providers import apprise, smtp, telegram, twilio, vonage
from bellcast.providers.types import Connect, Provider


class Setup(Struct, frozen=True, kw_only=True):
    """Arguments of a provider: its URL, HTTP clients, a guarded `connect` for other protocols, the response timeout
    (seconds), whether the URL may name files of the server, and the URL for its receipts."""

    url: str
    http: Http
    http2: Callable[[], Http]
    connect: Connect | None = None
    clock: Clock
    timeout: float
    may_read_files: bool = False
    receipts_url: str | None = None


Create = Callable[[Setup], Provider]


def _fcm(setup: Setup) -> Provider:
    from bellcast.providers import fcm  # with cryptography 9 MB, and few servers use it

    return fcm.from_url(
        setup.url, http=setup.http, clock=setup.clock, timeout=setup.timeout, may_read_files=setup.may_read_files
    )


def _apns(setup: Setup) -> Provider:
    from bellcast.providers import apns

    return apns.from_url(
        setup.url, http=setup.http2(), clock=setup.clock, timeout=setup.timeout, may_read_files=setup.may_read_files
    )


# By channel and scheme of the URL.
VENDORS: Mapping[ExternalChannel, Mapping[str, Create]] = {
    "email": {
        "smtp": lambda setup: smtp.from_url(setup.url, timeout=setup.timeout, connect=setup.connect),
        "smtps": lambda setup: smtp.from_url(setup.url, timeout=setup.timeout, connect=setup.connect),
    },
    "sms": {
        "twilio": lambda setup: twilio.from_url(
            setup.url, http=setup.http, timeout=setup.timeout, receipts_url=setup.receipts_url
        ),
        "vonage": lambda setup: vonage.from_url(
            setup.url, http=setup.http, timeout=setup.timeout, receipts_url=setup.receipts_url
        ),
    },
    "push": {
        "fcm": _fcm,
        "apns": _apns,
    },
    "chat": {
        "telegram": lambda setup: telegram.from_url(setup.url, http=setup.http, timeout=setup.timeout),
        apprise.SCHEME: lambda setup: apprise.from_url(
            setup.url, timeout=setup.timeout, is_trusted=setup.may_read_files
        ),
    },
}


def create(channel: ExternalChannel, setup: Setup) -> Provider:
    """Create a provider. Raises ValueError with a message that continues "the URL" and does not repeat it."""
    schemes = VENDORS[channel]
    scheme = setup.url.strip().partition("://")[0].lower()
    found = schemes.get(apprise.SCHEME if scheme.startswith(apprise.SCHEME) else scheme)
    if found is None:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return found(setup)
