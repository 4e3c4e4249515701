"""Workflows on a real store with a fake clock: the server's parts without a server."""

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec

from bellcast.channels.catalog import Catalog
from bellcast.channels.delivery import MessageDelivery, MessageReports, NamedProvider
from bellcast.channels.routing import Router
from bellcast.channels.store.messages import JOB_KIND
from bellcast.channels.types import ChannelConfig, StoredMessage
from bellcast.engines import Engines
from bellcast.inbox.sending import SendFanout
from bellcast.inbox.store.sends import FANOUT_JOB_KIND
from bellcast.kernel.brokers import MemoryBroker
from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.events import Event
from bellcast.kernel.identities import Project
from bellcast.kernel.ids import Ids
from bellcast.kernel.jobs import Job, kind_of
from bellcast.kernel.jobs.runner import Again, DestinationCall, JobKind, JobRunner, PageOutcome
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound import Response
from bellcast.preferences.types import Channel
from bellcast.recipients.types import RecipientFields
from bellcast.server.parts import WorkflowParts
from bellcast.webhooks.types import WebhookSink
from bellcast.workflows.schedule_firing import Task
from bellcast.workflows.step_calls import StepFunction
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import RunState, StoredRun, TriggerDraft
from tests.clock import FakeClock
from tests.contexts import NO_FEED, idle_context
from tests.contract.app import wanted
from tests.due_jobs import run_due
from tests.store import Store

PROJECT = Project("42", "public-key", "the secret of the project, forty characters")


class FakeHttp:
    """Http with prepared responses, which records the requests."""

    def __init__(self) -> None:
        self.responses: list[Response | Exception] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes = b"",
        timeout: float = 5.0,  # noqa: ASYNC109 - required by the port
    ) -> Response:
        self.requests.append((method, url, headers, body))
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    async def close(self) -> None: ...


class WorkflowWorld:
    """Everything that workflows need. Messages are simulated."""

    def __init__(
        self,
        store: Store,
        clock: FakeClock,
        functions: Mapping[str, StepFunction] | None = None,
        tasks: Mapping[str, Task] | None = None,
        *,
        shares_runs: bool = False,
    ) -> None:
        self.store, self.clock, self.http = store, clock, FakeHttp()
        self.published: list[Event] = []
        self.pace = Scheduler()
        self.leaves_messages = False  # True: for their jobs to simulate
        broker, ids, config = MemoryBroker(), Ids(), ChannelConfig()
        broker.listen(self.published.append)
        self.runner = JobRunner(store.jobs, clock, ids.new)
        self.catalog = Catalog(store, clock, config, NO_FEED)
        self.reports = MessageReports(clock, NO_FEED)
        self.router = Router(
            store,
            clock,
            self.catalog,
            config,
            PROJECT,
            ids.new,
            self.runner.wake,
            WebhookSink(),
            self._simulated,
            self.reports,
        )
        delivery = MessageDelivery(store, clock, self.catalog, self._providers, WebhookSink(), self.reports)
        self.runner.register_pages(JobKind(JOB_KIND, delivery.run_page))
        self.runner.register(FANOUT_JOB_KIND, SendFanout(store, clock, self.router, self.pace).run)
        store_settings = SimpleNamespace(is_file=not shares_runs)
        self._parts: Any = SimpleNamespace(
            db=store,
            broker=broker,
            clock=clock,
            real_clock=clock,
            new_id=ids.new,
            jobs=self.runner,
            feed=NO_FEED,
            clients=SimpleNamespace(guarded=self.http),
            channels=SimpleNamespace(router=self.router, catalog=self.catalog),
            settings=SimpleNamespace(limits=Limits(), channels=config, store=store_settings),
            project=PROJECT,
            defined=SimpleNamespace(functions={} if functions is None else functions, tasks=tasks or {}),
            pace=self.pace,
        )
        self.workflows = WorkflowParts(self._parts)
        self.engines = idle_context(
            db=store,
            broker=broker,
            clock=clock,
            new_id=ids.new,
            router=self.router,
            scheduler=self.workflows.schedules,
            reactions=self.workflows.sources,
        )

    @property
    def engines(self) -> Engines:
        engines: Engines = self._parts.engines
        return engines

    @engines.setter
    def engines(self, engines: Engines) -> None:
        self._parts.engines = engines

    async def _providers(self, tenant: str, channel: str, since: int) -> Sequence[NamedProvider]:
        return ()

    async def _simulated(self, tenant: str, channels: Iterable[Channel]) -> frozenset[Channel]:
        return frozenset(one for one in channels if one != "inbox" and not self.leaves_messages)

    async def put(self, key: str, *steps: dict[str, Any], tenant: str = "", **fields: Any) -> None:
        """Validate and store a workflow."""
        value = {**fields, "steps": list(steps)}
        await self.workflows.workflow_catalog.check(tenant, key, value)
        await self.workflows.workflow_catalog.put(tenant, key, value)

    async def delete(self, key: str) -> None:
        """Delete a workflow of the project."""
        assert await self.store.documents.delete("workflows", "", key)
        await self.workflows.workflow_catalog.written([("", key, True)])

    async def recipient(self, key: str, tenant: str = "", **fields: Any) -> None:
        await self.store.recipients.put(tenant, key, RecipientFields(**fields), self.clock.now(), replace=True)

    async def trigger(self, key: str, to: Any = "alice", **fields: Any) -> str:
        """Trigger; return the id of the trigger, which is also that of its only run."""
        response = await self.workflows.triggers.start(key, TriggerDraft(to=to, **fields))
        id: str = msgspec.json.decode(response)["trigger"]
        return id

    async def settle(self) -> None:
        """Run the due jobs, and those that become due as a result."""
        while await run_due(self.runner):
            pass

    async def advance(self, seconds: float) -> None:
        """Advance the clock, running jobs as they become due."""
        await self.settle()
        end = self.clock.now() + round(seconds * 1000)
        while (due := await self._next_due()) is not None and due <= end:
            self.clock.advance(max(due - self.clock.now(), 0) / 1000)
            await self.settle()
        self.clock.advance((end - self.clock.now()) / 1000)

    async def execute(self, *jobs: Job) -> list[int | None]:
        """Execute a page of jobs to completion; return the time at which each is due again. Raises what the handler raises."""
        return [await ended(outcome) for outcome in await self.runner._kinds[kind_of(jobs[0].kind)].handler(jobs)]

    async def _next_due(self) -> int | None:
        groups = await self.store.jobs.due(2**52)
        return min((group.run_at for group in groups), default=None)

    async def run(self, id: str) -> tuple[StoredRun, RunState]:
        found = await self.store.runs.get(id)
        assert found is not None
        return found, runs.decode(found.body)

    async def status(self, id: str) -> str:
        return (await self.run(id))[0].state

    async def steps(self, id: str) -> dict[str, str]:
        """The states of a run's steps by key."""
        return {key: step.state for key, step in (await self.run(id))[1].steps.items()}

    async def messages(self, **query: Any) -> list[StoredMessage]:
        return (await self.store.messages.page(wanted(**query))).items

    async def runs(self, **query: Any) -> list[StoredRun]:
        return (await self.store.runs.page(wanted(**query))).items


async def ended(outcome: PageOutcome) -> int | None:
    """Perform the rest of a job's work; return when it is due again. Raises its error."""
    while isinstance(outcome, DestinationCall):
        outcome = await outcome.work()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome.at if isinstance(outcome, Again) else outcome
