"""Wires the parts that need no connections: store, broker, channels, workflows, jobs, their shared context, and the sign-in of
operators."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from bellcast.channels.config import ChannelConfig
from bellcast.console.live_feed import LiveFeed
from bellcast.context import Context
from bellcast.inbox.quotas import Quotas
from bellcast.kernel.clock import Clock
from bellcast.kernel.contention import Scheduler
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.events import Stream
from bellcast.kernel.identities import Project
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.store import Jobs
from bellcast.kernel.jobs.test_clock import TestClock
from bellcast.kernel.outbound.http import HttpClients
from bellcast.live.cluster.rates import SharedRates
from bellcast.operators.console_sessions import ConsoleConfig, ConsoleSessions
from bellcast.operators.oidc import OidcProvider
from bellcast.operators.oidc_sign_in import OidcSignIn
from bellcast.operators.passkeys import Passkeys
from bellcast.operators.store import Operators
from bellcast.replays.replays import ReplayRunner
from bellcast.server import adapters
from bellcast.server.clock import SystemClock
from bellcast.server.wire_channels import Channels
from bellcast.server.wire_workflows import WorkflowParts
from bellcast.settings import Settings, address
from bellcast.settings.encryption_keys import EncryptionKeys
from bellcast.tenants.erasure import ERASURE_JOB_KIND, continue_erasure
from bellcast.workflows.flows import Workflows


class ServerEngines:
    """The engines of a server. `followers` returns the number of connections on a stream."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        keys: EncryptionKeys,
        workflows: Workflows,
        test_clock: TestClock | None,
        followers: Callable[[Stream], int],
    ) -> None:
        # Tokens, signatures, connections and rates use the system time even with a test clock, because other servers
        # check them by theirs.
        self.real_clock = real_clock = SystemClock()
        clock: Clock = test_clock or real_clock
        new_id = Ids().new
        self.tracing = adapters.tracing(settings.server)
        self.db = adapters.store(settings.store, clock, self.tracing)
        self.broker = adapters.broker(settings.store, project, real_clock)
        history = adapters.topic_history(settings.store, project, self.broker, clock, settings.limits)
        self.rates = SharedRates(self.broker, real_clock)
        self.quotas = Quotas(self.db, self.rates, settings.limits, clock)
        self.clients = HttpClients(settings.channels.http_allow)
        self.http = self.clients.trusted()
        self.feed = LiveFeed(real_clock)
        publisher, history = adapters.traced(self.broker, history, self.tracing)
        self.jobs = JobRunner(Jobs(self.db), clock, new_id, self.quotas.weight_of)
        self.channel_config = with_public_url(settings)
        pace = Scheduler()
        self.channels = Channels(
            self.db,
            clock,
            real_clock,
            self.clients,
            self.channel_config,
            project,
            new_id,
            self.jobs,
            self.rates,
            keys,
            self.feed,
            pace,
            runs_jobs=not settings.server.no_jobs,
        )
        self.workflows = WorkflowParts(
            self.db,
            self.broker,
            clock,
            real_clock,
            self.clients.guarded(),
            settings.channels,
            settings.limits,
            project,
            self.channels.router,
            new_id,
            self.jobs,
            workflows.functions,
            lambda: self.context,
            workflows.tasks,
            self.feed,
            self.channels.catalog.check_data,
            pace,
            shares_runs=adapters.is_shared(settings.store),
        )
        self.replays = ReplayRunner(self.db, clock, new_id, self.jobs)
        self.context = Context(
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
            pace=pace,
            followers=followers,
        )
        self.jobs.register(ERASURE_JOB_KIND, partial(continue_erasure, self.context, real_clock))


def with_public_url(settings: Settings) -> ChannelConfig:
    """Return the settings of the channels. Without a public URL, links use the address that the server listens on."""
    if settings.channels.public_url is not None:
        return settings.channels
    local = address.listening(settings.server.host, settings.server.port)
    return msgspec.structs.replace(settings.channels, public_url=address.reachable(local))


def operator_services(engines: ServerEngines, settings: Settings, project: Project) -> dict[type[Any], Any]:
    """Return what operators sign in with, by its types: sessions, passkeys and the identity provider."""
    server, db, clock, new_id = settings.server, engines.db, engines.real_clock, engines.context.new_id
    # Uses the project secret, which does not rotate, so that an operator's authenticator app stays valid.
    current, *previous = [one.secret.encode() for one in project.accepted]
    cipher = Encryption(current, previous)
    config = ConsoleConfig(
        networks=server.console_networks,
        require_mfa=server.require_mfa,
        external_session=settings.oidc.session,
    )
    sessions = ConsoleSessions(Operators(db), clock, new_id, cipher, config)
    found: dict[type[Any], Any] = {
        ConsoleSessions: sessions,
        Passkeys: Passkeys(sessions, Operators(db), cipher, clock, new_id),
    }
    if settings.oidc.issuer is not None:
        provider = OidcProvider(settings.oidc, engines.clients.identity_provider(), clock)
        found[OidcSignIn] = OidcSignIn(settings.oidc, provider, sessions, Operators(db), cipher, clock)
    return found
