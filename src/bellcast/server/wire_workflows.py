"""Wires workflows: their catalog, the jobs of runs and fan-outs, and the functions of the app."""

from collections.abc import Callable, Mapping
from typing import Any

from bellcast.channels.config import ChannelConfig
from bellcast.channels.routing import Router
from bellcast.console.types.live_feed import Feed
from bellcast.context import Context
from bellcast.documents.types import PROJECT
from bellcast.kernel.brokers.port import Broker
from bellcast.kernel.clock import Clock
from bellcast.kernel.contention import Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Invalid, SettingsError
from bellcast.kernel.identities import Project
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.limits import Limits
from bellcast.kernel.outbound.port import Http
from bellcast.workflows import schedules
from bellcast.workflows.calls import StepCalls, StepFunction
from bellcast.workflows.event_reactions import Sources
from bellcast.workflows.execution import RunExecutor
from bellcast.workflows.run_fanout import RunFanout
from bellcast.workflows.run_steps import RunSteps
from bellcast.workflows.schedule_firing import ScheduleFiring
from bellcast.workflows.schedules import Schedules
from bellcast.workflows.simulation import Simulator
from bellcast.workflows.store.run_commits import FANOUT_JOB_KIND, JOB_KIND, WHEN_DEAD
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.tasks import ScheduledTasks, Task
from bellcast.workflows.triggers import CheckTypeData, Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog


class WorkflowParts:
    """The parts of workflows."""

    def __init__(
        self,
        db: Engine,
        broker: Broker,
        clock: Clock,
        real_clock: Clock,
        http: Http,
        config: ChannelConfig,
        limits: Limits,
        project: Project,
        router: Router,
        new_id: Callable[[int], str],
        jobs: JobRunner,
        functions: Mapping[str, StepFunction],
        engines: Callable[[], Context],
        tasks: Mapping[str, Task],
        feed: Feed,
        check_type_data: CheckTypeData,
        pace: Scheduler,
        *,
        shares_runs: bool = False,
    ) -> None:
        self.workflow_catalog = WorkflowCatalog(db, clock)
        self.triggers = Triggers(db, clock, self.workflow_catalog, new_id, router.webhooks, check_type_data)
        calls = StepCalls(http, clock, real_clock, project, functions, lambda: config.retries, jobs.destinations)
        find_current = self.workflow_catalog.current
        steps = RunSteps(find_current, Runs(db).counter, clock, router, self.triggers, limits, new_id)
        self.simulator = Simulator(db, router, self.triggers, limits)
        executor = RunExecutor(db, broker, clock, self.workflow_catalog, router, steps, calls, pace, feed)
        jobs.register_pages(JOB_KIND, executor.run_page, serves=calls.serves, when_dead=WHEN_DEAD, is_timed=True)
        self.schedules = Schedules(
            engines, self.workflow_catalog, self.triggers, router.tenant, router.plan_steps, limits
        )
        self.schedule_firing = ScheduleFiring(engines, self.schedules, self.triggers, router.tenant, limits)
        self.tasks = ScheduledTasks(engines, tasks, self.schedules.trigger, limits, jobs)
        self.sources = Sources(engines, self.workflow_catalog, self.triggers, router.tenant, limits)
        jobs.register(schedules.JOB_KIND, self.schedule_firing.run, is_timed=True)
        fanout = RunFanout(db, clock, self.workflow_catalog, self.triggers, executor, pace, shares_runs=shares_runs)
        jobs.register(FANOUT_JOB_KIND, fanout.run)

    async def define(self, definitions: Mapping[str, dict[str, Any]]) -> None:
        """Make the workflows defined in code current. Raises SettingsError for an invalid one."""
        self.workflow_catalog.expected = frozenset(definitions)
        for key, definition in definitions.items():
            try:
                await self.workflow_catalog.check(PROJECT, key, definition)
            except Invalid as error:
                raise SettingsError(f"BELLCAST_WORKFLOWS: the workflow {key!r} is invalid: {error.detail}.") from error
            await self.workflow_catalog.put(PROJECT, key, definition, is_code=True)
        await self.tasks.plan()
