"""Wires the channels outside the inbox: providers from the settings, routing of sends, delivery of messages."""

from collections.abc import Callable, Sequence

from bellcast.channels.catalog import Catalog
from bellcast.channels.config import ChannelConfig
from bellcast.channels.delivery import MessageDelivery, NamedProvider
from bellcast.channels.previews import Previews
from bellcast.channels.release import Release
from bellcast.channels.routing import Router
from bellcast.errors import SettingsError
from bellcast.jobs import JobRunner
from bellcast.model.identities import Project
from bellcast.model.messages import ExternalChannel
from bellcast.ports import Clock, Http, Store
from bellcast.ports.providers import Provider
from bellcast.providers import smtp, twilio, vonage
from bellcast.storage.messages import JOB_KIND

# By scheme; a new vendor is a line here and its folder.
PROVIDERS: dict[ExternalChannel, dict[str, Callable[[str, Http], Provider]]] = {
    "email": {
        "smtp": lambda url, http: smtp.from_url(url),
        "smtps": lambda url, http: smtp.from_url(url),
    },
    "sms": {
        "twilio": lambda url, http: twilio.from_url(url, http=http),
        "vonage": lambda url, http: vonage.from_url(url, http=http),
    },
}


class Channels:
    """The parts of the channels outside the inbox."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        http: Http,
        config: ChannelConfig,
        project: Project,
        new_id: Callable[[int], str],
        jobs: JobRunner,
    ) -> None:
        self._config = config
        self._providers = {channel: _configured(channel, config, http) for channel in PROVIDERS}
        self.catalog = Catalog(store, clock, config)
        self.previews = Previews(store, self.catalog, config, project)
        self.router = Router(store, clock, self.catalog, config, project, new_id, jobs.wake)
        delivery = MessageDelivery(store, clock, self._find, Release(store, clock, self.catalog), config.retries)
        self.ended = delivery.ended
        jobs.register(JOB_KIND, delivery.run)

    async def _find(self, tenant: str, channel: ExternalChannel) -> Sequence[NamedProvider]:
        return () if channel in self._config.simulate else self._providers.get(channel, ())

    async def close(self) -> None:
        """Close the providers' connections."""
        for providers in self._providers.values():
            for named in providers:
                await named.provider.close()


def _configured(channel: ExternalChannel, config: ChannelConfig, http: Http) -> Sequence[NamedProvider]:
    """The providers of a channel's setting, named `env-email-1`, … Raises SettingsError."""
    urls: Sequence[str] = getattr(config, channel)
    return [
        NamedProvider(f"env-{channel}-{number}", _provider(channel, url, http)) for number, url in enumerate(urls, 1)
    ]


def _provider(channel: ExternalChannel, url: str, http: Http) -> Provider:
    setting, scheme = f"BELLCAST_{channel.upper()}", url.partition("://")[0]
    create = PROVIDERS[channel].get(scheme)
    if create is None:
        raise SettingsError(f"{setting}: expected a URL that begins with {' or '.join(PROVIDERS[channel])}://.")
    try:
        return create(url, http)
    except ValueError as error:
        raise SettingsError(f"{setting}: the URL {error}.") from None
