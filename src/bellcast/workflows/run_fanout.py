"""Fan-outs of triggers: runs for the recipients of an audience, page by page.

A page is one commit of its runs with the effects of their first steps and the new position of the fan-out, so no run needs
a job until its first call or wait."""

import msgspec
import structlog

from bellcast.channels import audiences
from bellcast.channels.audiences import FANOUT_PAGES
from bellcast.errors import BellcastError
from bellcast.model.notifications import Audience
from bellcast.ports import Clock, Job, Store
from bellcast.ports.jobs import FANOUT
from bellcast.ports.runs import BegunRun, NewFanout, TriggerRequest
from bellcast.workflows.execution import RunExecutor
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.workflow_catalog import WorkflowCatalog

log = structlog.get_logger(__name__)

# Runs of a commit: about 15 ms of work.
RUN_PAGE = 50
# Other processes have enough work while the oldest due run is older: they look for jobs every half second.
BACKLOG_MS = 1_000


class RunFanout:
    """Executes the jobs of triggers for audiences."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        workflow_catalog: WorkflowCatalog,
        triggers: Triggers,
        executor: RunExecutor,
        *,
        shares_runs: bool,
    ) -> None:
        """`shares_runs`: other processes of the store can execute some of the runs."""
        self._store = store
        self._clock = clock
        self._workflow_catalog = workflow_catalog
        self._triggers = triggers
        self._executor = executor
        self._shares_runs = shares_runs

    async def run(self, job: Job) -> int | None:
        """Add the runs of the next recipients. Return when the rest is due, or None."""
        for _ in range(FANOUT_PAGES):
            fanout = await self._store.runs.fanout(job.payload.decode())
            if fanout is None or fanout.state != "running" or not await self._add_next(fanout):
                return None
        return self._clock.now()

    async def _add_next(self, fanout: NewFanout) -> bool:
        """Add runs for the next recipients; False if there are none, or the fan-out was cancelled."""
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        keys = await audiences.page(self._store, fanout.tenant, audience, fanout.position, fanout.created_at)
        if not keys:
            await self._store.runs.add_page(msgspec.structs.replace(fanout, state="done"), (), (), ())
            return False
        definition = await self._workflow_catalog.definition(fanout.owner, fanout.workflow, fanout.version)
        is_for_others = not definition.is_independent or (self._shares_runs and not await self._has_backlog())
        add = self._add_jobs if is_for_others else self._begin
        for first in range(0, len(keys), RUN_PAGE):
            some = keys[first : first + RUN_PAGE]
            moved = msgspec.structs.replace(fanout, position=some[-1])
            if not await add(moved, await self._triggers.of_page(fanout, some)):
                return False
        return True

    async def _has_backlog(self) -> bool:
        """True if runs of fan-outs wait for a process."""
        now = self._clock.now()
        groups = await self._store.jobs.due(now)
        return any(group.priority == FANOUT and group.run_at < now - BACKLOG_MS for group in groups)

    async def _begin(self, fanout: NewFanout, page: TriggerRequest) -> bool:
        try:
            return await self._executor.begin(fanout, page)
        except BellcastError:
            raise
        except Exception:  # the jobs of the runs find the one that failed
            log.exception("fanout_page_failed", fanout=fanout.id)
            return await self._add_jobs(fanout, page)

    async def _add_jobs(self, fanout: NewFanout, page: TriggerRequest) -> bool:
        """Add runs whose jobs execute all of their steps."""
        runs = [BegunRun(run=run, due_at=run.created_at) for run in page.runs]
        return await self._store.runs.add_page(fanout, runs, page.waits, page.events) is not None
