"""Settings of the channels outside the inbox."""

from msgspec import Struct

from bellcast.kernel.retries import RETRIES


class ChannelConfig(Struct, kw_only=True):
    """Durations are seconds. Operators can change some of them while the server runs. `default` are the channels of a
    send that names none. A channel delivers if a provider's URL is set. Without one, or if it is in `simulate`, it only
    stores messages."""

    default: tuple[str, ...] = ("inbox",)
    email: tuple[str, ...] = ()
    sms: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()
    http_allow: tuple[str, ...] = ()
    encryption_key: str | None = None
    simulate: tuple[str, ...] = ()
    retries: tuple[float, ...] = RETRIES
    app_url: str | None = None
    public_url: str | None = None
    locale: str = "en"
    locales: tuple[str, ...] = ()
    brand: str = "{}"
    timezone: str = "UTC"
    run_retention: float = 30 * 86_400.0
