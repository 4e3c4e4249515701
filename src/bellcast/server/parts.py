"""The parts of a server that need no connections: store, broker, channels, workflows, jobs, their shared engines, and the sign-in of
operators."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import json

from bellcast import replays
from bellcast.channels import digests, push
from bellcast.channels.catalog import Catalog
from bellcast.channels.delivery import MessageDelivery, MessageReports, NamedProvider
from bellcast.channels.receipts import Receipts
from bellcast.channels.routing import Router
from bellcast.channels.store import messages
from bellcast.channels.types import ExternalChannel
from bellcast.console.watchers import LiveFeed
from bellcast.documents.recorder import Recorder
from bellcast.documents.store import Documents
from bellcast.documents.stored_secrets import StoredSecrets
from bellcast.documents.types import PROJECT, SOURCES
from bellcast.engines import Engines
from bellcast.inbox.quotas import Quotas
from bellcast.inbox.sending import SendFanout
from bellcast.inbox.store import sends
from bellcast.kernel.clock import Clock, SteadyClock, SystemClock, TestClock
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.errors import Invalid, SettingsError
from bellcast.kernel.events import Stream
from bellcast.kernel.identities import Project
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs.runner import JobKind, JobRunner
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.outbound.http import HttpClients
from bellcast.live.cluster.members import SharedRates
from bellcast.live.dialects import DIALECTS
from bellcast.operators.oidc import OidcProvider, OidcSignIn
from bellcast.operators.passkeys import Passkeys
from bellcast.operators.sign_in import ConsoleSessions
from bellcast.operators.store import Operators
from bellcast.preferences.types import Channel
from bellcast.providers import directory
from bellcast.providers.chat_webhooks import ChatWebhookProvider
from bellcast.providers.directory import ProviderDirectory
from bellcast.providers.types import Provider
from bellcast.providers.webpush import VapidKey, WebPushProvider
from bellcast.server import adapters
from bellcast.settings import Settings, credentials
from bellcast.settings.credentials import EncryptionKeys
from bellcast.tenants.erasure import ERASURE_JOB_KIND, continue_erasure
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks import webhooks
from bellcast.webhooks.webhooks import Webhooks
from bellcast.workflows import schedule_firing, schedules
from bellcast.workflows import store as runs_store
from bellcast.workflows.event_sources import USES, EventReactions, SourceUse
from bellcast.workflows.execution import RunExecutor
from bellcast.workflows.flows import Workflows
from bellcast.workflows.run_steps import RunSteps
from bellcast.workflows.schedule_firing import ScheduledTasks
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.step_calls import StepCalls
from bellcast.workflows.store import Runs
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog

log = structlog.get_logger(__name__)
IDENTITY_KIND, IDENTITY_KEY = "push-identity", "vapid"
IDENTITY_PLACE = f"{IDENTITY_KIND}/{PROJECT}/{IDENTITY_KEY}"

# Calls of one tenant at a time to the push services of browsers, and to the incoming webhooks of chats.
BUILT_IN_SLOTS = 64
# Encrypted fields by kind of object.
ENCRYPTED_FIELDS = {
    directory.KIND: ("url",),
    webhooks.KIND: ("secret", "previous"),
    **{kind: fields for one in DIALECTS for kind, fields in one.encrypted_fields.items()},
    IDENTITY_KIND: ("key",),
}


class Channels:
    """The parts of the channels outside the inbox."""

    def __init__(self, parts: "ServerParts") -> None:
        db, clock, config, new_id = parts.db, parts.clock, parts.channel_config, parts.new_id
        clients, jobs, feed, real_clock = parts.clients, parts.jobs, parts.feed, parts.real_clock
        self._parts, keys, project = parts, parts.keys, parts.project
        self.encryption = Encryption(keys.current.encode(), [key.encode() for key in keys.previous])
        self.secrets = StoredSecrets(Documents(db), clock, self.encryption, keys.ids, ENCRYPTED_FIELDS)
        # Derived from the identity key: browsers bind their subscriptions to this key, so a rotation of the encryption
        # keys must not change it.
        self.vapid_key = VapidKey(lambda: push.project_key(keys.identity.encode()))
        self.providers = ProviderDirectory(
            db, clock, real_clock, clients, config, self.encryption, parts.rates, jobs.destinations
        )
        self.webhooks = Webhooks(db, clock, real_clock, clients.guarded, self.encryption, new_id, jobs, feed)
        self.receipts = Receipts(db, self.providers.find, clock, self.webhooks, jobs)
        self._built_in: dict[str, tuple[str, Provider]] = {
            "push": ("webpush", self._web_push()),
            "chat": ("webhook", ChatWebhookProvider(clients.guarded)),
        }
        self.catalog = Catalog(db, clock, config, feed)
        self.reports = reports = MessageReports(clock, feed)
        self.router = Router(
            db, clock, self.catalog, config, project, new_id, jobs.wake, self.webhooks, self._find_simulated, reports
        )
        delivery = MessageDelivery(db, clock, self.catalog, self._find, self.webhooks, reports, lambda: config.retries)
        jobs.register_pages(JobKind(messages.JOB_KIND, delivery.run_page))
        jobs.register(sends.FANOUT_JOB_KIND, SendFanout(db, clock, self.router, parts.pace).run)
        jobs.register(messages.DIGEST_JOB_KIND, partial(digests.run, self.router))
        jobs.register(webhook_events.EVENT_JOB_KIND, self.webhooks.dispatch)
        jobs.register(webhooks.DELIVERY_JOB_KIND, self.webhooks.deliver)

    async def _find(self, tenant: str, channel: ExternalChannel, since: int = 0) -> Sequence[NamedProvider]:
        if channel in self._parts.channel_config.simulate:
            return ()
        found = await self.providers.providers(tenant, channel, since)
        if channel not in self._built_in:
            return found
        key, provider = self._built_in[channel]
        destination = self._parts.jobs.destinations.of(f"provider {key}", tenant, BUILT_IN_SLOTS)
        return [*found, NamedProvider(key, provider, destination)]

    async def _find_simulated(self, tenant: str, channels: Iterable[Channel]) -> frozenset[Channel]:
        """Return the channels without a provider. A process without jobs returns none, because the settings of
        delivering processes may have providers."""
        if self._parts.settings.server.no_jobs:
            return frozenset()
        return frozenset([one for one in channels if one != "inbox" and not await self._find(tenant, one)])

    async def open(self) -> None:
        """Load the key that identifies the server to push services. With a key ring, it is derived from the first key
        and stored, because the ring's keys are rotated."""
        if self._parts.keys.is_ring:
            self.vapid_key = await load_push_identity(
                Documents(self._parts.db), self._parts.clock, self.encryption, self.vapid_key
            )
            self._built_in["push"] = "webpush", self._web_push()

    async def reencrypt(self) -> None:
        """Re-encrypt the secrets in the store with the current key."""
        async for _ in self.secrets.rotate():
            pass

    def _web_push(self) -> WebPushProvider:
        url = self._parts.channel_config.public_url or ""
        # Push services contact the operator here about problems (RFC 8292 §2.1); they refuse plain http.
        contact = url if url.startswith("https://") else f"mailto:postmaster@{urlsplit(url).hostname or 'localhost'}"
        return WebPushProvider(self._parts.clients.guarded, self._parts.real_clock, self.vapid_key, contact)


async def load_push_identity(documents: Documents, clock: Clock, encryption: Encryption, first: VapidKey) -> VapidKey:
    """Return the stored identity. If there is none, store `first` and return it; two nodes that start together both use
    the one stored first. If no key decrypts the stored identity, return `first`."""
    body = json.encode({"key": encryption.encrypt(first.to_pem().decode(), IDENTITY_PLACE)})
    document = await documents.get(IDENTITY_KIND, PROJECT, IDENTITY_KEY)
    if document is None and not await documents.change(IDENTITY_KIND, PROJECT, IDENTITY_KEY, None, body, clock.now()):
        document = await documents.get(IDENTITY_KIND, PROJECT, IDENTITY_KEY)
    if document is None:
        return first
    try:
        pem = encryption.decrypt(json.decode(document.body, type=dict[str, str])["key"], IDENTITY_PLACE)
    except ValueError as error:
        log.warning("push_identity_unreadable", reason=str(error))
        return first
    return VapidKey.from_pem(pem.encode())


class WorkflowParts:
    """The parts of workflows."""

    def __init__(self, parts: "ServerParts") -> None:
        db, clock, jobs, pace, defined = parts.db, parts.clock, parts.jobs, parts.pace, parts.defined
        router, limits, config = parts.channels.router, parts.settings.limits, parts.settings.channels

        def engines() -> Engines:
            return parts.engines

        self._defined = defined
        self.workflow_catalog = WorkflowCatalog(db, clock)
        self.triggers = Triggers(router, self.workflow_catalog, clock)
        http, functions = parts.clients.guarded, defined.functions
        calls = StepCalls(
            http, clock, parts.real_clock, parts.project, functions, lambda: config.retries, jobs.destinations
        )
        steps = RunSteps(self.workflow_catalog.current, Runs(db).counter, self.triggers, limits)
        shares_runs = not parts.settings.store.is_file
        executor = RunExecutor(db, parts.broker, self.triggers, steps, calls, pace, parts.feed, shares_runs=shares_runs)
        jobs.register_pages(
            JobKind(
                runs_store.JOB_KIND,
                executor.run_page,
                serves=calls.serves,
                when_dead=runs_store.WHEN_DEAD,
                is_timed=True,
            )
        )
        jobs.register(runs_store.FANOUT_JOB_KIND, executor.run_fanout)
        self.schedules = Schedules(engines, self.triggers, limits)
        self.tasks = ScheduledTasks(self.schedules, defined.tasks, jobs)
        self.sources = EventReactions(engines, self.triggers, limits, Recorder(db, clock, USES, SOURCES, SourceUse))
        jobs.register(schedules.JOB_KIND, partial(schedule_firing.run, self.schedules), is_timed=True)

    async def define(self) -> None:
        """Make the workflows defined in code current. Raises SettingsError for an invalid one."""
        definitions = self._defined.definitions
        self.workflow_catalog.expected = frozenset(definitions)
        for key, definition in definitions.items():
            try:
                await self.workflow_catalog.check(PROJECT, key, definition)
            except Invalid as error:
                raise SettingsError(f"BELLCAST_WORKFLOWS: the workflow {key!r} is invalid: {error.detail}.") from error
            await self.workflow_catalog.put(PROJECT, key, definition, is_code=True)
        await self.tasks.plan()


class ServerParts:
    """The parts of a server that need no connections. `followers` returns the number of connections on a stream."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        keys: EncryptionKeys,
        workflows: Workflows,
        test_clock: TestClock | None,
        followers: Callable[[Stream], int],
    ) -> None:
        self.settings, self.project, self.keys, self.defined = settings, project, keys, workflows
        # Tokens, signatures, connections and rates use the system time even with a test clock, because other servers
        # check them by theirs.
        self.real_clock = real_clock = SystemClock()
        self.clock: Clock = test_clock or real_clock
        self.steady_clock = SteadyClock()
        self.new_id = Ids().new
        clock, new_id = self.clock, self.new_id
        self.tracing = adapters.tracing(settings.server)
        self.db = adapters.store(settings.store, clock, self.tracing)
        self.broker = adapters.broker(settings.store, project, real_clock)
        history = adapters.topic_history(settings.store, project, self.broker, clock, settings.limits)
        self.rates = SharedRates(self.steady_clock)
        self.quotas = Quotas(self.db, self.rates, settings.limits, clock)
        self.clients = HttpClients(settings.channels.http_allow)
        self.http = self.clients.trusted
        self.feed = LiveFeed()
        publisher, history = adapters.traced(self.broker, history, self.tracing)
        self.jobs = JobRunner(Jobs(self.db), clock, new_id, self.quotas.weight_of)
        self.channel_config = settings.channels
        if settings.channels.public_url is None:  # links use the address that the server listens on
            local = credentials.listening(settings.server.host, settings.server.port)
            self.channel_config = msgspec.structs.replace(settings.channels, public_url=credentials.reachable(local))
        self.pace = Scheduler()
        self.channels = Channels(self)
        self.workflows = WorkflowParts(self)
        self.engines = Engines(
            db=self.db,
            broker=publisher,
            clock=clock,
            history=history,
            new_id=new_id,
            newcomers_ms=lambda: round(settings.store.newcomers * 1000),
            router=self.channels.router,
            webhooks=self.channels.webhooks,
            quotas=self.quotas,
            rates=self.rates,
            scheduler=self.workflows.schedules,
            reactions=self.workflows.sources,
            feed=self.feed,
            pace=self.pace,
            followers=followers,
        )
        self.jobs.register(replays.JOB_KIND, partial(replays.run, self.engines), concurrency=replays.REPLAY_SLOTS)
        self.jobs.register(ERASURE_JOB_KIND, partial(continue_erasure, self.engines, real_clock))


def operator_services(parts: ServerParts) -> dict[type[Any], Any]:
    """Return what operators sign in with, by its types: sessions, passkeys and the identity provider."""
    settings, project = parts.settings, parts.project
    server, db, clock, new_id = settings.server, parts.db, parts.real_clock, parts.engines.new_id
    # Uses the project secret, which does not rotate, so that an operator's authenticator app stays valid.
    current, *previous = [one.secret.encode() for one in project.accepted]
    cipher = Encryption(current, previous)
    sessions = ConsoleSessions(
        Operators(db),
        clock,
        new_id,
        cipher,
        networks=server.console_networks,
        requires_mfa=server.require_mfa,
        external_session=settings.oidc.session,
    )
    found: dict[type[Any], Any] = {
        ConsoleSessions: sessions,
        Passkeys: Passkeys(sessions, Operators(db), cipher, clock, new_id),
    }
    if settings.oidc.issuer is not None:
        provider = OidcProvider(settings.oidc, parts.clients.identity_provider, clock)
        found[OidcSignIn] = OidcSignIn(provider, sessions, Operators(db), cipher, clock)
    return found
