"""Wires the channels outside the inbox: providers, routing of sends, delivery of messages."""

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from bellcast.channels import push
from bellcast.channels.catalog import Catalog
from bellcast.channels.config import ChannelConfig
from bellcast.channels.delivery import MessageDelivery, NamedProvider
from bellcast.channels.previews import Previews
from bellcast.channels.release import Release
from bellcast.channels.routing import Router
from bellcast.errors import SettingsError
from bellcast.jobs import JobRunner
from bellcast.model.identities import Project
from bellcast.model.messages import EXTERNAL_CHANNELS, ExternalChannel
from bellcast.outbound.clients import HttpClients
from bellcast.ports import Clock, Store
from bellcast.providers.chat_webhooks import ChatWebhookProvider
from bellcast.providers.webpush import VapidKey, WebPushProvider
from bellcast.server import vendors
from bellcast.server.vendors import Setup
from bellcast.storage.messages import JOB_KIND

# How long a provider's answer may take, unless it sets another limit.
TIMEOUT_SECONDS = 30.0


class Channels:
    """The parts of the channels outside the inbox."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        clients: HttpClients,
        config: ChannelConfig,
        project: Project,
        new_id: Callable[[int], str],
        jobs: JobRunner,
    ) -> None:
        self._config = config
        self._clock = clock
        self._clients = clients
        secret = (config.encryption_key or project.secret).encode()
        self.vapid_key = VapidKey(push.project_key(secret))
        self._providers = {channel: self._configured(channel) for channel in EXTERNAL_CHANNELS}
        self._providers["push"].append(NamedProvider("webpush", self._web_push()))
        self._providers["chat"].append(NamedProvider("webhook", ChatWebhookProvider(clients.guarded())))
        self.catalog = Catalog(store, clock, config)
        self.previews = Previews(store, self.catalog, config, project)
        self.router = Router(store, clock, self.catalog, config, project, new_id, jobs.wake)
        delivery = MessageDelivery(store, clock, self._find, Release(store, clock, self.catalog), config.retries)
        self.ended = delivery.ended
        jobs.register(JOB_KIND, delivery.run)

    async def _find(self, tenant: str, channel: ExternalChannel) -> Sequence[NamedProvider]:
        return () if channel in self._config.simulate else self._providers[channel]

    async def close(self) -> None:
        """Close the providers' connections."""
        for providers in self._providers.values():
            for named in providers:
                await named.provider.close()

    def _configured(self, channel: ExternalChannel) -> list[NamedProvider]:
        """The providers of a channel's setting, named `env-email-1`, … Raises SettingsError."""
        urls: Sequence[str] = getattr(self._config, channel)
        return [self._from_setting(channel, f"env-{channel}-{number}", url) for number, url in enumerate(urls, 1)]

    def _from_setting(self, channel: ExternalChannel, key: str, url: str) -> NamedProvider:
        setup = Setup(
            url=url,
            http=self._clients.trusted(),
            http2=self._clients.trusted_http2,
            clock=self._clock,
            timeout=TIMEOUT_SECONDS,
            receipts_url=f"{(self._config.public_url or '').rstrip('/')}/v1/providers/{key}/receipts",
        )
        try:
            return NamedProvider(key, vendors.create(channel, setup))
        except ValueError as error:
            raise SettingsError(f"BELLCAST_{channel.upper()}: the URL {error}.") from None

    def _web_push(self) -> WebPushProvider:
        url = self._config.public_url or ""
        # Push services contact the operator here about problems (RFC 8292 §2.1); they refuse plain http.
        contact = url if url.startswith("https://") else f"mailto:postmaster@{urlsplit(url).hostname or 'localhost'}"
        return WebPushProvider(self._clients.guarded(), self._clock, self.vapid_key, contact)
