"""Wires the channels outside the inbox: providers, routing of sends, delivery of messages."""

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

import structlog
from msgspec import Struct, json

from bellcast.channels import push
from bellcast.channels.catalog import Catalog
from bellcast.channels.config import ChannelConfig
from bellcast.channels.delivery import MessageDelivery, NamedProvider
from bellcast.channels.digests import Digests
from bellcast.channels.message_reports import MessageReports
from bellcast.channels.previews import Previews
from bellcast.channels.receipts import Receipts
from bellcast.channels.reencryption import StoredSecrets
from bellcast.channels.release import Release
from bellcast.channels.routing import Router
from bellcast.channels.store.messages import DIGEST_JOB_KIND, JOB_KIND
from bellcast.channels.types import ExternalChannel
from bellcast.console.types.live_feed import Feed
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT
from bellcast.inbox.fanout import SendFanout
from bellcast.inbox.store.sends import FANOUT_JOB_KIND
from bellcast.inbox.types.sending import Rates
from bellcast.kernel.clock import Clock
from bellcast.kernel.contention import Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.identities import Project
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.outbound.http import HttpClients
from bellcast.live.dialects import DIALECTS
from bellcast.preferences.types import Channel
from bellcast.providers import directory
from bellcast.providers.chat_webhooks import ChatWebhookProvider
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.types import Provider
from bellcast.providers.webpush import VapidKey, WebPushProvider
from bellcast.settings.encryption_keys import EncryptionKeys
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks import webhooks
from bellcast.webhooks.webhooks import Webhooks
from bellcast.workflows.store.runs import Runs

log = structlog.get_logger(__name__)
KIND, KEY = "push-identity", "vapid"
PLACE = f"{KIND}/{PROJECT}/{KEY}"

# Calls of one tenant at a time to the push services of browsers, and to the incoming webhooks of chats.
BUILT_IN_SLOTS = 64
# Encrypted fields by kind of object.
ENCRYPTED_FIELDS = {
    directory.KIND: ("url",),
    webhooks.KIND: ("secret", "previous"),
    **{kind: fields for one in DIALECTS for kind, fields in one.encrypted_fields.items()},
    KIND: ("key",),
}


class Channels:
    """The parts of the channels outside the inbox."""

    def __init__(
        self,
        db: Engine,
        clock: Clock,
        real_clock: Clock,
        clients: HttpClients,
        config: ChannelConfig,
        project: Project,
        new_id: Callable[[int], str],
        jobs: JobRunner,
        rates: Rates,
        keys: EncryptionKeys,
        feed: Feed,
        pace: Scheduler,
        *,
        runs_jobs: bool,
    ) -> None:
        self._runs_jobs = runs_jobs
        self._config = config
        self._clock = clock
        self._real_clock = real_clock
        self._clients = clients
        self._db = db
        self.encryption = Encryption(keys.current.encode(), [key.encode() for key in keys.previous])
        self.secrets = StoredSecrets(Documents(db), clock, self.encryption, keys.ids, ENCRYPTED_FIELDS)
        self._has_ring = keys.is_ring
        # Derived from the identity key: browsers bind their subscriptions to this key, so a rotation of the encryption
        # keys must not change it.
        self.vapid_key = VapidKey(lambda: push.project_key(keys.identity.encode()))
        self._destinations = jobs.destinations
        self.providers = ProviderDirectory(
            db, clock, real_clock, clients, config, self.encryption, rates, jobs.destinations
        )
        self.webhooks = Webhooks(db, clock, real_clock, clients.guarded, self.encryption, new_id, jobs, feed)
        self.receipts = Receipts(db, self.providers.find, clock, self.webhooks, jobs)
        self._built_in: dict[str, tuple[str, Provider]] = {
            "push": ("webpush", self._web_push()),
            "chat": ("webhook", ChatWebhookProvider(clients.guarded())),
        }
        self.catalog = Catalog(db, clock, config, feed)
        self.previews = Previews(db, self.catalog, config, project)
        self.reports = reports = MessageReports(clock, feed)
        self.router = Router(
            db,
            clock,
            self.catalog,
            config,
            project,
            new_id,
            jobs.wake,
            self.webhooks,
            self._find_simulated,
            reports,
        )
        release = Release(db, clock, self.catalog, Runs(db).workflow_of)
        delivery = MessageDelivery(db, clock, self._find, release, self.webhooks, reports, lambda: config.retries)
        digests = Digests(db, clock, self.catalog, release, config, project, new_id, self.webhooks, reports)
        jobs.register_pages(JOB_KIND, delivery.run_page)
        jobs.register(FANOUT_JOB_KIND, SendFanout(db, clock, self.router, pace).run)
        jobs.register(DIGEST_JOB_KIND, digests.run)
        jobs.register(webhook_events.JOB_KIND, self.webhooks.dispatch)
        jobs.register(webhooks.JOB_KIND, self.webhooks.deliver)

    async def _find(self, tenant: str, channel: ExternalChannel) -> Sequence[NamedProvider]:
        if channel in self._config.simulate:
            return ()
        found = await self.providers.providers(tenant, channel)
        if channel not in self._built_in:
            return found
        key, provider = self._built_in[channel]
        destination = self._destinations.of(f"provider {key}", tenant, BUILT_IN_SLOTS)
        return [*found, NamedProvider(key, provider, destination)]

    async def _find_simulated(self, tenant: str, channels: Iterable[Channel]) -> frozenset[Channel]:
        """Return the channels without a provider. A process without jobs returns none, because the settings of
        delivering processes may have providers."""
        if not self._runs_jobs:
            return frozenset()
        return frozenset([one for one in channels if one != "inbox" and not await self._find(tenant, one)])

    async def open(self) -> None:
        """Load the key that identifies the server to push services. With a key ring, it is derived from the first key
        and stored, because the ring's keys are rotated."""
        if self._has_ring:
            self.vapid_key = await load_push_identity(Documents(self._db), self._clock, self.encryption, self.vapid_key)
            self._built_in["push"] = "webpush", self._web_push()

    async def reencrypt(self) -> None:
        """Re-encrypt the secrets in the store with the current key."""
        async for _ in self.secrets.rotate():
            pass

    def _web_push(self) -> WebPushProvider:
        url = self._config.public_url or ""
        # Push services contact the operator here about problems (RFC 8292 §2.1); they refuse plain http.
        contact = url if url.startswith("https://") else f"mailto:postmaster@{urlsplit(url).hostname or 'localhost'}"
        return WebPushProvider(self._clients.guarded(), self._real_clock, self.vapid_key, contact)


class StoredIdentity(Struct, frozen=True):
    """The private key in PEM, encrypted."""

    key: str


async def load_push_identity(documents: Documents, clock: Clock, encryption: Encryption, first: VapidKey) -> VapidKey:
    """Return the stored identity. If there is none, store `first` and return it; two nodes that start together both use
    the one stored first. If no key decrypts the stored identity, return `first`."""
    body = json.encode(StoredIdentity(encryption.encrypt(first.to_pem().decode(), PLACE)))
    document = await documents.get(KIND, PROJECT, KEY)
    if document is None and not await documents.change(KIND, PROJECT, KEY, None, body, clock.now()):
        document = await documents.get(KIND, PROJECT, KEY)
    if document is None:
        return first
    try:
        pem = encryption.decrypt(json.decode(document.body, type=StoredIdentity).key, PLACE)
    except ValueError as error:
        log.warning("push_identity_unreadable", reason=str(error))
        return first
    return VapidKey.from_pem(pem.encode())
